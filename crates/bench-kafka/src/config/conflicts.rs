//! Finds conflicting settings before anything is connected. The rules are librdkafka's own
//! (`rd_kafka_conf_finalize`), whose errors name neither the values nor their origins; it still
//! refuses whatever is not covered here.

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};

use super::{KafkaConfig, REQUESTS_IN_FLIGHT, SERVERS};
use crate::error::KafkaError;

const IDEMPOTENCE: &str = "enable.idempotence";
const TRANSACTIONAL: &str = "transactional.id";
const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";
const DELIVERY_TIMEOUT: &str = "delivery.timeout.ms";
const SESSION: &str = "session.timeout.ms";
const HEARTBEAT: &str = "heartbeat.interval.ms";
const GROUP_PROTOCOL: &str = "group.protocol";
const FETCH_MAX: &str = "fetch.max.bytes";
const MESSAGE_MAX: &str = "message.max.bytes";

/// librdkafka's defaults of the properties that the rules compare.
const DEFAULTS: [(&str, &str); 11] = [
    (DELIVERY_TIMEOUT, "300000"),
    (TRANSACTION_TIMEOUT, "60000"),
    (SESSION, "45000"),
    ("max.poll.interval.ms", "300000"),
    (FETCH_MAX, "52428800"),
    (MESSAGE_MAX, "1000000"),
    ("queued.max.messages.kbytes", "65536"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    (IDEMPOTENCE, "false"),
    (GROUP_PROTOCOL, "classic"),
];

/// Properties that brokers decide under the consumer protocol.
const OF_CLASSIC_GROUPS: [&str; 4] =
    [SESSION, HEARTBEAT, "partition.assignment.strategy", "group.protocol.type"];

impl KafkaConfig {
    /// Checks that librdkafka can create a producer with these settings, without connecting.
    pub fn check_producer(&self) -> Result<(), KafkaError> {
        self.check_values()?;
        self.check_idempotence()?;
        self.check_transactions()?;
        self.check_linger()?;
        self.check_with_library::<BaseProducer<NullContext>>("producers")
    }

    /// Checks that librdkafka can create a consumer with these settings, without connecting.
    pub fn check_consumer(&self) -> Result<(), KafkaError> {
        self.check_values()?;
        self.check_group()?;
        self.check_fetches()?;
        self.check_with_library::<BaseConsumer<NullContext>>("consumers")
    }

    /// Checks that librdkafka can create an administrative client with these settings.
    pub(crate) fn check_admin(&self) -> Result<(), KafkaError> {
        self.of_admin().check_with_library::<BaseProducer<NullContext>>("connection")
    }

    /// Whether a boolean property is set to true.
    #[must_use]
    pub fn is_enabled(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            ["true", "t", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
        })
    }

    /// Checks properties of all clients.
    pub(super) fn check_reconnects(&self) -> Result<(), KafkaError> {
        let (least, most) = ("reconnect.backoff.ms", "reconnect.backoff.max.ms");
        self.refuse_if(self.number(most) < self.number(least), most, least, || {
            format!("{most} must be at least {least}; change one of them")
        })
    }

    fn check_idempotence(&self) -> Result<(), KafkaError> {
        let is_transactional = self.get(TRANSACTIONAL).is_some_and(|id| !id.is_empty());
        if is_transactional && self.get(IDEMPOTENCE).is_some() && !self.is_enabled(IDEMPOTENCE) {
            return self.conflict(
                TRANSACTIONAL,
                IDEMPOTENCE,
                "transactions need idempotence; remove one of them",
            );
        }
        let cause = if self.is_enabled(IDEMPOTENCE) {
            IDEMPOTENCE
        } else if is_transactional {
            TRANSACTIONAL
        } else {
            let gapless = "enable.gapless.guarantee";
            return self.refuse_if(self.is_enabled(gapless), gapless, IDEMPOTENCE, || {
                format!("{IDEMPOTENCE} must be true; change one of them")
            });
        };
        let is_above = |name, most| self.get(name).is_some() && self.number(name) > Some(most);
        let acks = self.get("acks");
        let queueing = "queuing.strategy";
        let backpressure = "queue.buffering.backpressure.threshold";
        for (is_wrong, name, right) in [
            (acks.is_some_and(|acks| !is_all(acks)), "acks", "all"),
            (is_above(REQUESTS_IN_FLIGHT, 5.0), REQUESTS_IN_FLIGHT, "at most 5"),
            (self.number("retries").is_some_and(|retries| retries < 1.0), "retries", "at least 1"),
            (is_above(backpressure, 1.0), backpressure, "1"),
            (
                self.get(queueing).is_some_and(|it| it.eq_ignore_ascii_case("lifo")),
                queueing,
                "fifo",
            ),
        ] {
            self.refuse_if(is_wrong, name, cause, || {
                format!("{name} must be {right}; change one of them")
            })?;
        }
        Ok(())
    }

    fn check_transactions(&self) -> Result<(), KafkaError> {
        if self.get(TRANSACTIONAL).is_none_or(str::is_empty) {
            return Ok(());
        }
        let limit = self.number(TRANSACTION_TIMEOUT);
        for (name, over) in [(DELIVERY_TIMEOUT, 0.0), ("socket.timeout.ms", 100.0)] {
            let is_longer = self.get(name).is_some() && self.number(name) > limit.map(|t| t + over);
            self.refuse_if(is_longer, name, TRANSACTION_TIMEOUT, || {
                format!("{name} must be at most {TRANSACTION_TIMEOUT}; change one of them")
            })?;
        }
        Ok(())
    }

    /// A message must not time out while it waits for others of its batch.
    fn check_linger(&self) -> Result<(), KafkaError> {
        let linger = "linger.ms";
        let is_transactional = self.get(TRANSACTIONAL).is_some_and(|id| !id.is_empty());
        let timeout = if is_transactional && self.get(DELIVERY_TIMEOUT).is_none() {
            TRANSACTION_TIMEOUT
        } else {
            DELIVERY_TIMEOUT
        };
        let limit = self.number(timeout).filter(|limit| *limit > 0.0);
        let is_late = limit.zip(self.number(linger)).is_some_and(|(limit, wait)| wait >= limit);
        self.refuse_if(is_late, linger, timeout, || {
            format!("{linger} must be less than {timeout}; change one of them")
        })
    }

    fn check_group(&self) -> Result<(), KafkaError> {
        let is_classic = self
            .get(GROUP_PROTOCOL)
            .is_none_or(|protocol| protocol.eq_ignore_ascii_case("classic"));
        if !is_classic {
            return OF_CLASSIC_GROUPS.into_iter().try_for_each(|name| {
                self.refuse_if(self.get(name).is_some(), name, GROUP_PROTOCOL, || {
                    "with this protocol the brokers decide; remove one of them".to_owned()
                })
            });
        }
        let poll = "max.poll.interval.ms";
        self.refuse_if(self.number(poll) < self.number(SESSION), poll, SESSION, || {
            format!("{poll} must be at least {SESSION}; change one of them")
        })?;
        let is_late =
            self.get(HEARTBEAT).is_some() && self.number(HEARTBEAT) >= self.number(SESSION);
        self.refuse_if(is_late, HEARTBEAT, SESSION, || {
            format!("{HEARTBEAT} must be less than {SESSION}; change one of them")
        })
    }

    fn check_fetches(&self) -> Result<(), KafkaError> {
        let is_small =
            self.get(FETCH_MAX).is_some() && self.number(FETCH_MAX) < self.number(MESSAGE_MAX);
        self.refuse_if(is_small, FETCH_MAX, MESSAGE_MAX, || {
            format!("{FETCH_MAX} must be at least {MESSAGE_MAX}; change one of them")
        })?;
        // By default, librdkafka keeps it between these two.
        let (receive, queued) = ("receive.message.max.bytes", "queued.max.messages.kbytes");
        let fetch = if self.get(FETCH_MAX).is_some() {
            self.number(FETCH_MAX)
        } else {
            let queued = self.number(queued).map(|kilobytes| kilobytes * 1024.0);
            let ahead = self.number(FETCH_MAX).zip(queued).map(|(a, b)| a.min(b));
            ahead.zip(self.number(MESSAGE_MAX)).map(|(a, b)| a.max(b))
        };
        let is_small =
            self.get(receive).is_some() && self.number(receive) < fetch.map(|bytes| bytes + 512.0);
        self.refuse_if(is_small, receive, FETCH_MAX, || {
            format!("{receive} must be at least {FETCH_MAX} + 512; change one of them")
        })
    }

    /// Lets librdkafka check the settings as a whole.
    fn check_with_library<C: FromClientConfigAndContext<NullContext>>(
        &self,
        clients: &'static str,
    ) -> Result<(), KafkaError> {
        let mut config = self.clone();
        // Without servers nothing is connected.
        config.properties.remove(SERVERS);
        let created: Result<C, _> = config.to_client_config().create_with_context(NullContext);
        let Err(error) = created else { return Ok(()) };
        let reason = match error {
            LibraryError::ClientCreation(reason) => reason,
            other => other.to_string(),
        };
        // The machine is at fault, not the settings.
        if reason.contains("thread") {
            let servers = self.bootstrap_servers().unwrap_or_default().to_owned();
            return Err(KafkaError::Client { servers, reason });
        }
        Err(KafkaError::Settings { clients, reason })
    }

    /// The value of a numeric property, or librdkafka's default if a rule compares it.
    fn number(&self, name: &str) -> Option<f64> {
        let value = self.get(name).or_else(|| default(name))?;
        value.parse().ok()
    }

    fn refuse_if(
        &self,
        is_wrong: bool,
        first: &str,
        second: &str,
        reason: impl FnOnce() -> String,
    ) -> Result<(), KafkaError> {
        if is_wrong { self.conflict(first, second, reason()) } else { Ok(()) }
    }

    fn conflict(
        &self,
        first: &str,
        second: &str,
        reason: impl Into<String>,
    ) -> Result<(), KafkaError> {
        let (first, second) = (self.shown(first), self.shown(second));
        Err(KafkaError::Conflict { first, second, reason: reason.into() })
    }

    /// A setting with its value and origin.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        match self.properties.get(super::canonical(name)) {
            Some(_) if super::is_secret(name) => name.to_owned(),
            Some(property) => format!("{name}={} ({})", property.value, property.origin),
            None => match default(name) {
                Some(value) => format!("{name}={value} (the default)"),
                None => name.to_owned(),
            },
        }
    }
}

