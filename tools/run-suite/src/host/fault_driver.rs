//! Runs the faults of one run at their instants.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity::duration_ns;
use bench_core::clock::{BootId, Clock as _, InstantNs, SystemClock};
use bench_proxy::Proxy;
use bench_record::{FaultRecord, ScheduleStart};
use bench_stack::Stack;
use rustix::process::Signal;

use super::fault_targets::FaultTargets;
use super::tool_process::ToolProcess;
use crate::file::fault::{Fault, FaultAction};

/// Interval between looks for the start of the schedule.
const POLL: Duration = Duration::from_millis(5);

/// A fault that is later than this is a warning in the results.
const LATE_NS: u64 = 100_000_000;

/// The faults of one run, for a thread beside the one that watches the tool.
pub(crate) struct FaultDriver<'a, S> {
    /// In the order of time.
    pub(crate) faults: &'a [Fault],
    /// Looks up when the schedule of the run starts, once the tool knows it.
    pub(crate) schedule: S,
    pub(crate) tool: &'a ToolProcess,
    pub(crate) targets: FaultTargets<'a>,
}

/// What became of the faults of one run.
#[derive(Debug, Default)]
pub(crate) struct FaultOutcome {
    /// In the order of time.
    pub(crate) records: Vec<FaultRecord>,
    /// For the reader of the figures.
    pub(crate) warnings: Vec<String>,
    /// Why the run does not answer its question, one sentence.
    pub(crate) problem: Option<String>,
}

/// A fault begins, or is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// What one fault leaves is undone before another begins at the same instant.
    Undo,
    Begin,
}

/// The beginning or the end of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FaultStep {
    /// Nanoseconds after the start of the schedule.
    at_ns: u64,
    phase: Phase,
    /// Which fault.
    fault: usize,
}

