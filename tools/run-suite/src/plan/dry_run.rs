//! The runs of an experiment as text.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bench_cli::quantity::duration_ns;

use super::estimate::expected;
use super::experiment_plan::Plan;
use super::tool::command_line;

/// How long an experiment takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Estimate {
    /// The time of the runs whose options tell it.
    known: Duration,
    /// Runs whose options do not tell it.
    unknown_runs: usize,
    /// Time after which every run has ended: its own where known, else its limit.
    at_most: Duration,
}

impl Estimate {
    /// The time of a plan, as far as the options of its cells tell it.
    fn of(plan: &Plan) -> Self {
        let mut estimate = Self { known: Duration::ZERO, unknown_runs: 0, at_most: Duration::ZERO };
        for run in &plan.runs {
            let expected = expected(&plan.cells[run.cell].options);
            let known = expected.map(|expected| expected.min(plan.time_limit()));
            estimate.known = estimate.known.saturating_add(known.unwrap_or_default());
            estimate.unknown_runs += usize::from(known.is_none());
            let at_most = known.unwrap_or(plan.time_limit());
            estimate.at_most = estimate.at_most.saturating_add(at_most);
        }
        estimate
    }
}

/// The runs of a plan in their order, with their command lines.
pub(crate) fn dry_run(plan: &Plan) -> String {
    let mut text = format!("{}: {}\n\n", plan.name, plan.question);
    let folder = Path::new("RESULTS").join(&plan.name);
    if !plan.prepare.is_empty() {
        let _ = writeln!(text, "first:");
    }
    for prepare in &plan.prepare {
        let _ = writeln!(text, "      {}", command_line(&prepare.tool, &prepare.arguments));
    }
    for (index, run) in plan.runs.iter().enumerate() {
        let _ = writeln!(text, "{:>4}  {}", index + 1, plan.run_label(*run));
        for invoked in std::iter::once(plan.first(*run, &folder)).chain(plan.second(*run, &folder))
        {
            let command = command_line(invoked.tool, &invoked.arguments);
            let _ = writeln!(text, "      {command}");
        }
    }
    if !plan.faults.is_empty() {
        let _ = writeln!(text, "\nin every run:");
    }
    for fault in &plan.faults {
        let _ = writeln!(text, "  {fault}");
    }
    let _ = write!(text, "\n{}\n", time_needed(plan));
    text
}

fn time_needed(plan: &Plan) -> String {
    let Estimate { known, unknown_runs, at_most } = Estimate::of(plan);
    let runs = plan.runs.len();
    let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let runs = if plan.enough.is_some() { format!("at most {runs}") } else { runs };
    let shown = |time: Duration| duration_ns(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    if unknown_runs == 0 {
        format!("{runs}, about {} plus the time to start and drain", shown(known))
    } else {
        format!(
            "{runs}; {unknown_runs} of them of unknown length, at most {} by their time limits",
            shown(at_most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::experiment::Experiment;

    #[test]
    fn time_follows_from_duration_or_messages_at_a_rate() {
        let text = "name = \"e\"\nquestion = \"?\"\ntool = \"t\"\nservices = \"embedded\"
             time_limit = \"20s\"
             [[case]]\nduration = \"3s\"\nwarm-up = \"2s\"
             [[case]]\nmessages = 1000\nrate = \"500/s\"
             [[case]]\nduration = \"1m\"
             [[case]]\nmessages = 1000";
        let experiment = Experiment::parse(text).expect("parsed");
        let estimate = Estimate::of(&Plan::new(&experiment).expect("planned"));
        assert_eq!(estimate.known, Duration::from_secs(5 + 2 + 20));
        assert_eq!(estimate.unknown_runs, 1);
        assert_eq!(estimate.at_most, Duration::from_secs(5 + 2 + 20 + 20));
    }
}
