//! Amazon Kinesis as a benchmark transport, on the AWS SDK.

pub mod admin;
pub mod aggregation;
mod error;
pub mod publish;
pub mod receive;

pub use error::KinesisError;
