//! What a run is worth: judged by its document, by how its tool ended, and by who ended it.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::Result;
use bench_cli::Exit;
use bench_core::results::{RunDocument, ServiceInfo, ServiceOrigin, Status, VerdictOutcome};
use serde::{Deserialize, Serialize};

use crate::child::{Cause, Ended};
use crate::folder::read_document;
use crate::plan::Plan;

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
    /// Came to its end with loss or corruption: its figures do not count.
    Invalid,
    /// Could not be carried out.
    Failed,
    /// Ended by the time limit.
    TimedOut,
    /// Ended because run-suite was interrupted.
    Interrupted,
}

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) status: RunStatus,
    /// Why the run does not count, one sentence.
    pub(crate) problem: Option<String>,
}

impl Judgement {
    fn new(status: RunStatus, problem: impl Into<String>) -> Self {
        Self { status, problem: Some(problem.into()) }
    }

    /// The same run when its faults were not what they should have been: whatever it shows, it is
    /// not what the experiment asks.
    pub(crate) fn with_faults(self, problem: Option<String>) -> Self {
        match (self.status, problem) {
            (RunStatus::Complete | RunStatus::Invalid, Some(problem)) => {
                Self::new(RunStatus::Failed, problem)
            }
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
        matches!(self, Self::Complete | Self::Invalid)
    }

    /// Whether it will not be run again by itself.
    pub(crate) fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Interrupted)
    }

    /// How much it weighs beside the status of another tool.
    pub(crate) fn weight(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Invalid => 1,
            Self::Failed | Self::TimedOut => 2,
            Self::Pending | Self::Running | Self::Interrupted => 3,
        }
    }
}

/// Judges a run that has just ended. `log` is what its tool wrote to standard error.
pub(crate) fn judge(
    ended: &Ended,
    document: Result<&RunDocument, &anyhow::Error>,
    plan: &Plan,
    log: &Path,
) -> Judgement {
    let by_document = document.ok().and_then(|document| judge_document(document, plan));
    let code = ended.status.code();
    match (by_document, ended.cause) {
        (Some(judgement), _) if judgement.status != RunStatus::Complete => judgement,
        (Some(judgement), _) if code == Some(Exit::Good as i32) => judgement,
        (Some(_), _) if code == Some(Exit::Invalid as i32) => {
            Judgement::new(RunStatus::Invalid, "INVALID by the exit code of its tool")
        }
        (Some(_), _) => Judgement::new(RunStatus::Failed, last_words(ended.status, log)),
        (None, Cause::TimeLimit) => {
            Judgement::new(RunStatus::TimedOut, "ended by the time limit of the experiment")
        }
        (None, Cause::Interruption) => Judgement::interrupted(),
        (None, Cause::Tool) => {
            let mut problem = last_words(ended.status, log);
            if let (true, Err(error)) = (ended.status.success(), document) {
                problem = format!("{problem}, {error:#}");
            }
            Judgement::new(RunStatus::Failed, problem)
        }
    }
}

/// Judges a run by what its tools have left in its folder alone; `None` when one of them did not
/// come to its end.
pub(crate) fn judge_folder(run_dir: &Path, plan: &Plan) -> Option<Judgement> {
    let of = |dir: &Path| judge_document(&read_document(dir).ok()?, plan);
    let first = of(run_dir)?;
    let Some((call, dir)) = plan.then.as_ref().zip(plan.then_dir(run_dir)) else {
        return Some(first);
    };
    Some(first.of_tool(&plan.tool).and(of(&dir)?.of_tool(&call.tool)))
}

/// Judges what a tool did by its document alone; `None` when it did not come to its end.
fn judge_document(document: &RunDocument, plan: &Plan) -> Option<Judgement> {
    let verdict = document.verdict.as_ref().filter(|_| document.status == Status::Complete)?;
    if let Some(problem) = wrong_services(document, plan) {
        return Some(Judgement::new(RunStatus::Failed, problem));
    }
    Some(match verdict.outcome {
        VerdictOutcome::Valid => Judgement { status: RunStatus::Complete, problem: None },
        VerdictOutcome::Invalid => {
            Judgement::new(RunStatus::Invalid, format!("INVALID: {}", verdict.reasons.join("; ")))
        }
    })
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

/// What all runs together make of the exit code: a failure weighs more than an invalid run, since
/// it leaves the experiment without figures.
pub(crate) fn exit_of(statuses: impl IntoIterator<Item = RunStatus>) -> Exit {
    let mut exit = Exit::Good;
    for status in statuses {
        match status {
            RunStatus::Pending | RunStatus::Running | RunStatus::Interrupted => {
                return Exit::Interrupted;
            }
            RunStatus::Failed | RunStatus::TimedOut => exit = Exit::Failed,
            RunStatus::Invalid if exit == Exit::Good => exit = Exit::Invalid,
            RunStatus::Complete | RunStatus::Invalid => {}
        }
    }
    exit
}

/// How a tool ended, with the last line that it wrote.
fn last_words(status: ExitStatus, log: &Path) -> String {
    let words = fs::read(log).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    match words.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("ended with {status}: {}", line.trim()),
        None => format!("ended with {status}"),
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
        use RunStatus::{Complete, Failed, Interrupted, Invalid, Pending, TimedOut};
        assert_eq!(exit_of([Complete, Complete]), Exit::Good);
        assert_eq!(exit_of([Complete, Invalid]), Exit::Invalid);
        assert_eq!(exit_of([Invalid, TimedOut, Invalid]), Exit::Failed);
        assert_eq!(exit_of([Failed, Complete]), Exit::Failed);
        assert_eq!(exit_of([Failed, Interrupted]), Exit::Interrupted);
        assert_eq!(exit_of([Complete, Pending]), Exit::Interrupted);
    }
}
