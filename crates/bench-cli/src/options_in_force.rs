//! The options of a run, as recorded in its document.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use serde_json::Value;

/// Every option with a value, given or default, by its long name. Secrets are not redacted here:
/// the tool must replace options whose value may contain one.
///
/// `matches` must belong to `command`; for a subcommand, pass the subcommand's own.
#[must_use]
pub(crate) fn options_in_force(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Value> {
    let mut options = BTreeMap::new();
    for arg in command.get_arguments() {
        let (Some(name), id) = (arg.get_long(), arg.get_id().as_str()) else { continue };
        let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
        let mut values: Vec<Value> =
            values.map(|value| Value::from(value.to_string_lossy().into_owned())).collect();
        let value = match arg.get_action() {
            clap::ArgAction::Append => Value::Array(values),
            _ => match values.pop() {
                Some(value) => value,
                None => continue,
            },
        };
        options.insert(name.to_owned(), value);
    }
    options
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[arg(long, default_value = "5")]
        count: u32,
        #[arg(long)]
        absent: Option<u32>,
        #[arg(long)]
        flag: bool,
        #[arg(long)]
        setting: Vec<String>,
    }

    #[test]
    fn given_and_default_values_have_long_names() {
        use clap::CommandFactory as _;
        let command = Tool::command();
        let line = ["tool", "--flag", "--setting", "a=1", "--setting", "b=2"];
        let matches = command.clone().get_matches_from(line);
        let options = options_in_force(&command, &matches);
        let expected =
            [("count", json!("5")), ("flag", json!("true")), ("setting", json!(["a=1", "b=2"]))];
        assert_eq!(options, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }
}
