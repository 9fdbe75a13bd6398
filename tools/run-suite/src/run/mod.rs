//! The runs: processes of tools, and the folders that they leave.

pub(crate) mod child;
pub(crate) mod folder;
pub(crate) mod key_figures;
mod latencies;
mod live;
mod prepare;
pub(crate) mod run_files;
pub(crate) mod run_state;
pub(crate) mod suite;
pub(crate) mod verdict;
