//! Latencies over time of the runs of a sweep, each in a CSV file of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity;
use bench_record::files::replace_file;
use bench_record::windows::{WindowLength, windows, write_csv};

use super::folder::{State, set_aside};
use super::run_files::read_document;
use super::run_state::RunStatus;
use crate::plan::cells::PlannedRun;
use crate::plan::experiment_plan::Plan;
use crate::plan::sweep::latencies_file;

/// The windows of the tables.
const WINDOW: WindowLength = WindowLength::Time(Duration::from_secs(1));

/// Writes the latencies of the runs of a sweep that are over, if it has a folder for them. A failure loses
/// nothing: `resume` writes them again from the results.
pub(crate) fn export(results: &Path, state: &State) -> Result<()> {
    let State { plan, runs, .. } = state;
    let Some(latencies_dir) = &plan.latencies_dir else { return Ok(()) };
    for (&run, state) in plan.runs.iter().zip(runs).filter(|(_, state)| state.status.is_over()) {
        let run_dir = results.join(plan.run_folder(run));
        export_run(latencies_dir, plan, run, &run_dir, state.status)?;
    }
    Ok(())
}

fn export_run(
    latencies_dir: &Path,
    plan: &Plan,
    run: PlannedRun,
    run_dir: &Path,
    status: RunStatus,
) -> Result<()> {
    let label = plan.run_label(run);
    let path = latencies_dir.join(latencies_file(plan, run));
    let leave_out = |why: &str| {
        tracing::warn!("{label}: {why}, so {} is not written", path.display());
        // The file of an earlier run would pass for this one's.
        set_aside(&path)
    };
    if status != RunStatus::Complete {
        return leave_out("the run does not count");
    }
    let failed = || format!("failed to write {}; make room for it, then resume", path.display());
    fs::create_dir_all(latencies_dir).with_context(failed)?;
    let windows = windows(run_dir, WINDOW)?;
    if windows.is_empty() {
        return leave_out("nothing was received after the warm-up");
    }
    replace_file(&path, |file| write_csv(&windows, file)).with_context(failed)?;
    tracing::info!("{label}: latencies over time in {}", path.display());
    let document = read_document(run_dir).ok();
    let check = document.and_then(|document| document.summary?.self_check);
    if let Some(check) = check.filter(|check| !check.kept_schedule) {
        tracing::warn!(
            "{label}: the generator missed its schedule: p99 of the schedule lag {}, {} messages \
             not sent",
            quantity::duration_ns(check.lag_p99_ns),
            quantity::count(check.unsent),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::experiment::Experiment;

    #[test]
    fn runs_that_do_not_count_set_old_files_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("delta-500.csv");
        let text = "name = \"delta-sweep\"\nquestion = \"?\"\ntool = \"t\"\nservices = \"embedded\"
                    [matrix]\nrate = [500]";
        let plan = Plan::new(&Experiment::parse(text).expect("parsed")).expect("planned");
        // One that is valid, and has no latency outside its warm-up.
        let run_dir = folder.path().join("run");
        fs::create_dir(&run_dir).expect("a folder");
        fs::write(run_dir.join("intervals.csv"), "").expect("written");
        for (number, status) in [(1, RunStatus::Invalid), (2, RunStatus::Complete)] {
            let kept = format!("of an earlier sweep {number}");
            fs::write(&table, &kept).expect("written");
            let exported = export_run(folder.path(), &plan, plan.runs[0], &run_dir, status);
            exported.expect("left out");
            assert!(!table.exists(), "{status:?}");
            let aside = folder.path().join(format!("delta-500.csv.aside-{number}"));
            assert_eq!(fs::read_to_string(aside).expect("kept"), kept);
        }
    }
}
