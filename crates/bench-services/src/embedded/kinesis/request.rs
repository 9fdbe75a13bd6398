//! What a request says.

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

/// The same, if it is what the operation takes. What is wrong with it is said in Amazon's words.
pub(super) fn checked(operation: Operation, data: &Value) -> Result<Value, KinesisErrorResponse> {
    let rules = operation.validation_rules();
    let rules: Vec<(&str, &FieldDef)> = rules.iter().map(|(name, rule)| (*name, rule)).collect();
    let data = check_types(data, &rules)?;
    check_validations(&data, &rules, None)?;
    Ok(data)
}
