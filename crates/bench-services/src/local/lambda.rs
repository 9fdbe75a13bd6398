//! A function of the benchmark on this machine, which lands a stream in a table: kin-lambda in
//! `DynamoDB`, sql-lambda in `MySQL`. The node is the mapping that feeds it; the function's own
//! processes are the node's children.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site, environment};
use super::{Cache, LocalError, Service, StackOptions, aws, installed, secret};
use crate::embedded::lambda::stand_alone;
use crate::lambda::{ConfigError, FunctionConfig, MappingConfig, MappingSettings, REPORT_FILE};

/// [`Parts::more`]: the function's program.
const FUNCTION: &str = "function";

/// The configuration of the mapping, in the node's folder for that.
const CONFIG_FILE: &str = "mapping.json";

/// A function and what feeds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LambdaOptions {
    /// The stream that it is fed from, which need not be there yet. `benchmark`.
    pub stream: String,
    /// How records become batches, and what is done when one fails.
    pub mapping: MappingSettings,
    /// What is told and billed as the function's memory, MB, 128 to 10,240. 128.
    pub memory_mb: u32,
    /// How long an invocation may take, ms, 1 to 900,000. One minute.
    pub timeout_ms: u64,
    /// How many processes of the function may run at the same time, 1 to 1,000. 16.
    pub concurrency: u32,
    /// Added to the function's environment, in which the services of the stack are. By default it
    /// makes its table if that is missing. No secrets.
    pub environment: BTreeMap<String, String>,
}

impl Default for LambdaOptions {
    fn default() -> Self {
        let function = FunctionConfig::new("", "");
        Self {
            stream: "benchmark".to_owned(),
            mapping: MappingSettings::default(),
            memory_mb: function.memory_mb,
            timeout_ms: function.timeout_ms,
            concurrency: function.concurrency,
            environment: [("BENCH_CREATE_TABLE".to_owned(), "on".to_owned())].into(),
        }
    }
}

impl LambdaOptions {
    /// Sets one of them from text: `stream`, `memory-mb`, `timeout-ms`, `concurrency`, `env.NAME` or
    /// `table` for the function's environment, or a setting of the mapping by its name.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), LocalError> {
        let refused = |reason: String| LocalError::Options(format!("{name}: {reason}"));
        let not_a_number = |_| refused(format!("'{text}' is no number"));
        match name {
            "stream" => text.clone_into(&mut self.stream),
            "table" => self.set_variable("TABLE_NAME", text),
            "memory-mb" => self.memory_mb = text.parse().map_err(not_a_number)?,
            "timeout-ms" => self.timeout_ms = text.parse().map_err(not_a_number)?,
            "concurrency" => self.concurrency = text.parse().map_err(not_a_number)?,
            _ => match name.strip_prefix("env.") {
                Some(variable) => self.set_variable(variable, text),
                None => self.mapping.set(name, text).map_err(|error| refused(error.to_string()))?,
            },
        }
        Ok(())
    }

    fn set_variable(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Whether all of it can be.
    pub(super) fn validate(&self, service: Service) -> Result<(), LocalError> {
        let config = self.config(service, Path::new(""), Path::new(""));
        config.validate().map_err(|error: ConfigError| {
            LocalError::Options(format!("{service}: {error}; see --set"))
        })
    }

    fn config(&self, service: Service, program: &Path, state_dir: &Path) -> MappingConfig {
        let function = FunctionConfig {
            environment: self.environment.clone(),
            inherits: inherited(service).iter().map(ToString::to_string).collect(),
            memory_mb: self.memory_mb,
            timeout_ms: self.timeout_ms,
            concurrency: self.concurrency,
            ..FunctionConfig::new(service.to_string(), program)
        };
        MappingConfig {
            stream: self.stream.clone(),
            function,
            settings: self.mapping.clone(),
            state_dir: state_dir.to_owned(),
        }
    }
}

/// One of the functions.
pub(super) struct Lambda(pub(super) Service);

impl Lambda {
    fn options<'a>(&self, options: &'a StackOptions) -> &'a LambdaOptions {
        if self.0 == Service::SqlLambda { &options.sql_lambda } else { &options.kin_lambda }
    }
}

impl Server for Lambda {
    fn fetch(
        &self,
        _cache: &Cache,
        options: &StackOptions,
        _notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        let mapping = aws::embedded_program(options)?;
        let function = function(&self.0.to_string(), &mapping)?;
        Ok(Parts {
            version: format!("{} {} on local Lambda", self.0, env!("CARGO_PKG_VERSION")),
            program: mapping,
            more: [(FUNCTION.to_owned(), function.display().to_string())].into(),
        })
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        Vec::new()
    }

