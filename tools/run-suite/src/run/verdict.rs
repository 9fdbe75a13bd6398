//! The verdict on a run: from the files that its tools left in its folder, and from how they ended.

use std::path::Path;
use std::process::ExitStatus;

use bench_cli::Exit;
use bench_core::system::{ending, shortened_lines};
use bench_record::files::tail;
use bench_record::{RunDocument, ServiceInfo, ServiceOrigin, Status, VerdictOutcome};

use super::child::{Cause, Ended};
use super::run_files::{RunFiles, ToolFiles};
use super::run_state::{RunState, RunStatus};
use crate::file::fault::{self, Fault};
use crate::plan::experiment_plan::Plan;

/// The part of a log that is searched for its last line.
const TAIL_BYTES: u64 = 64 << 10;

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) status: RunStatus,
    /// Why the run does not count, one sentence.
    pub(crate) problem: Option<String>,
}

/// The verdict of a run's files.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// It came to its end.
    Ended(Judgement),
    /// It did not, or nobody knows.
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

    /// The judgement of a run with a problem in its faults: it does not answer the experiment's
    /// question.
    pub(crate) fn with_faults(self, problem: Option<String>) -> Self {
        match problem {
            Some(problem) if self.status.is_ended() => Self::new(RunStatus::Failed, problem),
            _ => self,
        }
    }

    /// The judgement of a run that was interrupted before it could be judged.
    pub(crate) fn interrupted() -> Self {
        Self::new(RunStatus::Interrupted, "interrupted")
    }

    /// The judgement of one of two tools, with its name before the problem.
    pub(crate) fn of_tool(self, tool: &str) -> Self {
        Self { problem: self.problem.map(|problem| format!("{tool}: {problem}")), ..self }
    }

    /// The judgement of a run of two tools: the worse of the two.
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

impl Finding {
    fn of_tool(self, tool: &str) -> Self {
        match self {
            Self::Ended(judgement) => Self::Ended(judgement.of_tool(tool)),
            Self::Open(judgement) => Self::Open(judgement.of_tool(tool)),
        }
    }

    /// The finding of a run.
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

    /// The finding of one tool, whose run had these faults.
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

/// Judges the run of a tool that has just ended. `log` has its standard error.
pub(crate) fn judge_ended(ended: &Ended, files: &ToolFiles, plan: &Plan, log: &Path) -> Judgement {
    let code = ended.status.code();
    match (Finding::of_files(files, plan, &[]), &ended.cause) {
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
        (Finding::Open(_), Cause::Gate(failure)) => {
            Judgement::new(RunStatus::GateFailed, failure.to_string())
        }
        (Finding::Open(found), Cause::Tool) => {
            let problem = if ended.status.success() {
                let found = found.problem.unwrap_or_default();
                format!("its tool reported success but left no complete result: {found}")
            } else {
                last_words(ended.status, log)
            };
            Judgement::new(RunStatus::Failed, problem)
        }
    }
}

/// Judges a run at any later time; every report uses this. Its folder counts. What run-suite recorded
/// at its end can only make it worse: the folder does not have how its tools ended, and whether its
/// faults were in order.
pub(crate) fn judge_run(files: &RunFiles, plan: &Plan, recorded: &RunState) -> Judgement {
    let as_recorded = || Judgement { status: recorded.status, problem: recorded.problem.clone() };
    match (recorded.status, Finding::of_run(files, plan)) {
        (
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::GateFailed | RunStatus::NotNeeded,
            _,
        ) => as_recorded(),
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

/// The problem of a run that used other services than the experiment's: it answers another question,
/// and so would all runs after it. Services that run-suite has started for the experiment are always
/// right: some are only embedded, or only real.
pub(crate) fn wrong_services(document: &RunDocument, plan: &Plan) -> Option<String> {
    if plan.is_one_run {
        return None;
    }
    let services = plan.services;
    let is_right = |service: &&ServiceInfo| {
        service.origin == services
            || (service.origin != ServiceOrigin::External
                && plan.stack.as_ref().is_some_and(|stack| stack.starts(&service.name)))
    };
    let other = document.services.iter().find(|service| !is_right(service))?;
    let remedy = match services {
        ServiceOrigin::Embedded | ServiceOrigin::Local => {
            "leave options that name a server out of the file"
        }
        ServiceOrigin::External if environment_names_others() => {
            "`BENCH_SERVICES` and `BENCH_STACK` of this shell, which `run-suite services env` has set, \
             take precedence: unset them and the variables of its servers, or use a new shell"
        }
        ServiceOrigin::External => {
            "set the option or the environment variable that names the server, see the tool's --help"
        }
    };
    Some(format!(
        "the experiment asks for {services} services, the run used {} {}; {remedy}",
        other.origin, other.name
    ))
}

/// Whether the environment names servers that `run-suite services` has started.
pub(crate) fn environment_names_others() -> bool {
    ServiceOrigin::requested().is_some_and(|origin| origin != ServiceOrigin::External)
}

/// The exit code of all runs together: a failure weighs more than an invalid run, since it leaves the
/// experiment without figures.
pub(crate) fn exit_of(statuses: impl IntoIterator<Item = RunStatus>) -> Exit {
    let mut exit = Exit::Good;
    for status in statuses {
        match status {
            RunStatus::Pending | RunStatus::Running | RunStatus::Interrupted => {
                return Exit::Interrupted;
            }
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Unreadable => exit = Exit::Failed,
            RunStatus::Invalid | RunStatus::Partial if exit == Exit::Good => exit = Exit::Invalid,
            RunStatus::Complete
            | RunStatus::Invalid
            | RunStatus::Partial
            // Its gate has an exit code of its own.
            | RunStatus::GateFailed
            | RunStatus::NotNeeded => {}
        }
    }
    exit
}

/// How a tool ended, with the last line of its log.
fn last_words(status: ExitStatus, log: &Path) -> String {
    let words = tail(log, TAIL_BYTES).unwrap_or_default();
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
    fn runs_of_two_tools_are_as_good_as_the_worse() {
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
    fn exit_codes_rank_unfinished_failed_invalid() {
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
