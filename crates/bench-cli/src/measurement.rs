//! The measuring part of a run: the engine, with progress, interrupts and the record.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Error, Result};
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{self, ConsumerConfig, Plan, RunControl, SystemFigures, Totals};
use bench_core::message::RunId;
use bench_core::results::SummaryInput;
use bench_core::transport::{NoConnection, Publish, Receive};
use bench_record::{LatencyKind, Produced, Status};

use crate::live::{COLUMNS_MIN, Colour, Live, Picture, draw_course};
use crate::{Exit, OutputFormat, Progress, Required, RunRecord, Shutdown, has_colours, quantity};

/// Interval between updates of the progress line.
const PROGRESS_NS: u64 = 200_000_000;

/// The fewest rows of a terminal with room for a line of figures and the course.
const ROWS_MIN: usize = 12;

/// A run that is ready to start: everything is connected.
pub struct Measurement<P, R> {
    /// The load, and what must be received.
    pub plan: Plan,
    /// One connection per producer; none when nothing is sent.
    pub publishers: Vec<P>,
    /// One connection per consumer; none when nothing is received.
    pub receivers: Vec<R>,
    /// Why the record of what must be received is not whole, if it is not.
    pub partial: Option<String>,
    /// Share of the messages that may go unacknowledged, 0 to 1.
    pub unanswered_max: f64,
    /// Bytes that may be sent and not yet received, for systems that drop messages beyond that.
    pub backlog_max_bytes: Option<u64>,
    /// Warnings for the reader of the figures, one sentence each.
    pub warnings: Vec<String>,
    /// Counts of the connections besides their messages; read when the connections have ended.
    pub counts: Counts,
    /// Durations of the system's own work, recorded by the connections.
    pub durations: Durations,
    /// Settings of the system as it reports them, by name.
    pub settings_in_force: BTreeMap<String, String>,
}

/// What a measurement runs with.
pub struct RunContext {
    /// The clock of the plan's instants.
    pub clock: SystemClock,
    /// Requests an early end.
    pub shutdown: Shutdown,
    /// The progress line.
    pub progress: Progress,
    /// The format in which the result is printed.
    pub output: OutputFormat,
}

impl<P, R> Measurement<P, R> {
    /// A run without warnings, counts or durations.
    #[must_use]
    pub fn new(plan: Plan, publishers: Vec<P>, receivers: Vec<R>) -> Self {
        Self {
            plan,
            publishers,
            receivers,
            partial: None,
            unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
            backlog_max_bytes: None,
            warnings: Vec::new(),
            counts: Counts::default(),
            durations: Durations::default(),
            settings_in_force: BTreeMap::new(),
        }
    }
}

impl<R> Measurement<NoConnection, R> {
    /// A run that only receives. It starts now, and `consumer` is made for what is `required`.
    #[must_use]
    pub fn receiving(
        run: RunId,
        clock: SystemClock,
        interval_ns: u64,
        required: Required,
        consumer: ConsumerConfig,
        receivers: Vec<R>,
    ) -> Self {
        let expected = required.expected();
        let plan = Plan::receiving(run, clock.now_ns(), interval_ns, expected, consumer);
        let warnings = required.warning.into_iter().collect();
        Self { partial: required.partial, warnings, ..Self::new(plan, Vec::new(), receivers) }
    }
}

