//! What a run is worth: judged by what its tools have left in its folder, and by how they ended.

use std::path::Path;
use std::process::ExitStatus;

use bench_cli::Exit;
use bench_core::results::{RunDocument, ServiceInfo, ServiceOrigin, Status, VerdictOutcome};
use bench_core::system::{ending, read_file, shortened_lines};
use serde::{Deserialize, Serialize};

use crate::file::fault::{self, Fault};
use crate::plan::experiment_plan::Plan;
use crate::run::child::{Cause, Ended};
use crate::run::folder::RunState;
use crate::run::run_files::{RunFiles, ToolFiles};

/// What became of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RunStatus {
    /// Not started.
    #[default]
    Pending,
    /// Started; in a folder that nobody holds: cut short.
    Running,
    /// Came to its end, and its figures count.
    Complete,
    /// Came to its end, and lost nothing of what is known to have been acknowledged, which is not all:
    /// its figures do not count.
    Partial,
    /// Came to its end with loss or corruption: its figures do not count.
    Invalid,
    /// Could not be carried out.
    Failed,
    /// Ended by the time limit.
    TimedOut,
    /// Ended because run-suite was interrupted.
    Interrupted,
    /// Ended, and what it left is gone, damaged or of something else.
    Unreadable,
}

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) status: RunStatus,
    /// Why the run does not count, one sentence.
    pub(crate) problem: Option<String>,
}

/// What the files of a run say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// It came to its end.
    Ended(Judgement),
    /// It did not, or that cannot be known.
    Open(Judgement),
}

impl Judgement {
    fn new(status: RunStatus, problem: impl Into<String>) -> Self {
        let problem: String = problem.into();
        Self { status, problem: Some(shortened_lines(&problem).into_owned()) }
    }

    fn of_verdict(status: RunStatus, reasons: &[String]) -> Self {
        Self::new(status, format!("{}: {}", status.word(), reasons.join("; ")))
    }

    /// The same run when its faults were not what they should have been: whatever it shows, it is
    /// not what the experiment asks.
    pub(crate) fn with_faults(self, problem: Option<String>) -> Self {
        match problem {
            Some(problem) if self.status.is_ended() => Self::new(RunStatus::Failed, problem),
            _ => self,
        }
    }

    /// That of a run that was interrupted before it could be judged.
    pub(crate) fn interrupted() -> Self {
        Self::new(RunStatus::Interrupted, "interrupted")
    }

    /// That of one of two tools, as the run's: its problem names the tool.
    pub(crate) fn of_tool(self, tool: &str) -> Self {
        Self { problem: self.problem.map(|problem| format!("{tool}: {problem}")), ..self }
    }

    /// What two tools make of their run: it is worth as much as the worse of the two.
    pub(crate) fn and(self, other: Self) -> Self {
        let (worse, better) = if other.status.weight() > self.status.weight() {
            (other, self)
        } else {
            (self, other)
        };
        let problems: Vec<String> = worse.problem.into_iter().chain(better.problem).collect();
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        Self { status: worse.status, problem }
    }
}

impl RunStatus {
    /// Whether the run came to its end, whatever it is worth.
    pub(crate) fn is_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Partial | Self::Invalid)
    }

    /// Whether it will not be run again by itself.
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Interrupted)
    }

    /// What tables call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Complete => "valid",
            Self::Partial => "PARTIAL",
            Self::Invalid => "INVALID",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED OUT",
            Self::Interrupted => "interrupted",
            Self::Unreadable => "UNREADABLE",
            Self::Running => "cut short or running",
            Self::Pending => "pending",
        }
    }

    /// How much it weighs beside the status of another tool.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Partial => 1,
            Self::Invalid => 2,
            Self::Failed | Self::TimedOut | Self::Unreadable => 3,
            Self::Pending | Self::Running | Self::Interrupted => 4,
        }
    }
}

impl Finding {
    fn of_tool(self, tool: &str) -> Self {
        match self {
            Self::Ended(judgement) => Self::Ended(judgement.of_tool(tool)),
            Self::Open(judgement) => Self::Open(judgement.of_tool(tool)),
        }
    }

    /// What the files of a run say.
    fn of_run(files: &RunFiles, plan: &Plan) -> Self {
        let first = Self::of_files(&files.first, plan, &plan.faults);
        let Some((call, then)) = plan.then.as_ref().zip(files.then.as_ref()) else {
            return first;
        };
        match first.of_tool(&plan.tool) {
            Self::Ended(first) if first.status.is_ended() => {
                match Self::of_files(then, plan, &[]).of_tool(&call.tool) {
                    Self::Ended(second) => Self::Ended(first.and(second)),
                    Self::Open(second) => Self::Open(first.and(second)),
                }
            }
            // There was nothing to read for the second.
            first => first,
        }
    }

