//! The recovery time of a system after a fault: a pure function of the intervals of the run.
//!
//! `docs/faults.md` explains the figure and why it is defined like this.

use crate::faults::{FaultBand, FaultRecord};
use crate::intervals::{IntervalRow, RowLatency};
use crate::latency::LatencyKind;

/// Minimum number of intervals before the first fault for a band.
const BAND_INTERVALS_MIN: usize = 3;

/// An interval is late if its 99th percentile is more than this many times the highest one before
/// the fault. One of the next m values exceeds the highest of n with a probability of m / (n + m):
/// without a margin, every run would show disturbances that are mere noise.
const LATENCY_FACTOR: f64 = 1.5;

/// An interval is starved if its rate is less than this share of the lowest one before the fault.
const RATE_FACTOR: f64 = 0.5;

/// Number of consecutive undisturbed intervals that end a disturbance.
const QUIET_INTERVALS: f64 = 3.0;

/// Times in the rows are whole milliseconds.
const ROUNDING_S: f64 = 0.000_5;

/// Sets each fault's recovery time, or the reason there is none. `rows` are the intervals of the run in
/// order.
pub(crate) fn assess_faults(rows: &[IntervalRow], faults: &mut [FaultRecord]) {
    let instants: Vec<f64> = faults.iter().filter_map(|fault| fault.begin_s).collect();
    let first_s = instants.iter().copied().fold(f64::INFINITY, f64::min);
    let judge = Judge::new(rows, first_s);
    for fault in faults {
        let Some(begin_s) = fault.begin_s else { continue };
        let next_s = instants.iter().copied().filter(|other| *other > begin_s);
        let window = Window { begin_s, next_s: next_s.fold(f64::INFINITY, f64::min) };
        match &judge {
            Ok(judge) => {
                fault.band = Some(judge.band);
                match judge.recovery(&window) {
                    Ok(recovery) => {
                        fault.recovery_s = Some(recovery.after_s);
                        fault.disturbed_again = recovery.disturbed_again;
                    }
                    Err(reason) => fault.unrecovered = Some(reason.to_owned()),
                }
            }
            Err(reason) => fault.unrecovered = Some(reason.clone()),
        }
    }
}

/// The time in which a fault is assessed, seconds from the start of the schedule.
struct Window {
    begin_s: f64,
    /// The beginning of the next fault.
    next_s: f64,
}

struct Recovery {
    after_s: f64,
    disturbed_again: u64,
}

/// A time of disturbance, seconds from the start of the schedule.
#[derive(Debug, Clone, Copy)]
struct Span {
    start_s: f64,
    end_s: f64,
}

/// Distinguishes disturbed intervals from others.
struct Judge<'a> {
    rows: &'a [IntervalRow],
    band: FaultBand,
    received: bool,
    /// Rows before this one are whole intervals in which messages were due.
    due: usize,
    interval_s: f64,
}

impl<'a> Judge<'a> {
    /// Computes the band from the rows before the first fault; the error says why there is none.
    fn new(rows: &'a [IntervalRow], first_fault_s: f64) -> Result<Self, String> {
        let before: Vec<&IntervalRow> = rows
            .iter()
            .filter(|row| !row.warm_up && row.end_s <= first_fault_s + ROUNDING_S)
            .collect();
        if before.len() < BAND_INTERVALS_MIN {
            return Err(format!(
                "only {} whole intervals between the warm-up and the first fault; {} are needed",
                before.len(),
                BAND_INTERVALS_MIN
            ));
        }
        let received = rows.iter().any(|row| row.received_per_s > 0.0);
        let latency = measured_latency(rows);
        let samples = before.iter().filter_map(|row| latency_of(row, latency));
        let p99_max_ns = samples.clone().map(|sample| sample.p99_ns).max().unwrap_or(0);
        let with_samples = samples.count();
        if with_samples < before.len() {
            return Err(format!(
                "{} of {} intervals before the first fault are empty; use a longer --interval",
                before.len() - with_samples,
                before.len()
            ));
        }
        let rates = before.iter().map(|row| rate(row, received));
        let band = FaultBand {
            latency,
            intervals: before.len() as u64,
            p99_max_ns,
            rate_min_msg_per_s: rates.fold(f64::INFINITY, f64::min),
        };
        // The last interval with messages is rarely a whole one.
        let sends = rows.iter().any(|row| row.sent > 0);
        let is_busy =
            |row: &IntervalRow| if sends { row.sent > 0 } else { row.received_per_s > 0.0 };
        let due = rows.iter().rposition(is_busy).unwrap_or(0);
        let interval_s = before[0].end_s - before[0].start_s;
        Ok(Self { rows, band, received, due, interval_s })
    }

