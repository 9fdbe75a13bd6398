//! Separators on the command line.

use std::str::FromStr;

/// Bytes between two parts of a line, at least one. Given as text with escapes, so that tabs and
/// control characters need no shell quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Separator(Vec<u8>);

impl Separator {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Separator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty; remove the option".to_owned());
        }
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some((before, escape)) = rest.split_once('\\') {
            bytes.extend_from_slice(before.as_bytes());
            let length = push_escape(&mut bytes, escape).ok_or_else(|| bad_escape(escape))?;
            rest = &escape[length..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Ok(Self(bytes))
    }
}

/// Decodes the text after a backslash; returns the length of that text.
fn push_escape(bytes: &mut Vec<u8>, text: &str) -> Option<usize> {
    let byte = match text.bytes().next()? {
        b't' => b'\t',
        b'n' => b'\n',
        b'r' => b'\r',
        b'0' => 0,
        b'\\' => b'\\',
        b'x' => {
            let digits = text.get(1..3).filter(|digits| is_hex(digits))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            return Some(3);
        }
        b'u' => {
            let (digits, _) = text.get(1..)?.strip_prefix('{')?.split_once('}')?;
            let number =
                u32::from_str_radix(Some(digits).filter(|digits| is_hex(digits))?, 16).ok()?;
            let mut encoded = [0; 4];
            bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut encoded).as_bytes());
            return Some(digits.len() + 3);
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(1)
}

fn is_hex(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn bad_escape(escape: &str) -> String {
    let shown: String = escape.chars().take(1).flat_map(char::escape_default).collect();
    format!("`\\{shown}` is not an escape; write \\t, \\n, \\r, \\0, \\\\, \\xHH or \\u{{HHHH}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_decode_to_their_bytes() {
        for (text, bytes) in [
            (":", &b":"[..]),
            ("=>", b"=>"),
            (r"\t", b"\t"),
            (r"a\n\r\0\\b", b"a\n\r\0\\b"),
            (r"\x1f", b"\x1f"),
            (r"\xff\xFE1", b"\xff\xfe1"),
            (r"\u{e9}", "é".as_bytes()),
            ("é", "é".as_bytes()),
            ("\t", b"\t"),
        ] {
            let separator: Separator = text.parse().expect(text);
            assert_eq!(separator.bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn bad_escapes_list_the_valid_ones() {
        for text in
            [r"\", r"\q", r"\x", r"\x1", r"\xg0", r"\x+1", r"\u{}", r"\u{d800}", r"\u1", r"\é"]
        {
            let error = text.parse::<Separator>().expect_err(text);
            assert!(error.contains(r"write \t, \n"), "{text}: {error}");
        }
        assert!("".parse::<Separator>().is_err());
    }
}