    /// What the files of one tool say, in whose course there were these faults.
    fn of_files(files: &ToolFiles, plan: &Plan, faults: &[Fault]) -> Self {
        let document = match &files.document {
            Ok(document) => document,
            Err(unreadable) => {
                return Self::Open(Judgement::new(RunStatus::Unreadable, unreadable.to_string()));
            }
        };
        let open = |status, words: &str| {
            let path = files.document_path();
            Self::Open(Judgement::new(status, format!("{}: {words}", path.display())))
        };
        match (document.status, &document.verdict) {
            (Status::Running, _) => open(RunStatus::Running, "the run goes on, or its tool died"),
            (Status::Incomplete, _) => open(RunStatus::Interrupted, "the run was interrupted"),
            (Status::Failed, _) => {
                let why = document.warnings.last().map_or("it does not say why", String::as_str);
                open(RunStatus::Failed, &format!("the run failed: {why}"))
            }
            (Status::Complete, None) => open(RunStatus::Failed, "it is complete without a verdict"),
            (Status::Complete, Some(_)) if document.summary.is_none() => {
                open(RunStatus::Failed, "it is complete without figures")
            }
            (Status::Complete, Some(verdict)) => Self::Ended(
                match (wrong_services(document, plan), verdict.outcome) {
                    (Some(problem), _) => Judgement::new(RunStatus::Failed, problem),
                    (None, VerdictOutcome::Valid) => {
                        Judgement { status: RunStatus::Complete, problem: None }
                    }
                    (None, VerdictOutcome::Partial) => {
                        Judgement::of_verdict(RunStatus::Partial, &verdict.reasons)
                    }
                    (None, VerdictOutcome::Invalid) => {
                        Judgement::of_verdict(RunStatus::Invalid, &verdict.reasons)
                    }
                }
                .with_faults(fault::unrecorded(faults, &document.faults)),
            ),
        }
    }
}

/// Judges what a tool did that has just ended. `log` is what it wrote to standard error.
pub(crate) fn judge_ended(ended: &Ended, files: &ToolFiles, plan: &Plan, log: &Path) -> Judgement {
    let code = ended.status.code();
    match (Finding::of_files(files, plan, &[]), ended.cause) {
        (Finding::Ended(judgement), _) if judgement.status != RunStatus::Complete => judgement,
        (Finding::Ended(judgement), _) if code == Some(Exit::Good as i32) => judgement,
        (Finding::Ended(_), _) if code == Some(Exit::Invalid as i32) => {
            Judgement::new(RunStatus::Invalid, "INVALID by the exit code of its tool")
        }
        (Finding::Ended(_), _) => Judgement::new(RunStatus::Failed, last_words(ended.status, log)),
        (Finding::Open(_), Cause::TimeLimit) => {
            Judgement::new(RunStatus::TimedOut, "ended by the time limit of the experiment")
        }
        (Finding::Open(_), Cause::Interruption) => Judgement::interrupted(),
        (Finding::Open(found), Cause::Tool) => {
            let problem = if ended.status.success() {
                let found = found.problem.unwrap_or_default();
                format!("its tool ended as if all were well, and left no whole result: {found}")
            } else {
                last_words(ended.status, log)
            };
            Judgement::new(RunStatus::Failed, problem)
        }
    }
}

/// Judges a run at any later time; every report uses this. What its folder says counts;
/// what run-suite recorded when it ended can only make it worse: how its tools ended, and whether
/// its faults were what they should have been, stands in no folder.
pub(crate) fn judge_run(files: &RunFiles, plan: &Plan, recorded: &RunState) -> Judgement {
    let as_recorded = || Judgement { status: recorded.status, problem: recorded.problem.clone() };
    match (recorded.status, Finding::of_run(files, plan)) {
        (RunStatus::Failed | RunStatus::TimedOut, _) => as_recorded(),
        (status, Finding::Ended(found)) => {
            if status.is_over() && status.weight() > found.status.weight() {
                as_recorded()
            } else {
                found
            }
        }
        (status, Finding::Open(found)) if status.is_over() => match found.status {
            RunStatus::Unreadable => found,
            _ => Judgement { status: RunStatus::Failed, ..found },
        },
        // A run that is not over may have left nothing yet.
        (status, Finding::Open(found)) if found.status == RunStatus::Unreadable => {
            let problem = recorded.problem.clone();
            let found = found.problem.filter(|_| !files.is_missing());
            Judgement { status, problem: problem.or(found) }
        }
        (_, Finding::Open(found)) => found,
    }
}

