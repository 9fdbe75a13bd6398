//! The machine beneath the runs: services, and the faults that break them.

pub(crate) mod fault_driver;
pub(crate) mod fault_targets;
mod network;
mod service_flags;
pub(crate) mod services;
pub(crate) mod stack;
pub(crate) mod tool_process;
