//! What was wrong with a run. Nothing is left out because of it: a reader decides.

use std::path::Path;

use bench_cli::quantity::{count, duration_ns};
use bench_record::files::read_file;
use bench_record::intervals::{self, IntervalRow, MachineUse};
use bench_record::{
    FaultRecord, LatencyKind, LoadModel, RunDocument, SelfCheck, Summary, file_names,
};
use bench_stats::{SAMPLES_BEYOND_MIN, Step, WarmUp, mean, median, steps, trend, warm_up};
use serde::{Deserialize, Serialize};

/// Changes of throughput below this share are usual.
const THROUGHPUT_CHANGE_MIN: f64 = 0.05;

/// Changes of a 99th percentile below this, as a logarithm, are usual: a quarter.
const LATENCY_CHANGE_MIN: f64 = 0.223;

/// A backlog that grows by this share of the throughput, or faster, has no end.
const BACKLOG_GROWTH_MIN: f64 = 0.005;

/// Level at which a backlog counts as growing.
const BACKLOG_LEVEL: f64 = 0.99;

/// Processor time of others above this share of all processors disturbs a run.
const OTHERS_MAX: f64 = 0.10;

/// The same of time that the hypervisor took.
const STOLEN_MAX: f64 = 0.02;

/// Something that was wrong with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flag {
    pub(crate) kind: FlagKind,
    /// In words, one sentence.
    pub(crate) note: String,
}

/// What was wrong with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FlagKind {
    /// The measurement began before the system was steady.
    WarmUp,
    /// It never was.
    Unsteady,
    /// The level changed in its course.
    Step,
    /// What was sent and not received grew.
    Backlog,
    /// The generator was late.
    Schedule,
    /// A percentile rests on few samples.
    FewSamples,
    /// Other processes, or other machines of the hypervisor, took processor time.
    Busy,
    /// The machine was another one than that of the runs before it, or set otherwise.
    Machine,
    /// It was not steady, and had faults.
    Fault,
}

/// A figure over the measured intervals.
struct Course {
    /// In words: `throughput`.
    what: &'static str,
    /// The value of each interval that has one, and when that began, seconds.
    points: Vec<(f64, f64)>,
    /// Changes below this are usual.
    change_min: f64,
    /// A level in words.
    show: fn(f64) -> String,
}

/// What the intervals of a run show.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) flags: Vec<Flag>,
    /// Messages per second of each measured interval: received, or acknowledged in a run that does not
    /// receive.
    pub(super) rates: Vec<f64>,
}

/// Reads the intervals of a run.
pub(super) fn findings(run_dir: &Path, document: &RunDocument) -> Findings {
    let Some(summary) = &document.summary else { return Findings::default() };
    let mut flags = Vec::new();
    flags.extend(schedule(summary));
    flags.extend(few_samples(summary));
    let rows = rows_of(run_dir);
    let rows = measured(&rows);
    flags.extend(backlog(rows));
    flags.extend(busy(rows));
    let receives = summary.consumed.is_some();
    if is_load_even(rows, summary) {
        let courses = [throughput(rows, receives), latency(rows)];
        let found = courses.iter().flatten().flat_map(Course::flags);
        flags.extend(found.map(|flag| flag.in_run(document)));
    }
    Findings { flags, rates: rows.iter().map(|row| received_per_s(row, receives)).collect() }
}

/// The same of a run that goes on: those of its whole intervals so far. `None` if its load changes, for
/// then its rest may be another.
pub(super) fn rates_so_far(run_dir: &Path) -> Option<Vec<f64>> {
    let rows = rows_of(run_dir);
    let receives = rows.iter().any(|row| row.received_per_s > 0.0);
    let rows = measured(&rows);
    let rates = || rows.iter().map(|row| received_per_s(row, receives)).collect();
    is_load_even_so_far(rows).then(rates)
}

/// Whether as much was sent in the last third of these few intervals as in the first: a ramp is found in
/// so few by nothing finer.
fn is_load_even_so_far(rows: &[IntervalRow]) -> bool {
    let sent = sent_per_s(rows);
    let third = sent.len() / 3;
    let (first, last) = (mean(&sent[..third]), mean(&sent[sent.len() - third..]));
    (last - first).abs() <= THROUGHPUT_CHANGE_MIN * first
}

/// What these intervals of a run that goes on show to be wrong with it: what needs no end to be seen.
pub(super) fn flags_so_far(rows: &[IntervalRow]) -> Vec<Flag> {
    let rows = measured(rows);
    late(rows).into_iter().chain(backlog(rows)).chain(busy(rows)).collect()
}

fn rows_of(run_dir: &Path) -> Vec<IntervalRow> {
    let table = read_file(&run_dir.join(file_names::INTERVALS));
    table.and_then(|table| intervals::read(&table)).unwrap_or_default()
}

