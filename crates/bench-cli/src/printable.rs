//! Makes text from outside safe to show on a terminal.
//!
//! A name, a message or a server's response may contain control characters that move the cursor,
//! change colours or reverse the reading order, and so hide or forge what a person reads.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes every character that a terminal would interpret instead of showing: `\x1b`, `\n`,
/// `\u{202e}`. Borrows text without such characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    printable_except(text, &[])
}

/// Like [`printable`], but keeps the characters in `kept`, such as newline and tab in multi-line
/// text.
#[must_use]
pub(crate) fn printable_except<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_escaped = |c: char| is_interpreted(c) && !kept.contains(&c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            push_escaped(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Like [`printable_except`], for bytes that may not be UTF-8; invalid ones become `\xff`.
#[must_use]
pub fn printable_bytes<'a>(bytes: &'a [u8], kept: &[char]) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return printable_except(text, kept);
    }
    let mut shown = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        shown += &printable_except(chunk.valid(), kept);
        for byte in chunk.invalid() {
            push(&mut shown, format_args!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal interprets this character, or reorders the text around it, instead of showing
/// it.
fn is_interpreted(c: char) -> bool {
    // C0 and C1 controls and DEL; then marks, embeddings, overrides and isolates of the reading
    // order, and line separators.
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
        )
}

fn push_escaped(shown: &mut String, c: char) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if u32::from(c) < 0x100 => push(shown, format_args!("\\x{:02x}", u32::from(c))),
        _ => push(shown, format_args!("\\u{{{:x}}}", u32::from(c))),
    }
}

fn push(shown: &mut String, escape: std::fmt::Arguments<'_>) {
    // Writing to a string never fails.
    let _ = shown.write_fmt(escape);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_is_borrowed_unchanged() {
        for text in ["", "topic-1", "größe 日本語 🦀", r"C:\x1b", "naïve\u{a0}space"] {
            assert!(matches!(printable(text), Cow::Borrowed(shown) if shown == text), "{text}");
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[31mred\x07"), r"a\x1b[31mred\x07");
        assert_eq!(printable("\0\x7f\u{85}\u{9b}2J"), r"\x00\x7f\x85\x9b2J");
        assert_eq!(printable("a\r\nb\tc"), r"a\r\nb\tc");
    }

    #[test]
    fn direction_overrides_and_line_separators_are_escaped() {
        assert_eq!(printable("a\u{202e}b"), r"a\u{202e}b");
        for c in ['\u{200f}', '\u{2028}', '\u{202a}', '\u{2066}', '\u{2069}', '\u{61c}'] {
            assert_eq!(printable(&c.to_string()), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }

    #[test]
    fn kept_characters_are_not_escaped() {
        assert_eq!(printable_except("a\n\tb\r", &['\n', '\t']), "a\n\tb\\r");
    }

    #[test]
    fn invalid_utf_8_is_escaped() {
        assert_eq!(printable_bytes(b"a\xff\xc3\xa4\x1b\n\xc3", &['\n']), "a\\xffä\\x1b\n\\xc3");
    }
}
