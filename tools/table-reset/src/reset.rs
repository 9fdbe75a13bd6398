//! Resetting tables: look, show, ask, do.

use anyhow::{Result, bail};
use bench_cli::{Exit, Shutdown, UsageError, Waiting, confirm, output};
use bench_tables::dynamodb::Billing;
use bench_tables::{Obstacle, TableError, TableInfo, Tables};

use crate::options::{Action, Options};
use crate::plan::{Plan, Step};
use crate::render::{self, Outcome, ResetReport, TableReport};

/// Creates, empties or deletes the tables, as the options say.
pub(crate) fn reset(options: &Options, shutdown: &Shutdown) -> Result<Exit> {
    let billing = options.billing()?;
    let waiting = Waiting::new(shutdown)?;
    let mut tables = options.tables(&waiting)?;
    let plans = plans(options, &mut tables, &waiting)?;
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
        output::show_plan(&text)?;
        let asking = || confirm("Delete for good?");
        if !waiting.until_done(asking, "it asked, so that nothing was changed")?? {
            bail!("not confirmed, so nothing was changed");
        }
    }
    let mut reports = Vec::new();
    for plan in &plans {
        let (outcome, error) = if shutdown.is_requested() {
            (Outcome::Skipped, None)
        } else {
            let done = waiting.until(change(&mut tables, plan, billing), "it was changed");
            match done {
                Ok(Ok(outcome)) => (outcome, None),
                Ok(Err(error)) => (Outcome::Failed, Some(error.to_string())),
                Err(_) => (Outcome::Interrupted, Some(in_doubt(plan))),
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
fn plans(options: &Options, tables: &mut Tables, waiting: &Waiting) -> Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    for table in &options.table {
        let described = tables.describe(table);
        let found =
            waiting.until(described, "it looked at the tables, so that nothing was changed")??;
        let name = found.as_ref().map_or(table, |found| &found.name).clone();
        let is_kept = options.action == Action::Create && found.as_ref().is_some_and(is_table);
        if is_kept {
            let checked = tables.check_columns(&name);
            waiting.until(checked, "it looked at the tables, so that nothing was changed")??;
        }
        if plans.iter().all(|plan| plan.table != name) {
            plans.push(Plan::new(&name, found, options.action, options.guard.force));
        }
    }
    Ok(plans)
}

/// Whether it is a table, and no view or the like.
fn is_table(found: &TableInfo) -> bool {
    !matches!(found.obstacle, Some(Obstacle::NoTable(_)))
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

/// What may have become of a table whose change was interrupted.
fn in_doubt(plan: &Plan) -> String {
    let may_be = match plan.step {
        Step::Delete => "may be gone, or go yet",
        Step::Create => "may be there, or come yet",
        _ => "may be gone, or be there anew",
    };
    format!("the table {may_be}; run the same again to make sure")
}

async fn change(tables: &mut Tables, plan: &Plan, billing: Billing) -> Result<Outcome, TableError> {
    let table = &plan.table;
    match plan.step {
        Step::Nothing | Step::Refuse => return Ok(Outcome::Unchanged),
        Step::Delete | Step::Recreate => tables.delete(table).await?,
        Step::Create => {}
    }
    if plan.step == Step::Delete {
        return Ok(Outcome::Deleted);
    }
    tables.create(table, billing).await?;
    Ok(if plan.step == Step::Create { Outcome::Created } else { Outcome::Recreated })
}
