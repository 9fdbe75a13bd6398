//! Options of other well-known tools, and their names here.

/// Options of other tools with their counterparts, best first. A counterpart that begins with `--`
/// applies if the tool has that option; anything else is advice for the Kafka tools.
const COUNTERPARTS: [(&[&str], &[&str]); 46] = [
    // Kafka's own tools.
    (&["--throughput", "--target-rate", "--producer-rate", "--producerRate"], &["--rate"]),
    (
        &[
            "--num-record",
            "--num-messages",
            "--max-messages",
            "--message-count",
            "--count",
            "--total-messages",
            "--records",
            "-c",
            "-n",
        ],
        &["--messages", "--expected"],
    ),
    (
        &[
            "--message-size",
            "--size",
            "--msg-size",
            "--msgsize",
            "--payload-size",
            "--messageSize",
            "--record-bytes",
        ],
        &["--record-size"],
    ),
    (&["--payload-file", "--payload", "--payloadFile", "--input-file", "--file"], &["--input"]),
    (&["--producer-props", "--producer-prop", "--producer-property"], &["--config"]),
    (&["--consumer-property", "--consumer-props", "--property", "--conf", "-X"], &["--config"]),
    (
        &[
            "--command-config",
            "--command.config",
            "--producer.config",
            "--producer-config",
            "--consumer.config",
            "--consumer-config",
            "--config-file",
            "--props",
            "-F",
        ],
        &["--properties"],
    ),
    (
        &[
            "--broker-list",
            "--brokers",
            "--broker",
            "--zookeeper",
            "--bootstrap",
            "--servers",
            "--kafka-servers",
            "--bootstrap_servers",
            "-b",
        ],
        &["--bootstrap-servers"],
    ),
    (&["--from-beginning", "--beginning"], &["--from earliest", "--from trim-horizon", "--from"]),
    (&["--offset", "-o"], &["--from"]),
    (&["--timeout-ms", "--wait"], &["--drain-timeout", "--timeout"]),
    (&["--replication", "--replicas", "--replicationFactor"], &["--replication-factor"]),
    (&["--num-partitions", "--partition-count", "--partitionsPerTopic"], &["--partitions"]),
    (&["--request-required-acks", "--producer-acks"], &["--acks"]),
    (&["--compression-codec", "--compression-type", "-z"], &["--compression"]),
    (&["--consumer-group", "--group-id", "--groupid", "-G"], &["--group"]),
    (&["--max-partition-memory-bytes", "--batch.size", "--max-block-bytes"], &["--batch-size"]),
    (&["--linger-ms", "--linger.ms"], &["--linger"]),
    (
        &["--transactional-id", "--transaction-id", "--transaction-duration-ms"],
        &["--transactional"],
    ),
    (
        &["--warmup-records", "--warmup", "--warm-up-time", "--warmupDurationMinutes"],
        &["--warm-up"],
    ),
    (&["--reporting-interval", "--report-interval"], &["--interval"]),
    (
        &["--threads", "--num-threads", "--producers-per-topic", "--producersPerTopic", "-T"],
        &["--producers", "--consumers"],
    ),
    (&["--isolation-level"], &["--isolation"]),
    (&["--delete-config", "--add-config"], &["--topic-config"]),
    (&["--test-duration", "--testDurationMinutes", "--run-time", "--runtime"], &["--duration"]),
    (&["--print-metrics", "--show-detailed-stats", "--print-stats"], &["--output"]),
    // kcat, by its letters.
    (&["-C", "--consume"], &["`kafka-prodcon print TOPIC` reads messages"]),
    (&["-P", "--produce"], &["`kafka-prodcon send TOPIC` sends lines"]),
    (
        &["-L", "--list", "--describe"],
        &["`topic-clean list` and `topic-clean describe` show topics"],
    ),
    (&["--delete"], &["--recreate", "`topic-clean TOPIC` empties a topic"]),
    (&["-Q"], &["--from"]),
    (&["-K", "--key.separator", "--key-delim"], &["--key-separator"]),
    (&["-Z"], &["--null", "--null-marker"]),
    (&["-f", "--formatter", "--print-headers"], &["--show"]),
    (&["--exit-eof", "-e"], &["without --follow a reader ends at the end of the topic"]),
    (&["-t", "--topics"], &["--topic", "give the topic as an argument, without an option"]),
    (&["--topic"], &["give the topic as an argument, without an option"]),
    // The command line of AWS.
    (&["--stream-name", "--stream-arn", "--stream_name"], &["--stream"]),
    (&["--table-name", "--table_name"], &["--table"]),
    (&["--shard-count", "--num-shards"], &["--shards"]),
    (&["--endpoint", "--host", "--endpoint_url"], &["--endpoint-url", "--mysql-url"]),
    (&["--region-name", "--aws-region"], &["--region"]),
    (&["--shard-iterator-type", "--initial-position"], &["--from"]),
    (&["--url", "--dsn", "--database-url"], &["--mysql-url", "--connect-url"]),
    // Earlier scripts.
    (&["--minutes", "--seconds", "--secs", "--time"], &["--duration"]),
    (&["--dbtype", "--db"], &["--land", "choose the table by the first argument"]),
];

/// A tip with this tool's name of another tool's option. `has` tells whether this tool has an
/// option, given without dashes.
pub(super) fn counterpart(unknown: &str, has: &dyn Fn(&str) -> bool) -> Option<String> {
    let meant = COUNTERPARTS.iter().filter(|(names, _)| names.contains(&unknown));
    let tip = |target: &str| match target.strip_prefix("--") {
        Some(option) => {
            let name = option.split(' ').next().unwrap_or_default();
            has(name).then(|| format!("what other tools call '{unknown}' is '{target}' here"))
        }
        None => has("bootstrap-servers").then(|| target.to_owned()),
    };
    meant.flat_map(|(_, targets)| targets.iter()).find_map(|target| tip(target))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = BTreeSet::new();
        for name in COUNTERPARTS.iter().flat_map(|(names, _)| names.iter()) {
            assert!(name.starts_with('-') && names.insert(name), "{name}");
        }
    }

    #[test]
    fn first_existing_counterpart_is_suggested() {
        let tip = |has: &[&str]| counterpart("--timeout-ms", &|name| has.contains(&name));
        assert!(tip(&["timeout", "drain-timeout"]).expect("a tip").contains("'--drain-timeout'"));
        assert!(tip(&["timeout"]).expect("a tip").contains("'--timeout'"));
        assert_eq!(tip(&["rate"]), None);
    }
}
