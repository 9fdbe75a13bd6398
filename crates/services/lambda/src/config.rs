//! The configuration of an event source mapping and its function.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most records of an invocation: AWS's limit for Kinesis.
pub(crate) const BATCH_SIZE_MAX: u32 = 10_000;

/// Longest time that a batch waits for more records, ms: AWS's limit, five minutes.
pub(crate) const BATCHING_WINDOW_MAX_MS: u64 = 300_000;

/// Most batches of one shard in progress: AWS's limit.
pub(crate) const PARALLELIZATION_MAX: u32 = 10;

/// Most retries of a batch: AWS's limit.
pub(crate) const RETRIES_MAX: i32 = 10_000;

/// Highest age of a record, s: AWS's limit, seven days.
pub(crate) const RECORD_AGE_MAX_S: i64 = 604_800;

/// Longest invocation, ms: AWS's limit, 15 minutes.
pub(crate) const TIMEOUT_MAX_MS: u64 = 900_000;

/// Most workers of one function: more than a machine can use.
pub(crate) const CONCURRENCY_MAX: u32 = 1_000;

/// Longest interval between polls of a shard, ms.
const POLL_INTERVAL_MAX_MS: u64 = 60_000;

/// Variables that any program may need, without secrets.
const ALWAYS_INHERITED: [&str; 12] = [
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NO_PROXY",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
];

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// An event source mapping from a Kinesis stream to a function, and where it keeps its state.
///
/// Stream and function find their services as the SDK does, by the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// The stream, which need not exist yet.
    pub stream: String,
    /// The function.
    pub function: FunctionConfig,
    /// How batches are formed, and how failed ones are handled.
    #[serde(default)]
    pub settings: MappingSettings,
    /// Folder for checkpoints, the report and the function's log; created if missing.
    pub state_dir: PathBuf,
}

/// How batches are formed, and how failed ones are handled, under AWS's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MappingSettings {
    /// Most records in a batch, 1 to [`BATCH_SIZE_MAX`]. Default 100, as in AWS.
    pub batch_size: u32,
    /// Time that a batch waits for more records, ms, 0 to [`BATCHING_WINDOW_MAX_MS`]. Default 0, as
    /// in AWS.
    pub batching_window_ms: u64,
    /// Batches of one shard in progress at the same time, 1 to [`PARALLELIZATION_MAX`]; those of
    /// one partition key never are. Default 1, as in AWS.
    pub parallelization_factor: u32,
    /// Retries of a failed batch, 0 to [`RETRIES_MAX`], or -1 for as long as the records exist,
    /// which is AWS's default. Default 10.
    pub maximum_retry_attempts: i32,
    /// Whether a failed batch is split in two before its retry. Default no, as in AWS.
    pub bisect_batch_on_function_error: bool,
    /// Age at which a record is given up, s, 1 (in AWS 60) to [`RECORD_AGE_MAX_S`], or -1 for no
    /// limit, the default as in AWS.
    pub maximum_record_age_s: i64,
    /// Whether the function's answer names failed records (`ReportBatchItemFailures`). Default yes,
    /// since the functions of this benchmark do; in AWS it must be enabled.
    pub report_batch_item_failures: bool,
    /// Position at which reading begins in a shard without a checkpoint.
    pub starting_position: StartingPosition,
    /// Time from an empty answer to the next poll of a shard, ms, 1 to 60,000. Default 5, so that
    /// polling does not hide what is measured; AWS polls once per second.
    pub poll_interval_ms: u64,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            batching_window_ms: 0,
            parallelization_factor: 1,
            maximum_retry_attempts: 10,
            bisect_batch_on_function_error: false,
            maximum_record_age_s: -1,
            report_batch_item_failures: true,
            starting_position: StartingPosition::TrimHorizon,
            poll_interval_ms: 5,
        }
    }
}

