//! The producers of a run: checking their options, and building their configuration.

use std::time::Duration;

use bench_cli::{Needs, UsageError, Workers, Workload};
use bench_core::clock::duration_ns;
use bench_core::message::{Content, MessageSpec};
use bench_delta::publish::{CommitPath, FILE_BYTES_MAX, LOG_RETENTION_MIN, PublishConfig};
use bench_delta::schema::PartitionColumn;
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::options::{FollowerArgs, Options, ProducerArgs};

/// Default time between two commits, as in the earlier script.
const COMMIT_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// The shortest and the longest time between commits.
const COMMIT_INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_hours(1)];

/// Polls of the table per commit interval: a message then waits a fortieth of the interval on
/// average for the next poll.
const POLLS_PER_COMMIT: u32 = 20;

/// The shortest and the longest time between polls.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_micros(100), Duration::from_mins(1)];

/// Limits of a data file before compression, bytes. A smaller file would be mostly metadata.
const FILE_BYTES: [u64; 2] = [64 << 10, FILE_BYTES_MAX as u64];

/// Minimum read-ahead, bytes: a row group of small messages.
const READ_AHEAD_BYTES_MIN: u64 = 1 << 20;

/// How long an open-loop producer continues while no commit succeeds, besides two commit intervals.
const STALL: Duration = Duration::from_secs(5);

/// Limits on messages in flight at any rate; each takes 32 bytes.
const IN_FLIGHT: [f64; 2] = [10_000.0, 4e6];

/// Memory of an uncommitted message besides its bytes, as a row and in the encoded file.
const MESSAGE_BYTES: u64 = 150;

/// Bytes of messages that a producer without a schedule keeps in flight.
const CLOSED_LOOP_BYTES: f64 = 64e6;

/// Checks combinations of options.
pub(crate) fn check(
    options: &Options,
    matches: &ArgMatches,
    workload: &Workload,
) -> Result<(), UsageError> {
    let Options { table, producer, follower, .. } = options;
    in_range("--commit-interval", commit_interval(producer), COMMIT_INTERVALS)?;
    in_range("--poll-interval", poll_interval(follower, producer), POLL_INTERVALS)?;
    if !(FILE_BYTES[0]..=FILE_BYTES[1]).contains(&table.target_file_size) {
        let remedy = "use a size from 64KiB to 1GiB";
        return Err(UsageError::new("--target-file-size", "out of range", remedy));
    }
    if follower.read_ahead < READ_AHEAD_BYTES_MIN {
        return Err(UsageError::new("--read-ahead", "out of range", "use at least 1MiB"));
    }
    let largest = workload.messages.likely_largest_bytes();
    if largest > table.target_file_size as f64 {
        let option = match workload.messages.content {
            Content::Generated { .. } => "--record-size",
            Content::Records(_) => "--input",
        };
        let most = table.target_file_size;
        let problem =
            format!("messages of up to {largest:.0} bytes do not fit into files of {most}");
        return Err(UsageError::new(
            option,
            problem,
            "use a smaller --record-size, or raise --target-file-size",
        ));
    }
    if table.log_retention < LOG_RETENTION_MIN {
        let remedy = format!("use at least {LOG_RETENTION_MIN:?}");
        return Err(UsageError::new("--log-retention", "too short for other writers", remedy));
    }
    if producer.commit == CommitPath::Std {
        return refuse_beside_std(matches);
    }
    Ok(())
}

/// The options that apply only to direct commits.
pub(crate) const DIRECT_ONLY: [&str; 2] = ["checkpoint-every", "log-retention"];

fn refuse_beside_std(matches: &ArgMatches) -> Result<(), UsageError> {
    for option in DIRECT_ONLY {
        let source = matches.value_source(&option.replace('-', "_"));
        if source == Some(ValueSource::CommandLine) {
            let problem = "is set by the table's own properties with --commit std";
            let option = format!("--{option}");
            return Err(UsageError::new(&option, problem, "remove it, or use --commit direct"));
        }
    }
    Ok(())
}

fn in_range(option: &str, value: Duration, range: [Duration; 2]) -> Result<(), UsageError> {
    let [least, most] = range;
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(UsageError::new(option, "out of range", format!("use a time from {least:?} to {most:?}")))
}

/// Time between a producer's commits.
pub(crate) fn commit_interval(args: &ProducerArgs) -> Duration {
    let by_number = args.autocommit_duration_ms.map(Duration::from_millis);
    args.commit_interval.or(by_number).unwrap_or(COMMIT_INTERVAL_DEFAULT)
}

/// Time between polls for the next version.
pub(crate) fn poll_interval(follower: &FollowerArgs, producer: &ProducerArgs) -> Duration {
    let [least, most] = POLL_INTERVALS;
    let own = (commit_interval(producer) / POLLS_PER_COMMIT).clamp(least, most);
    follower.poll_interval.unwrap_or(own)
}

/// The configuration of the producer with number `index`.
pub(crate) fn config(
    options: &Options,
    index: u16,
    partition_by: &[PartitionColumn],
) -> PublishConfig {
    let Options { table, producer, .. } = options;
    PublishConfig {
        producer: index,
        commit_interval_ns: duration_ns(commit_interval(producer)),
        commit: producer.commit,
        // Checked to be at most 1 GiB.
        file_bytes_max: usize::try_from(table.target_file_size).unwrap_or(usize::MAX),
        rows_per_group: table.rows_per_group as usize,
        compression: table.compression,
        partition_by: partition_by.to_vec(),
        uploads_max: usize::from(producer.uploads),
        checkpoint_every: Some(table.checkpoint_every).filter(|every| *every > 0),
        log_retention: table.log_retention,
        give_up_ns: duration_ns(producer.grace),
    }
}

/// Limit on a producer's unacknowledged messages: as many as are due while some commits fail, or
/// without a schedule as many as fill a file.
pub(crate) fn in_flight_messages(args: &ProducerArgs, workload: &Workload) -> u32 {
    if let Some(messages) = args.in_flight {
        return messages;
    }
    let [least, most] = IN_FLIGHT;
    let messages = match workload.schedule.target_rate_per_s() {
        Some(rate_per_s) => {
            let stall = 2 * commit_interval(args) + STALL;
            rate_per_s / f64::from(args.producers) * stall.as_secs_f64()
        }
        None => CLOSED_LOOP_BYTES / mean_message_bytes(&workload.messages).max(1.0),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value is bounded"
    )]
    let messages = messages.clamp(least, most) as u32;
    messages
}

/// What the producers need of the machine: their own threads and those of connections, and memory
/// for uncommitted messages.
pub(crate) fn workers(args: &ProducerArgs, workload: &Workload) -> Workers {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates"
    )]
    let message_bytes = mean_message_bytes(&workload.messages) as u64 + MESSAGE_BYTES;
    let messages = u64::from(in_flight_messages(args, workload));
    let each = Needs {
        memory_bytes: 2_000_000,
        queue_bytes: messages.saturating_mul(message_bytes),
        threads: 3,
        files: 6,
    };
    Workers { kind: "producers", option: "--producers", count: args.producers.into(), each }
}

fn mean_message_bytes(messages: &MessageSpec) -> f64 {
    match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => records.max_bytes() as f64,
    }
}
