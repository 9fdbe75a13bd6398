//! The command-line frame shared by all tools: options, quantities, logging, progress, shutdown,
//! exit codes and reports.
//!
//! A tool is a [`Tool`]: its options, and a function that does the work and returns an [`Exit`]. Its
//! `main` is [`run_tool`]. `examples/skeleton.rs` is a whole tool of that shape.

pub mod arguments;
mod columns;
mod confirm;
mod exit;
mod frame;
mod from_run;
pub mod generate;
mod keys;
mod limits;
pub mod live;
mod logging;
mod measurement;
mod metrics;
mod options_in_force;
pub mod output;
mod panics;
mod place;
mod printable;
mod progress;
pub mod quantity;
mod reading;
mod record;
pub mod report;
mod shutdown;
mod spec;
mod table;
mod waiting;
mod workload;

pub use confirm::confirm;
pub use exit::{Exit, Interrupted, UsageError, main_with};
pub use frame::{Invocation, OutputArgs, Tool, ToolId, run_tool, usage_error};
pub use generate::{GenerateArgs, UsedService};
pub use keys::Keys;
pub use limits::{Needs, Workers, check_limits};
pub use logging::{LogArgs, has_colours};
pub use measurement::{Measurement, RunContext};
pub use metrics::{MetricsAddress, MetricsArgs, keep_metrics, serve_metrics};
pub use output::OutputFormat;
pub use place::{place_of_file, place_of_folder};
pub(crate) use printable::printable_except;
pub use printable::{printable, printable_bytes};
pub use progress::Progress;
pub use reading::{DrainArgs, ExpectArgs, ReaderArgs, Required, guarantee};
pub use record::{RunArgs, RunRecord, StartedRun};
pub use shutdown::Shutdown;
pub use spec::ScheduleShape;
pub use table::{Align, table};
pub use waiting::Waiting;
pub use workload::{Amount, FormatArg, InputFormat, Workload, WorkloadArgs};
