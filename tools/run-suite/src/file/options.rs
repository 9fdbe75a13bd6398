//! Options of tools and settings of services, as an experiment file has them.

use bench_cli::UsageError;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::refusal::{at, unfit};

/// The places of options in the file, as messages name them.
pub(crate) const OPTIONS: &str = "[options]";
pub(crate) const MATRIX: &str = "[matrix]";
pub(crate) const CASE: &str = "[[case]]";

/// Options by name, in the order of the file.
pub(crate) type Options = Vec<(String, OptionValue)>;

/// The value of one option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OptionValue {
    /// A flag, given or not.
    Flag(bool),
    /// A value, as it is written on the command line.
    Text(String),
    /// An option that is given several times.
    Many(Vec<String>),
}

impl OptionValue {
    /// The value of a setting, which has only one. The error is the problem.
    pub(crate) fn single(&self) -> Result<String, &'static str> {
        match self {
            Self::Flag(is_on) => Ok(is_on.to_string()),
            Self::Text(text) => Ok(text.clone()),
            Self::Many(_) => Err("has several values"),
        }
    }

    /// As tables show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Flag(true) => "yes".to_owned(),
            Self::Flag(false) => "no".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Many(texts) => texts.join(" "),
        }
    }
}

/// The options of a table.
pub(super) fn options(place: &str, table: Table) -> Result<Options, UsageError> {
    table
        .into_iter()
        .map(|(name, toml)| {
            let value = option_value(toml).map_err(|kind| unfit(place, &name, kind))?;
            Ok((name, value))
        })
        .collect()
}

/// The swept options of `[matrix]`, each with its values.
pub(super) fn matrix(table: Table) -> Result<Vec<(String, Vec<OptionValue>)>, UsageError> {
    table
        .into_iter()
        .map(|(name, toml)| {
            let Value::Array(values) = toml else {
                let remedy = "write [1, 2] to sweep it, or move it to [options]";
                return Err(at(MATRIX, &name, "has one value", remedy));
            };
            if values.is_empty() {
                return Err(at(MATRIX, &name, "has no values", "add some, or leave it out"));
            }
            let values = values
                .into_iter()
                .map(option_value)
                .collect::<Result<_, _>>()
                .map_err(|kind| unfit(MATRIX, &name, kind))?;
            Ok((name, values))
        })
        .collect()
}

/// The error is the kind of TOML value that no option can have.
fn option_value(toml: Value) -> Result<OptionValue, &'static str> {
    match toml {
        Value::Boolean(given) => Ok(OptionValue::Flag(given)),
        Value::Array(values) => {
            values.into_iter().map(scalar).collect::<Result<_, _>>().map(OptionValue::Many)
        }
        toml => scalar(toml).map(OptionValue::Text),
    }
}

/// A text or a number; the error is the kind of any other value.
pub(super) fn scalar(toml: Value) -> Result<String, &'static str> {
    match toml {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        other => Err(other.type_str()),
    }
}
