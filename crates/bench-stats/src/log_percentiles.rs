//! The percentiles of an interval log, each with its interval.

use bench_record::interval_log;
use bench_record::latency::percentile_ns;
use hdrhistogram::Histogram;

use crate::percentile::{PercentileInterval, Share, percentile_interval};

/// Intervals without a line that are counted as such; more are the mark of a damaged log.
const SKIPPED_MAX: usize = 1_000_000;

/// The interval of each of the quantiles (0 to 1) at `level`, from the text of an interval log; `None` as
/// for [`percentile_interval`]. The error says what is wrong with the log.
///
/// The log is read twice: all histograms of an hour at once would fill a gigabyte.
pub fn log_percentiles(
    log: &[u8],
    quantiles: &[f64],
    level: f64,
) -> Result<Vec<Option<PercentileInterval>>, String> {
    let mut merged = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
    for interval in interval_log::intervals(log) {
        merged.add(interval?.samples).map_err(|error| error.to_string())?;
    }
    let mark = |quantile: &f64| merged.highest_equivalent(percentile_ns(&merged, 100.0 * quantile));
    let marks: Vec<u64> = quantiles.iter().map(mark).collect();
    let mut shares = vec![Vec::new(); marks.len()];
    let mut next_ns = None;
    for interval in interval_log::intervals(log) {
        let interval = interval?;
        let (start_ns, end_ns) = (interval.start.as_nanos(), interval.end.as_nanos());
        // Intervals without samples have no line.
        let length_ns = end_ns.saturating_sub(start_ns).max(1);
        let skipped = start_ns.saturating_sub(next_ns.unwrap_or(start_ns)) / length_ns;
        let skipped = usize::try_from(skipped).unwrap_or(SKIPPED_MAX).min(SKIPPED_MAX);
        next_ns = Some(end_ns);
        let below = counts_up_to(&interval.samples, &marks);
        for (shares, at_or_below) in shares.iter_mut().zip(below) {
            shares.extend(std::iter::repeat_n(Share::default(), skipped));
            shares.push(Share { samples: interval.samples.len(), at_or_below });
        }
    }
    let intervals = quantiles.iter().zip(&shares);
    Ok(intervals
        .map(|(quantile, shares)| percentile_interval(shares, &merged, *quantile, level))
        .collect())
}

/// The number of samples at or below each mark.
fn counts_up_to(samples: &Histogram<u64>, marks: &[u64]) -> Vec<u64> {
    let mut counts = vec![0; marks.len()];
    for bucket in samples.iter_recorded() {
        for (count, mark) in counts.iter_mut().zip(marks) {
            if bucket.value_iterated_to() <= *mark {
                *count += bucket.count_since_last_iteration();
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bench_record::interval_log::{IntervalLogs, IntervalTime};

    use super::*;

    /// The log of a run of these latencies in milliseconds, in its intervals of one second.
    fn log(intervals: &[Vec<u64>]) -> Vec<u8> {
        let folder = std::env::temp_dir().join(format!("log-percentiles-{}", std::process::id()));
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
        let found = log_percentiles(&text, &[0.5, 0.9, 0.99], 0.95).expect("a log");
        let median = found[0].expect("enough samples");
        assert!((40_000_000..=50_100_000).contains(&median.low), "{median:?}");
        assert!(median.high.is_some_and(|high| high >= 50_000_000), "{median:?}");
        assert!(found[1].is_some(), "110 samples beyond it");
        assert!(found[2].is_none(), "11 samples beyond it");
        assert!(log_percentiles(b"no log\n", &[0.5], 0.95).is_err());
        assert_eq!(log_percentiles(b"", &[0.5], 0.95), Ok(vec![None]));
    }
}
