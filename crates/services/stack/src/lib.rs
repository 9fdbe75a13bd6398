//! Runs servers on this machine: downloads, configures, starts, watches and stops them. Which
//! servers, and how each is run, is up to the [`Service`]s of a [`Registry`]; this crate knows none
//! by name.
//!
//! The servers of one *stack* live in one folder, and nothing outside of it and of the [`Cache`] is
//! touched; several stacks can stand side by side. The servers continue when the process that
//! started them ends: `stack.json` in the folder lists them, and is written before anything is
//! waited for, so that a stack whose driver was killed is found and stopped by [`Stack::open`] and
//! [`Stack::down`].
//!
//! ```text
//! DIR/stack.json              what the stack consists of
//! DIR/*.properties            how clients reach listeners with TLS and passwords
//! DIR/config/NODE/            a server's configuration
//! DIR/logs/NODE.log           its output
//! DIR/data/NODE/  DIR/secrets/  DIR/tmp/     removed when the stack is stopped
//! ```

mod cache;
mod error;
mod folder;
pub mod golang;
pub mod http;
mod interruption;
pub mod maven;
mod options;
mod origin;
mod ports;
mod process;
pub mod programs;
mod record;
mod registry;
#[cfg(test)]
mod sample;
pub mod secret;
mod service;
mod stack;

pub use cache::{Cache, Progress};
pub use error::StackError;
pub use interruption::{current as current_interruption, interruptible};
pub use options::{ServiceOptions, StackOptions};
pub use origin::origin_of;
pub use process::{Launch, MEMBER_VARIABLE, ProcessState};
pub use record::Parts;
pub use registry::Registry;
pub use service::{Embedded, NodeContext, Service, ServiceOption, check_listed, one_of};
pub use stack::{NodeStatus, Stack};
