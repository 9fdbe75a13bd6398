//! How an experiment file is refused: at which place, and with the nearest word that would do.

use std::fmt::Display;

use bench_cli::UsageError;
use bench_core::system::{QUOTE_MAX, shortened, shortened_lines};

/// The member of `known` most like `word`, when one is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.75;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The remedy for an unknown word: the nearest known one, or else that of `otherwise`.
pub(crate) fn remedy(nearest: Option<&str>, otherwise: impl FnOnce() -> String) -> String {
    nearest.map_or_else(otherwise, |nearest| format!("did you mean `{nearest}`?"))
}

/// An error about an option, at its place in the file.
pub(crate) fn at(place: &str, option: &str, problem: &str, remedy: &str) -> UsageError {
    UsageError::new(&format!("{place} `{}`", shortened(option)), shortened_lines(problem), remedy)
}

/// An error about a key of the file's top level.
pub(super) fn key(key: &str, problem: impl Display, remedy: &str) -> UsageError {
    UsageError::new(&format!("`{key}`"), problem, remedy)
}

/// An error about the value of an option, which is of a `kind` that none can have.
pub(super) fn unfit(place: &str, name: &str, kind: &str) -> UsageError {
    let remedy = "give a text, a number, true, false, or an array of texts and numbers";
    at(place, name, &format!("is a {kind}"), remedy)
}

/// An error about a text that is not TOML, or not of the form of an experiment file.
pub(super) fn syntax(error: &toml::de::Error) -> UsageError {
    let text = error.to_string();
    UsageError::new(
        "TOML",
        quoted_lines(text.trim_end()),
        "`run-suite run --help` shows the form of the file",
    )
}

/// An error with lines of the file in it. Lines that are too long to read are shortened.
fn quoted_lines(text: &str) -> String {
    let lines = text.lines().map(|line| {
        // A mark below a shortened line would point nowhere.
        let line = if line.trim_matches([' ', '|', '^']).is_empty() {
            line.get(..QUOTE_MAX).unwrap_or(line)
        } else {
            line
        };
        shortened(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}
