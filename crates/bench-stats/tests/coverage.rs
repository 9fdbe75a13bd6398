//! How often the intervals hold the truth, and how often differences are found or imagined: simulated
//! with fixed seeds. The figures of docs/statistics.md are those that these tests print
//! (`cargo test --release -p bench-stats -- --nocapture`).

#![expect(clippy::print_stdout, reason = "the measured figures")]

use bench_stats::{
    Bounds, Finding, Share, WarmUp, finding, holm, mean_half_width, paired, percentile_interval,
    repeats, sign_flip_p, steps, trend, unpaired, warm_up,
};
use hdrhistogram::Histogram;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

const LEVEL: f64 = 0.95;

struct Chance(Xoshiro256PlusPlus);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// One run in ten is three times as far off.
    fn contaminated(&mut self) -> f64 {
        let factor = if self.0.random_bool(0.1) { 3.0 } else { 1.0 };
        factor * self.normal()
    }

    fn runs(&mut self, count: usize, spread: f64, ratio: f64) -> Vec<f64> {
        (0..count).map(|_| 100.0 * ratio * (spread * self.normal()).exp()).collect()
    }

    /// A level that keeps a share `keep` of its distance to 0 from one value to the next.
    fn wavering(&mut self, length: usize, spread: f64, keep: f64) -> Vec<f64> {
        let mut level = spread * self.normal();
        let fresh = spread * (1.0 - keep * keep).sqrt();
        let next = |_| {
            let now = level;
            level = keep * level + fresh * self.normal();
            now
        };
        (0..length).map(next).collect()
    }
}

/// The share of so many trials that come out so, printed.
fn share(what: &str, trials: u32, mut is_so: impl FnMut() -> bool) -> f64 {
    let count = (0..trials).filter(|_| is_so()).count();
    let share = count as f64 / f64::from(trials);
    println!("{what}: {:.1} %", 100.0 * share);
    share
}

#[track_caller]
fn assert_within(share: f64, low: f64, high: f64) {
    assert!((low..=high).contains(&share), "{share} is not within {low} to {high}");
}

#[test]
fn repeats_hold_the_truth() {
    for count in [3, 5, 10] {
        let mut chance = Chance::new(1);
        let covered = share(&format!("{count} repeats, normal"), 4000, || {
            let values = chance.runs(count, 0.06, 1.0);
            repeats(&values, LEVEL).is_some_and(|found| found.interval.holds(100.0))
        });
        assert_within(covered, 0.92, 0.97);
        let covered = share(&format!("{count} repeats, contaminated"), 4000, || {
            let values: Vec<f64> =
                (0..count).map(|_| 100.0 * (0.06 * chance.contaminated()).exp()).collect();
            repeats(&values, LEVEL).is_some_and(|found| found.interval.holds(100.0))
        });
        assert_within(covered, 0.92, 0.97);
    }
}

/// A run of so many seconds whose latency wavers with a time constant, and its true 99th percentile.
fn percentile_run(chance: &mut Chance, seconds: usize, constant_s: f64) -> Option<bool> {
    const PER_S: usize = 10;
    const SAMPLES: usize = 20;
    let (level_spread, noise) = (0.2, 0.3_f64);
    let keep = (-1.0 / (PER_S as f64 * constant_s)).exp();
    let levels = chance.wavering(seconds * PER_S, level_spread, keep);
    let histogram = || Histogram::<u64>::new(3).expect("three digits");
    let mut merged = histogram();
    let mut intervals = Vec::with_capacity(seconds);
    for second in levels.chunks(PER_S) {
        let mut interval = histogram();
        for level in second {
            for _ in 0..SAMPLES {
                let latency = 1e6 * (level + noise * chance.normal()).exp();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ns")]
                interval.record(latency as u64).expect("in range");
            }
        }
        merged.add(&interval).expect("fits");
        intervals.push(interval);
    }
    let mark = merged.value_at_quantile(0.99);
    let share = |interval: &Histogram<u64>| Share {
        samples: interval.len(),
        at_or_below: interval.count_between(0, mark),
    };
    let shares: Vec<Share> = intervals.iter().map(share).collect();
    let found = percentile_interval(&shares, &merged, 0.99, LEVEL)?;
    let truth = 1e6 * (2.326_348 * level_spread.hypot(noise)).exp();
    let high = found.high.map_or(f64::INFINITY, |high| high as f64);
    Some(Bounds { low: found.low as f64, high }.holds(truth))
}

