//! The columns of a terminal that text takes up: two for each Chinese character and most emoji, none for
//! an accent that joins the letter before it.

use unicode_width::UnicodeWidthChar as _;

/// The columns of a text without control characters.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

/// The longest beginning of a text that takes up at most so many columns.
pub(crate) fn cut(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let beyond = text.char_indices().find(|&(_, c)| {
        taken += columns_of_char(c);
        taken > columns
    });
    beyond.map_or(text, |(end, _)| &text[..end])
}

/// Of a sequence that terminals may join, each part counts: rather a line too short than one that wraps.
fn columns_of_char(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns_and_accents_none() {
        for (text, columns) in [("", 0), ("abc", 3), ("größe", 5), ("e\u{301}a", 2), ("延遲a", 5)]
        {
            assert_eq!(columns_of(text), columns, "{text}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        for (columns, beginning) in
            [(0, ""), (1, ""), (2, "延"), (3, "延"), (4, "延遲"), (5, "延遲a")]
        {
            assert_eq!(cut("延遲a", columns), beginning, "{columns}");
        }
        assert_eq!(cut("e\u{301}a", 1), "e\u{301}", "an accent stays with its letter");
    }
}
