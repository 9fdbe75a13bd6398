//! Parses Java's properties files, in UTF-8.

use std::iter::Peekable;
use std::str::Chars;

/// An entry of a properties file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PropertyLine {
    pub(super) key: String,
    pub(super) value: String,
    /// Where it starts, from 1.
    pub(super) line: usize,
}

/// Decodes a file. The error is the first line that is not UTF-8, and a reason.
pub(super) fn text(bytes: &[u8]) -> Result<&str, (usize, String)> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let reason = "it is not UTF-8; save the file as UTF-8, or write \\u00e9 for \u{e9}";
        (before.split(|byte| *byte == b'\n').count(), reason.to_owned())
    })
}

/// Parses `key=value`, `key: value` or `key value`, comments after `#` or `!`, continuation by a
/// backslash at the end of a line, and escapes. The error is a line and a reason.
pub(super) fn parse(text: &str) -> Result<Vec<PropertyLine>, (usize, String)> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut entries = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        let line = index + 1;
        let (key, value) = split_entry(&logical).map_err(|reason| (line, reason))?;
        entries.push(PropertyLine { key, value, line });
    }
    Ok(entries)
}

/// Whether Java treats the character as a blank within a line.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Whether a line ends in a backslash that is not itself escaped.
fn is_continued(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

fn split_entry(line: &str) -> Result<(String, String), String> {
    let mut chars = line.chars().peekable();
    let is_separator = |c: char| is_blank(c) || c == '=' || c == ':';
    let key = unescape(&mut chars, is_separator)?;
    let skip_blanks =
        |chars: &mut Peekable<Chars<'_>>| while chars.next_if(|c| is_blank(*c)).is_some() {};
    skip_blanks(&mut chars);
    if chars.next_if(|&c| c == '=' || c == ':').is_some() {
        skip_blanks(&mut chars);
    }
    let value = unescape(&mut chars, |_| false)?;
    if key.is_empty() {
        return Err("the key before the separator is missing; write key=value".to_owned());
    }
    // Kafka's clients trim blanks that the file's syntax keeps.
    Ok((key, value.trim_matches(|c| c <= ' ').to_owned()))
}

/// Takes characters up to the first unescaped one for which `stop` is true.
fn unescape(
    chars: &mut Peekable<Chars<'_>>,
    stop: impl Fn(char) -> bool,
) -> Result<String, String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|&c| !stop(c)) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => text.push(unicode(chars)?),
            Some(other) => text.push(other),
            None => {}
        }
    }
    Ok(text)
}

/// Decodes `\uXXXX`, or the two of them that Java writes for a character beyond U+FFFF.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let first = code_unit(chars)?;
    let mut units = vec![first];
    if (0xd800..0xdc00).contains(&first) && chars.next_if_eq(&'\\').is_some() {
        if chars.next_if_eq(&'u').is_none() {
            return Err(HALF_A_CHARACTER.to_owned());
        }
        units.push(code_unit(chars)?);
    }
    match char::decode_utf16(units).collect::<Result<Vec<_>, _>>().as_deref() {
        Ok([c]) => Ok(*c),
        _ => Err(HALF_A_CHARACTER.to_owned()),
    }
}

const HALF_A_CHARACTER: &str =
    "\\u encodes half of a character; write both halves, or the character itself";

fn code_unit(chars: &mut Peekable<Chars<'_>>) -> Result<u16, String> {
    let digits: String = chars.by_ref().take(4).collect();
    let is_hex = digits.len() == 4 && digits.chars().all(|c| c.is_ascii_hexdigit());
    let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| is_hex);
    unit.ok_or_else(|| {
        "\\u is not followed by four hexadecimal digits; write \\\\u for a backslash and a u"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text).expect("parses");
        entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn all_entry_forms_are_read() {
        let text = "# comment\n! another\n\na=1\nb : 2\nc 3\n  d = x = y \ne=\nf\r\n";
        let expected = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "x = y"), ("e", ""), ("f", "")];
        assert_eq!(pairs(text), expected.map(|(key, value)| pair(key, value)));
    }

    #[test]
    fn line_ends_and_blanks_are_as_in_java() {
        assert_eq!(pairs("a=1\rb=2\r\nc=3\r"), [pair("a", "1"), pair("b", "2"), pair("c", "3")]);
        assert_eq!(pairs("a=1,\\\r\n  2"), [pair("a", "1,2")]);
        assert_eq!(pairs("# not continued \\\na=1"), [pair("a", "1")]);
        assert_eq!(pairs("a=1\\\n# no comment"), [pair("a", "1# no comment")]);
        assert_eq!(pairs("a\u{c}1"), [pair("a", "1")]);
        assert_eq!(pairs("a=\u{a0}1\u{a0}"), [pair("a", "\u{a0}1\u{a0}")], "part of a password");
        assert_eq!(parse("a=1\rb=2\r=3").expect_err("no key").0, 3);
    }

    #[test]
    fn escapes_and_continuations_are_undone() {
        assert_eq!(pairs("path=C\\:\\\\kafka\\tx\\u00e9"), [pair("path", "C:\\kafka\tx\u{e9}")]);
        assert_eq!(
            pairs("a\\ b=1, \\\n    2, \\\n    3\nc=4"),
            [pair("a b", "1, 2, 3"), pair("c", "4")]
        );
        assert_eq!(pairs("a=ends in one\\\\\nb=2"), [pair("a", "ends in one\\"), pair("b", "2")]);
        assert_eq!(pairs("a=continued into nothing\\"), [pair("a", "continued into nothing")]);
        assert_eq!(pairs("a=\\ud83d\\ude00!"), [pair("a", "\u{1f600}!")]);
    }

    #[test]
    fn malformed_lines_are_named() {
        let (line, reason) = parse("a=1\nb=\\\n2\n=3").expect_err("no key");
        assert_eq!((line, reason.contains("key=value")), (4, true));
        for wrong in ["a=\\u12", "a=\\u12g4", "a=\\ud800", "a=\\ud800\\n", "a=\\ud800\\u0041"] {
            assert_eq!(parse(wrong).expect_err(wrong).0, 1);
        }
        let (line, reason) = text(b"a=1\nb=\xe9\n").expect_err("Latin 1");
        assert_eq!((line, reason.contains("UTF-8")), (2, true));
    }
}