#[test]
fn percentiles_of_one_run_hold_the_truth() {
    for (seconds, constant_s, low) in [(300, 2.0, 0.92), (60, 2.0, 0.86), (60, 5.0, 0.78)] {
        let mut chance = Chance::new(2);
        let what = format!("p99 of {seconds} s, time constant {constant_s} s");
        let covered =
            share(&what, 500, || percentile_run(&mut chance, seconds, constant_s) == Some(true));
        assert_within(covered, low, 0.99);
    }
}

#[test]
fn means_of_one_run_hold_the_truth() {
    for (seconds, constant_s, low) in [(300, 2.0_f64, 0.92), (60, 2.0, 0.86), (60, 5.0, 0.78)] {
        let mut chance = Chance::new(7);
        let keep = (-1.0 / constant_s).exp();
        let what = format!("mean rate of {seconds} s, time constant {constant_s} s");
        let covered = share(&what, 2_000, || {
            let rates: Vec<f64> =
                chance.wavering(seconds, 5.0, keep).iter().map(|it| 100.0 + it).collect();
            let mean = rates.iter().sum::<f64>() / rates.len() as f64;
            let half = mean_half_width(&rates, LEVEL).expect("enough") * mean;
            Bounds { low: mean - half, high: mean + half }.holds(100.0)
        });
        assert_within(covered, low, 0.99);
    }
}

/// Runs of two equal sides on a machine whose speed takes a random walk of 5 % per run, in the order in
/// which `side` says whose turn it is.
fn drifting(chance: &mut Chance, runs: usize, side: impl Fn(usize) -> usize) -> [Vec<f64>; 2] {
    let mut speed: f64 = 0.0;
    let mut sides = [Vec::new(), Vec::new()];
    for run in 0..2 * runs {
        speed += 0.05 * chance.normal();
        sides[side(run)].push(100.0 * (speed + 0.03 * chance.normal()).exp());
    }
    sides
}

#[test]
fn equal_sides_on_a_drifting_machine_differ_rarely_in_blocks() {
    for runs in [3, 5, 10] {
        let mut chance = Chance::new(3);
        let alarms = share(&format!("A/A in blocks of {runs}, drifting"), 4000, || {
            // Which side comes first is drawn for each block.
            let firsts: Vec<usize> = (0..runs).map(|_| chance.0.random_range(0..2)).collect();
            let [a, b] = drifting(&mut chance, runs, |run| (firsts[run / 2] + run) % 2);
            paired(&a, &b, LEVEL).is_some_and(|change| change.p < 0.05)
        });
        assert_within(alarms, 0.03, 0.07);
        let grouped = share(&format!("A/A in groups of {runs}, drifting"), 4000, || {
            let [a, b] = drifting(&mut chance, runs, |run| run / runs);
            unpaired(&a, &b, LEVEL).is_some_and(|change| change.p < 0.05)
        });
        assert!(grouped > 0.10, "the alarms that blocks avoid: {grouped}");
    }
}

#[test]
fn sign_flips_keep_their_level() {
    let mut chance = Chance::new(4);
    let alarms = share("A/A by sign flips of 8 pairs", 4000, || {
        let (a, b) = (chance.runs(8, 0.06, 1.0), chance.runs(8, 0.06, 1.0));
        sign_flip_p(&a, &b).is_some_and(|p| p <= 0.05)
    });
    assert_within(alarms, 0.03, 0.07);
}

#[test]
fn families_of_equal_figures_rarely_raise_any_alarm() {
    let mut chance = Chance::new(5);
    let alarms = share("any of 96 equal figures after Holm", 4000, || {
        let p: Vec<f64> = (0..96)
            .map(|_| {
                let (a, b) = (chance.runs(5, 0.06, 1.0), chance.runs(5, 0.06, 1.0));
                paired(&a, &b, LEVEL).map_or(1.0, |change| change.p)
            })
            .collect();
        holm(&p).iter().any(|p| *p < 0.05)
    });
    assert!(alarms < 0.055, "{alarms}");
}