    fn prepare(&self, nodes: &[Site<'_>]) -> Result<(), LocalError> {
        for node in nodes {
            let function = Path::new(node.node.parts.get(FUNCTION));
            let options = self.options(&node.record.options);
            let config = options.config(self.0, function, &node.data_dir());
            let path = config_file(node);
            let text = serde_json::to_string_pretty(&config)
                .map_err(|source| LocalError::Record { path: path.clone(), source })?;
            secret::write(&path, &text)?;
        }
        Ok(())
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        // By a new one it is known that the mapping works.
        let report = node.data_dir().join(REPORT_FILE);
        if report.exists() {
            fs::remove_file(&report).map_err(LocalError::file("remove", &report))?;
        }
        let mut env = environment(node.dir, node.record);
        env.retain(|(name, _)| is_needed(self.0, name));
        Ok(Launch { env, ..aws::launch(node, stand_alone(&config_file(node))) })
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        let report = node.data_dir().join(REPORT_FILE);
        if report.is_file() { Ok(()) } else { Err("it has not begun to work".to_owned()) }
    }

    fn address(&self, node: &Site<'_>) -> String {
        format!("stream {}", self.options(&node.record.options).stream)
    }

    fn environment(&self, _nodes: &[Site<'_>]) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Where the function's table is, and the keys to it.
fn inherited(service: Service) -> &'static [&'static str] {
    if service == Service::SqlLambda {
        return &["MYSQL_URL"];
    }
    &[
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
    ]
}

/// Whether the mapping or its function has use for a variable. The mapping reads a stream.
fn is_needed(service: Service, variable: &str) -> bool {
    let of_mapping =
        ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_KINESIS", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];
    of_mapping.contains(&variable) || inherited(service).contains(&variable)
}

/// The program of a function: beside the one that feeds it, where all tools are.
fn function(name: &str, mapping: &Path) -> Result<PathBuf, LocalError> {
    let beside = mapping.with_file_name(name);
    let found = if beside.is_file() { Some(beside) } else { installed::find(name) };
    found.ok_or_else(|| LocalError::Missing {
        what: format!("there is no {name} beside {} or in PATH", mapping.display()),
        remedy: "build or install all the tools".to_owned(),
    })
}

fn config_file(node: &Site<'_>) -> PathBuf {
    node.config_dir().join(CONFIG_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_gets_what_it_needs() {
        let config =
            |service| LambdaOptions::default().config(service, Path::new(""), Path::new(""));
        let (kin, sql) = (config(Service::KinLambda), config(Service::SqlLambda));
        let has = |config: &MappingConfig, name: &str| {
            config.function.inherits.iter().any(|inherited| inherited == name)
        };
        assert!(has(&kin, "AWS_ENDPOINT_URL_DYNAMODB") && !has(&kin, "MYSQL_URL"));
        assert!(has(&sql, "MYSQL_URL") && !has(&sql, "AWS_SECRET_ACCESS_KEY"));
        assert!(!is_needed(Service::KinLambda, "MYSQL_URL"));
        assert!(!is_needed(Service::KinLambda, "AWS_ENDPOINT_URL_S3"));
        assert!(is_needed(Service::SqlLambda, "AWS_ENDPOINT_URL_KINESIS"));
    }

    #[test]
    fn settings_go_where_they_belong() {
        let mut options = LambdaOptions::default();
        for (name, text) in [
            ("stream", "s"),
            ("table", "t"),
            ("env.BENCH_CONFIRM", "off"),
            ("timeout-ms", "500"),
            ("batch-size", "7"),
        ] {
            options.set(name, text).expect(name);
        }
        options.validate(Service::KinLambda).expect("it can be");
        assert_eq!(
            (&*options.stream, options.timeout_ms, options.mapping.batch_size),
            ("s", 500, 7)
        );
        assert_eq!(options.environment["TABLE_NAME"], "t");
        assert_eq!(options.environment["BENCH_CONFIRM"], "off");
        for (name, text) in [("memory-mb", "much"), ("batch-size", "0"), ("batch_size", "1")] {
            let error = options.set(name, text).expect_err(name);
            assert!(error.is_usage() && error.to_string().starts_with(name), "{error}");
        }
        options.set("memory-mb", "1").expect("a number");
        let error = options.validate(Service::KinLambda).expect_err("too little");
        assert!(error.to_string().starts_with("kin-lambda: memory_mb is 128 to"), "{error}");
    }
}
