//! Carries out the measuring part of a run: the engine, with progress, interrupts and the record.

use std::fmt::Write as _;

use anyhow::{Error, Result};
use bench_core::audit::AckLedger;
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{self, Plan, RunControl, Totals};
use bench_core::results::SummaryInput;
use bench_core::transport::{Publish, Receive};
use bench_record::{LatencyKind, Status};

use crate::{Exit, OutputFormat, Progress, RunRecord, Shutdown, quantity};

/// How often the progress line is written.
const PROGRESS_NS: u64 = 200_000_000;

/// A run that is ready to start: everything is connected.
pub struct Measurement<P, R> {
    /// What to do.
    pub plan: Plan,
    /// One connection a producer; none when nothing is sent.
    pub publishers: Vec<P>,
    /// One connection a consumer; none when nothing is received.
    pub receivers: Vec<R>,
    /// What another run had acknowledged, when this one receives that.
    pub ledger: Option<AckLedger>,
    /// Why that is not all that the other run had acknowledged, where it is not.
    pub partial: Option<String>,
    /// Share of the messages that may go without an answer, 0 to 1.
    pub unanswered_max: f64,
    /// How many bytes may be sent and not yet received, for systems that drop what is beyond.
    pub backlog_max_bytes: Option<u64>,
    /// What the reader of the figures must know, one sentence each.
    pub warnings: Vec<String>,
    /// What the connections count beside their messages; read when they have ended.
    pub counts: Counts,
    /// What the connections record of their system's own work.
    pub durations: Durations,
}

/// What a measurement gets from the tool.
pub struct Surroundings {
    /// The clock of the plan's instants.
    pub clock: SystemClock,
    /// Asks for an early end.
    pub shutdown: Shutdown,
    /// Where the progress is shown.
    pub progress: Progress,
    /// The form in which the result is printed.
    pub output: OutputFormat,
}

impl<P: Publish + Send, R: Receive + Send> Measurement<P, R> {
    /// Measures, records, prints the result, and says how to exit.
    pub fn carry_out(self, mut record: RunRecord, around: Surroundings) -> Result<Exit> {
        let Surroundings { clock, shutdown, mut progress, output } = around;
        let Self { plan, publishers, receivers, ledger, partial, backlog_max_bytes, .. } = self;
        for warning in self.warnings {
            record.warn(warning);
        }
        let (produced, consumed) = (!publishers.is_empty(), !receivers.is_empty());
        let control = RunControl::new(
            publishers.len(),
            receivers.len(),
            backlog_max_bytes.filter(|_| produced && consumed),
        );
        record.folder_mut().set_durations(self.durations.names());
        record.set_timeline(plan.timeline, clock.origin());
        let mut line = ProgressLine::new(plan.timeline.start_ns);
        let transports = (publishers, receivers);
        let done = engine::run(
            &plan,
            clock,
            &control,
            transports,
            self.durations,
            record.folder_mut(),
            |now_ns, totals| {
                if shutdown.is_requested() {
                    control.stop_producing();
                    if !produced {
                        control.stop_consuming();
                    }
                }
                line.show(&mut progress, now_ns, totals);
            },
        );
        progress.clear();
        let (totals, error) = match done {
            Ok(done) => done,
            Err(error) => {
                let error = Error::from(error);
                record.fail(&error);
                return Err(error);
            }
        };
        totals.remarks.iter().cloned().for_each(|remark| record.warn(remark));
        let summary = SummaryInput {
            totals: &totals,
            timeline: plan.timeline,
            schedule: produced.then_some(plan.schedule),
            consumed,
            ledger: ledger.as_ref().or(produced.then_some(&totals.ledger)),
            partial,
            unanswered_max: self.unanswered_max,
            messages_expected: plan.consumer.messages_expected,
            guarantee: plan.consumer.guarantee,
            raw: plan.consumer.raw,
            resources: record.meter().read(totals.sent + totals.received.messages),
            counts: self.counts.read(),
        }
        .summarize();
        let status = match (&error, shutdown.is_requested()) {
            (Some(_), _) => Status::Failed,
            (None, true) => Status::Incomplete,
            (None, false) => Status::Complete,
        };
        if let Some(error) = error {
            let error = Error::from(error);
            tracing::error!("{error:#}");
            record.warn(format!("{error:#}"));
        }
        record.finish(summary, status, output)
    }
}

