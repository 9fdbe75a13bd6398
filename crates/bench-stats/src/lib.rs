//! Statistics over what runs leave.
//!
//! Pure functions without I/O, clock or randomness: the same figures give the same digits.
//! `docs/statistics.md` has each method with its assumption, its source and its measured coverage, and
//! `tests/coverage.rs` measures it.

mod change;
mod family;
mod latency_log;
mod mean;
mod percentile;
mod repeats;
mod sample;
mod steps;
mod student;
mod trend;
mod verdict;
mod warm_up;

pub use change::{Change, paired, sign_flip_p, unpaired};
pub use family::{benjamini_hochberg, holm};
pub use latency_log::{Density, LatencyLog};
pub use mean::mean_half_width;
pub use percentile::{PercentileInterval, SAMPLES_BEYOND_MIN, Share, percentile_interval};
pub use repeats::{Advice, Repeats, VarianceSplit, repeats, variance_split};
pub use sample::{Bounds, mean, median};
pub use steps::{Step, steps};
pub use trend::{Trend, trend};
pub use verdict::{Finding, detectable_change, finding};
pub use warm_up::{WarmUp, warm_up};
