//! The runs: processes of tools, and the folders that they leave.

pub(crate) mod analysis;
pub(crate) mod child;
pub(crate) mod comparison;
mod early_failure;
mod enough;
pub(crate) mod folder;
mod gate_watch;
pub(crate) mod gates;
mod git;
pub(crate) mod health;
pub(crate) mod key_figures;
pub(crate) mod latencies;
mod live;
pub(crate) mod machine;
pub(crate) mod metrics;
pub(crate) mod noise;
mod prepare;
pub(crate) mod run_files;
pub(crate) mod run_state;
pub(crate) mod suite;
pub(crate) mod verdict;