/// The function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionConfig {
    /// The function's name.
    pub name: String,
    /// Its program, called `bootstrap` in a deployment package.
    pub program: PathBuf,
    /// Variables of its own. No secrets: use [`inherits`](Self::inherits) for those.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Variables of this process that the function gets: the address of its table and the keys to
    /// it. It also gets what every program needs, such as `PATH`, and nothing else.
    #[serde(default)]
    pub inherits: Vec<String>,
    /// Its memory as reported and billed, MB, 128 to 10,240. Not enforced here.
    #[serde(default = "default_memory_mb")]
    pub memory_mb: u32,
    /// Time limit of an invocation, ms, 1 to [`TIMEOUT_MAX_MS`].
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Most of its workers that run at the same time, 1 to [`CONCURRENCY_MAX`].
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
}

fn default_memory_mb() -> u32 {
    128
}

fn default_timeout_ms() -> u64 {
    60_000
}

fn default_concurrency() -> u32 {
    16
}

impl FunctionConfig {
    /// A function with default limits.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            environment: BTreeMap::new(),
            inherits: Vec::new(),
            memory_mb: default_memory_mb(),
            timeout_ms: default_timeout_ms(),
            concurrency: default_concurrency(),
        }
    }

    /// The variables of these that the function gets.
    pub fn inherited(
        &self,
        all: impl Iterator<Item = (OsString, OsString)>,
    ) -> impl Iterator<Item = (OsString, OsString)> {
        let is_needed = |name: &str| {
            ALWAYS_INHERITED.contains(&name)
                || name.starts_with("LC_")
                || self.inherits.iter().any(|inherited| inherited == name)
        };
        all.filter(move |(name, _)| name.to_str().is_some_and(is_needed))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let name_is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(name_is_good) {
            return refuse(format!(
                "a function's name must consist of letters, digits, - and _, not '{}'",
                self.name
            ));
        }
        in_range("memory_mb", self.memory_mb, 128, 10_240)?;
        in_range("timeout_ms", self.timeout_ms, 1, TIMEOUT_MAX_MS)?;
        in_range("concurrency", self.concurrency, 1, CONCURRENCY_MAX)
    }
}

impl MappingConfig {
    /// Checks all of it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.stream.is_empty() {
            return refuse("stream must not be empty".to_owned());
        }
        self.function.validate()?;
        self.settings.validate()
    }
}

impl MappingSettings {
    /// Sets one of them from text, such as `batch-size` to `500`.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let all = serde_json::to_value(&*self).map_err(|error| ConfigError(error.to_string()))?;
        let Value::Object(mut all) = all else {
            return refuse("the settings are not an object".to_owned());
        };
        if !all.contains_key(name) {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            return refuse(format!("'{name}' is none of {}", names.join(", ")));
        }
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        all.insert(name.to_owned(), value);
        let changed: Self = serde_json::from_value(Value::Object(all))
            .map_err(|error| ConfigError(format!("{name} cannot be '{text}': {error}")))?;
        changed.validate()?;
        *self = changed;
        Ok(())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        in_range("batch-size", self.batch_size, 1, BATCH_SIZE_MAX)?;
        in_range("batching-window-ms", self.batching_window_ms, 0, BATCHING_WINDOW_MAX_MS)?;
        in_range("parallelization-factor", self.parallelization_factor, 1, PARALLELIZATION_MAX)?;
        in_range("maximum-retry-attempts", self.maximum_retry_attempts, -1, RETRIES_MAX)?;
        in_range("poll-interval-ms", self.poll_interval_ms, 1, POLL_INTERVAL_MAX_MS)?;
        match self.maximum_record_age_s {
            -1 => Ok(()),
            age_s => in_range("maximum-record-age-s", age_s, 1, RECORD_AGE_MAX_S),
        }
    }
}

/// Position at which reading begins in a shard without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StartingPosition {
    /// The oldest record.
    TrimHorizon,
    /// Records that are put from now on.
    Latest,
    /// The first record that arrived then or later, ms since 1970.
    AtTimestamp(i64),
}

impl Display for StartingPosition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("trim-horizon"),
            Self::Latest => f.write_str("latest"),
            Self::AtTimestamp(ms) => write!(f, "timestamp-ms:{ms}"),
        }
    }
}

