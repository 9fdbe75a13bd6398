//! What users see: the list of experiments, and summaries as text, JSON and CSV.

pub(crate) mod list;
pub(crate) mod summary;
pub(crate) mod text;
