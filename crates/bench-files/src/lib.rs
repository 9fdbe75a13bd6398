//! The adapter for pipelines between files: messages are appended as lines to one file and arrive
//! as lines of another.
//!
//! A line has no key and cannot contain a line break, so messages are sent in their JSON form
//! ([`MessageFormat::Json`](bench_core::message::MessageFormat::Json)). The file is one partition:
//! lines are expected in the order in which they were appended.

mod error;
mod publish;
mod receive;

pub use error::FileError;
pub use publish::LinePublisher;
pub use receive::{LineReceiver, Position};
