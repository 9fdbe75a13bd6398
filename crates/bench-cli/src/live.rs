//! A run while it goes on: the last rows of its tool's `intervals.csv`.

mod course;
mod picture;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench_record::files::{open_file, tail};
use bench_record::intervals::{self, IntervalRow};
use bench_record::{LatencyKind, file_names};

pub use self::course::{COLUMNS_MIN, NAME_COLUMNS, draw_course};
pub use self::picture::{Colour, Picture};
use crate::quantity::{duration_ns, rate};

/// Interval between two reads; the tools write a line per second.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Longer than any header.
const HEAD_BYTES: u64 = 16 * 1024;

/// Longer than the rows that a wide terminal shows.
const TAIL_BYTES: u64 = 128 * 1024;

/// Follows the `intervals.csv` of one run.
#[derive(Debug)]
pub struct Live {
    path: PathBuf,
    read_at: Option<Instant>,
    rows: Vec<IntervalRow>,
}

impl Live {
    /// Follows the run in `run_dir`, which may not exist yet.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        Self { path: run_dir.join(file_names::INTERVALS), read_at: None, rows: Vec::new() }
    }

    /// The last rows; none while there are none.
    pub fn rows(&mut self) -> &[IntervalRow] {
        if self.read_at.is_none_or(|read_at| read_at.elapsed() >= READ_EVERY) {
            self.read_at = Some(Instant::now());
            if let Some(rows) = last_rows(&self.path) {
                self.rows = rows;
            }
        }
        &self.rows
    }

    /// The latest figures in words; empty while there are none.
    pub fn figures(&mut self) -> String {
        self.rows().last().map(describe).unwrap_or_default()
    }
}

/// The rows at the end of a table. One that is being written is not among them.
fn last_rows(path: &Path) -> Option<Vec<IntervalRow>> {
    let mut head = String::new();
    open_file(path).ok()?.take(HEAD_BYTES).read_to_string(&mut head).ok()?;
    let (header, _) = head.split_once('\n')?;
    let tail = tail(path, TAIL_BYTES).ok()?;
    let (whole, _) = tail.rsplit_once('\n')?;
    // What the tail begins with may be the header, or a part of a row.
    let (_, rows) = whole.split_once('\n')?;
    intervals::read(format!("{header}\n{rows}\n").as_bytes()).ok()
}

fn describe(row: &IntervalRow) -> String {
    let is_receiving = row.received_per_s > 0.0;
    let mut parts = vec![rate(if is_receiving { row.received_per_s } else { row.acked_per_s })];
    for kind in [LatencyKind::Publish, LatencyKind::EndToEnd] {
        if let Some(latency) = row.latencies.get(&kind) {
            parts.push(format!("{} p99 {}", kind.short_title(), duration_ns(latency.p99_ns)));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_rows_at_the_end_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(file_names::INTERVALS);
        assert_eq!(last_rows(&path), None);
        let header = "start_s,end_s,warm_up,sent,acked_per_s,received_per_s,publish_p50_ns,\
                      publish_p99_ns,publish_max_ns\n";
        std::fs::write(&path, header).expect("written");
        assert_eq!(last_rows(&path), None, "only the header");
        let row =
            |second: u32| format!("{second}.0,{}.0,false,5,5.0,4.0,1000,2000,3000\n", second + 1);
        let rows = (0..3_000).map(row).collect::<Vec<_>>().concat();
        std::fs::write(&path, format!("{header}{rows}3000.0,3001")).expect("written");
        let read = last_rows(&path).expect("rows");
        assert!(read.len() > 1_000 && read.len() < 3_000, "{}", read.len());
        let last = read.last().expect("a row");
        assert!((last.start_s - 2_999.0).abs() < 1e-9, "{last:?}");
        assert_eq!(describe(last), "4 msg/s, publish p99 2.00 us");
    }
}
