//! The producers of a run: what their options must fit, and what they become.

use std::time::Duration;

use bench_cli::{Needs, UsageError, Workers, Workload};
use bench_core::clock::duration_ns;
use bench_core::message::{Content, MessageSpec};
use bench_delta::publish::{CommitPath, FILE_BYTES_MAX, LOG_RETENTION_MIN, PublishConfig};
use bench_delta::schema::PartitionColumn;
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::options::{FollowerArgs, Options, ProducerArgs};

/// Time between two commits, unless it is said: as in the script that came before.
const COMMIT_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// The shortest and the longest time between two commits.
const COMMIT_INTERVALS: [Duration; 2] = [Duration::from_millis(1), Duration::from_hours(1)];

/// How often the table is looked at in a commit interval: a message then waits for the next look for
/// a fortieth of it on average.
const LOOKS_PER_COMMIT: u32 = 20;

/// The shortest and the longest time between two looks.
const POLL_INTERVALS: [Duration; 2] = [Duration::from_micros(100), Duration::from_mins(1)];

/// Data files before compression, bytes. Below the smallest a file would be all heading.
const FILE_BYTES: [u64; 2] = [64 << 10, FILE_BYTES_MAX as u64];

/// The least that is fetched ahead, bytes: a row group of small messages.
const READ_AHEAD_BYTES_MIN: u64 = 1 << 20;

/// How long an open-loop producer goes on while no commit succeeds, beside two commit intervals.
const STALL: Duration = Duration::from_secs(5);

/// Messages under way, whatever the rate is: 32 bytes each.
const IN_FLIGHT: [f64; 2] = [10_000.0, 4e6];

/// What an uncommitted message takes beside its bytes, as a row and in the file that is encoded.
const MESSAGE_BYTES: u64 = 150;

/// What a producer without a schedule keeps under way, bytes of messages.
const CLOSED_LOOP_BYTES: f64 = 64e6;

/// Checks what no single option can.
pub(crate) fn check(
    options: &Options,
    matches: &ArgMatches,
    workload: &Workload,
) -> Result<(), UsageError> {
    let Options { table, producer, follower, .. } = options;
    in_range("--commit-interval", commit_interval(producer), COMMIT_INTERVALS)?;
    in_range("--poll-interval", poll_interval(follower, producer), POLL_INTERVALS)?;
    if !(FILE_BYTES[0]..=FILE_BYTES[1]).contains(&table.target_file_size) {
        let remedy = "name a size from 64KiB to 1GiB";
        return Err(UsageError::new("--target-file-size", "out of range", remedy));
    }
    if follower.read_ahead < READ_AHEAD_BYTES_MIN {
        return Err(UsageError::new("--read-ahead", "out of range", "name at least 1MiB"));
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
            "send smaller ones, or raise --target-file-size",
        ));
    }
    if table.log_retention < LOG_RETENTION_MIN {
        let remedy = format!("name at least {LOG_RETENTION_MIN:?}");
        return Err(UsageError::new("--log-retention", "too short for other writers", remedy));
    }
    if producer.commit == CommitPath::Std {
        return refuse_beside_std(matches);
    }
    Ok(())
}

/// The options that only direct commits have.
pub(crate) const DIRECT_ONLY: [&str; 2] = ["checkpoint-every", "log-retention"];

fn refuse_beside_std(matches: &ArgMatches) -> Result<(), UsageError> {
    for option in DIRECT_ONLY {
        let source = matches.value_source(&option.replace('-', "_"));
        if source == Some(ValueSource::CommandLine) {
            let problem = "with --commit std the table's own properties decide that";
            let option = format!("--{option}");
            return Err(UsageError::new(&option, problem, "leave it out, or say --commit direct"));
        }
    }
    Ok(())
}

fn in_range(option: &str, value: Duration, range: [Duration; 2]) -> Result<(), UsageError> {
    let [least, most] = range;
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(UsageError::new(option, "out of range", format!("name a time from {least:?} to {most:?}")))
}

/// Time between two commits of a producer.
pub(crate) fn commit_interval(args: &ProducerArgs) -> Duration {
    let by_number = args.autocommit_duration_ms.map(Duration::from_millis);
    args.commit_interval.or(by_number).unwrap_or(COMMIT_INTERVAL_DEFAULT)
}

/// Time between two looks for the next version.
pub(crate) fn poll_interval(follower: &FollowerArgs, producer: &ProducerArgs) -> Duration {
    let [least, most] = POLL_INTERVALS;
    let own = (commit_interval(producer) / LOOKS_PER_COMMIT).clamp(least, most);
    follower.poll_interval.unwrap_or(own)
}

/// What a producer does, `index` being its number.
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

/// Messages that a producer may have unconfirmed: what comes while some commits fail, or without a
/// schedule what fills a file.
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
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
    let messages = messages.clamp(least, most) as u32;
    messages
}

/// What the producers take of the machine: threads of their own and of the connection, and what is
/// not committed.
pub(crate) fn workers(args: &ProducerArgs, workload: &Workload) -> Workers {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
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
