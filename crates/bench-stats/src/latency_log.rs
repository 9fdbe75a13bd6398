//! An interval log in few numbers: its percentiles, each with its interval; its whole distribution; and
//! how that went over time.

mod density;

use bench_record::interval_log;
use bench_record::latency::percentile_ns;
use hdrhistogram::Histogram;

pub use self::density::Density;
use self::density::Grid;
use crate::percentile::{PercentileInterval, Share, percentile_interval};

/// Intervals without a line that are counted as such; more are the mark of a damaged log.
const SKIPPED_MAX: usize = 1_000_000;

/// Points of a distribution for each digit of its tail.
const POINTS_PER_DIGIT: i32 = 12;

/// A distribution and its course.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyLog {
    /// The interval of each percentile that was asked for; `None` as for [`percentile_interval`].
    pub percentiles: Vec<Option<PercentileInterval>>,
    /// The distribution: 1 / (1 - q) of quantiles q, which grows tenfold with each digit of the tail, and
    /// the percentile there, nanoseconds. It ends with the largest sample.
    pub curve: Vec<(f64, u64)>,
    /// How many samples had which value at which time; `None` without samples.
    pub density: Option<Density>,
}

impl LatencyLog {
    /// Reads the text of a log. The percentiles of the quantiles (0 to 1) get intervals at `level`. The
    /// error says what is wrong with the log.
    ///
    /// The log is read twice: all histograms of an hour at once would fill a gigabyte.
    pub fn read(log: &[u8], quantiles: &[f64], level: f64) -> Result<Self, String> {
        let mut merged = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
        let mut times = Vec::new();
        for interval in interval_log::intervals(log) {
            let interval = interval?;
            times.push((interval.start, interval.end));
            merged.add(interval.samples).map_err(|error| error.to_string())?;
        }
        let mark =
            |quantile: &f64| merged.highest_equivalent(percentile_ns(&merged, 100.0 * quantile));
        let marks: Vec<u64> = quantiles.iter().map(mark).collect();
        let mut shares = vec![Vec::new(); marks.len()];
        let mut grid = Grid::new(&times, &merged);
        let mut next_ns = None;
        for interval in interval_log::intervals(log) {
            let interval = interval?;
            let (start_ns, end_ns) = (interval.start.as_nanos(), interval.end.as_nanos());
            // Intervals without samples have no line.
            let length_ns = end_ns.saturating_sub(start_ns).max(1);
            let skipped = start_ns.saturating_sub(next_ns.unwrap_or(start_ns)) / length_ns;
            let skipped = usize::try_from(skipped).unwrap_or(SKIPPED_MAX).min(SKIPPED_MAX);
            next_ns = Some(end_ns);
            let mut below = vec![0; marks.len()];
            for bucket in interval.samples.iter_recorded() {
                let (ns, samples) =
                    (bucket.value_iterated_to(), bucket.count_since_last_iteration());
                for (count, mark) in below.iter_mut().zip(&marks) {
                    if ns <= *mark {
                        *count += samples;
                    }
                }
                if let Some(grid) = &mut grid {
                    grid.add(interval.start, interval.end, ns, samples);
                }
            }
            for (shares, at_or_below) in shares.iter_mut().zip(below) {
                shares.extend(std::iter::repeat_n(Share::default(), skipped));
                shares.push(Share { samples: interval.samples.len(), at_or_below });
            }
        }
        let intervals = quantiles.iter().zip(&shares);
        Ok(Self {
            percentiles: intervals
                .map(|(quantile, shares)| percentile_interval(shares, &merged, *quantile, level))
                .collect(),
            curve: curve(&merged),
            density: grid.map(Grid::density),
        })
    }
}

