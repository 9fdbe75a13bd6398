//! Command line options for the connection to Kafka.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_record::ServiceOrigin;
use clap::Args;

use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// librdkafka's maximum timeout of administrative requests.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// Options for the connection to Kafka; flatten them into a tool's options. No `Debug`: `--config`
/// may contain a password.
#[derive(Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    // No `env` here: the environment is read with the rest of the client's configuration.
    #[arg(
        long,
        alias = "bootstrap-server",
        value_name = "HOST:PORT",
        global = true,
        help = "Bootstrap servers, separated by commas [env: KAFKA_BOOTSTRAP_SERVERS]"
    )]
    bootstrap_servers: Option<String>,

    /// Properties file for clients, as used by Kafka's own tools
    #[arg(long, value_name = "FILE", global = true)]
    properties: Option<PathBuf>,

    /// Any librdkafka property; may be repeated
    ///
    /// Put passwords in a --properties file or in the environment: every user of this machine can
    /// read command lines.
    #[arg(long = "config", value_name = "KEY=VALUE", global = true)]
    config: Vec<String>,

    /// Timeout for connecting and for each administrative operation
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_timeout,
        global = true
    )]
    pub timeout: Duration,
}

impl ConnectionArgs {
    /// The properties file, for clients of other languages.
    #[must_use]
    pub fn properties(&self) -> Option<&Path> {
        self.properties.as_deref()
    }

    /// Builds the client's configuration from defaults, environment, properties file and options.
    /// Later layers win.
    pub fn config(&self, client_id: &str) -> Result<KafkaConfig, KafkaError> {
        let mut config = KafkaConfig::new();
        config.set("client.id", client_id);
        // A driver that requests the embedded broker does not mean the environment's server.
        if ServiceOrigin::requested() != Some(ServiceOrigin::Embedded) {
            config.load_environment(|name| std::env::var(name).ok());
        }
        // After the environment: the file was chosen for this run.
        if let Some(path) = &self.properties {
            config.load_properties(path)?;
        }
        if let Some(servers) = &self.bootstrap_servers {
            config.set_by_option("bootstrap.servers", servers, "--bootstrap-servers");
        }
        self.apply_settings(&mut config)?;
        // Without a server, tools start an embedded one; an invalid server must be an error
        // instead.
        config.check_servers()?;
        tracing::debug!(?config, "Kafka configuration");
        Ok(config)
    }

    /// Applies `--config` again, over the properties set by a tool's own options.
    pub fn apply_settings(&self, config: &mut KafkaConfig) -> Result<(), KafkaError> {
        config.set_all_from_text(&self.config)
    }
}

/// Parses a time such as `10s`, or a number of seconds; above 0 and at most an hour.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let timeout = seconds
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "not a time; use a form such as 10s or 1m30s".to_owned())?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err("out of range; must be above 0 and at most 1h".to_owned());
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_out_of_range_are_refused() {
        assert_eq!(parse_timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_timeout("5"), Ok(Duration::from_secs(5)));
        for wrong in ["0s", "2h", "soon", "-1s", ""] {
            assert!(parse_timeout(wrong).is_err(), "{wrong}");
        }
    }
}
