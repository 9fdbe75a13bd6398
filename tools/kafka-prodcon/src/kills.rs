//! Consumers that are killed on purpose: `--kill-consumer N@AT[+AFTER]`.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use bench_cli::{UsageError, quantity};
use bench_core::clock::{InstantNs, SystemClock, duration_ns};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaReceiver, Kill, KillableReceiver};

use crate::options::ConsumerArgs;

const OPTION: &str = "--kill-consumer";

/// librdkafka's default `session.timeout.ms`, and the brokers' for `group.protocol=consumer`.
const SESSION_DEFAULT_MS: u64 = 45_000;

/// librdkafka's default `heartbeat.interval.ms`.
const HEARTBEAT_DEFAULT_MS: u64 = 3_000;

/// A kill of a consumer on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConsumerKill {
    /// The consumer's number, from 1.
    consumer: u32,
    /// Time after the start of the schedule.
    at: Duration,
    /// Time from the kill to the return; `None` for never.
    back_after: Option<Duration>,
}

impl ConsumerKill {
    fn back(&self) -> Option<Duration> {
        self.back_after.map(|after| self.at.saturating_add(after))
    }
}

impl FromStr for ConsumerKill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (consumer, times) =
            text.split_once('@').ok_or("use the form N@AT or N@AT+AFTER, such as 2@10s+5s")?;
        let consumer = consumer.parse().ok().filter(|number| *number > 0);
        let consumer = consumer.ok_or("consumer numbers start at 1")?;
        let time = |text| quantity::parse_duration(text).map_err(|error| error.to_string());
        let (at, back_after) = match times.split_once('+') {
            Some((at, after)) => (at, Some(time(after)?)),
            None => (times, None),
        };
        Ok(Self { consumer, at: time(at)?, back_after })
    }
}

/// Checks the kills against the rest of the command line, and sorts them. Without a `drain_timeout`,
/// consumers never time out.
pub(crate) fn check(
    config: &KafkaConfig,
    args: &ConsumerArgs,
    consumers: usize,
    in_group: bool,
    drain_timeout: Option<Duration>,
) -> Result<Vec<ConsumerKill>> {
    let mut kills = args.kill_consumer.clone();
    if kills.is_empty() {
        return Ok(kills);
    }
    kills.sort_by_key(|kill| (kill.consumer, kill.at));
    check_targets(&kills, consumers, in_group)?;
    if let Some(drain_timeout) = drain_timeout {
        check_drain_timeout(drain_timeout, config)?;
    }
    Ok(kills)
}

fn check_targets(
    kills: &[ConsumerKill],
    consumers: usize,
    in_group: bool,
) -> Result<(), UsageError> {
    if !in_group {
        return Err(UsageError::new(
            OPTION,
            "without a group, no consumer takes over a killed consumer's partitions",
            "use a consumer group",
        ));
    }
    if let Some(kill) = kills.iter().find(|kill| kill.consumer as usize > consumers) {
        return Err(UsageError::new(
            OPTION,
            format!("no consumer {} among {consumers}", kill.consumer),
            "use a lower number, or raise --consumers and --partitions",
        ));
    }
    let twice = kills.windows(2).find(|pair| {
        let [first, second] = pair else { return false };
        first.consumer == second.consumer && first.back().is_none_or(|back| back >= second.at)
    });
    twice.map_or(Ok(()), |pair| {
        Err(UsageError::new(
            OPTION,
            format!("consumer {} is killed again before it is back", pair[0].consumer),
            "let it return before the next kill, such as 1@10s+5s and 1@20s",
        ))
    })
}

/// No consumer reads a killed one's partitions before its session has timed out and the others have
/// noticed: ending earlier would report their messages as lost.
fn check_drain_timeout(drain_timeout: Duration, config: &KafkaConfig) -> Result<(), UsageError> {
    let millis =
        |name, default| config.get(name).and_then(|value| value.parse().ok()).unwrap_or(default);
    let session = Duration::from_millis(millis("session.timeout.ms", SESSION_DEFAULT_MS));
    let heartbeat = Duration::from_millis(millis("heartbeat.interval.ms", HEARTBEAT_DEFAULT_MS));
    if drain_timeout > session + heartbeat {
        return Ok(());
    }
    Err(UsageError::new(
        "--drain-timeout",
        format!(
            "{drain_timeout:?} is too short: a group notices a killed consumer only after \
             {session:?} of session timeout and {heartbeat:?} of heartbeat interval"
        ),
        "raise it, or shorten the session with --config session.timeout.ms=6000",
    ))
}

/// Schedules each consumer's kills.
pub(crate) fn killable(
    receivers: Vec<KafkaReceiver>,
    config: &KafkaConfig,
    topic: &str,
    clock: SystemClock,
    start_ns: InstantNs,
    kills: &[ConsumerKill],
) -> Vec<KillableReceiver> {
    let instant = |after: Duration| start_ns.saturating_add(duration_ns(after));
    (1..)
        .zip(receivers)
        .map(|(number, receiver)| {
            let own = kills.iter().filter(|kill| kill.consumer == number);
            let own =
                own.map(|kill| Kill { at_ns: instant(kill.at), back_ns: kill.back().map(instant) });
            KillableReceiver::new(receiver, config, topic, clock, own.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills(texts: &[&str]) -> Vec<ConsumerKill> {
        texts.iter().map(|text| text.parse().expect("a kill")).collect()
    }

    #[test]
    fn kills_have_consumer_time_and_optional_return() {
        let seconds = Duration::from_secs;
        let kill = |consumer, at, back_after| Ok(ConsumerKill { consumer, at, back_after });
        assert_eq!("2@10s".parse(), kill(2, seconds(10), None));
        assert_eq!("1@1m+5".parse(), kill(1, seconds(60), Some(seconds(5))));
        for wrong in ["", "2", "2@", "@2s", "0@1s", "-1@1s", "1@1s+", "1@soon", "1@1s+2s+3s"] {
            assert!(wrong.parse::<ConsumerKill>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_live_group_members_can_be_killed() {
        assert!(check_targets(&kills(&["1@1s+1s", "1@3s", "2@1s"]), 2, true).is_ok());
        for (wrong, consumers, in_group, expected) in [
            (vec!["1@1s"], 1, false, "without a group"),
            (vec!["3@1s"], 2, true, "no consumer 3"),
            (vec!["1@1s", "1@2s"], 1, true, "consumer 1 is killed again"),
            (vec!["1@1s+5s", "1@2s"], 1, true, "consumer 1 is killed again"),
        ] {
            let error = check_targets(&kills(&wrong), consumers, in_group).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn drain_timeouts_must_exceed_the_session() {
        let mut config = KafkaConfig::new();
        let seconds = Duration::from_secs;
        assert!(check_drain_timeout(seconds(49), &config).is_ok());
        assert!(check_drain_timeout(seconds(48), &config).is_err());
        config.set("session.timeout.ms", "6000");
        config.set("heartbeat.interval.ms", "500");
        assert!(check_drain_timeout(seconds(7), &config).is_ok());
        assert!(check_drain_timeout(seconds(6), &config).is_err());
    }
}