/// The distribution of all samples, as far as it has some beyond a percentile.
fn curve(merged: &Histogram<u64>) -> Vec<(f64, u64)> {
    if merged.is_empty() {
        return Vec::new();
    }
    let samples = merged.len() as f64;
    let tails = (0..).map(|point: i32| 10_f64.powf(f64::from(point) / f64::from(POINTS_PER_DIGIT)));
    let mut curve: Vec<(f64, u64)> = tails
        .take_while(|tail| *tail < samples)
        .map(|tail| (tail, percentile_ns(merged, 100.0 * (1.0 - 1.0 / tail))))
        .collect();
    curve.push((samples, merged.max()));
    curve
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bench_record::interval_log::{IntervalLogs, IntervalTime};

    use super::*;

    /// The log of a run of these latencies in milliseconds, in its intervals of one second.
    fn log(intervals: &[Vec<u64>]) -> Vec<u8> {
        // Tests run beside each other, each on a thread of its own.
        let name = format!("latency-log-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("created");
        let mut logs = IntervalLogs::new(&folder);
        for (second, values) in (0..).zip(intervals) {
            let mut samples = Histogram::new(3).expect("three digits");
            for value in values {
                samples.record(value * 1_000_000).expect("in range");
            }
            let at = IntervalTime {
                base: SystemTime::UNIX_EPOCH,
                start: Duration::from_secs(second),
                length: Duration::from_secs(1),
            };
            logs.write("latency", &at, &samples).expect("written");
        }
        let log = std::fs::read(folder.join("latency.hlog")).expect("a log");
        std::fs::remove_dir_all(&folder).expect("removed");
        log
    }

    #[test]
    fn percentiles_of_a_log_have_intervals() {
        let second: Vec<u64> = (1..=100).collect();
        // Nothing arrived in the fifth second.
        let mut intervals = vec![second; 12];
        intervals[4].clear();
        let text = log(&intervals);
        let read = LatencyLog::read(&text, &[0.5, 0.9, 0.99], 0.95).expect("a log");
        let found = &read.percentiles;
        let median = found[0].expect("enough samples");
        assert!((40_000_000..=50_100_000).contains(&median.low), "{median:?}");
        assert!(median.high.is_some_and(|high| high >= 50_000_000), "{median:?}");
        assert!(found[1].is_some(), "110 samples beyond it");
        assert!(found[2].is_none(), "11 samples beyond it");
        assert!(LatencyLog::read(b"no log\n", &[0.5], 0.95).is_err());
        let empty = LatencyLog { percentiles: vec![None], curve: Vec::new(), density: None };
        assert_eq!(LatencyLog::read(b"", &[0.5], 0.95), Ok(empty));
    }

    #[test]
    fn curves_end_with_the_largest_sample() {
        let text = log(&vec![(1..=100).collect(); 10]);
        let curve = LatencyLog::read(&text, &[], 0.95).expect("a log").curve;
        let (tail, ns) = curve.last().copied().expect("points");
        assert!(tail > 999.0 && (100_000_000..100_100_000).contains(&ns), "{tail} {ns}");
        let (_, median) = curve.iter().find(|(tail, _)| *tail >= 2.0).expect("points");
        assert!((49_000_000..=60_000_000).contains(median), "{median}");
        assert!(curve.is_sorted());
    }

    #[test]
    fn densities_say_when_samples_had_which_value() {
        // 10 ms in the first half, 80 ms in the second; nothing in the fifth second.
        let mut intervals = vec![vec![10; 50]; 10];
        intervals.extend(vec![vec![80; 20]; 10]);
        intervals[4].clear();
        let density = LatencyLog::read(&log(&intervals), &[], 0.95).expect("a log").density;
        let density = density.expect("samples");
        assert_eq!(density.columns_s, (0..=20).map(f64::from).collect::<Vec<_>>());
        let last = u32::try_from(density.rows_ns.len()).expect("few") - 2;
        assert_eq!(density.cells.len(), 19);
        for (column, row, samples) in &density.cells {
            let expected = if *column < 10 { (0, 50) } else { (last, 20) };
            assert_eq!((*row, *samples), expected, "column {column}");
        }
        assert!(density.rows_ns[0] <= 10_000_000.0 && *density.rows_ns.last().expect("rows") > 8e7);
    }

    #[test]
    fn long_runs_share_columns() {
        let density = LatencyLog::read(&log(&vec![vec![5, 6]; 1_000]), &[], 0.95).expect("a log");
        let density = density.density.expect("samples");
        assert!(density.columns_s.len() <= 121, "{}", density.columns_s.len());
        assert_eq!(density.cells.iter().map(|cell| cell.2).sum::<u64>(), 2_000);
    }
}