fn default(name: &str) -> Option<&'static str> {
    DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn is_all(acks: &str) -> bool {
    acks == "-1" || acks.eq_ignore_ascii_case("all")
}

/// Ignores the logs and errors of a client that is never used.
struct NullContext;

impl ClientContext for NullContext {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: LibraryError, _reason: &str) {}
}

impl ConsumerContext for NullContext {}

impl ProducerContext for NullContext {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: Self::DeliveryOpaque) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[&str]) -> KafkaConfig {
        let mut config = KafkaConfig::new();
        for setting in settings {
            config.set_all_from_text(&[setting]).expect("a setting");
        }
        config
    }

    /// Asserts that the error names both conflicting settings with their origins.
    fn assert_conflict(result: Result<(), KafkaError>, first: &str, second: &str) {
        let error = result.expect_err(first);
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        let named = format!("{first} conflicts with {second}: ");
        assert!(text.starts_with(&named), "{text}\n{named}");
        assert!(text.contains("; change one of them") || text.contains("; remove one"), "{text}");
    }

    #[test]
    fn conflicting_producer_settings_are_both_named() {
        let idempotent = "enable.idempotence=true (--config)";
        for (settings, first, second) in [
            (
                &["linger.ms=360000"][..],
                "linger.ms=360000 (--config)",
                "delivery.timeout.ms=300000 (the default)",
            ),
            (
                &["queue.buffering.max.ms=7", "message.timeout.ms=7"],
                "linger.ms=7 (--config)",
                "delivery.timeout.ms=7 (--config)",
            ),
            (&["enable.idempotence=true", "acks=1"], "acks=1 (--config)", idempotent),
            (
                &["enable.idempotence=t", "retries=0"],
                "retries=0 (--config)",
                "enable.idempotence=t (--config)",
            ),
            (
                &["enable.idempotence=true", "max.in.flight=6"],
                "max.in.flight.requests.per.connection=6 (--config)",
                idempotent,
            ),
            (
                &["enable.idempotence=true", "queue.buffering.backpressure.threshold=2"],
                "queue.buffering.backpressure.threshold=2 (--config)",
                idempotent,
            ),
            (
                &["enable.idempotence=true", "queuing.strategy=lifo"],
                "queuing.strategy=lifo (--config)",
                idempotent,
            ),
            (
                &["enable.gapless.guarantee=true"],
                "enable.gapless.guarantee=true (--config)",
                "enable.idempotence=false (the default)",
            ),
            (
                &["transactional.id=t", "acks=0"],
                "acks=0 (--config)",
                "transactional.id=t (--config)",
            ),
            (
                &["transactional.id=t", "enable.idempotence=false"],
                "transactional.id=t (--config)",
                "enable.idempotence=false (--config)",
            ),
            (
                &["transactional.id=t", "delivery.timeout.ms=60001"],
                "delivery.timeout.ms=60001 (--config)",
                "transaction.timeout.ms=60000 (the default)",
            ),
            (
                &["transactional.id=t", "linger.ms=60000"],
                "linger.ms=60000 (--config)",
                "transaction.timeout.ms=60000 (the default)",
            ),
            (
                &["transactional.id=t", "socket.timeout.ms=60101"],
                "socket.timeout.ms=60101 (--config)",
                "transaction.timeout.ms=60000 (the default)",
            ),
            (
                &["reconnect.backoff.ms=20000"],
                "reconnect.backoff.max.ms=10000 (the default)",
                "reconnect.backoff.ms=20000 (--config)",
            ),
        ] {
            assert_conflict(config(settings).check_producer(), first, second);
        }
    }

    #[test]
    fn conflicting_consumer_settings_are_both_named() {
        let new = "group.protocol=consumer";
        let named = "group.protocol=consumer (--config)";
        for (settings, first, second) in [
            (
                &["max.poll.interval.ms=40000"][..],
                "max.poll.interval.ms=40000 (--config)",
                "session.timeout.ms=45000 (the default)",
            ),
            (
                &["session.timeout.ms=300001"],
                "max.poll.interval.ms=300000 (the default)",
                "session.timeout.ms=300001 (--config)",
            ),
            (
                &["session.timeout.ms=6000", "heartbeat.interval.ms=6000"],
                "heartbeat.interval.ms=6000 (--config)",
                "session.timeout.ms=6000 (--config)",
            ),
            (&[new, "session.timeout.ms=6000"], "session.timeout.ms=6000 (--config)", named),
            (&[new, "heartbeat.interval.ms=7"], "heartbeat.interval.ms=7 (--config)", named),
            (
                &[new, "partition.assignment.strategy=range"],
                "partition.assignment.strategy=range (--config)",
                named,
            ),
            (
                &["fetch.max.bytes=999999"],
                "fetch.max.bytes=999999 (--config)",
                "message.max.bytes=1000000 (the default)",
            ),
            (
                &["fetch.max.bytes=2000000", "receive.message.max.bytes=2000511"],
                "receive.message.max.bytes=2000511 (--config)",
                "fetch.max.bytes=2000000 (--config)",
            ),
            (
                &["receive.message.max.bytes=1000000"],
                "receive.message.max.bytes=1000000 (--config)",
                "fetch.max.bytes=52428800 (the default)",
            ),
        ] {
            assert_conflict(config(settings).check_consumer(), first, second);
        }
    }

    #[test]
    fn settings_valid_for_librdkafka_are_accepted() {
        for settings in [
            &[][..],
            &["linger.ms=299999"],
            &["delivery.timeout.ms=3"],
            &["linger.ms=400000", "delivery.timeout.ms=0"],
            &["enable.idempotence=true", "acks=-1", "retries=1", "max.in.flight=5"],
            &["transactional.id=t", "enable.idempotence=true", "delivery.timeout.ms=60000"],
            &["transactional.id=t", "transaction.timeout.ms=90000", "linger.ms=80000"],
            &["acks=1", "retries=0", "max.in.flight=7"],
        ] {
            config(settings).check_producer().expect("fits together");
        }
        for settings in [
            &[][..],
            &["session.timeout.ms=6000", "max.poll.interval.ms=6000"],
            &["group.protocol=CONSUMER", "group.remote.assignor=uniform"],
            &["fetch.max.bytes=1000000", "receive.message.max.bytes=1000512"],
            &["queued.max.messages.kbytes=1", "receive.message.max.bytes=1000512"],
            &["partition.assignment.strategy=cooperative-sticky"],
        ] {
            config(settings).check_consumer().expect("fits together");
        }
    }

    #[test]
    fn settings_refused_by_librdkafka_are_usage_errors() {
        let wrong = config(&["security.protocol=SSL", "ssl.cipher.suites=none-such"]);
        for error in [wrong.check_producer(), wrong.check_consumer()] {
            let error = error.expect_err("no such cipher");
            assert!(error.is_usage(), "{error}");
            assert!(error.to_string().contains("ssl.cipher.suites"), "{error}");
        }
    }
}
