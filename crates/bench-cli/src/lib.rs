//! What the command lines of all tools share: options, quantities, logging, progress, shutdown,
//! exit codes and reports.
//!
//! A tool's `main` is [`main_with`] around a function that parses its options, does its work and
//! returns an [`Exit`]. `examples/skeleton.rs` is a whole tool of that shape.

pub mod arguments;
mod confirm;
mod exit;
mod expecting;
mod from_run;
pub mod generate;
mod limits;
mod logging;
mod measurement;
mod options_in_force;
pub mod output;
mod panics;
mod printable;
mod progress;
pub mod quantity;
mod receiving;
mod record;
pub mod report;
mod shutdown;
mod spec;
mod table;
mod waiting;
mod workload;

pub use confirm::confirm;
pub use exit::{Exit, Interrupted, UsageError, main_with};
pub use expecting::{Expectation, Expecting};
pub use from_run::{AckedRun, acked_in, await_run_end};
pub use generate::GenerateArgs;
pub use limits::{Needs, Workers, check_limits};
pub use logging::LogArgs;
pub use measurement::{Measurement, Surroundings};
pub use options_in_force::options_in_force;
pub use output::{OutputArgs, OutputFormat};
pub use printable::{printable, printable_bytes, printable_except};
pub use progress::Progress;
pub use receiving::{AuditArgs, EndArgs};
pub use record::{RunArgs, RunRecord, StartedRun};
pub use shutdown::Shutdown;
pub use spec::ScheduleShape;
pub use table::{Align, table};
pub use waiting::Waiting;
pub use workload::{Amount, FormatArg, InputFormat, Workload, WorkloadArgs};