impl<P: Publish + Send, R: Receive + Send> Measurement<P, R> {
    /// Measures, records and prints the result; returns the exit code.
    pub fn run(self, mut record: RunRecord, context: RunContext) -> Result<Exit> {
        let RunContext { clock, shutdown, mut progress, output } = context;
        let Self { plan, publishers, receivers, partial, backlog_max_bytes, .. } = self;
        for warning in self.warnings {
            record.warn(warning);
        }
        record.set_settings_in_force(self.settings_in_force);
        let (produced, consumed) = (!publishers.is_empty(), !receivers.is_empty());
        let control = RunControl::new(
            publishers.len(),
            receivers.len(),
            backlog_max_bytes.filter(|_| produced && consumed),
        );
        let system = SystemFigures { durations: self.durations, counts: self.counts };
        record.folder_mut().set_system(&system);
        record.set_timeline(plan.timeline, clock.origin());
        let target_per_s = plan.schedule.target_rate_per_s().filter(|_| produced);
        let start_ns = plan.timeline.start_ns;
        let mut line = ProgressLine::new(start_ns, target_per_s, record.folder_mut().path());
        let mut metrics = record.metrics();
        let transports = (publishers, receivers);
        let done = engine::run(
            &plan,
            clock,
            &control,
            transports,
            system.clone(),
            record.folder_mut(),
            |now_ns, totals| {
                if shutdown.is_requested() {
                    control.stop_producing();
                    if !produced {
                        control.stop_consuming();
                    }
                }
                line.show(&mut progress, now_ns, totals);
                if let Some(metrics) = &mut metrics {
                    metrics.update(&plan, consumed, now_ns, totals);
                }
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
        if let Some(metrics) = &metrics {
            metrics.take(&plan, consumed, clock.now_ns(), &totals);
            metrics.keep(record.folder_mut().path());
        }
        totals.remarks.iter().cloned().for_each(|remark| record.warn(remark));
        let summary = SummaryInput {
            totals: &totals,
            timeline: plan.timeline,
            schedule: produced.then_some(plan.schedule),
            consumed,
            ledger: plan.consumer.acked.as_deref().or(produced.then_some(&totals.ledger)),
            partial,
            unanswered_max: self.unanswered_max,
            messages_expected: plan.consumer.messages_expected,
            guarantee: plan.consumer.guarantee,
            raw: plan.consumer.raw,
            resources: record.meter().read(totals.sent + totals.received.messages),
            counts: system.counts.read(),
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

/// The progress line of a run.
struct ProgressLine {
    start_ns: InstantNs,
    shown_ns: InstantNs,
    /// When the totals last changed, and their values: workers report once per interval.
    changed_ns: InstantNs,
    acked: u64,
    received: u64,
    /// Rates until then, and latencies.
    figures: String,
    /// The intervals so far, which larger terminals show.
    live: Live,
    /// The rate that the schedule asks for, messages per second.
    target_per_s: Option<f64>,
}

impl ProgressLine {
    fn new(start_ns: InstantNs, target_per_s: Option<f64>, run_dir: &Path) -> Self {
        Self {
            live: Live::new(run_dir),
            target_per_s,
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
        let text = self.text(now_ns, totals);
        match progress.size() {
            Some((columns, rows)) if columns >= COLUMNS_MIN && rows >= ROWS_MIN => {
                let mut picture = Picture::new(columns - 1);
                picture.line();
                picture.put(0, columns, &text, Colour::Plain);
                draw_course(self.live.rows(), self.target_per_s, &mut picture);
                progress.draw(&picture.text(has_colours()));
            }
            _ => progress.update(&text),
        }
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
        // Without a schedule there is no publish latency, so show the service time.
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
    fn progress_line_keeps_last_rates_until_next_report() {
        let mut totals = Totals {
            sent: 3_000,
            acked: Volume { messages: 3_000, bytes: 0 },
            ..Totals::default()
        };
        totals.latencies.publish_latency.record(2_000_000);
        let mut line = ProgressLine::new(0, None, Path::new("nowhere"));
        let expected = "  out 2.00 k msg/s  publish p99 2.00 ms";
        assert_eq!(line.text(1_500_000_000, &totals), format!("   1.5 s{expected}"));
        assert_eq!(line.text(1_700_000_000, &totals), format!("   1.7 s{expected}"), "no news");
        totals.acked.messages = 4_000;
        let text = line.text(2_000_000_000, &totals);
        assert!(text.starts_with("   2.0 s  out 2.00 k msg/s"), "{text}");
    }
}
