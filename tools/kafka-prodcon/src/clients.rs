//! Estimates the machine's resources that the clients of a run need, before they start.
//!
//! The figures were measured: see "Many producers and consumers" in `docs/kafka-prodcon.md`.

use bench_cli::{Amount, Needs, Workers, Workload};
use bench_kafka::error::KafkaError;
use bench_kafka::options::ConnectionArgs;

use crate::cluster::ClusterSize;
use crate::options::ProducerArgs;
use crate::produce::AMOUNT_DEFAULT;
use crate::producers::{in_flight_max, mean_bytes};

/// Minimum needs of a client, with one broker.
const PRODUCER: Needs = Needs { memory_bytes: 3_000_000, queue_bytes: 0, threads: 3, files: 7 };
const CONSUMER: Needs = Needs { memory_bytes: 1_800_000, queue_bytes: 0, threads: 4, files: 7 };

/// Memory per client and partition of the topic: the client library's metadata.
const PRODUCER_PARTITION_BYTES: u64 = 900;
const CONSUMER_PARTITION_BYTES: u64 = 2_000;

/// Needs per further broker: a thread, its wake-up pipe and a connection.
const BROKER: Needs = Needs { memory_bytes: 100_000, queue_bytes: 0, threads: 1, files: 3 };

/// Overhead per queued message in the client library and the engine.
const MESSAGE_BYTES: u64 = 250;

/// The client library's default read-ahead of a consumer, kilobytes.
const FETCHED_AHEAD_KB: u64 = 65_536;

/// The producers of a run.
pub(crate) fn producers(args: &ProducerArgs, workload: &Workload, size: ClusterSize) -> Workers {
    let in_flight = u64::from(in_flight_max(args, &workload.messages));
    let share = messages(workload).map_or(in_flight, |all| all.div_ceil(args.producers.into()));
    let queue_bytes = in_flight.min(share).saturating_mul(queued_message_bytes(workload));
    let each = on(size, Needs { queue_bytes, ..PRODUCER }, PRODUCER_PARTITION_BYTES);
    Workers { kind: "producers", option: "--producers", count: args.producers, each }
}

/// The consumers of a run; `sent` is the run's own workload, if it produces.
pub(crate) fn consumers(
    connection: &ConnectionArgs,
    count: u32,
    sent: Option<&Workload>,
    size: ClusterSize,
) -> Result<Workers, KafkaError> {
    let config = connection.config("kafka-prodcon")?;
    let limit = config.get("queued.max.messages.kbytes").and_then(|limit| limit.parse().ok());
    let limit_bytes = limit.unwrap_or(FETCHED_AHEAD_KB).saturating_mul(1024);
    let all = sent.and_then(|workload| {
        Some(messages(workload)?.saturating_mul(queued_message_bytes(workload)))
    });
    let share = all.map_or(limit_bytes, |bytes| bytes.div_ceil(count.into()));
    let queue_bytes = limit_bytes.min(share);
    let each = on(size, Needs { queue_bytes, ..CONSUMER }, CONSUMER_PARTITION_BYTES);
    Ok(Workers { kind: "consumers", option: "--consumers", count, each })
}

/// The number of messages sent, if known.
fn messages(workload: &Workload) -> Option<u64> {
    match workload.amount.unwrap_or(AMOUNT_DEFAULT) {
        Amount::Messages(messages) => Some(messages),
        Amount::Duration(_) => None,
    }
}

fn queued_message_bytes(workload: &Workload) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let bytes = mean_bytes(&workload.messages) as u64;
    bytes.saturating_add(MESSAGE_BYTES)
}

/// A client's needs on a cluster of this size, where each partition takes `partition_bytes`. Many
/// clients need up to twice the sum of single ones.
fn on(size: ClusterSize, each: Needs, partition_bytes: u64) -> Needs {
    let more = size.brokers.saturating_sub(1);
    let memory_bytes =
        each.memory_bytes + more * BROKER.memory_bytes + size.partitions * partition_bytes;
    Needs {
        memory_bytes,
        queue_bytes: memory_bytes + if size.is_embedded { 0 } else { each.queue_bytes },
        threads: each.threads + more * BROKER.threads,
        files: each.files + more * BROKER.files,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::options::Options;

    const CLUSTER: ClusterSize = ClusterSize { is_embedded: false, brokers: 3, partitions: 10 };

    fn workers(args: &str, size: ClusterSize) -> [Workers; 2] {
        let args = format!("kafka-prodcon --bootstrap-servers a:1 {args}");
        let options = Options::parse_from(args.split_whitespace());
        let workload = options.workload.workload().expect("a workload");
        let count = options.consumer.consumers;
        let consumers = consumers(&options.connection, count, Some(&workload), size);
        [producers(&options.producer, &workload, size), consumers.expect("a configuration")]
    }

    #[test]
    fn queues_never_exceed_the_workload() {
        let queues =
            |args, size| workers(args, size).map(|w| w.each.queue_bytes - w.each.memory_bytes);
        assert_eq!(queues("-p 10 -c 5 -n 1000", CLUSTER), [100 * 350, 200 * 350]);
        assert_eq!(queues("-p 10 --duration 1s", CLUSTER), [100_000 * 350, 64 << 20]);
        let args = "--duration 1s --in-flight 7 --config queued.max.messages.kbytes=100";
        assert_eq!(queues(args, CLUSTER), [7 * 350, 100 << 10]);
        assert_eq!(queues("-p 10 --duration 1s", ClusterSize::embedded(10)), [0, 0]);
    }

    #[test]
    fn brokers_and_partitions_add_to_every_client() {
        let [producers, consumers] = workers("-p 2 -c 3", CLUSTER);
        assert_eq!((producers.count, consumers.count), (2, 3));
        assert_eq!((producers.each.threads, producers.each.files), (3 + 2, 7 + 6));
        assert_eq!(consumers.each.memory_bytes, 1_800_000 + 2 * 100_000 + 10 * 2_000);
    }
}