impl FromStr for StartingPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let timestamp = || text.strip_prefix("timestamp-ms:")?.parse().ok().map(Self::AtTimestamp);
        match text {
            "trim-horizon" => Ok(Self::TrimHorizon),
            "latest" => Ok(Self::Latest),
            _ => timestamp().ok_or_else(|| {
                format!("'{text}' is none of trim-horizon, latest and timestamp-ms:NUMBER")
            }),
        }
    }
}

impl TryFrom<String> for StartingPosition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<StartingPosition> for String {
    fn from(position: StartingPosition) -> Self {
        position.to_string()
    }
}

fn in_range<T: PartialOrd + Display + Copy>(
    name: &str,
    value: T,
    min: T,
    max: T,
) -> Result<(), ConfigError> {
    if value < min || value > max {
        return refuse(format!("{name} is {min} to {max}, not {value}"));
    }
    Ok(())
}

fn refuse<T>(reason: String) -> Result<T, ConfigError> {
    Err(ConfigError(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_inherit_what_they_need() {
        let all =
            ["PATH", "LC_ALL", "MYSQL_URL", "AWS_SECRET_ACCESS_KEY", "BENCH_STACK", "MY_TOKEN"];
        let all = || all.into_iter().map(|name| (OsString::from(name), OsString::from("x")));
        let mut function = FunctionConfig::new("f", "f");
        let names = |function: &FunctionConfig| {
            let inherited = function.inherited(all());
            inherited.map(|(name, _)| name.into_string().expect("text")).collect::<Vec<_>>()
        };
        assert_eq!(names(&function), ["PATH", "LC_ALL"]);
        function.inherits = vec!["MYSQL_URL".to_owned()];
        assert_eq!(names(&function), ["PATH", "LC_ALL", "MYSQL_URL"]);
    }

    #[test]
    fn settings_are_set_by_their_names() {
        let mut settings = MappingSettings::default();
        settings.set("batch-size", "500").expect("a number");
        settings.set("bisect-batch-on-function-error", "true").expect("a switch");
        settings.set("maximum-retry-attempts", "-1").expect("for ever");
        settings.set("starting-position", "timestamp-ms:1700000000000").expect("a position");
        let expected = MappingSettings {
            batch_size: 500,
            bisect_batch_on_function_error: true,
            maximum_retry_attempts: -1,
            starting_position: StartingPosition::AtTimestamp(1_700_000_000_000),
            ..MappingSettings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn bad_settings_are_refused_without_effect() {
        let mut settings = MappingSettings::default();
        let mut refusal =
            |name: &str, text: &str| settings.set(name, text).expect_err("refused").to_string();
        assert_eq!(refusal("batch-size", "10001"), "batch-size is 1 to 10000, not 10001");
        assert!(refusal("batch-size", "many").starts_with("batch-size cannot be 'many': "));
        assert!(refusal("batchsize", "1").contains("is none of batch-size, "));
        assert!(refusal("maximum-record-age-s", "0").contains("1 to 604800"));
        assert!(refusal("starting-position", "first").contains("none of trim-horizon"));
        assert_eq!(settings, MappingSettings::default());
    }

    #[test]
    fn missing_settings_have_defaults() {
        let text = r#"{"stream":"s","state_dir":"/tmp/s",
            "function":{"name":"kin-lambda","program":"/bin/kin-lambda"}}"#;
        let config: MappingConfig = serde_json::from_str(text).expect("complete");
        assert_eq!(config.settings, MappingSettings::default());
        assert_eq!(config.function, FunctionConfig::new("kin-lambda", "/bin/kin-lambda"));
        config.validate().expect("it can be");
        let written = serde_json::to_string(&config).expect("written");
        assert_eq!(serde_json::from_str::<MappingConfig>(&written).expect("read"), config);
        let nameless = MappingConfig { stream: String::new(), ..config };
        assert!(nameless.validate().is_err());
    }
}
