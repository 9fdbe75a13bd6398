//! Settings of a function, from environment variables.

use std::env::VarError;

use bench_tables::{KINESIS_TABLE, WriterOptions};

/// The system in which a function lands events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LandingSystem {
    /// In `DynamoDB`.
    Dynamodb,
    /// In `MySQL`.
    Mysql,
}

/// The settings of a function. See `docs/lambda.md` for the variables.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) system: LandingSystem,
    pub(crate) table: String,
    /// The `MySQL` URL, with its password.
    pub(crate) mysql_url: Option<String>,
    pub(crate) writer: WriterOptions,
    pub(crate) confirms: bool,
    pub(crate) creates_table: bool,
    pub(crate) reports_item_failures: bool,
    pub(crate) poison_sequence: Option<u64>,
}

/// Shows everything except the URL, which contains a password.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("system", &self.system)
            .field("table", &self.table)
            .field("writer", &self.writer)
            .field("confirms", &self.confirms)
            .field("creates_table", &self.creates_table)
            .field("reports_item_failures", &self.reports_item_failures)
            .field("poison_sequence", &self.poison_sequence)
            .finish_non_exhaustive()
    }
}

/// An invalid or missing variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    /// Its value is invalid.
    #[error("{variable} is '{value}'; set it to {expected}")]
    Value {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// It is missing.
    #[error("{variable} is not set; set it to {expected}")]
    Missing {
        /// Its name.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads the variables of this process.
    pub(crate) fn from_environment(system: LandingSystem) -> Result<Self, SettingsError> {
        Self::from_variables(system, |name| match std::env::var(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
        })
    }

    /// Reads variables through `get`. Empty ones count as missing.
    pub(crate) fn from_variables(
        system: LandingSystem,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let get = |name| get(name).filter(|value| !value.is_empty());
        let is_on = |variable, default| match get(variable).as_deref() {
            None => Ok(default),
            Some("on" | "true" | "1") => Ok(true),
            Some("off" | "false" | "0") => Ok(false),
            Some(value) => Err(SettingsError::Value {
                variable,
                value: value.to_owned(),
                expected: "on or off",
            }),
        };
        let number = |variable| {
            let parse = |value: String| {
                let expected = "a number";
                value.parse::<u64>().map_err(|_| SettingsError::Value { variable, value, expected })
            };
            get(variable).map(parse).transpose()
        };
        let mysql_url = get("MYSQL_URL");
        if system == LandingSystem::Mysql && mysql_url.is_none() {
            let expected = "mysql://USER:PASSWORD@HOST:PORT/DATABASE";
            return Err(SettingsError::Missing { variable: "MYSQL_URL", expected });
        }
        let mut writer = match system {
            LandingSystem::Dynamodb => WriterOptions::dynamodb(),
            LandingSystem::Mysql => WriterOptions::mysql(),
        };
        // The event source mapping retries failures, and a function's time is short.
        writer.retry_for = std::time::Duration::from_secs(5);
        let at_least_one = |value: u64| usize::try_from(value.max(1)).unwrap_or(usize::MAX);
        if let Some(rows) = number("BENCH_ROWS_PER_REQUEST")? {
            writer.rows_per_request = at_least_one(rows);
        }
        if let Some(requests) = number("BENCH_REQUESTS_IN_FLIGHT")? {
            writer.requests_in_flight = at_least_one(requests);
        }
        Ok(Self {
            system,
            table: get("TABLE_NAME").unwrap_or_else(|| KINESIS_TABLE.to_owned()),
            mysql_url,
            writer,
            confirms: is_on("BENCH_CONFIRM", true)?,
            creates_table: is_on("BENCH_CREATE_TABLE", false)?,
            reports_item_failures: is_on("BENCH_REPORT_ITEM_FAILURES", false)?,
            poison_sequence: number("BENCH_POISON_SEQUENCE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(system: LandingSystem, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_variables(system, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_the_mysql_url_is_required() {
        let settings = read(LandingSystem::Dynamodb, &[("BENCH_CONFIRM", "")]).expect("defaults");
        assert_eq!(settings.table, "benchmark_kinesis");
        assert!(settings.confirms && !settings.reports_item_failures && !settings.creates_table);
        assert_eq!(settings.poison_sequence, None);
        let error = read(LandingSystem::Mysql, &[]).expect_err("no address").to_string();
        assert!(error.starts_with("MYSQL_URL is not set; set it to mysql://"), "{error}");
    }

    #[test]
    fn invalid_variables_are_named() {
        let all = [
            ("TABLE_NAME", "t"),
            ("MYSQL_URL", "mysql://u:secret@h/d"),
            ("BENCH_CONFIRM", "off"),
            ("BENCH_REPORT_ITEM_FAILURES", "on"),
            ("BENCH_CREATE_TABLE", "on"),
            ("BENCH_POISON_SEQUENCE", "17"),
            ("BENCH_ROWS_PER_REQUEST", "10"),
            ("BENCH_REQUESTS_IN_FLIGHT", "0"),
        ];
        let settings = read(LandingSystem::Mysql, &all).expect("all are good");
        assert_eq!(settings.table, "t");
        assert!(!settings.confirms && settings.reports_item_failures && settings.creates_table);
        assert_eq!(settings.poison_sequence, Some(17));
        assert_eq!((settings.writer.rows_per_request, settings.writer.requests_in_flight), (10, 1));
        assert!(!format!("{settings:?}").contains("secret"));
        let error =
            read(LandingSystem::Dynamodb, &[("BENCH_CONFIRM", "maybe")]).expect_err("neither");
        assert_eq!(error.to_string(), "BENCH_CONFIRM is 'maybe'; set it to on or off");
        let error =
            read(LandingSystem::Dynamodb, &[("BENCH_POISON_SEQUENCE", "x")]).expect_err("none");
        assert_eq!(error.to_string(), "BENCH_POISON_SEQUENCE is 'x'; set it to a number");
    }
}
