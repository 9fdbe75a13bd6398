//! Lambda functions of the benchmark on this machine, which land a stream in a table: kin-lambda in
//! `DynamoDB`, sql-lambda in `MySQL`. The node of a stack is the mapping that feeds the function;
//! the function's own processes are its children.

mod config;
mod options;

use std::fs;
use std::path::{Path, PathBuf};

use bench_record::ServiceOrigin;
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOption, ServiceOptions,
    StackError, programs, secret,
};
use bench_stand_in::StandInKind;

pub use config::{ConfigError, FunctionConfig, MappingConfig, MappingSettings, StartingPosition};

use options::{LambdaOptions, OPTIONS};

/// The program that feeds a function.
pub const KIND: StandInKind = StandInKind {
    name: "local Lambda",
    program: "local-lambda",
    remedy: "deploy the function to AWS",
};

/// The file with a mapping's report, in its state folder.
pub const REPORT_FILE: &str = "mapping.json";

/// The key of the function's program in [`Parts::more`].
const FUNCTION: &str = "function";

/// The configuration of the mapping, in the node's folder for configuration.
const CONFIG_FILE: &str = "mapping.json";

/// A function, and the mapping that feeds it.
#[derive(Debug)]
pub struct Lambda {
    /// Its name, which is that of its program.
    name: &'static str,
    needs: &'static [&'static str],
    /// Variables that it inherits: the address of its table, and the keys to it.
    inherits: &'static [&'static str],
}

/// The function that lands a stream in `DynamoDB`.
pub static KIN_LAMBDA: Lambda = Lambda {
    name: "kin-lambda",
    needs: &["kinesis", "dynamodb"],
    inherits: &[
        "AWS_ACCESS_KEY_ID",
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SHARED_CREDENTIALS_FILE",
    ],
};

/// The function that lands a stream in `MySQL`.
pub static SQL_LAMBDA: Lambda =
    Lambda { name: "sql-lambda", needs: &["kinesis", "mysql"], inherits: &["MYSQL_URL"] };

/// Variables that the mapping needs to read the stream.
const OF_MAPPING: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_KINESIS", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];

impl Lambda {
    fn is_needed(&self, variable: &str) -> bool {
        OF_MAPPING.contains(&variable) || self.inherits.contains(&variable)
    }

    fn config(
        &self,
        options: &ServiceOptions,
        program: &Path,
        state_dir: &Path,
    ) -> Result<MappingConfig, StackError> {
        let refused = |problem| StackError::Options(format!("{}.{problem}", self.name));
        let options = LambdaOptions::of(options).map_err(refused)?;
        Ok(options.config(self.name, self.inherits, program, state_dir))
    }
}

impl Service for Lambda {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        "Lambda"
    }

    fn needs(&self) -> &'static [&'static str] {
        self.needs
    }

    fn embedded(&self) -> Embedded {
        Embedded::Shared
    }

    fn options(&self) -> &'static [ServiceOption] {
        OPTIONS
    }

    fn check_setting(&self, key: &str, value: &str) -> Result<(), String> {
        LambdaOptions::default().set(key, value)
    }

    fn validate(&self, options: &ServiceOptions) -> Result<(), StackError> {
        let config = self.config(options, Path::new(""), Path::new(""))?;
        config.validate().map_err(|error| {
            StackError::Options(format!("{}: {error}; see docs/lambda.md", self.name))
        })
    }

    fn fetch(
        &self,
        _cache: &Cache,
        _options: &ServiceOptions,
        _progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let function = programs::find_own(self.name)?;
        let version = format!("{} {} on local Lambda", self.name, env!("CARGO_PKG_VERSION"));
        let parts = Parts::new(version, ServiceOrigin::Local, KIND.find_program()?);
        Ok(parts.with(FUNCTION, function.display()))
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        Vec::new()
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        for node in nodes {
            let function = Path::new(node.parts().get(FUNCTION));
            let config = self.config(node.options(), function, &node.data_dir())?;
            let text = serde_json::to_string_pretty(&config).map_err(|error| {
                let source = error.into();
                StackError::Failed { attempted: "write the configuration of a mapping", source }
            })?;
            secret::write(&config_file(node), &text)?;
        }
        Ok(())
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        // A new report shows that the mapping works.
        let report = node.data_dir().join(REPORT_FILE);
        if report.exists() {
            fs::remove_file(&report).map_err(StackError::file("remove", &report))?;
        }
        let mut env = node.environment();
        env.retain(|(name, _)| self.is_needed(name));
        Ok(Launch { env, ..node.launch(KIND.arguments(&config_file(node))?) })
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        let report = node.data_dir().join(REPORT_FILE);
        if report.is_file() { Ok(()) } else { Err("it has not started to work".to_owned()) }
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        format!("stream {}", options::stream(node.options()))
    }
}

fn config_file(node: &NodeContext<'_>) -> PathBuf {
    node.config_dir().join(CONFIG_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(settings: &[(&str, &str)]) -> ServiceOptions {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        ServiceOptions { settings: settings.collect(), proxies: Vec::new() }
    }

    #[test]
    fn functions_get_only_the_variables_they_need() {
        let config = |lambda: &Lambda| {
            lambda.config(&options(&[]), Path::new(""), Path::new("")).expect("valid")
        };
        let (kin, sql) = (config(&KIN_LAMBDA), config(&SQL_LAMBDA));
        let has = |config: &MappingConfig, name: &str| {
            config.function.inherits.iter().any(|inherited| inherited == name)
        };
        assert!(has(&kin, "AWS_ENDPOINT_URL_DYNAMODB") && !has(&kin, "MYSQL_URL"));
        assert!(has(&sql, "MYSQL_URL") && !has(&sql, "AWS_SECRET_ACCESS_KEY"));
        assert!(!KIN_LAMBDA.is_needed("MYSQL_URL"));
        assert!(!KIN_LAMBDA.is_needed("AWS_ENDPOINT_URL_S3"));
        assert!(SQL_LAMBDA.is_needed("AWS_ENDPOINT_URL_KINESIS"));
    }

    #[test]
    fn settings_are_checked_one_by_one_and_together() {
        for (name, text) in [("memory-mb", "much"), ("batch-size", "0"), ("batch_size", "1")] {
            KIN_LAMBDA.check_setting(name, text).expect_err(name);
            let error = KIN_LAMBDA.validate(&options(&[(name, text)])).expect_err(name);
            let place = format!("kin-lambda.{name}: ");
            assert!(error.is_usage() && error.to_string().starts_with(&place), "{error}");
        }
        KIN_LAMBDA.check_setting("memory-mb", "1").expect("a number");
        let error = KIN_LAMBDA.validate(&options(&[("memory-mb", "1")])).expect_err("too little");
        assert!(error.to_string().starts_with("kin-lambda: memory_mb is 128 to"), "{error}");
    }

    #[test]
    fn listed_defaults_are_the_defaults() {
        for option in OPTIONS.iter().filter(|option| !option.default.is_empty()) {
            let mut set = LambdaOptions::default();
            set.set(option.key, option.default).expect(option.key);
            assert_eq!(set, LambdaOptions::default(), "{}", option.key);
            (option.check)(option.default).expect(option.key);
        }
    }
}
