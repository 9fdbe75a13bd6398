//! The runs: processes of tools, and the folders that they leave.

pub(crate) mod child;
pub(crate) mod folder;
pub(crate) mod live;
pub(crate) mod prepare;
pub(crate) mod run_files;
pub(crate) mod suite;
pub(crate) mod verdict;
