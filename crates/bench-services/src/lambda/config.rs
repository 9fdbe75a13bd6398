//! What an event source mapping and its function are told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Records an invocation may be given, which is AWS's limit for Kinesis.
pub const BATCH_SIZE_MAX: u32 = 10_000;

/// How long a batch may wait for more records, ms: AWS's limit, five minutes.
pub const BATCHING_WINDOW_MAX_MS: u64 = 300_000;

/// Batches of one shard that are worked on at the same time: AWS's limit.
pub const PARALLELIZATION_MAX: u32 = 10;

/// How often a batch may be tried again: AWS's limit.
pub const RETRIES_MAX: i32 = 10_000;

/// How old a record may become, s: AWS's limit, seven days.
pub const RECORD_AGE_MAX_S: i64 = 604_800;

/// How long an invocation may take, ms: AWS's limit, 15 minutes.
pub const TIMEOUT_MAX_MS: u64 = 900_000;

/// Workers of one function that run at the same time: more than a machine has any use for.
pub const CONCURRENCY_MAX: u32 = 1_000;

/// How rarely a shard may be polled, ms.
const POLL_INTERVAL_MAX_MS: u64 = 60_000;

/// Variables that any program may need, and that hold no secrets.
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
/// Stream and function find their services as the SDK does: by the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingConfig {
    /// The stream. It need not be there yet.
    pub stream: String,
    /// What is invoked.
    pub function: FunctionConfig,
    /// How records become batches, and what is done when one fails.
    #[serde(default)]
    pub settings: MappingSettings,
    /// For checkpoints, the report and the function's log. Made if it is missing.
    pub state_dir: PathBuf,
}

/// How records become batches, and what is done when one fails; named as AWS names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MappingSettings {
    /// Most records in a batch, 1 to [`BATCH_SIZE_MAX`]. 100, as in AWS.
    pub batch_size: u32,
    /// How long a batch waits for more records, ms, 0 to [`BATCHING_WINDOW_MAX_MS`]. 0, as in AWS.
    pub batching_window_ms: u64,
    /// How many batches of one shard are worked on at the same time, 1 to
    /// [`PARALLELIZATION_MAX`]; those of one partition key never are. 1, as in AWS.
    pub parallelization_factor: u32,
    /// How often a batch that failed is tried again, 0 to [`RETRIES_MAX`], or -1 for as long as the
    /// records exist, which is what AWS does unless told otherwise. 10.
    pub maximum_retry_attempts: i32,
    /// Whether a batch that failed is split in two before it is tried again. No, as in AWS.
    pub bisect_batch_on_function_error: bool,
    /// How old a record may become before it is given up, s, 1 (in AWS 60) to
    /// [`RECORD_AGE_MAX_S`], or -1 for no limit, as in AWS.
    pub maximum_record_age_s: i64,
    /// Whether the function's answer names records that failed (`ReportBatchItemFailures`). Yes,
    /// since the functions of this benchmark do; in AWS it has to be asked for.
    pub report_batch_item_failures: bool,
    /// Where reading begins in a shard that has no checkpoint.
    pub starting_position: StartingPosition,
    /// How long after an empty answer a shard is asked again, ms, 1 to 60,000. AWS asks once a
    /// second; 5, so that the mapping does not hide what it measures.
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

/// What is invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionConfig {
    /// The function's name.
    pub name: String,
    /// Its program, which is what a deployment package calls `bootstrap`.
    pub program: PathBuf,
    /// Variables of its own. No secrets: they come with [`inherits`](Self::inherits).
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Variables of this process that the function gets, besides those that every program needs,
    /// such as `PATH`: where its table is, and the keys to it. What it does not need it does not get.
    #[serde(default)]
    pub inherits: Vec<String>,
    /// What is told and billed as its memory, MB, 128 to 10,240. Nothing enforces it here.
    #[serde(default = "default_memory_mb")]
    pub memory_mb: u32,
    /// How long an invocation may take, ms, 1 to [`TIMEOUT_MAX_MS`].
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How many of its workers may run at the same time, 1 to [`CONCURRENCY_MAX`].
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
    /// A function with nothing out of the ordinary.
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

    /// Which of these variables the function gets.
    pub(super) fn inherited(
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
                "a function's name is letters, digits, - and _, not '{}'",
                self.name
            ));
        }
        in_range("memory_mb", self.memory_mb, 128, 10_240)?;
        in_range("timeout_ms", self.timeout_ms, 1, TIMEOUT_MAX_MS)?;
        in_range("concurrency", self.concurrency, 1, CONCURRENCY_MAX)
    }
}

impl MappingConfig {
    /// Whether all of it can be; otherwise what cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.stream.is_empty() {
            return refuse("name a stream".to_owned());
        }
        self.function.validate()?;
        self.settings.validate()
    }
}

impl MappingSettings {
    /// Sets one of them from text, as in `batch-size` and `500`.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let all = serde_json::to_value(&*self).map_err(|error| ConfigError(error.to_string()))?;
        let Value::Object(mut all) = all else {
            return refuse("the settings are no object".to_owned());
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

/// Where reading begins in a shard that has no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StartingPosition {
    /// With the oldest record.
    TrimHorizon,
    /// With what is put from now on.
    Latest,
    /// With the first record that arrived then or later, ms since 1970.
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
    fn what_cannot_be_is_refused_and_changes_nothing() {
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
    fn a_configuration_is_written_and_read_with_defaults_for_what_is_missing() {
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
