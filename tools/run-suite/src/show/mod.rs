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

/// Text without what Markdown or HTML would interpret. Names of cells are anybody's.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}