impl<S: Fn() -> Option<ScheduleStart>> FaultDriver<'_, S> {
    /// Runs the faults, and undoes those that are still in force when the tool ends.
    pub(crate) fn run(mut self) -> FaultOutcome {
        let mut outcome = FaultOutcome {
            records: self.faults.iter().map(Fault::record).collect(),
            warnings: self.targets.warnings(),
            problem: None,
        };
        let clock = SystemClock::new();
        let Some(schedule) = self.wait_for_schedule() else {
            outcome.problem = Some("its schedule has not started".to_owned());
            return outcome;
        };
        if schedule.boot != BootId::current().to_hash() {
            outcome.problem =
                Some("faults need the tool on this host, and it runs on another one".to_owned());
            return outcome;
        }
        let start_ns = schedule.monotonic_ns;
        for step in steps(self.faults) {
            let due_ns = start_ns.saturating_add(step.at_ns);
            if !self.wait_until(&clock, due_ns) {
                break;
            }
            if let Err(error) = self.perform(step, &clock, start_ns, &mut outcome) {
                let name = outcome.records[step.fault].name();
                outcome.problem = Some(format!("{name}: {error:#}"));
                break;
            }
        }
        self.undo_all(&outcome);
        while !self.tool.is_over() {
            self.tool.wait(Duration::from_mins(1));
        }
        let elapsed_ns = clock.now_ns().saturating_sub(start_ns);
        self.note_killed_consumers(elapsed_ns, &mut outcome);
        note_missed(self.faults, &mut outcome);
        outcome
    }

    /// When the schedule starts; `None` if the tool ends before.
    fn wait_for_schedule(&self) -> Option<ScheduleStart> {
        loop {
            let is_over = self.tool.is_over();
            if let Some(schedule) = (self.schedule)() {
                return Some(schedule);
            }
            if is_over {
                return None;
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until `due_ns`. Returns false if the tool ends before.
    fn wait_until(&self, clock: &SystemClock, due_ns: InstantNs) -> bool {
        loop {
            let now_ns = clock.now_ns();
            if self.tool.is_over() {
                return false;
            }
            if now_ns >= due_ns {
                return true;
            }
            self.tool.wait(Duration::from_nanos(due_ns - now_ns));
        }
    }

    fn perform(
        &mut self,
        step: FaultStep,
        clock: &SystemClock,
        start_ns: InstantNs,
        outcome: &mut FaultOutcome,
    ) -> Result<()> {
        let elapsed_ns = || clock.now_ns().saturating_sub(start_ns);
        let fault = &self.faults[step.fault];
        let record = &mut outcome.records[step.fault];
        if step.phase == Phase::Undo {
            self.undo(fault)?;
            record.end_s = Some(seconds(elapsed_ns()));
            return Ok(());
        }
        let begun_ns = elapsed_ns();
        record.begin_s = Some(seconds(begun_ns));
        if begun_ns > fault.at_ns.saturating_add(LATE_NS) {
            outcome.warnings.push(format!(
                "{} was due at {} but began {} later, after an earlier fault had been undone",
                record.name(),
                duration_ns(fault.at_ns),
                duration_ns(begun_ns - fault.at_ns)
            ));
        }
        self.begin(fault)?;
        match fault.action {
            FaultAction::Restart => record.end_s = Some(seconds(elapsed_ns())),
            FaultAction::Reset => record.end_s = record.begin_s,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, fault: &Fault) -> Result<()> {
        match fault.action {
            FaultAction::KillConsumer => {}
            FaultAction::StopTool => self.tool.signal(Signal::STOP)?,
            FaultAction::Kill => {
                self.targets.each_node(&fault.target, |stack, node| Ok(stack.kill(node)?))?;
            }
            FaultAction::Stop => {
                self.targets.each_node(&fault.target, |stack, node| Ok(stack.freeze(node)?))?;
            }
            FaultAction::Restart => self.targets.each_node(&fault.target, |stack, node| {
                stack.stop(node)?;
                start(stack, node)
            })?,
            FaultAction::Latency(ns) => {
                let latency = Duration::from_nanos(ns);
                self.targets.each_proxy(&fault.target, |proxy| proxy.set_latency(latency))?;
            }
            FaultAction::Bandwidth(bytes_per_s) => {
                let limit = Some(bytes_per_s);
                self.targets.each_proxy(&fault.target, |proxy| proxy.set_bandwidth(limit))?;
            }
            FaultAction::Reset => self.targets.each_proxy(&fault.target, Proxy::reset)?,
        }
        Ok(())
    }

    fn undo(&mut self, fault: &Fault) -> Result<()> {
        match fault.action {
            FaultAction::KillConsumer | FaultAction::Restart | FaultAction::Reset => {}
            FaultAction::StopTool => self.tool.signal(Signal::CONT)?,
            FaultAction::Kill => self.targets.each_node(&fault.target, start)?,
            FaultAction::Stop => {
                self.targets.each_node(&fault.target, |stack, node| Ok(stack.thaw(node)?))?;
            }
            FaultAction::Latency(_) => {
                let none = Duration::ZERO;
                self.targets.each_proxy(&fault.target, |proxy| proxy.set_latency(none))?;
            }
            FaultAction::Bandwidth(_) => {
                self.targets.each_proxy(&fault.target, |proxy| proxy.set_bandwidth(None))?;
            }
        }
        Ok(())
    }

    /// Records the faults of consumers: the tool itself kills and revives them, at the instants of its
    /// options.
    fn note_killed_consumers(&self, elapsed_ns: u64, outcome: &mut FaultOutcome) {
        for (fault, record) in self.faults.iter().zip(&mut outcome.records) {
            if fault.action == FaultAction::KillConsumer {
                let reached = |ns: &u64| *ns <= elapsed_ns;
                record.begin_s = Some(fault.at_ns).filter(reached).map(seconds);
                record.end_s = fault.end_ns().filter(reached).map(seconds);
            }
        }
    }

    /// Undoes the faults that are still in force. Nodes that were killed start before the next run.
    fn undo_all(&mut self, outcome: &FaultOutcome) {
        for (fault, record) in self.faults.iter().zip(&outcome.records) {
            let in_force = record.begin_s.is_some() && record.end_s.is_none();
            if in_force && fault.action != FaultAction::Kill {
                // A tool that has ended needs nothing, and services are repaired before the next run.
                let _ = self.undo(fault);
            }
        }
    }
}

fn start(stack: &mut Stack, node: &str) -> Result<()> {
    stack
        .start(node, &mut |notice| tracing::debug!("{notice}"))
        .with_context(|| format!("failed to start {node} again"))
}

/// All steps in the order of time, except those that the tool does itself.
fn steps(faults: &[Fault]) -> Vec<FaultStep> {
    let own =
        faults.iter().enumerate().filter(|(_, fault)| fault.action != FaultAction::KillConsumer);
    let mut steps: Vec<FaultStep> = own
        .flat_map(|(index, fault)| {
            let step = |at_ns, phase| FaultStep { at_ns, phase, fault: index };
            let undo = fault.end_ns().map(|end_ns| step(end_ns, Phase::Undo));
            std::iter::once(step(fault.at_ns, Phase::Begin)).chain(undo)
        })
        .collect();
    steps.sort();
    steps
}

/// Makes a problem of the first fault that was due after the end of the run.
fn note_missed(faults: &[Fault], outcome: &mut FaultOutcome) {
    let mut missed = faults.iter().zip(&mut outcome.records).filter(|(_, r)| r.begin_s.is_none());
    let mut first = None;
    for (fault, record) in &mut missed {
        record.unrecovered = Some("the run ended before it".to_owned());
        first.get_or_insert_with(|| {
            let at = duration_ns(fault.at_ns);
            format!("the run ended before {}, which was due at {at}", record.name())
        });
    }
    outcome.problem = outcome.problem.take().or(first);
}

/// Seconds to the microsecond.
fn seconds(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(at_ns: u64, action: FaultAction, lasts_ns: Option<u64>) -> Fault {
        Fault { at_ns, action, target: "kafka-1".to_owned(), setting: None, lasts_ns }
    }

    #[test]
    fn faults_end_before_the_next_begins() {
        let faults = [
            fault(10, FaultAction::Stop, Some(10)),
            fault(15, FaultAction::KillConsumer, Some(1)),
            fault(20, FaultAction::Kill, None),
        ];
        let steps: Vec<_> =
            steps(&faults).into_iter().map(|step| (step.at_ns, step.phase, step.fault)).collect();
        assert_eq!(steps, [(10, Phase::Begin, 0), (20, Phase::Undo, 0), (20, Phase::Begin, 2)]);
    }

    #[test]
    fn runs_that_end_before_a_fault_have_a_problem() {
        let faults = [
            fault(1_000_000_000, FaultAction::Reset, None),
            fault(2_000_000_000, FaultAction::Kill, None),
        ];
        let mut outcome = FaultOutcome {
            records: faults.iter().map(Fault::record).collect(),
            ..FaultOutcome::default()
        };
        outcome.records[0].begin_s = Some(1.0);
        note_missed(&faults, &mut outcome);
        assert_eq!(
            outcome.problem.as_deref(),
            Some("the run ended before kill kafka-1, which was due at 2.00 s")
        );
        assert_eq!(outcome.records[0].unrecovered, None);
        assert!(outcome.records[1].unrecovered.is_some());
    }
}
