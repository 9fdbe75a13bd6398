//! The settings of the clients: the connection's, the options', and the user's own last.

use anyhow::Result;
use bench_cli::UsageError;
use bench_kafka::config::KafkaConfig;
use bench_kafka::options::ConnectionArgs;
use bench_service_kafka::stand_in::FETCH_WAIT_MS;

use crate::options::From;

/// The largest batch, and so the largest message, for the embedded broker. Two batches that exceed
/// together the 5 MiB that it keeps are both dropped when it holds nothing else.
const EMBEDDED_BATCH_MAX_BYTES: u64 = 2 << 20;

/// The session of a group's members on the embedded broker, which makes a group wait for all but a
/// second of it when a member comes after the first ones: by default 44 s.
const EMBEDDED_SESSION_MS: u32 = 3_000;

/// The longest wait of a fetch from the embedded broker, which an empty one takes whole, also when
/// messages come meanwhile: librdkafka's default.
const EMBEDDED_FETCH_WAIT_MAX_MS: u64 = 500;

/// How long a consumer whose queue was full waits before it fetches again, milliseconds.
const FETCH_BACKOFF: &str = "fetch.queue.backoff.ms";

const FETCH_WAIT: &str = "fetch.wait.max.ms";
const COMMIT: &str = "enable.auto.commit";
const GROUP: &str = "group.id";
const MEMBER: &str = "group.instance.id";
const RESET: &str = "auto.offset.reset";

/// What clients are made of, before anything is connected.
pub(crate) struct Settings {
    pub(crate) connection: ConnectionArgs,
    /// Those of the connection, in layers; `--config` is among them.
    pub(crate) config: KafkaConfig,
}

impl Settings {
    /// Those of the command line, the environment and the properties file.
    pub(crate) fn new(connection: &ConnectionArgs) -> Result<Self> {
        let config = connection.config("kafka-prodcon")?;
        Ok(Self { connection: connection.clone(), config })
    }

    /// Whether no server is named, so that an embedded one serves.
    pub(crate) fn is_for_embedded(&self) -> bool {
        self.config.bootstrap_servers().is_none()
    }

    /// How large a batch may be; `None` where the cluster itself says so.
    pub(crate) fn batch_max_bytes(&self) -> Option<u64> {
        self.is_for_embedded().then_some(EMBEDDED_BATCH_MAX_BYTES)
    }

    /// A producer's settings: those of `config`, then the user's own, which always win.
    pub(crate) fn producer(&self, mut config: KafkaConfig) -> Result<KafkaConfig> {
        self.connection.apply_settings(&mut config)?;
        if let Some(limit) = self.batch_max_bytes() {
            let size = config.get("batch.size").and_then(|size| size.parse().ok());
            if size.is_some_and(|size: u64| size > limit) {
                config.set("batch.size", limit.to_string());
            }
        }
        Ok(config.of_producer())
    }

    /// The same for a consumer, with what the embedded broker needs of one.
    pub(crate) fn consumer(&self, mut config: KafkaConfig) -> Result<KafkaConfig> {
        // The library's default of a second stalls a consumer that keeps up.
        config.set_default(FETCH_BACKOFF, "1");
        if self.is_for_embedded() {
            config.set(FETCH_WAIT, FETCH_WAIT_MS.to_string());
            let protocol = config.get("group.protocol");
            if protocol.is_none_or(|protocol| protocol.eq_ignore_ascii_case("classic")) {
                config.set("session.timeout.ms", EMBEDDED_SESSION_MS.to_string());
                config.set("heartbeat.interval.ms", (EMBEDDED_SESSION_MS / 10).to_string());
            }
        }
        self.connection.apply_settings(&mut config)?;
        if self.is_for_embedded() {
            check_fetch_wait(&config)?;
        }
        Ok(config.of_consumer())
    }

    /// The same for a consumer that joins no group and commits nothing.
    pub(crate) fn consumer_alone(&self, mut config: KafkaConfig) -> Result<KafkaConfig> {
        if config.is_from_command_line(COMMIT) && config.is_enabled(COMMIT) {
            let problem = format!("{} needs a group", config.shown(COMMIT));
            return Err(
                UsageError::new("--group", problem, "add the option, or remove the other").into()
            );
        }
        config.set(COMMIT, "false");
        self.consumer(config)
    }

    /// The group of consumers: that of `option`, else of a properties file; `--config` has the last
    /// word.
    pub(crate) fn group(&self, option: Option<&str>) -> Option<String> {
        let set = self.config.get(GROUP).filter(|group| !group.is_empty());
        let option = option.filter(|_| !self.config.is_from_command_line(GROUP));
        option.or(set).map(str::to_owned)
    }

