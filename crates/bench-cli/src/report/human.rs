//! The report that a person reads after a run.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bench_record::{
    AuditBasis, AuditSummary, LatencyKind, LatencySummary, LoadModel, Produced, ProducerAudit,
    RunDocument, SelfCheck, ServiceInfo, ServiceOrigin, Status, Summary, Verdict, VerdictOutcome,
};

use crate::quantity::{byte_rate, bytes, count, duration_ns, rate, three_digits};
use crate::{Align, table};

/// Number of producers with losses that are listed individually.
const LOSING_PRODUCERS_SHOWN: usize = 5;

/// The report of one run as plain text. `folder` is its result folder.
#[must_use]
pub fn human(document: &RunDocument, folder: Option<&Path>) -> String {
    let mut report = Report::default();
    heading(&mut report, document);
    if let Some(summary) = &document.summary {
        throughput(&mut report, summary);
        latencies(&mut report, summary);
        durations(&mut report, summary);
        report.blank();
        if let Some(produced) = &summary.produced {
            unacked(&mut report, produced);
        }
        audit(&mut report, summary, &document.run_id);
        counts(&mut report, summary);
        if let Some(check) = &summary.self_check {
            self_check(&mut report, check);
        }
        resources(&mut report, summary);
    } else {
        report.blank();
        report.line("no figures");
    }
    if !document.warnings.is_empty() {
        report.blank();
        report.line("Warnings");
        for warning in &document.warnings {
            report.line(&format!("  - {warning}"));
        }
    }
    if let Some(folder) = folder {
        report.blank();
        report.fact("results in", &folder.display().to_string());
    }
    report.text
}

/// Text under construction.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A named line, aligned with others of its kind.
    fn fact(&mut self, name: &str, fact: &str) {
        self.line(&format!("{name:<11} {fact}"));
    }

    /// A continuation of the previous fact.
    fn more(&mut self, fact: &str) {
        self.fact("", fact);
    }

    /// Rows under a heading: the first column aligned left, the others right.
    fn table<const N: usize>(&mut self, rows: &[[String; N]]) {
        let rows = rows.iter().enumerate().map(|(at, row)| {
            let mut row = row.to_vec();
            // The heading takes the room of the indentation, too.
            let edge = if at == 0 { row[0].len() } else { 0 };
            row[0].insert_str(edge, "  ");
            row
        });
        let align = |column| if column == 0 { Align::Left } else { Align::Right };
        self.text.push_str(&table(&rows.collect::<Vec<_>>(), align));
    }
}

fn heading(report: &mut Report, document: &RunDocument) {
    let verdict = match &document.verdict {
        Some(Verdict { outcome: VerdictOutcome::Valid, .. }) => "VALID",
        Some(Verdict { outcome: VerdictOutcome::Partial, .. }) => "PARTIAL",
        Some(Verdict { outcome: VerdictOutcome::Invalid, .. }) => "INVALID",
        None => "no verdict",
    };
    report.line(&format!(
        "{} {}, run {}: {}, {verdict}",
        document.tool.name,
        document.tool.version,
        document.run_id,
        super::status(document.status),
    ));
    let comment = match document.status {
        Status::Complete => None,
        Status::Running => Some("The run is still going, or its process died."),
        Status::Incomplete => {
            Some("The run was interrupted: the figures cover the time until then.")
        }
        Status::Failed => Some("The run failed; see the warnings."),
    };
    if let Some(comment) = comment {
        report.line(&format!("  {comment}"));
    }
    if let Some(verdict) = &document.verdict {
        for reason in &verdict.reasons {
            report.line(&format!("  - {reason}"));
        }
        if verdict.outcome == VerdictOutcome::Invalid {
            report.line("  Do not quote the figures below.");
        }
    }
    for service in &document.services {
        label(report, service);
    }
}

/// Where a service came from, and what this means for the figures.
fn label(report: &mut Report, service: &ServiceInfo) {
    let ServiceInfo { name, origin, address, version } = service;
    let version = if version.is_empty() { String::new() } else { format!(" ({version})") };
    report.line(&format!("{name}: {origin}{version} at {address}"));
    match origin {
        ServiceOrigin::Embedded => report.line(&format!(
            "  A stand-in: figures are this client's ceiling on loopback, not the performance of \
             {name}."
        )),
        ServiceOrigin::Local => {
            report.line("  The real server, sharing this machine with the client.");
        }
        ServiceOrigin::External => {}
    }
}

