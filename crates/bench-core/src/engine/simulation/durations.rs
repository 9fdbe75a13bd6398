//! A system that commits ten times per second, each time a little slower, and records that, how long
//! it took, and the last one's number: every commit counts in the interval in which it ended.

use super::*;
use crate::engine::SystemFigures;

const TICK_NS: u64 = 20 * MS;
const COMMIT_EVERY_NS: u64 = 100 * MS;

/// Duration of commit `k`, counted from 0.
fn commit_ns(k: u64) -> u64 {
    (k + 1) * MS / 10
}

/// Commits for this many seconds while the collector checks the clock every 20 ms; there are no
/// messages.
fn commit_for(seconds: u64, warm_up_ns: u64) -> (Vec<Interval>, Totals) {
    let timeline = Timeline {
        start_ns: START_NS,
        warm_up_end_ns: START_NS + warm_up_ns,
        interval_ns: SECOND_NS,
    };
    let mut intervals = Intervals::default();
    let system = SystemFigures::default();
    let (collector, _outboxes) =
        Collector::new(RunId::from_bits(RUN), timeline, 0, 0, &mut intervals);
    let recorder = system.durations.named("commit_time");
    let (count, newest) = (system.counts.count("commits"), system.counts.gauge("commit_newest"));
    recorder.record(3_000 * MS); // connecting
    count.add(2);
    let mut collector = collector.with_system(system);

    let clock = VirtualClock::starting_at(START_NS);
    let mut next = 0;
    while clock.now_ns() < START_NS + seconds * SECOND_NS {
        collector.tick(clock.now_ns());
        clock.advance_to_ns(clock.now_ns() + TICK_NS);
        while START_NS + next * COMMIT_EVERY_NS + commit_ns(next) < clock.now_ns() {
            recorder.record(commit_ns(next));
            count.add(1);
            newest.set(next);
            next += 1;
        }
    }
    let totals = collector.finish();
    (intervals.0, totals)
}

/// Number, median and maximum of an interval's commits, in tens of microseconds, which fit three
/// digits.
fn shown(interval: &Interval) -> Option<(u64, u64, u64)> {
    let commits = interval.durations.get("commit_time")?;
    let at = |percentile| (commits.percentile_ns(percentile) + 5_000) / 10_000;
    Some((commits.histogram().len(), at(50.0), at(100.0)))
}

#[test]
fn intervals_contain_the_commits_that_ended_in_them() {
    let (intervals, totals) = commit_for(5, 0);
    let expected = (0..5).map(|second| {
        let first = second * 10;
        Some((10, commit_ns(first + 4) / 10_000, commit_ns(first + 9) / 10_000))
    });
    assert_eq!(intervals.iter().map(shown).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let whole = totals.durations["commit_time"].summary().expect("samples");
    assert_eq!(whole.count, 50, "connecting is not part of the run");
    assert_percentiles(&totals.durations["commit_time"], (0..50).map(commit_ns).collect());
}

#[test]
fn durations_of_the_warm_up_are_excluded() {
    let (intervals, totals) = commit_for(4, 2_500 * MS);
    let counts: Vec<_> =
        intervals.iter().map(|interval| shown(interval).map(|(count, ..)| count)).collect();
    assert_eq!(counts, [None, None, Some(5), Some(10)]);
    assert_percentiles(&totals.durations["commit_time"], (25..40).map(commit_ns).collect());
}

#[test]
fn intervals_contain_growth_of_counts_and_newest_values() {
    let (intervals, _) = commit_for(3, 1_500 * MS);
    let shown: Vec<_> = intervals.iter().map(|interval| interval.counts.clone()).collect();
    let expected = [9, 19, 29].map(|newest| [("commits", 10), ("commit_newest", newest)].into());
    assert_eq!(shown, expected, "also those of the warm-up, but not those before the start");
}

#[test]
fn runs_without_system_figures_have_none() {
    let run = simulate(&constant(1_000.0, 2), |_| {}, |_| {}, None);
    assert!(run.totals.durations.is_empty());
    assert!(run.intervals.iter().all(|interval| interval.counts.is_empty()));
    assert!(run.intervals.iter().all(|interval| interval.durations.is_empty()));
}
