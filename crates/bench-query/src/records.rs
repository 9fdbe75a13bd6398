//! Reading the field of one record.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::number::Number;

/// The fields to read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) field: String,
    pub(crate) group_by: Option<String>,
}

/// The content of one record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) field_value: FieldValue,
    /// The value of the grouping field; `None` if the record has none.
    pub(crate) group: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldValue {
    Number(Number),
    /// The field is missing or null; there may be one that differs only in case.
    Missing {
        similar: Option<String>,
    },
    /// NaN, infinite, or beyond the range of doubles.
    NotFinite,
    /// Not a number: a text, a list, ...
    NotNumeric,
    /// The record is not a JSON object.
    NotAnObject,
}

impl Reading {
    /// Reads a record.
    pub(crate) fn observe(&self, record: &[u8]) -> Observation {
        let text = std::str::from_utf8(record).ok();
        let said = text.and_then(|text| {
            if is_object(text) {
                return self.observe_object(text);
            }
            let quoted = with_quoted_constants(text).filter(|quoted| is_object(quoted))?;
            self.observe_object(&quoted)
        });
        said.unwrap_or(Observation { field_value: FieldValue::NotAnObject, group: None })
    }

    /// Reads a JSON object. Of members with the same name, the last one counts.
    fn observe_object(&self, object: &str) -> Option<Observation> {
        let (mut value, mut similar, mut grouping) = (None, None, None);
        for (name, member) in Members::of(object) {
            let name: Cow<'_, str> = serde_json::from_str(name).ok()?;
            if name == self.field {
                value = Some(member);
            } else if similar.is_none() && name.to_lowercase() == self.field.to_lowercase() {
                similar = Some(name.to_string());
            }
            if self.group_by.as_ref().is_some_and(|field| name == *field) {
                grouping = Some(member);
            }
        }
        let field_value = match value {
            None => FieldValue::Missing { similar },
            Some(value) => field_value(value)?,
        };
        Some(Observation { field_value, group: grouping.and_then(group) })
    }
}

/// Classifies a raw JSON value; `None` if it is not JSON.
fn field_value(value: &str) -> Option<FieldValue> {
    let number = match value.bytes().next()? {
        b'n' => return Some(FieldValue::Missing { similar: None }),
        b'"' => Number::parse(serde_json::from_str::<Cow<'_, str>>(value).ok()?.trim()),
        b'-' | b'0'..=b'9' => Number::parse(value),
        _ => None,
    };
    Some(match number {
        Some(number) if number.nearest.is_finite() => FieldValue::Number(number),
        Some(_) => FieldValue::NotFinite,
        None => FieldValue::NotNumeric,
    })
}

/// The name of a group: a text, or the raw text of another value. Numbers that a double would round
/// keep their digits, so that different numbers are different groups.
fn group(value: &str) -> Option<String> {
    if Number::parse(value).is_some_and(|number| number.is_rounded) {
        return Some(value.to_owned());
    }
    match serde_json::from_str(value) {
        Ok(Value::Null) => None,
        Ok(Value::String(text)) => Some(text),
        Ok(other) => Some(other.to_string()),
        Err(_) => Some(value.to_owned()),
    }
}

/// Whether a text is one JSON object. Numbers of any size are accepted, since nothing is stored.
fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The raw names and values of a JSON object, in order.
struct Members<'a> {
    rest: &'a str,
}

impl<'a> Members<'a> {
    /// The members of an object's text.
    fn of(object: &'a str) -> Self {
        Self { rest: object.trim_ascii_start().strip_prefix('{').unwrap_or_default() }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = split_at_end(self.rest, b":")?;
        let (value, rest) = split_at_end(rest, b",}")?;
        self.rest = rest;
        Some((name.trim_ascii(), value.trim_ascii()))
    }
}

