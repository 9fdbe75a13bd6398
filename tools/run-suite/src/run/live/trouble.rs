//! What is wrong with a run so far.

use std::time::Duration;

use bench_record::intervals::IntervalRow;

use crate::run::health::{Flag, flags_so_far};

/// Time between two looks, which compare every interval with every other.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The most intervals that are looked at.
const ROWS_MAX: usize = 300;

/// The flags of a run that goes on.
#[derive(Debug, Default)]
pub(in crate::run) struct Trouble {
    looked_at: Option<Duration>,
    flags: Vec<Flag>,
}

impl Trouble {
    /// What the latest intervals show, after the run has gone on for `elapsed`.
    pub(in crate::run) fn of(&mut self, elapsed: Duration, rows: &[IntervalRow]) -> &[Flag] {
        if self.looked_at.is_none_or(|looked_at| elapsed.saturating_sub(looked_at) >= LOOK_EVERY) {
            self.looked_at = Some(elapsed);
            self.flags = flags_so_far(&rows[rows.len().saturating_sub(ROWS_MAX)..]);
        }
        &self.flags
    }
}
