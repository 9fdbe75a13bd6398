//! What users see: the list of experiments, and summaries
//! and comparisons as text, JSON and CSV.

pub(crate) mod compare;
pub(crate) mod gates;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod noise;
pub(crate) mod page;
pub(crate) mod report;
pub(crate) mod summary;
pub(crate) mod text;

/// `5 %`, `2.5 %`
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
