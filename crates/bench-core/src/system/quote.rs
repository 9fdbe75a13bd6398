//! Shortens text from outside that messages quote.

use std::borrow::Cow;

/// Maximum number of characters that a message quotes of a value.
pub const QUOTE_MAX: usize = 120;

/// Maximum number of characters in a line shown to people.
const LINE_MAX: usize = 1_000;

/// A value as a message quotes it: its first [`QUOTE_MAX`] characters, and its length if it has
/// more.
#[must_use]
pub fn shortened(text: &str) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(QUOTE_MAX) else { return Cow::Borrowed(text) };
    Cow::Owned(format!("{}… ({} characters)", &text[..end], text.chars().count()))
}

/// Omits the middle of each overlong line; the start (what was attempted) and the end (the remedy)
/// stay.
#[must_use]
pub fn shortened_lines(text: &str) -> Cow<'_, str> {
    let is_short = |line: &str| line.len() <= LINE_MAX || line.chars().count() <= LINE_MAX;
    if text.lines().all(is_short) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| {
        if is_short(line) { Cow::Borrowed(line) } else { Cow::Owned(without_middle(line)) }
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

fn without_middle(line: &str) -> String {
    const HEAD: usize = 600;
    const TAIL: usize = 300;
    let characters = line.chars().count();
    let head: String = line.chars().take(HEAD).collect();
    let tail: String = line.chars().skip(characters - TAIL).collect();
    format!("{head} … ({} characters left out) … {tail}", characters - HEAD - TAIL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_quoted_in_part() {
        assert_eq!(shortened("ä"), "ä");
        let quoted = shortened(&"ä".repeat(100_000)).into_owned();
        assert!(quoted.ends_with("ä… (100000 characters)"), "{quoted}");
        assert!(quoted.chars().count() < 2 * QUOTE_MAX);
    }

    #[test]
    fn overlong_lines_keep_start_and_end() {
        assert_eq!(shortened_lines("a\nb"), "a\nb");
        let text = format!("error: `{}`; use less\nnext", "x".repeat(100_000));
        let shown = shortened_lines(&text).into_owned();
        assert!(shown.starts_with("error: `xx") && shown.ends_with("`; use less\nnext"), "{shown}");
        assert!(shown.len() < 1_100);
    }
}