/// What is wrong with a run against other services than the experiment's: it answers another
/// question, and so would all the runs after it. What run-suite has started for the experiment is
/// right, whatever it is: a real `MariaDB` stands behind an embedded stream, and an embedded stream
/// before it, since there is no other on this machine.
pub(crate) fn wrong_services(document: &RunDocument, plan: &Plan) -> Option<String> {
    let services = plan.services;
    let is_right = |service: &&ServiceInfo| {
        service.origin == services
            || (service.origin != ServiceOrigin::External
                && plan.local.as_ref().is_some_and(|local| local.starts(&service.name)))
    };
    let other = document.services.iter().find(|service| !is_right(service))?;
    let remedy = match services {
        ServiceOrigin::Embedded | ServiceOrigin::Local => {
            "leave options that name a server out of the file"
        }
        ServiceOrigin::External if environment_names_others() => {
            "`BENCH_SERVICES` and `BENCH_STACK` of this shell, which `run-suite services env` has set, \
             are in the way: unset them with the variables of its servers, or use a new shell"
        }
        ServiceOrigin::External => {
            "name the server by an option such as bootstrap-servers or region, or by an environment \
             variable such as KAFKA_BOOTSTRAP_SERVERS or AWS_REGION"
        }
    };
    Some(format!(
        "the experiment asks for {services} services, the run used {} {}; {remedy}",
        other.origin, other.name
    ))
}

/// Whether the environment means servers that `run-suite services` has started.
pub(crate) fn environment_names_others() -> bool {
    ServiceOrigin::requested().is_some_and(|origin| origin != ServiceOrigin::External)
}

/// What all runs together make of the exit code: a failure weighs more than an invalid run, since
/// it leaves the experiment without figures.
pub(crate) fn exit_of(statuses: impl IntoIterator<Item = RunStatus>) -> Exit {
    let mut exit = Exit::Good;
    for status in statuses {
        match status {
            RunStatus::Pending | RunStatus::Running | RunStatus::Interrupted => {
                return Exit::Interrupted;
            }
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Unreadable => exit = Exit::Failed,
            RunStatus::Invalid | RunStatus::Partial if exit == Exit::Good => exit = Exit::Invalid,
            RunStatus::Complete | RunStatus::Invalid | RunStatus::Partial => {}
        }
    }
    exit
}

/// How a tool ended, with the last line that it wrote.
fn last_words(status: ExitStatus, log: &Path) -> String {
    let words = read_file(log).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let ending = ending(status);
    match words.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("ended with {ending}: {}", shortened_lines(line.trim())),
        None => format!("ended with {ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tools_make_a_run_as_good_as_the_worse_of_them() {
        let of = |status, problem: &str| Judgement::new(status, problem).of_tool("t");
        let good = Judgement { status: RunStatus::Complete, problem: None }.of_tool("t");
        assert_eq!(good.clone().and(good.clone()), good);
        let both = of(RunStatus::Invalid, "lost").and(of(RunStatus::Failed, "gone"));
        assert_eq!(both, Judgement::new(RunStatus::Failed, "t: gone; t: lost"));
        let invalid = of(RunStatus::Invalid, "lost");
        assert_eq!(good.and(invalid.clone()), invalid);
        let interrupted = Judgement::interrupted();
        assert_eq!(invalid.and(interrupted).status, RunStatus::Interrupted);
    }

    #[test]
    fn what_is_not_finished_weighs_most_then_failures_then_invalid_runs() {
        use RunStatus::{
            Complete, Failed, Interrupted, Invalid, Partial, Pending, TimedOut, Unreadable,
        };
        assert_eq!(exit_of([Complete, Complete]), Exit::Good);
        assert_eq!(exit_of([Complete, Invalid]), Exit::Invalid);
        assert_eq!(exit_of([Partial, Complete]), Exit::Invalid);
        assert_eq!(exit_of([Invalid, TimedOut, Invalid]), Exit::Failed);
        assert_eq!(exit_of([Failed, Complete]), Exit::Failed);
        assert_eq!(exit_of([Invalid, Unreadable, Complete]), Exit::Failed);
        assert_eq!(exit_of([Failed, Interrupted]), Exit::Interrupted);
        assert_eq!(exit_of([Complete, Pending]), Exit::Interrupted);
    }
}
