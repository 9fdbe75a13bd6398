//! A gate that a run failed while it went on.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use bench_stats::Bounds;
use serde::{Deserialize, Serialize};

use crate::file::gate::Gate;

/// A gate that a run failed before its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EarlyFailure {
    pub(crate) gate: Gate,
    /// The lower end of the interval of what the run had recorded.
    low: f64,
    /// Its upper end; absent if that lies beyond the largest sample.
    high: Option<f64>,
    /// After how much time the run was looked at, seconds.
    after_s: u64,
}

impl EarlyFailure {
    /// After the run had gone on for `elapsed`.
    pub(super) fn new(gate: &Gate, interval: Bounds, elapsed: Duration) -> Self {
        Self {
            gate: gate.clone(),
            low: interval.low,
            high: Some(interval.high).filter(|high| high.is_finite()),
            after_s: elapsed.as_secs(),
        }
    }

    pub(super) fn interval(&self) -> Bounds {
        Bounds { low: self.low, high: self.high.unwrap_or(f64::INFINITY) }
    }
}

impl Display for EarlyFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "failed `{}` after {} s, and was ended", self.gate, self.after_s)
    }
}
