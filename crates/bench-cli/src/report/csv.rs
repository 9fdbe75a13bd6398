//! Key figures as CSV, for spreadsheets and plots.

use std::collections::BTreeSet;

use bench_record::{
    AuditSummary, Consumed, LatencyKind, LatencySummary, Produced, Resources, RunDocument,
    SelfCheck, Summary,
};

use crate::output::csv_table;

/// A column's name and its value.
type Column<T> = (&'static str, fn(&T) -> String);

const RUN: [Column<RunDocument>; 7] = [
    ("tool", |run| run.tool.name.clone()),
    ("tool_version", |run| run.tool.version.clone()),
    ("run_id", |run| run.run_id.clone()),
    ("started_at", |run| run.started_at.clone()),
    ("status", |run| super::status(run.status).into()),
    ("verdict", |run| {
        run.verdict.as_ref().map_or_else(String::new, |v| super::outcome(v.outcome).into())
    }),
    ("origin", |run| {
        let mut origins: Vec<_> = run.services.iter().map(|s| s.origin.to_string()).collect();
        origins.dedup();
        origins.join("+")
    }),
];

const TIME: [Column<Summary>; 2] = [
    ("elapsed_s", |summary| summary.elapsed_s.to_string()),
    ("warm_up_s", |summary| summary.warm_up_s.to_string()),
];

const PRODUCED: [Column<Produced>; 8] = [
    ("target_rate_msg_per_s", |p| optional(p.target_rate_msg_per_s)),
    ("sent", |p| p.sent.to_string()),
    ("acked", |p| p.acked.to_string()),
    ("failed", |p| p.failed.to_string()),
    ("unresolved", |p| p.unresolved.to_string()),
    ("acked_bytes", |p| p.acked_bytes.to_string()),
    ("produced_msg_per_s", |p| optional(p.rate_msg_per_s)),
    ("produced_bytes_per_s", |p| optional(p.rate_bytes_per_s)),
];

const CONSUMED: [Column<Consumed>; 4] = [
    ("received", |c| c.received.to_string()),
    ("received_bytes", |c| c.received_bytes.to_string()),
    ("consumed_msg_per_s", |c| optional(c.rate_msg_per_s)),
    ("consumed_bytes_per_s", |c| optional(c.rate_bytes_per_s)),
];

const FIRST_LATENCIES: [LatencyKind; 4] = [
    LatencyKind::Publish,
    LatencyKind::ServiceTime,
    LatencyKind::EndToEnd,
    LatencyKind::ScheduleLag,
];

/// Latencies whose columns came later.
const LATER_LATENCIES: [LatencyKind; 3] =
    [LatencyKind::Arrival, LatencyKind::Landing, LatencyKind::TableTime];

/// Columns of each latency, prefixed with its name.
const LATENCY: [Column<LatencySummary>; 9] = [
    ("count", |l| l.count.to_string()),
    ("mean_ns", |l| l.mean_ns.to_string()),
    ("p50_ns", |l| l.p50_ns.to_string()),
    ("p90_ns", |l| l.p90_ns.to_string()),
    ("p99_ns", |l| l.p99_ns.to_string()),
    ("p99_9_ns", |l| l.p99_9_ns.to_string()),
    ("max_ns", |l| l.max_ns.to_string()),
    ("negative", |l| l.negative.to_string()),
    ("beyond_range", |l| l.beyond_range.to_string()),
];

const AUDIT: [Column<AuditSummary>; 7] = [
    ("distinct_received", |a| a.received.to_string()),
    ("lost", |a| a.lost.to_string()),
    ("duplicated", |a| a.duplicated.to_string()),
    ("reordered", |a| a.reordered.to_string()),
    ("corrupt", |a| a.corrupt.to_string()),
    ("foreign", |a| a.foreign.to_string()),
    ("unacked_received", |a| a.unacked_received.to_string()),
];

const SELF_CHECK: [Column<SelfCheck>; 3] = [
    ("kept_schedule", |c| c.kept_schedule.to_string()),
    ("unsent", |c| c.unsent.to_string()),
    ("blocked_ns", |c| c.blocked_ns.to_string()),
];

const RESOURCES: [Column<Resources>; 3] = [
    ("cpu_s", |r| r.cpu_s.to_string()),
    ("cpu_us_per_message", |r| optional(r.cpu_us_per_message)),
    ("memory_max_bytes", |r| r.memory_max_bytes.to_string()),
];

/// Columns added later.
const LATER_AUDIT: [Column<AuditSummary>; 1] =
    [("aborted_received", |a| a.aborted_received.to_string())];

const LATER_CONSUMED: [Column<Consumed>; 1] = [("landed", |c| c.landed.to_string())];

/// Shows which percentiles are lower bounds: those not below the shortest unacknowledged wait.
const LATER_LATENCY: [Column<LatencySummary>; 2] = [
    ("unanswered", |l| l.unanswered.to_string()),
    ("unanswered_min_ns", |l| l.unanswered_min_ns.to_string()),
];

const LATEST_AUDIT: [Column<AuditSummary>; 1] = [("unread", |a| a.unread.to_string())];

const LATER_PRODUCED: [Column<Produced>; 1] =
    [("unanswered_share", |p| p.unanswered_share.to_string())];

/// A header line, then one line per run with its key figures.
///
/// Column names end with the unit and do not change; new columns are added at the end. A field is
/// empty if the run has no such figure. Durations depend on the tool: those of any run have columns,
/// after all others.
#[must_use]
pub fn csv(documents: &[&RunDocument]) -> String {
    let runs: Vec<_> = documents.iter().map(|document| (Vec::new(), *document)).collect();
    csv_after(&[], &runs)
}

/// Does the same with columns of the caller's before the others.
#[must_use]
pub fn csv_after(head: &[&str], runs: &[(Vec<String>, &RunDocument)]) -> String {
    let summaries = runs.iter().filter_map(|(_, document)| document.summary.as_ref());
    let durations = summaries.flat_map(|summary| summary.durations.keys()).collect();
    let names = cells(None, &durations).into_iter().map(|(name, _)| name);
    let header = head.iter().map(|name| (*name).to_owned()).chain(names);
    let row = |(before, document): &(Vec<String>, &RunDocument)| {
        let values = cells(Some(document), &durations).into_iter().map(|(_, value)| value);
        before.iter().cloned().chain(values).collect()
    };
    csv_table(header, runs.iter().map(row))
}

/// The names and values of all columns; without a document the values are empty.
fn cells(document: Option<&RunDocument>, durations: &BTreeSet<&String>) -> Vec<(String, String)> {
    let summary = document.and_then(|document| document.summary.as_ref());
    let mut cells = Vec::new();
    let cells_of = &mut cells;
    push(cells_of, "", &RUN, document);
    push(cells_of, "", &TIME, summary);
    push(cells_of, "", &PRODUCED, summary.and_then(|s| s.produced.as_ref()));
    push(cells_of, "", &CONSUMED, summary.and_then(|s| s.consumed.as_ref()));
    let latencies = |cells: &mut _, kinds: &[LatencyKind], columns: &[Column<LatencySummary>]| {
        for kind in kinds {
            let latency = summary.and_then(|summary| summary.latency(*kind));
            push(cells, &format!("{}_", kind.column()), columns, latency);
        }
    };
    latencies(cells_of, &FIRST_LATENCIES, &LATENCY);
    push(cells_of, "", &AUDIT, summary.and_then(|s| s.audit.as_ref()));
    push(cells_of, "", &SELF_CHECK, summary.and_then(|s| s.self_check.as_ref()));
    push(cells_of, "", &RESOURCES, summary.map(|s| &s.resources));
    push(cells_of, "", &LATER_AUDIT, summary.and_then(|s| s.audit.as_ref()));
    latencies(cells_of, &LATER_LATENCIES, &LATENCY);
    push(cells_of, "", &LATER_CONSUMED, summary.and_then(|s| s.consumed.as_ref()));
    push(cells_of, "", &LATER_PRODUCED, summary.and_then(|s| s.produced.as_ref()));
    push(cells_of, "", &LATEST_AUDIT, summary.and_then(|s| s.audit.as_ref()));
    latencies(cells_of, &LatencyKind::ALL, &LATER_LATENCY);
    for &name in durations {
        let duration = summary.and_then(|summary| summary.durations.get(name));
        push(cells_of, &format!("{name}_"), &LATENCY, duration);
    }
    cells
}

fn push<T>(
    cells: &mut Vec<(String, String)>,
    prefix: &str,
    columns: &[Column<T>],
    source: Option<&T>,
) {
    cells.extend(
        columns.iter().map(|(name, value)| {
            (format!("{prefix}{name}"), source.map_or_else(String::new, value))
        }),
    );
}

fn optional(number: Option<f64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use snapbox::{assert_data_eq, file};

    use super::*;
    use crate::report::sample;

    #[test]
    fn each_run_has_one_line_below_the_header() {
        let documents =
            [sample::open_loop(), sample::closed_loop(), sample::invalid(), sample::landed()];
        let text = csv(&documents.each_ref());
        assert_data_eq!(&text, file!["snapshots/runs.csv"]);
        let fields: Vec<_> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(fields, [fields[0]; 5]);
    }

    #[test]
    fn missing_figures_are_empty() {
        let mut run = sample::closed_loop();
        run.verdict = None;
        run.tool.version = "0.1, \"beta\"".into();
        let named: BTreeMap<_, _> = cells(Some(&run), &BTreeSet::new()).into_iter().collect();
        assert_eq!(named["publish_p99_ns"], "");
        assert_eq!(named["verdict"], "");
        assert_eq!(named["service_time_p99_ns"], "3000000");
        assert!(csv(&[&run]).contains(",\"0.1, \"\"beta\"\"\","));
        run.summary = None;
        let mut figures = cells(Some(&run), &BTreeSet::new()).into_iter().skip(RUN.len());
        assert!(figures.all(|(_, value)| value.is_empty()));
    }

    #[test]
    fn durations_of_any_run_have_columns_at_the_end() {
        let fixed = csv(&[]).trim_end().to_owned();
        let text = csv(&[&sample::committed(), &sample::open_loop()]);
        let lines: Vec<&str> = text.lines().collect();
        let columns = lines[0].strip_prefix(&fixed).expect("the others come first");
        let names: Vec<&str> = columns.split(',').skip(1).collect();
        assert_eq!(names[..3], ["commit_time_count", "commit_time_mean_ns", "commit_time_p50_ns"]);
        assert_eq!((names.len(), names[17]), (18, "upload_time_beyond_range"));
        let durations = lines[1].split(',').skip(fixed.split(',').count());
        let durations: Vec<&str> = durations.collect();
        assert_eq!(durations[..3], ["130", "2750000", "2500000"]);
        assert!(lines[2].ends_with(&",".repeat(18)), "{}", lines[2]);
    }

    #[test]
    fn without_runs_there_is_only_the_header() {
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