impl Flag {
    /// The flag of a run, whose faults may be what it shows.
    fn in_run(self, document: &RunDocument) -> Self {
        if document.faults.is_empty() {
            return self;
        }
        let names: Vec<String> = document.faults.iter().map(FaultRecord::name).collect();
        let note = format!("{} (the run had faults: {})", self.note, names.join(", "));
        Self { kind: FlagKind::Fault, note }
    }
}

/// The rows of the measured time: after the warm-up, while messages were sent, or received if this run
/// sent none. The last may be cut short.
fn measured(rows: &[IntervalRow]) -> &[IntervalRow] {
    let begin = rows.iter().position(|row| !row.warm_up).unwrap_or(rows.len());
    let sends = rows.iter().any(|row| row.sent > 0);
    let is_busy = |row: &IntervalRow| if sends { row.sent > 0 } else { row.received_per_s > 0.0 };
    let end = rows.iter().rposition(is_busy).unwrap_or(0);
    rows.get(begin..end).unwrap_or_default()
}

/// A generator that was late in the last interval.
fn late(rows: &[IntervalRow]) -> Option<Flag> {
    let lag_ns = rows.last()?.latencies.get(&LatencyKind::ScheduleLag)?.p99_ns;
    let note = format!("the generator is late: p99 of the lag {}", duration_ns(lag_ns));
    (lag_ns >= SelfCheck::LAG_P99_MAX_NS).then_some(Flag { kind: FlagKind::Schedule, note })
}

fn schedule(summary: &Summary) -> Option<Flag> {
    let check = summary.self_check.as_ref().filter(|check| !check.kept_schedule)?;
    let lag = duration_ns(check.lag_p99_ns);
    let unsent = match check.unsent {
        0 => String::new(),
        unsent => format!(", and {} messages were never sent", count(unsent)),
    };
    let note = format!("the generator did not keep its schedule: p99 of the lag {lag}{unsent}");
    Some(Flag { kind: FlagKind::Schedule, note })
}

/// A 99th percentile of the longest way that rests on few samples.
fn few_samples(summary: &Summary) -> Option<Flag> {
    let kinds = [LatencyKind::EndToEnd, LatencyKind::Publish, LatencyKind::ServiceTime];
    let latency = kinds.into_iter().find_map(|kind| Some((kind, summary.latency(kind)?)));
    let (kind, latency) = latency.filter(|(_, latency)| latency.count > 0)?;
    let beyond = latency.count / 100;
    if beyond >= SAMPLES_BEYOND_MIN {
        return None;
    }
    let note = format!(
        "{} p99 rests on {beyond} samples beyond it: run longer, or at a higher rate",
        kind.short_title()
    );
    Some(Flag { kind: FlagKind::FewSamples, note })
}

/// Whether the load itself is the same all the time: a ramp or bursts make steps.
fn is_load_even(rows: &[IntervalRow], summary: &Summary) -> bool {
    if summary.load != LoadModel::Open {
        return true;
    }
    let sent = sent_per_s(rows);
    let Some(usual) = median(&sent).filter(|usual| *usual > 0.0) else { return false };
    let relative: Vec<f64> = sent.iter().map(|sent| sent / usual).collect();
    let is_steady = !matches!(
        warm_up(&relative, THROUGHPUT_CHANGE_MIN),
        Some(WarmUp::NotOver { .. } | WarmUp::NeverSteady)
    );
    is_steady && steps(&relative, THROUGHPUT_CHANGE_MIN).is_empty()
}

/// Messages sent per second in each interval.
fn sent_per_s(rows: &[IntervalRow]) -> Vec<f64> {
    rows.iter().map(|row| row.sent as f64 / length_s(row)).collect()
}

/// Messages received per second; messages acknowledged of a run that does not receive.
fn received_per_s(row: &IntervalRow, receives: bool) -> f64 {
    if receives { row.received_per_s } else { row.acked_per_s }
}

/// The course of that.
fn throughput(rows: &[IntervalRow], receives: bool) -> Option<Course> {
    let rate = |row: &IntervalRow| received_per_s(row, receives);
    let rates: Vec<f64> = rows.iter().map(rate).collect();
    let usual = median(&rates).filter(|usual| *usual > 0.0)?;
    Some(Course {
        what: "throughput",
        points: rows.iter().map(|row| (row.start_s, rate(row) / usual)).collect(),
        change_min: THROUGHPUT_CHANGE_MIN,
        show: |level| format!("{:.0} % of the usual", 100.0 * level),
    })
}

