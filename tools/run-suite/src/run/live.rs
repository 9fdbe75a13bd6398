//! The figures of a run while it goes on: the last line of its tool's `intervals.csv`.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench_cli::quantity::{duration_ns, rate};
use bench_record::files::open_file;
use bench_record::files::tail;
use bench_record::{LatencyKind, file_names};

/// Interval between two reads; the tools write a line per second.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Longer than any two lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// Follows the `intervals.csv` of one run.
#[derive(Debug)]
pub(crate) struct Live {
    path: PathBuf,
    read_at: Option<Instant>,
    text: String,
}

impl Live {
    /// Follows the run in `run_dir`, which may not exist yet.
    pub(crate) fn new(run_dir: &Path) -> Self {
        Self { path: run_dir.join(file_names::INTERVALS), read_at: None, text: String::new() }
    }

    /// The latest figures in words; empty while there are none.
    pub(crate) fn figures(&mut self) -> &str {
        if self.read_at.is_none_or(|read_at| read_at.elapsed() >= READ_EVERY) {
            self.read_at = Some(Instant::now());
            if let Some((header, line)) = last_line(&self.path) {
                self.text = describe(&header, &line);
            }
        }
        &self.text
    }
}

/// The first line of a file and its last complete one.
fn last_line(path: &Path) -> Option<(String, String)> {
    let mut head = String::new();
    open_file(path).ok()?.take(TAIL_BYTES).read_to_string(&mut head).ok()?;
    let (header, _) = head.split_once('\n')?;
    let tail = tail(path, TAIL_BYTES).ok()?;
    let (whole, _) = tail.rsplit_once('\n')?;
    let line = whole.rsplit('\n').next()?;
    (line != header).then(|| (header.to_owned(), line.to_owned()))
}

fn describe(header: &str, line: &str) -> String {
    let cell = |name: &str| -> Option<f64> {
        let column = header.trim_end().split(',').position(|column| column == name)?;
        line.trim_end().split(',').nth(column)?.parse().ok()
    };
    let received = cell("received_per_s").filter(|rate| *rate > 0.0);
    let mut parts = Vec::new();
    if let Some(per_s) = received.or_else(|| cell("acked_per_s")) {
        parts.push(rate(per_s));
    }
    for kind in [LatencyKind::Publish, LatencyKind::EndToEnd] {
        if let Some(ns) = cell(&format!("{}_p99_ns", kind.column())).filter(|ns| *ns >= 0.0) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; a latency beyond 2^64 ns is nonsense anyway"
            )]
            parts.push(format!("{} p99 {}", kind.short_title(), duration_ns(ns as u64)));
        }
    }
    parts.join(", ")
}
