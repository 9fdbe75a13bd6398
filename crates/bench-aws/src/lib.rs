//! Connections to AWS, or to what stands in for it.
//!
//! Everything that differs from one account to another is left to the SDK's own chain: credentials,
//! profile, region, endpoints. What is here are the options that override it, the decision whether a
//! run goes to AWS at all, and what the SDK's errors mean for people.

mod endpoint;
mod error;
mod network;
mod options;

pub use endpoint::{AwsOptionsError, has_credentials};
pub use error::{AwsError, REASON_CHARS_MAX, is_throttled, one_line, with_causes};
pub use network::NetworkProblem;
pub use options::{AwsArgs, AwsService};

pub use aws_config::SdkConfig;
