//! Resetting tables: inspect, show, ask, run.

use anyhow::{Result, bail};
use bench_cli::{Exit, Shutdown, UsageError, Waiting, confirm, output};
use bench_tables::dynamodb::Billing;
use bench_tables::{Obstacle, TableError, TableInfo, Tables};

use crate::options::{Action, Options};
use crate::plan::{Plan, TableStep};
use crate::render::{self, ResetReport, TableOutcome, TableReport};

/// Creates, empties or deletes the tables, as the options say.
pub(crate) fn reset(options: &Options, shutdown: &Shutdown) -> Result<Exit> {
    let billing = options.billing()?;
    let waiting = Waiting::new(shutdown)?;
    let mut tables = options.tables(&waiting)?;
    let plans = plans(options, &mut tables, &waiting)?;
    let is_refused = plans.iter().any(|plan| plan.step == TableStep::Refuse);
    if options.guard.dry_run {
        render::print(&planned(&plans), options.output.format)?;
        return if is_refused { Err(refusal(&plans).into()) } else { Ok(Exit::Good) };
    }
    if is_refused {
        return Err(refusal(&plans).into());
    }
    if plans.iter().any(|plan| plan.step.deletes()) && !options.guard.yes {
        let text = format!("{}\n{}", tables.service().address, render::human(&planned(&plans)));
        output::show_plan(&text)?;
        let asking = || confirm("Delete for good?");
        if !waiting.until_done(asking, "asking; nothing was changed")?? {
            bail!("not confirmed, so nothing was changed");
        }
    }
    let mut reports = Vec::new();
    for plan in &plans {
        let (outcome, error) = if shutdown.is_requested() {
            (TableOutcome::Skipped, None)
        } else {
            let done = waiting.until(change(&mut tables, plan, billing), "changing it");
            match done {
                Ok(Ok(outcome)) => (outcome, None),
                Ok(Err(error)) => (TableOutcome::Failed, Some(error.to_string())),
                Err(_) => (TableOutcome::Interrupted, Some(in_doubt(plan))),
            }
        };
        reports.push(TableReport { outcome, error, ..render::report(plan) });
    }
    let has_failed = reports.iter().any(|table| table.outcome == TableOutcome::Failed);
    render::print(&ResetReport { dry_run: false, tables: reports }, options.output.format)?;
    Ok(match (shutdown.is_requested(), has_failed) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Failed,
        (false, false) => Exit::Good,
    })
}

/// Inspects each table once and decides what to do with it. The service may treat two names as one.
fn plans(options: &Options, tables: &mut Tables, waiting: &Waiting) -> Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    for table in &options.table {
        let described = tables.describe(table);
        let found = waiting.until(described, "inspecting the tables; nothing was changed")??;
        let name = found.as_ref().map_or(table, |found| &found.name).clone();
        let is_kept = options.action == Action::Create && found.as_ref().is_some_and(is_table);
        if is_kept {
            let checked = tables.check_columns(&name);
            waiting.until(checked, "inspecting the tables; nothing was changed")??;
        }
        if plans.iter().all(|plan| plan.table != name) {
            plans.push(Plan::new(&name, found, options.action, options.guard.force));
        }
    }
    Ok(plans)
}

/// Whether it is a table, rather than a view or the like.
fn is_table(found: &TableInfo) -> bool {
    !matches!(found.obstacle, Some(Obstacle::NotATable(_)))
}

fn planned(plans: &[Plan]) -> ResetReport {
    ResetReport { dry_run: true, tables: plans.iter().map(render::report).collect() }
}

/// The error if nothing is done at all.
fn refusal(plans: &[Plan]) -> UsageError {
    let refused: Vec<_> =
        plans.iter().filter_map(|plan| plan.refusal.as_ref().map(|why| (plan, why))).collect();
    let reasons: Vec<_> =
        refused.iter().map(|(plan, why)| format!("'{}' {}", plan.table, why.reason)).collect();
    let problem = format!("{}; nothing was changed", reasons.join(", and "));
    let remedy = if refused.iter().all(|(_, why)| why.yields_to_force) {
        "add --force to delete it anyway"
    } else {
        "use another table, or change this one by hand"
    };
    UsageError::new("--table", problem, remedy)
}

/// The possible states of a table whose change was interrupted.
fn in_doubt(plan: &Plan) -> String {
    let may_be = match plan.step {
        TableStep::Delete => "may have been deleted, or may be deleted later",
        TableStep::Create => "may have been created, or may be created later",
        _ => "may have been deleted or recreated",
    };
    format!("the table {may_be}; run the same command again to make sure")
}

async fn change(
    tables: &mut Tables,
    plan: &Plan,
    billing: Billing,
) -> Result<TableOutcome, TableError> {
    let table = &plan.table;
    match plan.step {
        TableStep::Nothing | TableStep::Refuse => return Ok(TableOutcome::Unchanged),
        TableStep::Delete | TableStep::Recreate => tables.delete(table).await?,
        TableStep::Create => {}
    }
    if plan.step == TableStep::Delete {
        return Ok(TableOutcome::Deleted);
    }
    tables.create(table, billing).await?;
    Ok(if plan.step == TableStep::Create { TableOutcome::Created } else { TableOutcome::Recreated })
}