    fn recovery(&self, window: &Window) -> Result<Recovery, &'static str> {
        let quiet_s = QUIET_INTERVALS * self.interval_s - ROUNDING_S;
        // Messages held back by a later fault were due when it began, or just before.
        let until_s = window.next_s - self.interval_s;
        let mut spans: Vec<Span> = (0..self.rows.len())
            .filter(|&row| self.rows[row].end_s > window.begin_s + ROUNDING_S)
            .filter_map(|row| self.disturbance(row))
            .filter(|span| span.start_s < until_s)
            .collect();
        spans.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        // A disturbance that begins soon after the fault, or after one of its consequences, is one as well.
        let mut joins_s = window.begin_s + quiet_s;
        let mut recovered_s = window.begin_s;
        let mut joined = 0;
        for span in &spans {
            if span.start_s >= joins_s {
                break;
            }
            recovered_s = recovered_s.max(span.end_s);
            joins_s = joins_s.max(span.end_s + quiet_s);
            joined += 1;
        }
        self.evidence(recovered_s, window)?;
        Ok(Recovery {
            after_s: to_milliseconds(recovered_s - window.begin_s),
            disturbed_again: (spans.len() - joined) as u64,
        })
    }

    /// Requires an undisturbed interval from `recovered_s` on.
    fn evidence(&self, recovered_s: f64, window: &Window) -> Result<(), &'static str> {
        let shows = |(index, row): (usize, &IntervalRow)| {
            row.start_s >= recovered_s - ROUNDING_S
                && row.end_s <= window.next_s + ROUNDING_S
                && latency_of(row, self.band.latency).is_some()
                && self.disturbance(index).is_none()
        };
        if self.rows.iter().enumerate().any(shows) {
            Ok(())
        } else if window.next_s.is_finite() {
            Err("not before the next fault")
        } else {
            Err("not within the run")
        }
    }

    /// The time of disturbance that an interval shows. A late message shows one for the time since it
    /// was due, however well others fared meanwhile.
    fn disturbance(&self, index: usize) -> Option<Span> {
        let row = &self.rows[index];
        let sample = latency_of(row, self.band.latency);
        let late = sample
            .filter(|sample| sample.p99_ns as f64 > LATENCY_FACTOR * self.band.p99_max_ns as f64);
        let lowest_per_s = RATE_FACTOR * self.band.rate_min_msg_per_s;
        let starved =
            index < self.due && (sample.is_none() || rate(row, self.received) < lowest_per_s);
        let held_s = late.map(|sample| sample.max_ns as f64 / 1e9);
        (late.is_some() || starved)
            .then(|| Span { start_s: row.start_s - held_s.unwrap_or(0.0), end_s: row.end_s })
    }
}

/// The latency by which a run is judged: the one that covers most of a message's way.
fn measured_latency(rows: &[IntervalRow]) -> LatencyKind {
    let is_measured = |latency| rows.iter().any(|row| latency_of(row, latency).is_some());
    [LatencyKind::EndToEnd, LatencyKind::Publish]
        .into_iter()
        .find(|&latency| is_measured(latency))
        .unwrap_or(LatencyKind::ServiceTime)
}

fn latency_of(row: &IntervalRow, latency: LatencyKind) -> Option<RowLatency> {
    row.latencies.get(&latency).copied()
}

fn to_milliseconds(time_s: f64) -> f64 {
    (time_s * 1e3).round() / 1e3
}

