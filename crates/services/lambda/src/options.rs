//! The options of a function and of the mapping that feeds it.

use std::collections::BTreeMap;
use std::path::Path;

use bench_stack::{ServiceOption, ServiceOptions};

use super::config::{FunctionConfig, MappingConfig, MappingSettings};

/// The stream unless another one is set.
const STREAM: &str = "benchmark";

/// An option without a flag of its own.
macro_rules! option {
    ($key:literal, $value_name:literal, $default:literal, $help:literal) => {
        ServiceOption {
            key: $key,
            flag: None,
            value_name: $value_name,
            help: $help,
            default: $default,
            check: |value| LambdaOptions::default().set($key, value),
        }
    };
}

/// The options; besides them there is `env.NAME` for variables of the function.
pub(crate) const OPTIONS: &[ServiceOption] = &[
    option!("stream", "NAME", "benchmark", "Stream that feeds the function; it need not exist yet"),
    option!("table", "NAME", "", "Table that the function writes to"),
    option!("memory-mb", "MB", "128", "Memory as reported and billed, 128 to 10240"),
    option!("timeout-ms", "MS", "60000", "Time limit of an invocation"),
    option!("concurrency", "N", "16", "Most processes of the function at the same time"),
    option!("batch-size", "N", "100", "Most records in a batch, 1 to 10000"),
    option!("batching-window-ms", "MS", "0", "Time that a batch waits for more records"),
    option!("parallelization-factor", "N", "1", "Batches of one shard in progress, 1 to 10"),
    option!("maximum-retry-attempts", "N", "10", "Retries of a failed batch; -1 for no limit"),
    option!("bisect-batch-on-function-error", "BOOL", "false", "Split a failed batch in two"),
    option!("maximum-record-age-s", "S", "-1", "Age at which a record is given up; -1 for none"),
    option!("report-batch-item-failures", "BOOL", "true", "Read failed records from the answer"),
    option!("starting-position", "WHERE", "trim-horizon", "Where reading of a shard begins"),
    option!("poll-interval-ms", "MS", "5", "Time from an empty answer to the next poll"),
];

/// A function and what feeds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LambdaOptions {
    stream: String,
    mapping: MappingSettings,
    memory_mb: u32,
    timeout_ms: u64,
    concurrency: u32,
    /// Variables of the function. By default it creates its table if that is missing.
    environment: BTreeMap<String, String>,
}

impl Default for LambdaOptions {
    fn default() -> Self {
        let function = FunctionConfig::new("", "");
        Self {
            stream: STREAM.to_owned(),
            mapping: MappingSettings::default(),
            memory_mb: function.memory_mb,
            timeout_ms: function.timeout_ms,
            concurrency: function.concurrency,
            environment: [("BENCH_CREATE_TABLE".to_owned(), "on".to_owned())].into(),
        }
    }
}

impl LambdaOptions {
    /// The options of a service of a stack. An error begins with the key at fault.
    pub(crate) fn of(service: &ServiceOptions) -> Result<Self, String> {
        let mut options = Self::default();
        for (key, value) in &service.settings {
            options.set(key, value).map_err(|problem| format!("{key}: {problem}"))?;
        }
        Ok(options)
    }

    /// Sets one of them from text.
    pub(crate) fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let not_a_number = |_| format!("'{text}' is not a number");
        match key {
            "stream" => text.clone_into(&mut self.stream),
            "table" => self.set_variable("TABLE_NAME", text),
            "memory-mb" => self.memory_mb = text.parse().map_err(not_a_number)?,
            "timeout-ms" => self.timeout_ms = text.parse().map_err(not_a_number)?,
            "concurrency" => self.concurrency = text.parse().map_err(not_a_number)?,
            _ => match key.strip_prefix("env.") {
                Some(variable) => self.set_variable(variable, text),
                None => self.mapping.set(key, text).map_err(|error| error.to_string())?,
            },
        }
        Ok(())
    }

    fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// The configuration of the mapping.
    pub(crate) fn config(
        self,
        name: &str,
        inherits: &[&str],
        program: &Path,
        state_dir: &Path,
    ) -> MappingConfig {
        let function = FunctionConfig {
            environment: self.environment,
            inherits: inherits.iter().map(ToString::to_string).collect(),
            memory_mb: self.memory_mb,
            timeout_ms: self.timeout_ms,
            concurrency: self.concurrency,
            ..FunctionConfig::new(name, program)
        };
        MappingConfig {
            stream: self.stream,
            function,
            settings: self.mapping,
            state_dir: state_dir.to_owned(),
        }
    }
}

/// The stream that feeds the function.
pub(crate) fn stream(options: &ServiceOptions) -> &str {
    options.get("stream").unwrap_or(STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_function_and_mapping() {
        let mut options = LambdaOptions::default();
        for (key, text) in [
            ("stream", "s"),
            ("table", "t"),
            ("env.BENCH_CONFIRM", "off"),
            ("timeout-ms", "500"),
            ("batch-size", "7"),
        ] {
            options.set(key, text).expect(key);
        }
        assert_eq!(
            (&*options.stream, options.timeout_ms, options.mapping.batch_size),
            ("s", 500, 7)
        );
        assert_eq!(options.environment["TABLE_NAME"], "t");
        assert_eq!(options.environment["BENCH_CONFIRM"], "off");
    }
}