fn throughput(report: &mut Report, summary: &Summary) {
    let header = ["throughput", "rate", "data", "messages"].map(String::from);
    let mut rows = vec![header];
    if let Some(produced) = &summary.produced {
        rows.push([
            "produced".into(),
            known(produced.rate_msg_per_s, rate),
            known(produced.rate_bytes_per_s, byte_rate),
            count(produced.acked),
        ]);
    }
    if let Some(consumed) = &summary.consumed {
        rows.push([
            if consumed.landed > 0 { "landed" } else { "consumed" }.into(),
            known(consumed.rate_msg_per_s, rate),
            known(consumed.rate_bytes_per_s, byte_rate),
            count(consumed.received),
        ]);
    }
    if rows.len() > 1 {
        report.blank();
        report.table(&rows);
    }
    let target = summary.produced.as_ref().and_then(|produced| produced.target_rate_msg_per_s);
    if let Some(target) = target {
        report.line(&format!("  target {}", rate(target)));
    }
}

/// Formats a figure; a missing one is a dash.
fn known(figure: Option<f64>, show: fn(f64) -> String) -> String {
    figure.map_or_else(|| "-".to_owned(), show)
}

fn latencies(report: &mut Report, summary: &Summary) {
    let header = ["latency", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
    let mut rows = vec![header.map(String::from)];
    let mut remarks = Vec::new();
    for kind in LatencyKind::ALL {
        if let Some(latency) = summary.latency(kind) {
            rows.push(latency_row(kind.title(), latency));
            remarks.extend(unheld_samples(kind.title(), latency));
        }
    }
    if rows.len() == 1 {
        return;
    }
    if summary.load == LoadModel::Closed {
        remarks.push(
            "closed loop: each message was sent as soon as the system allowed, so there is no \
             publish latency; end-to-end counts from sending"
                .into(),
        );
    }
    if let Some(clock) = &summary.end_to_end_clock
        && clock.wall > 0
    {
        remarks.push(format!(
            "end-to-end: {} of {} samples compare the wall clocks of two hosts and include their \
             offset",
            count(clock.wall),
            count(clock.wall.saturating_add(clock.monotonic)),
        ));
    }
    report.blank();
    report.table(&rows);
    for remark in remarks {
        report.line(&format!("  {remark}"));
    }
}

/// The durations of the system's own work.
fn durations(report: &mut Report, summary: &Summary) {
    if summary.durations.is_empty() {
        return;
    }
    let header = ["duration", "p50", "p90", "p99", "p99.9", "max", "mean", "samples"];
    let mut rows = vec![header.map(String::from)];
    let mut remarks = Vec::new();
    for (name, duration) in &summary.durations {
        let title = name.replace('_', " ");
        rows.push(latency_row(&title, duration));
        remarks.extend(unheld_samples(&title, duration));
    }
    report.blank();
    report.table(&rows);
    for remark in remarks {
        report.line(&format!("  {remark}"));
    }
}

fn latency_row(title: &str, latency: &LatencySummary) -> [String; 8] {
    let LatencySummary { p50_ns, p90_ns, p99_ns, p99_9_ns, max_ns, .. } = *latency;
    let samples = latency.count;
    let cell = |text: String| if samples == 0 { "-".into() } else { text };
    let bound = |is_lower: bool| if is_lower { ">=" } else { "" };
    let at = |ns| cell(format!("{}{}", bound(latency.is_lower_bound(ns)), duration_ns(ns)));
    let mean = format!("{}{}", bound(latency.unanswered > 0), seconds(latency.mean_ns / 1e9));
    [
        title.into(),
        at(p50_ns),
        at(p90_ns),
        at(p99_ns),
        at(p99_9_ns),
        at(max_ns),
        cell(mean),
        count(samples),
    ]
}

/// Samples that the percentiles of a distribution exclude, or count as lower bounds.
fn unheld_samples(title: &str, latency: &LatencySummary) -> Vec<String> {
    let mut remarks = Vec::new();
    if latency.unanswered > 0 {
        remarks.push(format!(
            "{title}: {} samples were never answered and count with the time they waited, at least \
             {}: figures marked >= are lower bounds",
            count(latency.unanswered),
            duration_ns(latency.unanswered_min_ns),
        ));
    }
    if latency.negative > 0 {
        remarks.push(format!(
            "{title}: {} samples below zero, down to -{}, excluded from percentiles: the clocks \
             disagree",
            count(latency.negative),
            duration_ns(latency.negative_min_ns.unsigned_abs()),
        ));
    }
    if latency.beyond_range > 0 {
        remarks.push(format!(
            "{title}: {} samples beyond the range of the histogram, up to {}, excluded from percentiles",
            count(latency.beyond_range),
            duration_ns(latency.beyond_range_max_ns),
        ));
    }
    remarks
}

/// The messages that were sent but not confirmed, if any.
fn unacked(report: &mut Report, produced: &Produced) {
    if produced.failed > 0 {
        let reasons =
            produced.failures.iter().map(|(reason, n)| format!("{reason}: {}", count(*n)));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
        let (failed, sent) = (count(produced.failed), count(produced.sent));
        report.fact("failed", &format!("{failed} of {sent} messages sent{reasons}"));
    }
    if produced.unresolved > 0 {
        let unresolved = count(produced.unresolved);
        report.fact("unanswered", &format!("{unresolved} messages when the run ended"));
    }
}

fn audit(report: &mut Report, summary: &Summary, run_id: &str) {
    let Some(audit) = &summary.audit else {
        let line = match (&summary.produced, &summary.consumed) {
            // Messages without headers.
            (Some(produced), Some(consumed)) => format!(
                "by number only: {} acked, {} received",
                count(produced.acked),
                count(consumed.received)
            ),
            _ => "none: this run could not tell what became of the messages".to_owned(),
        };
        report.fact("audit", &line);
        return;
    };
    let (basis, lost) = match audit.against {
        AuditBasis::Acked => {
            let acked = audit.producers.iter().map(|producer| producer.acked).sum();
            (format!("{} acked, ", count(acked)), "lost")
        }
        AuditBasis::Sequences => (String::new(), "missing"),
        AuditBasis::Expected => (String::new(), "lost"),
    };
    let landed = summary.consumed.as_ref().is_some_and(|consumed| consumed.landed > 0);
    let received = if landed { "landed" } else { "received" };
    let mut line = format!("{basis}{} {received}", count(audit.received));
    for (number, what) in [
        (audit.lost, lost),
        (audit.unread, "unread"),
        (audit.duplicated, "duplicated"),
        (audit.reordered, "reordered"),
        (audit.corrupt, "corrupt"),
        (audit.foreign, "foreign"),
    ] {
        // Only runs that stop early leave messages unread.
        if number > 0 || what != "unread" {
            let _ = write!(line, ", {} {what}", count(number));
        }
    }
    report.fact("audit", &line);
    if audit.unacked_received > 0 {
        let unacked = count(audit.unacked_received);
        report.more(&format!("{unacked} {received} although never acked"));
    }
    if audit.aborted_received > 0 {
        let aborted = count(audit.aborted_received);
        report.more(&format!("{aborted} {received} although their transaction was aborted"));
    }
    if audit.against == AuditBasis::Sequences {
        report.more("by sequence numbers only: a loss at the end of a stream cannot be detected");
    }
    losses(report, audit, run_id);
}

/// The lost messages.
fn losses(report: &mut Report, audit: &AuditSummary, run_id: &str) {
    let missing = |producer: &ProducerAudit| producer.lost + producer.unread;
    let losing: Vec<_> = audit.producers.iter().filter(|producer| missing(producer) > 0).collect();
    for producer in losing.iter().take(LOSING_PRODUCERS_SHOWN) {
        let whose = match &producer.run_id {
            own if own == run_id => format!("producer {}", producer.producer),
            other => format!("run {other}, producer {}", producer.producer),
        };
        // The messages of a range after its first.
        let beyond = |(first, last): &(u64, u64)| last.saturating_sub(*first);
        let ranges = producer.lost_ranges.iter().map(|range| match beyond(range) {
            0 => range.0.to_string(),
            _ => format!("{} to {}", range.0, range.1),
        });
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        let told = producer
            .lost_ranges
            .iter()
            .fold(0_u64, |told, range| told.saturating_add(beyond(range)).saturating_add(1));
        let rest = if told < missing(producer) { ", and more" } else { "" };
        let what = if producer.lost > 0 { "lost" } else { "unread" };
        report.more(&format!("{whose} {what} {}: {ranges}{rest}", count(missing(producer))));
    }
    if let Some(more @ 1..) = losing.len().checked_sub(LOSING_PRODUCERS_SHOWN) {
        report.more(&format!("and {more} more producers lost messages"));
    }
}

/// The system's own counts above zero.
fn counts(report: &mut Report, summary: &Summary) {
    let counted = summary.counts.iter().filter(|(_, number)| **number > 0);
    let counted =
        counted.map(|(name, number)| format!("{} {}", count(*number), name.replace('_', " ")));
    let counted = counted.collect::<Vec<_>>().join(", ");
    if !counted.is_empty() {
        report.fact("counts", &counted);
    }
}

fn self_check(report: &mut Report, check: &SelfCheck) {
    let kept = if check.kept_schedule { "schedule kept" } else { "SCHEDULE NOT KEPT" };
    let mut line = format!(
        "{kept}: lag p99 {} (limit {}), {} due and never sent",
        duration_ns(check.lag_p99_ns),
        duration_ns(SelfCheck::LAG_P99_MAX_NS),
        count(check.unsent),
    );
    if check.blocked_ns > 0 {
        let _ = write!(line, ", waited {} for the system", duration_ns(check.blocked_ns));
    }
    report.fact("self-check", &line);
}

fn resources(report: &mut Report, summary: &Summary) {
    let used = &summary.resources;
    let mut line = format!("{} of CPU", seconds(used.cpu_s));
    if let Some(cpu_us) = used.cpu_us_per_message {
        let (number, unit) = three_digits(cpu_us, &["us", "ms", "s"]);
        let _ = write!(line, " ({number} {unit} per message)");
    }
    if used.memory_max_bytes > 0 {
        let _ = write!(line, ", peak memory {}", bytes(used.memory_max_bytes));
    }
    report.fact("process", &line);
    let mut line = seconds(summary.elapsed_s);
    if summary.warm_up_s > 0.0 {
        let warm_up = seconds(summary.warm_up_s);
        let _ = write!(line, "; rates and latencies exclude the first {warm_up}");
    }
    report.fact("time", &line);
}

fn seconds(duration_s: f64) -> String {
    let duration = Duration::try_from_secs_f64(duration_s).ok();
    let ns = duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
    ns.map_or_else(|| "-".into(), duration_ns)
}

#[cfg(test)]
mod tests {
    use bench_record::{AuditBasis, ClockComparison, ServiceOrigin};
    use snapbox::{assert_data_eq, file};

    use super::*;
    use crate::report::sample;

    fn report(document: &RunDocument) -> String {
        human(document, Some(Path::new("results/kafka-prodcon-00c0ffee42")))
    }

    #[test]
    fn valid_open_loop_run() {
        assert_data_eq!(report(&sample::open_loop()), file!["snapshots/open_loop.txt"]);
    }

    #[test]
    fn valid_closed_loop_run_on_embedded_service() {
        assert_data_eq!(report(&sample::closed_loop()), file!["snapshots/closed_loop.txt"]);
    }

    #[test]
    fn run_that_lands_in_a_table() {
        assert_data_eq!(report(&sample::landed()), file!["snapshots/landed.txt"]);
    }

    #[test]
    fn run_with_durations() {
        assert_data_eq!(report(&sample::committed()), file!["snapshots/committed.txt"]);
    }

    #[test]
    fn invalid_run() {
        assert_data_eq!(report(&sample::invalid()), file!["snapshots/invalid.txt"]);
    }

    #[test]
    fn run_that_consumed_another_hosts_messages() {
        let mut document = sample::open_loop();
        document.status = Status::Incomplete;
        document.services[0].origin = ServiceOrigin::Local;
        let summary = document.summary.as_mut().expect("has figures");
        summary.load = LoadModel::None;
        (summary.produced, summary.self_check) = (None, None);
        (summary.publish_latency, summary.service_time) = (None, None);
        summary.schedule_lag = Some(LatencySummary { count: 0, ..sample::latency(1) });
        summary.end_to_end_clock = Some(ClockComparison { monotonic: 0, wall: 1_200_000 });
        let audit = summary.audit.as_mut().expect("is audited");
        audit.against = AuditBasis::Sequences;
        assert_data_eq!(human(&document, None), file!["snapshots/consumed.txt"]);
    }

    #[test]
    fn run_without_figures() {
        let mut document = sample::open_loop();
        (document.status, document.verdict, document.summary) = (Status::Failed, None, None);
        document.warnings = vec!["failed to reach kafka-1:9092 within 10 s".into()];
        assert_data_eq!(human(&document, None), file!["snapshots/failed.txt"]);
    }

    #[test]
    fn run_with_an_outage() {
        assert_data_eq!(report(&sample::outage()), file!["snapshots/outage.txt"]);
    }

    #[test]
    fn run_checked_against_a_partial_record() {
        assert_data_eq!(report(&sample::partial()), file!["snapshots/partial.txt"]);
    }

    #[test]
    fn run_that_stopped_reading_early() {
        assert_data_eq!(report(&sample::unread()), file!["snapshots/unread.txt"]);
    }

    #[test]
    fn long_lists_of_losses_are_cut() {
        let mut document = sample::invalid();
        let audit = document.summary.as_mut().and_then(|summary| summary.audit.as_mut());
        let producers = &mut audit.expect("is audited").producers;
        let losing = producers[0].clone();
        producers.extend(vec![losing; 7]);
        let report = report(&document);
        assert_eq!(report.matches("producer 0 lost").count(), LOSING_PRODUCERS_SHOWN);
        assert!(report.contains("and 3 more producers lost messages"), "{report}");
    }

    #[test]
    fn malformed_lost_ranges_never_panic() {
        let mut document = sample::invalid();
        let audit = document.summary.as_mut().and_then(|summary| summary.audit.as_mut());
        audit.expect("is audited").producers[0].lost_ranges = vec![(9, 3), (0, u64::MAX)];
        assert!(report(&document).contains("producer 0 lost 3"));
    }
}