    /// Refuses a group by `--config` beside `--no-group`.
    pub(crate) fn refuse_group(&self) -> Result<(), UsageError> {
        if !self.config.is_from_command_line(GROUP) {
            return Ok(());
        }
        let problem = format!("it does not fit {}", self.config.shown(GROUP));
        Err(UsageError::new("--no-group", problem, "remove one of them"))
    }

    /// Refuses the name of one member for several.
    pub(crate) fn check_members(&self, consumers: u32) -> Result<(), UsageError> {
        if consumers < 2 || self.config.get(MEMBER).is_none_or(str::is_empty) {
            return Ok(());
        }
        let problem = format!(
            "{consumers} do not fit {}, which names one member of a group",
            self.config.shown(MEMBER)
        );
        Err(UsageError::new("--consumers", problem, "use 1, or remove the other"))
    }

    /// Where readers begin: as `option` says, else as `auto.offset.reset` does.
    pub(crate) fn from(&self, option: Option<From>) -> From {
        let set = self.config.get(RESET).map(|reset| {
            let latest = ["latest", "largest", "end"];
            if latest.iter().any(|word| reset.eq_ignore_ascii_case(word)) {
                From::Latest
            } else {
                From::Beginning
            }
        });
        let option = option.filter(|_| !self.config.is_from_command_line(RESET));
        option.or(set).unwrap_or_default()
    }
}

fn check_fetch_wait(config: &KafkaConfig) -> Result<(), UsageError> {
    let wait: Option<u64> = config.get(FETCH_WAIT).and_then(|wait| wait.parse().ok());
    if wait.is_none_or(|wait| wait <= EMBEDDED_FETCH_WAIT_MAX_MS) {
        return Ok(());
    }
    Err(UsageError::new(
        "--config",
        format!(
            "{} does not fit the embedded broker, which lets an empty fetch wait for all of it",
            config.shown(FETCH_WAIT)
        ),
        format!("use at most {EMBEDDED_FETCH_WAIT_MAX_MS}, or a server with --bootstrap-servers"),
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::Options;

    /// The settings of a command line, without those of the environment, for a server or none.
    fn settings(servers: Option<&str>, args: &str) -> Settings {
        let args = format!("kafka-prodcon {args}");
        let connection = Options::parse_from(args.split_whitespace()).connection;
        let mut config = KafkaConfig::new();
        if let Some(servers) = servers {
            config.set("bootstrap.servers", servers);
        }
        connection.apply_settings(&mut config).expect("settings");
        Settings { connection, config }
    }

    #[test]
    fn the_last_word_on_group_and_start_is_that_of_config() {
        let plain = settings(Some("a:1"), "");
        assert_eq!(plain.group(None), None);
        assert_eq!(plain.group(Some("g")).as_deref(), Some("g"));
        assert_eq!(plain.from(None), From::Beginning);
        assert_eq!(plain.from(Some(From::Latest)), From::Latest);
        let set = settings(None, "--config group.id=c --config auto.offset.reset=end");
        assert_eq!(set.group(Some("g")).as_deref(), Some("c"));
        assert_eq!(set.from(Some(From::Beginning)), From::Latest);
        assert!(set.refuse_group().is_err() && plain.refuse_group().is_ok());
    }

    #[test]
    fn the_embedded_broker_keeps_the_limits_that_it_needs() {
        let embedded = settings(None, "--config batch.size=10000000");
        let producer = embedded.producer(embedded.config.clone()).expect("settings");
        assert_eq!(producer.get("batch.size"), Some("2097152"));
        let named = settings(Some("a:1"), "--config batch.size=10000000");
        let producer = named.producer(named.config.clone()).expect("settings");
        assert_eq!(producer.get("batch.size"), Some("10000000"));
        let slow = settings(None, "--config fetch.wait.max.ms=60000");
        let error = slow.consumer(slow.config.clone()).expect_err("too long").to_string();
        assert!(error.contains("fetch.wait.max.ms=60000 (--config)"), "{error}");
        let new = settings(None, "--config group.protocol=consumer");
        let consumer = new.consumer(new.config.clone()).expect("settings");
        assert_eq!(consumer.get("session.timeout.ms"), None);
    }

    #[test]
    fn one_member_of_a_group_is_one_consumer() {
        let named = settings(Some("a:1"), "--config group.instance.id=m");
        assert!(named.check_members(1).is_ok());
        let error = named.check_members(2).expect_err("two of one name").to_string();
        assert!(error.contains("group.instance.id=m (--config)"), "{error}");
    }
}
