//! Connections to AWS, or to stand-ins for it.
//!
//! Everything specific to an account is left to the SDK's own chain: credentials, profile, region,
//! endpoints. This crate has the options that override it, decides whether a run uses AWS at all,
//! and explains the SDK's errors.

mod endpoint;
mod error;
mod network;
mod options;

pub use endpoint::{AwsOptionsError, has_credentials};
pub use error::{AwsError, REASON_CHARS_MAX, is_throttled, one_line, with_causes};
pub use network::NetworkProblem;
pub use options::{AwsArgs, AwsService};

pub use aws_config::SdkConfig;