/// Splits at the first of `ends` that is neither in a string nor in a nested value.
fn split_at_end<'a>(json: &'a str, ends: &[u8]) -> Option<(&'a str, &'a str)> {
    let (mut depth, mut within_text, mut is_escaped) = (0_u32, false, false);
    for (index, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => within_text = !within_text,
            _ if within_text => {}
            _ if depth == 0 && ends.contains(&byte) => {
                return Some((&json[..index], &json[index + 1..]));
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// Quotes the constants `NaN`, `Infinity` and `-Infinity`, which Python writes but JSON does not
/// allow; `None` if there are none.
fn with_quoted_constants(text: &str) -> Option<String> {
    const CONSTANTS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let (mut quoted, mut rest) = (String::with_capacity(text.len() + 8), text);
    let (mut within_string, mut is_changed) = (false, false);
    while let Some(next) = rest.chars().next() {
        let constant = CONSTANTS.into_iter().find(|name| !within_string && rest.starts_with(name));
        if let Some(constant) = constant {
            quoted.extend(["\"", constant, "\""]);
            rest = &rest[constant.len()..];
            is_changed = true;
            continue;
        }
        let is_escape = within_string && next == '\\';
        within_string ^= next == '"';
        // Skip escaped characters, such as quotes.
        let length = if is_escape {
            rest.chars().take(2).map(char::len_utf8).sum()
        } else {
            next.len_utf8()
        };
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    is_changed.then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_value(record: &str) -> FieldValue {
        let reading = Reading { field: "price".to_owned(), group_by: None };
        reading.observe(record.as_bytes()).field_value
    }

    #[test]
    fn numbers_and_numeric_texts_count() {
        for (record, number) in [
            (r#"{"price": 51.77}"#, "51.77"),
            (r#"{"price": -3}"#, "-3"),
            (r#"{"title": "a", "price": " 12.50 "}"#, "12.5"),
            (r#"{"price": "1e3"}"#, "1000"),
            (r#"{"price": 9007199254740993}"#, "9007199254740993"),
            (r#"{"price": "9007199254740993"}"#, "9007199254740993"),
            (r#"{"price": 12345678901234567890123.45 }"#, "12345678901234567890123.45"),
            (r#"{"price": -0}"#, "0"),
            (r#"{"price": 1, "price": 2}"#, "2"),
            (r#" {"sub": {"price": [1, "}"]}, "pri\u0063e": 3, "a\"b": "\\"} "#, "3"),
            (r#"{"other": 1e400, "price": 4}"#, "4"),
        ] {
            let FieldValue::Number(found) = field_value(record) else {
                panic!("no number: {record}")
            };
            assert_eq!(found.exact.map(|e| e.to_string()).as_deref(), Some(number), "{record}");
        }
        let tiny = FieldValue::Number(Number::parse("1e-400").expect("a number"));
        assert_eq!(field_value(r#"{"price": 1e-400}"#), tiny);
    }

    #[test]
    fn other_values_are_classified() {
        let missing = FieldValue::Missing { similar: None };
        for (record, expected) in [
            ("{}", missing.clone()),
            (" { } ", missing.clone()),
            (r#"{"price": null}"#, missing.clone()),
            (r#"{"prices": 3}"#, missing.clone()),
            (r#"{"Price": 3}"#, FieldValue::Missing { similar: Some("Price".to_owned()) }),
            (r#"{"price": "NaN"}"#, FieldValue::NotFinite),
            (r#"{"price": "inf"}"#, FieldValue::NotFinite),
            (r#"{"price": 1e400}"#, FieldValue::NotFinite),
            (r#"{"price": "-1e400"}"#, FieldValue::NotFinite),
            (r#"{"sub": {"price": 3}}"#, missing.clone()),
            (r#"{"price": 01}"#, FieldValue::NotAnObject),
            (r#"{"price": 1.}"#, FieldValue::NotAnObject),
            (r#"{"price": 3} {}"#, FieldValue::NotAnObject),
            (r#"{"price": "\ud800"}"#, FieldValue::NotAnObject),
            (r#"{"price": "£3"}"#, FieldValue::NotNumeric),
            (r#"{"price": ""}"#, FieldValue::NotNumeric),
            (r#"{"price": [3]}"#, FieldValue::NotNumeric),
            (r#"{"price": true}"#, FieldValue::NotNumeric),
            (r#"[{"price": 3}]"#, FieldValue::NotAnObject),
            ("3", FieldValue::NotAnObject),
            (r#"{"price": 3"#, FieldValue::NotAnObject),
            ("", FieldValue::NotAnObject),
        ] {
            assert_eq!(field_value(record), expected, "{record}");
        }
        let reading = Reading { field: "price".to_owned(), group_by: None };
        assert_eq!(reading.observe(b"\xff{}").field_value, FieldValue::NotAnObject);
    }

    #[test]
    fn python_constants_are_accepted_outside_strings() {
        assert_eq!(field_value(r#"{"price": NaN, "title": "NaN \" NaN"}"#), FieldValue::NotFinite);
        assert_eq!(field_value(r#"{"price": -Infinity}"#), FieldValue::NotFinite);
        let seven = FieldValue::Number(Number::parse("7").expect("a number"));
        assert_eq!(field_value(r#"{"rating": NaN, "price": 7}"#), seven);
        let text = r#"{"é\\": "\\", "b": NaN}"#;
        let expected = r#"{"é\\": "\\", "b": "NaN"}"#;
        assert_eq!(with_quoted_constants(text).as_deref(), Some(expected));
        assert_eq!(with_quoted_constants(r#"{"b": "NaN", "#), None);
        assert_eq!(with_quoted_constants("\"\\"), None);
    }

    #[test]
    fn groups_are_named_by_field_value() {
        let reading = Reading { field: "price".to_owned(), group_by: Some("author".to_owned()) };
        let group = |record: &str| reading.observe(record.as_bytes()).group;
        assert_eq!(group(r#"{"author": "Austen", "price": 3}"#).as_deref(), Some("Austen"));
        assert_eq!(group(r#"{"author": 7}"#).as_deref(), Some("7"));
        assert_eq!(group(r#"{"author": null}"#), None);
        assert_eq!(group(r#"{"author": [1, "a"]}"#).as_deref(), Some(r#"[1,"a"]"#));
        assert_eq!(group(r#"{"author": 1.50}"#).as_deref(), Some("1.5"));
        let long = "90071992547409931234";
        assert_eq!(group(&format!(r#"{{"author": {long}}}"#)).as_deref(), Some(long));
        assert_eq!(group(r#"{"price": 3}"#), None);
    }
}