/// The 99th percentile of the longest way, as a logarithm.
fn latency(rows: &[IntervalRow]) -> Option<Course> {
    let kinds = [
        (LatencyKind::EndToEnd, "end-to-end p99"),
        (LatencyKind::Publish, "publish p99"),
        (LatencyKind::ServiceTime, "service time p99"),
    ];
    let points = |kind: LatencyKind| -> Vec<(f64, f64)> {
        let p99 = |row: &IntervalRow| {
            let p99_ns = row.latencies.get(&kind)?.p99_ns;
            Some((row.start_s, (p99_ns.max(1) as f64).ln()))
        };
        rows.iter().filter_map(p99).collect()
    };
    let (what, points) = kinds
        .into_iter()
        .map(|(kind, what)| (what, points(kind)))
        .find(|(_, points)| !points.is_empty())?;
    Some(Course {
        what,
        points,
        change_min: LATENCY_CHANGE_MIN,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ns")]
        show: |level| duration_ns(level.exp().round() as u64),
    })
}

impl Course {
    fn flags(&self) -> Vec<Flag> {
        let values: Vec<f64> = self.points.iter().map(|(_, value)| *value).collect();
        let steps = steps(&values, self.change_min);
        let start = match warm_up(&values, self.change_min) {
            Some(WarmUp::NotOver { intervals }) => Some(Flag {
                kind: FlagKind::WarmUp,
                note: format!(
                    "{} was not steady before {:.0} s: use a longer --warm-up",
                    self.what, self.points[intervals].0
                ),
            }),
            // A late step says it better.
            Some(WarmUp::NeverSteady) if steps.is_empty() => Some(Flag {
                kind: FlagKind::Unsteady,
                note: format!("{} never became steady", self.what),
            }),
            _ => None,
        };
        start.into_iter().chain(steps.iter().map(|step| self.step(step))).collect()
    }

    fn step(&self, step: &Step) -> Flag {
        let (before, after) = ((self.show)(step.before), (self.show)(step.after));
        let at_s = self.points[step.at].0;
        let note = format!("{} changed from {before} to {after} at {at_s:.1} s", self.what);
        Flag { kind: FlagKind::Step, note }
    }
}

/// A growing number of messages that were sent and not received.
fn backlog(rows: &[IntervalRow]) -> Option<Flag> {
    let received: f64 = rows.iter().map(|row| row.received_per_s).sum();
    let acked: f64 = rows.iter().map(|row| row.acked_per_s).sum();
    if received == 0.0 || acked == 0.0 {
        return None;
    }
    let mut backlog = 0.0;
    let after = |row: &IntervalRow| {
        backlog += (row.acked_per_s - row.received_per_s) * length_s(row);
        backlog
    };
    let course: Vec<f64> = rows.iter().map(after).collect();
    let found = trend(&course, BACKLOG_LEVEL).filter(|found| found.interval.low > 0.0)?;
    let per_s = found.slope / length_s(rows.first()?);
    let throughput = acked / rows.len() as f64;
    if per_s < BACKLOG_GROWTH_MIN * throughput {
        return None;
    }
    let note = format!(
        "the backlog grew by {per_s:.0} messages per second, {:.1} % of the rate: latencies depend on \
         how long the run was",
        100.0 * per_s / throughput
    );
    Some(Flag { kind: FlagKind::Backlog, note })
}

/// Processor time that others took, on average over the measured time.
fn busy(rows: &[IntervalRow]) -> Option<Flag> {
    let machine: Vec<_> = rows.iter().filter_map(|row| row.machine).collect();
    if machine.is_empty() {
        return None;
    }
    let average = |share: fn(&MachineUse) -> f64| {
        machine.iter().map(share).sum::<f64>() / machine.len() as f64
    };
    let (others, stolen) = (average(|shares| shares.others), average(|shares| shares.stolen));
    let mut what = Vec::new();
    if others > OTHERS_MAX {
        what.push(format!("other processes took {:.0} % of the processors", 100.0 * others));
    }
    if stolen > STOLEN_MAX {
        what.push(format!("the hypervisor took {:.0} % of them", 100.0 * stolen));
    }
    let note = what.join(", and ");
    (!note.is_empty()).then_some(Flag { kind: FlagKind::Busy, note })
}

fn length_s(row: &IntervalRow) -> f64 {
    (row.end_s - row.start_s).max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_loads_are_found_in_few_intervals() {
        let is_even = |sent: &[u64]| {
            let row =
                |sent: &u64| IntervalRow { sent: *sent, end_s: 1.0, ..IntervalRow::default() };
            is_load_even_so_far(&sent.iter().map(row).collect::<Vec<_>>())
        };
        assert!(is_even(&[1000, 1010, 990, 1000, 1005, 995]));
        assert!(is_even(&[0, 0, 0, 0, 0, 0]), "a run that only receives");
        assert!(!is_even(&[100, 200, 300, 400, 500, 600]), "a ramp");
        assert!(!is_even(&[100, 900, 1000, 1000, 1000, 1000]), "a ramp that has ended");
        assert!(!is_even(&[1000, 1000]), "too few");
    }
}