fn rate(row: &IntervalRow, received: bool) -> f64 {
    if received { row.received_per_s } else { row.acked_per_s }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::faults::FaultAction;

    const MS: u64 = 1_000_000;

    fn latency(p99_ms: u64, max_ms: u64) -> RowLatency {
        RowLatency { p50_ns: MS, p99_ns: p99_ms * MS, max_ns: max_ms * MS }
    }

    /// This many intervals of one second, each with 1,000 messages and a 99th percentile of 4 ms,
    /// followed by two more without sending.
    fn calm(seconds: u32) -> Vec<IntervalRow> {
        let latencies =
            [(LatencyKind::EndToEnd, latency(4, 6)), (LatencyKind::Publish, latency(2, 3))];
        let row = |index: u32| {
            let start_s = f64::from(index);
            let sending = index < seconds;
            IntervalRow {
                start_s,
                end_s: start_s + 1.0,
                sent: if sending { 1_000 } else { 0 },
                acked_per_s: if sending { 1_000.0 } else { 0.0 },
                received_per_s: if sending { 1_000.0 } else { 0.0 },
                latencies: if sending { latencies.into() } else { BTreeMap::new() },
                ..IntervalRow::default()
            }
        };
        (0..seconds + 2).map(row).collect()
    }

    fn empty(row: &mut IntervalRow) {
        (row.acked_per_s, row.received_per_s) = (0.0, 0.0);
        row.latencies.clear();
    }

    fn late(row: &mut IntervalRow, ms: u64) {
        row.latencies.insert(LatencyKind::EndToEnd, latency(ms, ms));
    }

    fn fault(begin_s: f64, end_s: Option<f64>) -> FaultRecord {
        FaultRecord {
            action: FaultAction::Stop,
            target: "kafka-1".to_owned(),
            setting: None,
            begin_s: Some(begin_s),
            end_s,
            recovery_s: None,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        }
    }

    fn assess(rows: &[IntervalRow], begin_s: f64, end_s: Option<f64>) -> FaultRecord {
        let mut faults = [fault(begin_s, end_s)];
        assess_faults(rows, &mut faults);
        let [fault] = faults;
        fault
    }

    fn recovery_s(fault: &FaultRecord) -> f64 {
        fault.recovery_s.unwrap_or_else(|| panic!("{:?}", fault.unrecovered))
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} instead of {expected}");
    }

    #[test]
    fn stalls_last_until_delayed_messages_arrive() {
        let mut rows = calm(30);
        (10..15).for_each(|index| empty(&mut rows[index]));
        late(&mut rows[15], 5_000);
        let fault = assess(&rows, 10.0, Some(15.0));
        assert_near(recovery_s(&fault), 6.0);
        assert_eq!(fault.disturbed_again, 0);
        let band = fault.band.expect("a band");
        assert_eq!((band.intervals, band.p99_max_ns), (10, 4 * MS));
        assert_near(band.rate_min_msg_per_s, 1_000.0);
    }

    #[test]
    fn harmless_faults_have_a_recovery_of_0() {
        let fault = assess(&calm(30), 10.5, None);
        assert_near(recovery_s(&fault), 0.0);
        assert_eq!(fault.unrecovered, None);
    }

    #[test]
    fn recovery_counts_from_the_beginning_of_the_fault() {
        let mut rows = calm(30);
        late(&mut rows[10], 300);
        assert_near(recovery_s(&assess(&rows, 10.25, None)), 0.75);
    }

    #[test]
    fn late_disturbances_count_from_when_messages_were_due() {
        // A third of the messages wait for six seconds; the others arrive as before.
        let mut rows = calm(30);
        (10..16).for_each(|index| rows[index].received_per_s = 667.0);
        late(&mut rows[16], 6_000);
        let fault = assess(&rows, 10.0, None);
        assert_near(recovery_s(&fault), 7.0);
        assert_eq!(fault.disturbed_again, 0);
    }

    #[test]
    fn messages_delayed_beyond_the_schedule_count() {
        let mut rows = calm(15);
        (10..15).for_each(|index| rows[index].received_per_s = 667.0);
        late(&mut rows[15], 5_000);
        let fault = assess(&rows, 10.0, None);
        assert_eq!(fault.unrecovered.as_deref(), Some("not within the run"));
        late(&mut rows[16], 4);
        assert_near(recovery_s(&assess(&rows, 10.0, None)), 6.0);
    }

    #[test]
    fn noise_long_after_the_recovery_is_counted_separately() {
        let mut rows = calm(30);
        late(&mut rows[10], 900);
        late(&mut rows[22], 40);
        let fault = assess(&rows, 10.0, None);
        assert_near(recovery_s(&fault), 1.0);
        assert_eq!(fault.disturbed_again, 1);
    }

    #[test]
    fn three_quiet_intervals_end_a_disturbance() {
        let mut rows = calm(30);
        late(&mut rows[10], 40);
        late(&mut rows[13], 40);
        // Its messages were due 40 ms before, so that the quiet time is that much shorter.
        assert_near(recovery_s(&assess(&rows, 10.0, None)), 4.0);
        let mut rows = calm(30);
        late(&mut rows[10], 40);
        late(&mut rows[15], 40);
        let fault = assess(&rows, 10.0, None);
        assert_near(recovery_s(&fault), 1.0);
        assert_eq!(fault.disturbed_again, 1);
    }

    #[test]
    fn disturbances_by_the_repair_are_counted_separately() {
        let mut rows = calm(40);
        late(&mut rows[10], 900);
        late(&mut rows[20], 40);
        let fault = assess(&rows, 10.0, Some(19.5));
        assert_near(recovery_s(&fault), 1.0);
        assert_eq!(fault.disturbed_again, 1);
    }

    #[test]
    fn noise_within_the_margin_is_ignored() {
        let mut rows = calm(30);
        late(&mut rows[11], 6);
        rows[12].received_per_s = 501.0;
        assert_near(recovery_s(&assess(&rows, 10.0, None)), 0.0);
        late(&mut rows[11], 7);
        rows[12].received_per_s = 499.0;
        assert_near(recovery_s(&assess(&rows, 10.0, None)), 3.0);
    }

    #[test]
    fn the_end_of_the_schedule_is_undisturbed() {
        let mut rows = calm(14);
        rows[13].received_per_s = 20.0;
        let fault = assess(&rows, 10.0, None);
        assert_near(recovery_s(&fault), 0.0);
        assert_eq!(fault.disturbed_again, 0);
    }

    #[test]
    fn a_disturbance_without_end_has_no_recovery() {
        let mut rows = calm(30);
        (10..32).for_each(|index| empty(&mut rows[index]));
        let fault = assess(&rows, 10.0, None);
        assert_eq!(
            (fault.recovery_s, fault.unrecovered.as_deref()),
            (None, Some("not within the run"))
        );
        assert!(fault.band.is_some());
    }

    #[test]
    fn a_fault_is_assessed_until_the_next() {
        let mut rows = calm(40);
        late(&mut rows[10], 900);
        empty(&mut rows[20]);
        late(&mut rows[21], 1_005);
        let mut faults = [fault(10.0, None), fault(20.0, Some(21.0))];
        assess_faults(&rows, &mut faults);
        assert_near(recovery_s(&faults[0]), 1.0);
        assert_near(recovery_s(&faults[1]), 2.0);
        assert_eq!(faults[0].disturbed_again, 0, "that is the other fault");

        // Messages delayed by the first fault arrive after the second has begun.
        late(&mut rows[22], 11_000);
        assess_faults(&rows, &mut faults);
        assert_eq!(faults[0].unrecovered.as_deref(), Some("not before the next fault"));
    }

    #[test]
    fn without_a_band_there_is_a_reason() {
        let mut rows = calm(30);
        rows[..8].iter_mut().for_each(|row| row.warm_up = true);
        let fault = assess(&rows, 10.9, None);
        let reason = fault.unrecovered.expect("a reason");
        assert!(reason.starts_with("only 2 whole intervals between"), "{reason}");

        let mut rows = calm(30);
        empty(&mut rows[3]);
        let reason = assess(&rows, 10.0, None).unrecovered.expect("a reason");
        assert_eq!(
            reason,
            "1 of 10 intervals before the first fault are empty; use a longer --interval"
        );
        assert!(assess(&[], 10.0, None).unrecovered.is_some());
    }

    #[test]
    fn sending_runs_are_judged_by_acknowledgements() {
        let mut rows = calm(30);
        for row in &mut rows {
            row.received_per_s = 0.0;
            row.latencies.remove(&LatencyKind::EndToEnd);
        }
        rows[10].acked_per_s = 10.0;
        rows[11].latencies.insert(LatencyKind::Publish, latency(800, 1_100));
        let fault = assess(&rows, 10.0, None);
        assert_near(recovery_s(&fault), 2.0);
        assert_eq!(fault.band.expect("a band").latency, LatencyKind::Publish);
    }

    #[test]
    fn a_fault_that_never_began_is_unchanged() {
        let mut faults = [FaultRecord { begin_s: None, ..fault(0.0, None) }];
        let before = faults[0].clone();
        assess_faults(&calm(30), &mut faults);
        assert_eq!(faults[0], before);
    }
}
