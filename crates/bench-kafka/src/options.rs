//! How to reach Kafka, as options of a command line.

use std::path::PathBuf;
use std::time::Duration;

use bench_core::results::ServiceOrigin;
use clap::Args;

use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// The longest time that librdkafka lets an administrative request take.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// How to reach Kafka; flatten it into a tool's options. Never shown whole: `--config` may hold a
/// password.
#[derive(Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    // The environment is read with the rest of the client's configuration, hence no `env` here.
    #[arg(
        long,
        alias = "bootstrap-server",
        value_name = "HOST:PORT",
        global = true,
        help = "Servers to ask first, separated by commas [env: KAFKA_BOOTSTRAP_SERVERS]"
    )]
    bootstrap_servers: Option<String>,

    /// File with client properties, as Java's tools take it
    #[arg(long, value_name = "FILE", global = true)]
    properties: Option<PathBuf>,

    /// Any librdkafka property; may be repeated
    ///
    /// Passwords are better kept in a --properties file or in the environment, since every user of
    /// the machine can read command lines.
    #[arg(long = "config", value_name = "KEY=VALUE", global = true)]
    config: Vec<String>,

    /// Longest time to wait for a connection, and for each administrative operation
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
    /// The client's configuration: defaults, then the environment, the properties file and the
    /// options. Later layers win.
    pub fn config(&self, client_id: &str) -> Result<KafkaConfig, KafkaError> {
        let mut config = KafkaConfig::new();
        config.set("client.id", client_id);
        // A driver that asks for the embedded broker does not mean the server of the environment.
        if ServiceOrigin::requested() != Some(ServiceOrigin::Embedded) {
            config.load_environment(|name| std::env::var(name).ok());
        }
        // Named for this very run, unlike the environment.
        if let Some(path) = &self.properties {
            config.load_properties(path)?;
        }
        if let Some(servers) = &self.bootstrap_servers {
            config.set_by_option("bootstrap.servers", servers, "--bootstrap-servers");
        }
        self.apply_settings(&mut config)?;
        // What cannot be a server is not the same as none, for which tools start one of their own.
        config.check_servers()?;
        tracing::debug!(?config, "Kafka configuration");
        Ok(config)
    }

    /// Applies `--config` once more, over what a tool's own options set.
    pub fn apply_settings(&self, config: &mut KafkaConfig) -> Result<(), KafkaError> {
        config.set_all_from_text(&self.config)
    }
}

/// A time as in `10s`, or a number of seconds; above 0 and at most an hour.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let timeout = seconds
        .or_else(|_| humantime::parse_duration(text))
        .map_err(|_| "not a time; write it as in 10s or 1m30s".to_owned())?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err("out of range; name a time above 0 and at most 1h".to_owned());
    }
    Ok(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_times_within_the_range() {
        assert_eq!(parse_timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_timeout("5"), Ok(Duration::from_secs(5)));
        for wrong in ["0s", "2h", "soon", "-1s", ""] {
            assert!(parse_timeout(wrong).is_err(), "{wrong}");
        }
    }
}
