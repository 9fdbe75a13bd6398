//! Parsing and checking requests.

use ferrokinesis::actions::Operation;
use ferrokinesis::constants::SERIALIZATION_EXCEPTION;
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::validation::{FieldDef, check_types, check_validations};
use serde_json::Value;

/// The value of a request's body.
pub(super) fn parsed(body: &[u8]) -> Result<Value, KinesisErrorResponse> {
    let parsed = serde_json::from_slice(body).ok().filter(Value::is_object);
    parsed.ok_or_else(|| KinesisErrorResponse::client_error(SERIALIZATION_EXCEPTION, None))
}

/// The same, if the operation accepts it. Errors are in Amazon's words.
pub(super) fn checked(operation: Operation, data: &Value) -> Result<Value, KinesisErrorResponse> {
    let rules = operation.validation_rules();
    let rules: Vec<(&str, &FieldDef)> = rules.iter().map(|(name, rule)| (*name, rule)).collect();
    let data = check_types(data, &rules)?;
    // Amazon counts the characters of texts, ferrokinesis their bytes.
    let counted = if is_ascii(&data) { None } else { Some(in_single_bytes(&data)) };
    check_validations(counted.as_ref().unwrap_or(&data), &rules, None)?;
    Ok(data)
}

fn is_ascii(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_ascii(),
        Value::Array(values) => values.iter().all(is_ascii),
        Value::Object(members) => {
            members.iter().all(|(name, value)| name.is_ascii() && is_ascii(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The same value with one byte per character; those that replace non-ASCII ones are not allowed in
/// names or numbers.
fn in_single_bytes(value: &Value) -> Value {
    match value {
        Value::String(text) => text.chars().map(single_byte).collect::<String>().into(),
        Value::Array(values) => values.iter().map(in_single_bytes).collect(),
        Value::Object(members) => {
            let names = members.keys().enumerate().map(|(index, name)| {
                let width = name.chars().count();
                // Different names stay different, since they are counted.
                if name.is_ascii() { name.clone() } else { format!("{index:~>width$}") }
            });
            names.zip(members.values().map(in_single_bytes)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn single_byte(character: char) -> char {
    if character.is_ascii() { character } else { '?' }
}
