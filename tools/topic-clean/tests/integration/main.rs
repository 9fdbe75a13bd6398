//! The tool as a user runs it.

mod broker;
mod embedded;
mod real_kafka;
