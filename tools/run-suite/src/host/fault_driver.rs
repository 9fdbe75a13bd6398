//! Carries out the faults of one run at their instants.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity::duration_ns;
use bench_core::clock::{BootId, Clock as _, InstantNs, SystemClock};
use bench_core::results::{FaultRecord, ScheduleStart};
use bench_services::local::Stack;
use bench_services::proxy::Proxy;
use rustix::process::Signal;

use super::fault_targets::Site;
use crate::file::fault::{Deed, Fault};
use crate::run::child::ToolProcess;
use crate::run::run_files::read_document;

/// How often the run is asked when its schedule starts.
const POLL: Duration = Duration::from_millis(5);

/// A fault that comes later than this is named in the results.
const LATE_NS: u64 = 100_000_000;

/// What carries out the faults of one run, beside the thread that watches over the tool.
pub(crate) struct Driver<'a> {
    /// In the order of time.
    pub(crate) faults: &'a [Fault],
    pub(crate) run_dir: &'a Path,
    pub(crate) tool: &'a ToolProcess,
    pub(crate) site: Site<'a>,
}

/// What became of the faults of one run.
#[derive(Debug, Default)]
pub(crate) struct FaultOutcome {
    /// In the order of time.
    pub(crate) records: Vec<FaultRecord>,
    /// What the reader of the figures must know.
    pub(crate) warnings: Vec<String>,
    /// Why the run does not show what it was to show, one sentence.
    pub(crate) problem: Option<String>,
}

/// A fault begins, or is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// What one fault leaves is undone before another begins at the same instant.
    Undo,
    Begin,
}

/// Something to do at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    /// Nanoseconds after the start of the schedule.
    at_ns: u64,
    phase: Phase,
    /// Which fault.
    fault: usize,
}

impl Driver<'_> {
    /// Carries out the faults, and undoes what is still in force when the tool ends.
    pub(crate) fn carry_out(mut self) -> FaultOutcome {
        let mut outcome = FaultOutcome {
            records: self.faults.iter().map(Fault::record).collect(),
            warnings: self.site.warnings(),
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

    /// When the schedule starts; nothing when the tool ends before it knows that.
    fn wait_for_schedule(&self) -> Option<ScheduleStart> {
        loop {
            let is_over = self.tool.is_over();
            let document = read_document(self.run_dir).ok();
            if let Some(schedule) = document.and_then(|document| document.schedule) {
                return Some(schedule);
            }
            if is_over {
                return None;
            }
            thread::sleep(POLL);
        }
    }

    /// Whether the tool goes on until `due_ns`.
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
        step: Step,
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
                "{} was due at {} and came {} later, when an earlier fault had been undone",
                record.name(),
                duration_ns(fault.at_ns),
                duration_ns(begun_ns - fault.at_ns)
            ));
        }
        self.begin(fault)?;
        match fault.deed {
            Deed::Restart => record.end_s = Some(seconds(elapsed_ns())),
            Deed::Reset => record.end_s = record.begin_s,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, fault: &Fault) -> Result<()> {
        match fault.deed {
            Deed::KillConsumer => {}
            Deed::StopTool => self.tool.signal(Signal::STOP)?,
            Deed::Kill => {
                self.site.each_node(&fault.target, |stack, node| Ok(stack.kill(node)?))?;
            }
            Deed::Stop => {
                self.site.each_node(&fault.target, |stack, node| Ok(stack.freeze(node)?))?;
            }
            Deed::Restart => self.site.each_node(&fault.target, |stack, node| {
                stack.stop(node)?;
                start(stack, node)
            })?,
            Deed::Latency(ns) => {
                let latency = Duration::from_nanos(ns);
                self.site.each_proxy(&fault.target, |proxy| proxy.set_latency(latency))?;
            }
            Deed::Bandwidth(bytes_per_s) => {
                let limit = Some(bytes_per_s);
                self.site.each_proxy(&fault.target, |proxy| proxy.set_bandwidth(limit))?;
            }
            Deed::Reset => self.site.each_proxy(&fault.target, Proxy::reset)?,
        }
        Ok(())
    }

    fn undo(&mut self, fault: &Fault) -> Result<()> {
        match fault.deed {
            Deed::KillConsumer | Deed::Restart | Deed::Reset => {}
            Deed::StopTool => self.tool.signal(Signal::CONT)?,
            Deed::Kill => self.site.each_node(&fault.target, start)?,
            Deed::Stop => {
                self.site.each_node(&fault.target, |stack, node| Ok(stack.thaw(node)?))?;
            }
            Deed::Latency(_) => {
                let none = Duration::ZERO;
                self.site.each_proxy(&fault.target, |proxy| proxy.set_latency(none))?;
            }
            Deed::Bandwidth(_) => {
                self.site.each_proxy(&fault.target, |proxy| proxy.set_bandwidth(None))?;
            }
        }
        Ok(())
    }

    /// The tool itself loses and revives its consumers, at the instants that it was told.
    fn note_killed_consumers(&self, elapsed_ns: u64, outcome: &mut FaultOutcome) {
        for (fault, record) in self.faults.iter().zip(&mut outcome.records) {
            if fault.deed == Deed::KillConsumer {
                let reached = |ns: &u64| *ns <= elapsed_ns;
                record.begin_s = Some(fault.at_ns).filter(reached).map(seconds);
                record.end_s = fault.end_ns().filter(reached).map(seconds);
            }
        }
    }

    /// Undoes what is in force still when nothing more is to be done. What was killed is started
    /// before the next run.
    fn undo_all(&mut self, outcome: &FaultOutcome) {
        for (fault, record) in self.faults.iter().zip(&outcome.records) {
            let in_force = record.begin_s.is_some() && record.end_s.is_none();
            if in_force && fault.deed != Deed::Kill {
                // A tool that has gone needs nothing, and services are healed before the next run.
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

/// All that is to be done, in the order of time. What a tool does to its workers is not.
fn steps(faults: &[Fault]) -> Vec<Step> {
    let own = faults.iter().enumerate().filter(|(_, fault)| fault.deed != Deed::KillConsumer);
    let mut steps: Vec<Step> = own
        .flat_map(|(index, fault)| {
            let step = |at_ns, phase| Step { at_ns, phase, fault: index };
            let undo = fault.end_ns().map(|end_ns| step(end_ns, Phase::Undo));
            std::iter::once(step(fault.at_ns, Phase::Begin)).chain(undo)
        })
        .collect();
    steps.sort();
    steps
}

/// Names the first fault that the run did not live to see.
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

    fn fault(at_ns: u64, deed: Deed, lasts_ns: Option<u64>) -> Fault {
        Fault { at_ns, deed, target: "kafka-1".to_owned(), setting: None, lasts_ns }
    }

    #[test]
    fn what_ends_at_an_instant_ends_before_the_next_begins() {
        let faults = [
            fault(10, Deed::Stop, Some(10)),
            fault(15, Deed::KillConsumer, Some(1)),
            fault(20, Deed::Kill, None),
        ];
        let steps: Vec<_> =
            steps(&faults).into_iter().map(|step| (step.at_ns, step.phase, step.fault)).collect();
        assert_eq!(steps, [(10, Phase::Begin, 0), (20, Phase::Undo, 0), (20, Phase::Begin, 2)]);
    }

    #[test]
    fn a_run_that_ends_before_a_fault_does_not_show_what_it_was_to_show() {
        let faults =
            [fault(1_000_000_000, Deed::Reset, None), fault(2_000_000_000, Deed::Kill, None)];
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