/// The line that shows how a run goes.
struct ProgressLine {
    start_ns: InstantNs,
    shown_ns: InstantNs,
    /// When the totals last changed, and what they were: workers report an interval at a time.
    changed_ns: InstantNs,
    acked: u64,
    received: u64,
    /// Rates until then, and latencies.
    figures: String,
}

impl ProgressLine {
    fn new(start_ns: InstantNs) -> Self {
        Self {
            start_ns,
            shown_ns: start_ns,
            changed_ns: start_ns,
            acked: 0,
            received: 0,
            figures: String::new(),
        }
    }

    fn show(&mut self, progress: &mut Progress, now_ns: InstantNs, totals: &Totals) {
        if now_ns.saturating_sub(self.shown_ns) < PROGRESS_NS || !progress.is_visible() {
            return;
        }
        self.shown_ns = now_ns;
        progress.update(&self.text(now_ns, totals));
    }

    fn text(&mut self, now_ns: InstantNs, totals: &Totals) -> String {
        let now = (totals.acked.messages, totals.received.messages);
        if now != (self.acked, self.received) {
            self.figures = self.figures(now_ns, totals);
            self.changed_ns = now_ns;
            (self.acked, self.received) = now;
        }
        let elapsed_s = now_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        format!("{elapsed_s:6.1} s{}", self.figures)
    }

    fn figures(&self, now_ns: InstantNs, totals: &Totals) -> String {
        let since_ns = now_ns.saturating_sub(self.changed_ns).max(1);
        let per_s = |now: u64, before: u64| {
            quantity::rate(now.saturating_sub(before) as f64 * 1e9 / since_ns as f64)
        };
        let mut text = String::new();
        // Writing to a string does not fail.
        if totals.sent > 0 {
            let _ = write!(text, "  out {}", per_s(totals.acked.messages, self.acked));
        }
        if totals.received.messages > 0 {
            let _ = write!(text, "  in {}", per_s(totals.received.messages, self.received));
        }
        let latency = |kind| totals.latencies.get(kind).filter(|latency| !latency.is_empty());
        // The service time stands in where no schedule gives a publish latency.
        let sending = match latency(LatencyKind::Publish) {
            Some(_) => LatencyKind::Publish,
            None => LatencyKind::ServiceTime,
        };
        for kind in [sending, LatencyKind::EndToEnd, LatencyKind::Landing] {
            if let Some(latency) = latency(kind) {
                let p99 = quantity::duration_ns(latency.percentile_ns(99.0));
                let _ = write!(text, "  {} p99 {p99}", kind.short_title());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use bench_core::engine::Volume;

    use super::*;

    #[test]
    fn the_progress_line_shows_the_rates_of_the_last_report_until_the_next() {
        let mut totals = Totals {
            sent: 3_000,
            acked: Volume { messages: 3_000, bytes: 0 },
            ..Totals::default()
        };
        totals.latencies.publish_latency.record(2_000_000);
        let mut line = ProgressLine::new(0);
        let expected = "  out 2.00 k msg/s  publish p99 2.00 ms";
        assert_eq!(line.text(1_500_000_000, &totals), format!("   1.5 s{expected}"));
        assert_eq!(line.text(1_700_000_000, &totals), format!("   1.7 s{expected}"), "no news");
        totals.acked.messages = 4_000;
        let text = line.text(2_000_000_000, &totals);
        assert!(text.starts_with("   2.0 s  out 2.00 k msg/s"), "{text}");
    }
}