fn found(chance: &mut Chance, pairs: usize, spread: f64, ratio: f64) -> Option<Finding> {
    let (a, b) = (chance.runs(pairs, spread, 1.0), chance.runs(pairs, spread, ratio));
    let ratio = paired(&a, &b, LEVEL)?;
    Some(finding(&ratio, ratio.p, 0.05, LEVEL))
}

#[test]
fn changes_of_a_tenth_are_found() {
    for (pairs, spread, low) in [(5, 0.03, 0.90), (10, 0.06, 0.85)] {
        let mut chance = Chance::new(6);
        let what = format!("+10 % found with {pairs} pairs at {:.0} %", 100.0 * spread);
        let power =
            share(&what, 4000, || found(&mut chance, pairs, spread, 1.1) == Some(Finding::Higher));
        assert!(power >= low, "{power}");
    }
}

#[test]
fn few_noisy_pairs_are_undecided_not_the_same() {
    let mut chance = Chance::new(7);
    let mut same = 0;
    let undecided = share("+10 % undecided with 3 pairs at 10 %", 4000, || {
        let found = found(&mut chance, 3, 0.10, 1.1);
        same += u32::from(found == Some(Finding::Same));
        matches!(found, Some(Finding::Undecided { .. }))
    });
    println!("called the same: {same} of 4000");
    assert!(undecided > 0.8 && same < 40, "{undecided} {same}");
}

/// The logarithm of a figure per interval of a run: it wavers with a time constant of 2 s.
fn steady(chance: &mut Chance, seconds: usize) -> Vec<f64> {
    chance.wavering(seconds, 0.1, (-0.5_f64).exp())
}

#[test]
fn steady_runs_are_rarely_flagged() {
    for seconds in [60, 300] {
        let mut chance = Chance::new(8);
        let flagged = share(&format!("warm-up not over, steady {seconds} s"), 1000, || {
            let run = steady(&mut chance, seconds);
            warm_up(&run, 0.1).is_none_or(|found| found != WarmUp::Over)
        });
        assert!(flagged < 0.05, "{flagged}");
        let flagged = share(&format!("steps in steady {seconds} s"), 1000, || {
            !steps(&steady(&mut chance, seconds), 0.1).is_empty()
        });
        assert!(flagged < 0.05, "{flagged}");
        let flagged = share(&format!("trend in steady {seconds} s"), 1000, || {
            let run = steady(&mut chance, seconds);
            trend(&run, 0.99).is_none_or(|found| !found.interval.holds(0.0))
        });
        assert!(flagged < 0.05, "{flagged}");
    }
}

#[test]
fn runs_that_are_not_steady_are_flagged() {
    let mut chance = Chance::new(9);
    for (slower, low) in [(0.2, 0.5), (0.4, 0.95)] {
        let what = format!("first half {:.0} % slower, 60 s", 100.0 * slower);
        let flagged = share(&what, 1000, || {
            let mut run = steady(&mut chance, 60);
            run[..30].iter_mut().for_each(|value| *value += slower);
            // Either finds it.
            let is_over = warm_up(&run, 0.1).is_some_and(|found| found == WarmUp::Over);
            !is_over || !steps(&run, 0.1).is_empty()
        });
        assert!(flagged > low, "{flagged}");
    }
    for (factor, low) in [(1.65_f64, 0.8), (2.0, 0.95)] {
        let what = format!("step by a factor of {factor} found within two intervals, 60 s");
        let flagged = share(&what, 1000, || {
            let mut run = steady(&mut chance, 60);
            run[30..].iter_mut().for_each(|value| *value += factor.ln());
            steps(&run, 0.1).iter().any(|step| step.at.abs_diff(30) <= 2)
        });
        assert!(flagged > low, "{flagged}");
    }
    let flagged = share("growth of 1 % per interval, 60 s", 1000, || {
        let run = steady(&mut chance, 60);
        let run: Vec<f64> = run.iter().zip(0_u32..).map(|(v, i)| v + 0.01 * f64::from(i)).collect();
        trend(&run, 0.99).is_some_and(|found| found.interval.low > 0.0)
    });
    assert!(flagged > 0.95, "{flagged}");
}
