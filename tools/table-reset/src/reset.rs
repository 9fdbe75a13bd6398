//! Resetting tables: look, show, ask, do.

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use bench_cli::{Exit, Shutdown, UsageError, confirm};
use bench_tables::dynamodb::Billing;
use bench_tables::{TableError, Tables};

use crate::options::Options;
use crate::plan::{Plan, Step};
use crate::render::{self, Outcome, ResetReport, TableReport};

/// Does with the tables what the command line asks for.
pub(crate) fn reset(options: &Options) -> Result<Exit> {
    let billing = options.billing()?;
    let mut tables = options.tables()?;
    let plans = plans(options, &mut tables)?;
    let is_refused = plans.iter().any(|plan| plan.step == Step::Refuse);
    if options.guard.dry_run {
        render::print(&planned(&plans), options.output.output)?;
        return if is_refused { Err(refusal(&plans).into()) } else { Ok(Exit::Good) };
    }
    if is_refused {
        return Err(refusal(&plans).into());
    }
    if plans.iter().any(|plan| plan.step.deletes()) && !options.guard.yes {
        let text = format!("{}\n{}", tables.service().address, render::human(&planned(&plans)));
        io::stderr().write_all(text.as_bytes()).context("failed to show what is to be done")?;
        if !confirm("Delete for good?")? {
            bail!("not confirmed, so nothing was changed");
        }
    }
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let mut reports = Vec::new();
    for plan in &plans {
        let (outcome, error) = if shutdown.is_requested() {
            (Outcome::Skipped, None)
        } else {
            match carry_out(&mut tables, plan, billing) {
                Ok(outcome) => (outcome, None),
                Err(error) => (Outcome::Failed, Some(error.to_string())),
            }
        };
        reports.push(TableReport { outcome, error, ..render::report(plan) });
    }
    let has_failed = reports.iter().any(|table| table.outcome == Outcome::Failed);
    render::print(&ResetReport { dry_run: false, tables: reports }, options.output.output)?;
    Ok(match (shutdown.is_requested(), has_failed) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Good,
    })
}

/// Looks at each table, once, and decides what to do with it. The service may take two names for one.
fn plans(options: &Options, tables: &mut Tables) -> Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    for table in &options.table {
        let found = tables.describe(table)?;
        let name = found.as_ref().map_or(table, |found| &found.name).clone();
        if plans.iter().all(|plan| plan.table != name) {
            plans.push(Plan::new(&name, found, options.action, options.guard.force));
        }
    }
    Ok(plans)
}

fn planned(plans: &[Plan]) -> ResetReport {
    ResetReport { dry_run: true, tables: plans.iter().map(render::report).collect() }
}

/// Why nothing is done at all.
fn refusal(plans: &[Plan]) -> UsageError {
    let refused: Vec<_> =
        plans.iter().filter_map(|plan| plan.refusal.as_ref().map(|why| (plan, why))).collect();
    let reasons: Vec<_> =
        refused.iter().map(|(plan, why)| format!("'{}' {}", plan.table, why.reason)).collect();
    let problem = format!("{}, so nothing was changed", reasons.join(", and "));
    let remedy = if refused.iter().all(|(_, why)| why.yields_to_force) {
        "--force deletes it all the same"
    } else {
        "name another table, or change this one by hand"
    };
    UsageError::new("--table", problem, remedy)
}

fn carry_out(tables: &mut Tables, plan: &Plan, billing: Billing) -> Result<Outcome, TableError> {
    let table = &plan.table;
    match plan.step {
        Step::Nothing | Step::Refuse => return Ok(Outcome::Unchanged),
        Step::Delete | Step::Recreate => tables.delete(table)?,
        Step::Create => {}
    }
    if plan.step == Step::Delete {
        return Ok(Outcome::Deleted);
    }
    tables.create(table, billing)?;
    Ok(if plan.step == Step::Create { Outcome::Created } else { Outcome::Recreated })
}
