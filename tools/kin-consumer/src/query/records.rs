//! What one record says about the field.

use serde_json::{Map, Value};

/// Which fields are looked at.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) field: String,
    pub(super) group_by: Option<String>,
}

/// What one record says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observation {
    pub(super) outcome: Outcome,
    /// The value of the field that groups; absent when the record has none.
    pub(super) group: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Number(f64),
    /// There is no such field, or it is null; perhaps there is one that differs in case alone.
    Missing {
        similar: Option<String>,
    },
    /// Not a number, or infinite.
    NotFinite,
    /// Something else than a number: a text, a list, ...
    NotNumeric,
    /// The record is no JSON object.
    NotAnObject,
}

impl Reading {
    /// What `record` says.
    pub(super) fn observe(&self, record: &[u8]) -> Observation {
        let Some(object) = parse(record) else {
            return Observation { outcome: Outcome::NotAnObject, group: None };
        };
        let group = self.group_by.as_ref().and_then(|field| group(object.get(field)?));
        let outcome = match object.get(&self.field) {
            None => Outcome::Missing { similar: similar(&object, &self.field) },
            Some(Value::Null) => Outcome::Missing { similar: None },
            Some(Value::Number(number)) => finite(number.as_f64()),
            Some(Value::String(text)) => finite(text.trim().parse().ok()),
            Some(_) => Outcome::NotNumeric,
        };
        Observation { outcome, group }
    }
}

fn finite(number: Option<f64>) -> Outcome {
    match number {
        Some(number) if number.is_finite() => Outcome::Number(number),
        Some(_) => Outcome::NotFinite,
        None => Outcome::NotNumeric,
    }
}

fn group(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn similar(object: &Map<String, Value>, field: &str) -> Option<String> {
    let wanted = field.to_lowercase();
    object.keys().find(|key| key.to_lowercase() == wanted).cloned()
}

fn parse(record: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(record).ok().or_else(|| {
        let text = std::str::from_utf8(record).ok()?;
        serde_json::from_str(&with_quoted_constants(text)?).ok()
    })
}

/// Python writes `NaN`, `Infinity` and `-Infinity` as they are, which JSON does not know: the same
/// text with quotes around them, if it has any.
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
        // What is escaped, a quote perhaps, is passed over.
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

    fn outcome(record: &str) -> Outcome {
        let reading = Reading { field: "price".to_owned(), group_by: None };
        reading.observe(record.as_bytes()).outcome
    }

    #[test]
    fn numbers_count_and_texts_that_are_numbers() {
        for (record, number) in [
            (r#"{"price": 51.77}"#, 51.77),
            (r#"{"price": -3}"#, -3.0),
            (r#"{"title": "a", "price": " 12.50 "}"#, 12.5),
            (r#"{"price": "1e3"}"#, 1000.0),
        ] {
            assert_eq!(outcome(record), Outcome::Number(number), "{record}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_apart() {
        let missing = Outcome::Missing { similar: None };
        for (record, expected) in [
            ("{}", missing.clone()),
            (r#"{"price": null}"#, missing.clone()),
            (r#"{"prices": 3}"#, missing),
            (r#"{"Price": 3}"#, Outcome::Missing { similar: Some("Price".to_owned()) }),
            (r#"{"price": "NaN"}"#, Outcome::NotFinite),
            (r#"{"price": "inf"}"#, Outcome::NotFinite),
            (r#"{"price": "£3"}"#, Outcome::NotNumeric),
            (r#"{"price": ""}"#, Outcome::NotNumeric),
            (r#"{"price": [3]}"#, Outcome::NotNumeric),
            (r#"{"price": true}"#, Outcome::NotNumeric),
            (r#"[{"price": 3}]"#, Outcome::NotAnObject),
            ("3", Outcome::NotAnObject),
            (r#"{"price": 3"#, Outcome::NotAnObject),
            ("", Outcome::NotAnObject),
        ] {
            assert_eq!(outcome(record), expected, "{record}");
        }
        let reading = Reading { field: "price".to_owned(), group_by: None };
        assert_eq!(reading.observe(b"\xff{}").outcome, Outcome::NotAnObject);
    }

    #[test]
    fn the_constants_that_python_writes_are_understood_outside_texts_only() {
        assert_eq!(outcome(r#"{"price": NaN, "title": "NaN \" NaN"}"#), Outcome::NotFinite);
        assert_eq!(outcome(r#"{"price": -Infinity}"#), Outcome::NotFinite);
        assert_eq!(outcome(r#"{"rating": NaN, "price": 7}"#), Outcome::Number(7.0));
        let text = r#"{"é\\": "\\", "b": NaN}"#;
        let expected = r#"{"é\\": "\\", "b": "NaN"}"#;
        assert_eq!(with_quoted_constants(text).as_deref(), Some(expected));
        assert_eq!(with_quoted_constants(r#"{"b": "NaN", "#), None);
        assert_eq!(with_quoted_constants("\"\\"), None);
    }

    #[test]
    fn groups_are_named_by_the_value_of_their_field() {
        let reading = Reading { field: "price".to_owned(), group_by: Some("author".to_owned()) };
        let group = |record: &str| reading.observe(record.as_bytes()).group;
        assert_eq!(group(r#"{"author": "Austen", "price": 3}"#).as_deref(), Some("Austen"));
        assert_eq!(group(r#"{"author": 7}"#).as_deref(), Some("7"));
        assert_eq!(group(r#"{"author": null}"#), None);
        assert_eq!(group(r#"{"price": 3}"#), None);
    }
}
