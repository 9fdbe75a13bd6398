//! Amazon Kinesis as a benchmark transport, on the AWS SDK.

pub mod admin;
pub mod aggregation;
mod error;
pub mod publish;
pub mod receive;
mod timer;

pub use error::KinesisError;
pub use publish::KinesisPublisher;
