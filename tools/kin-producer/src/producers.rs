//! Checks the producers' options, and derives their settings.

use std::sync::mpsc::Sender;
use std::time::Duration;

use bench_cli::{Needs, UsageError, Workers, Workload};
use bench_core::clock::duration_ns;
use bench_core::message::{Content, KEY_BYTES, MessageFormat, MessageSpec};
use bench_kinesis::publish::{
    KeySource, PARTITION_KEY_CHARS_MAX, PARTITION_KEY_DEFAULT, PublishConfig, Put,
    REQUEST_BYTES_MAX, Timing, partition_key_field,
};

use crate::options::{Options, ProducerArgs, PutArg};

/// Default of `--linger`.
const LINGER_DEFAULT: Duration = Duration::from_millis(5);

/// Default of `--linger` with `--aggregate`; that of the Kinesis Producer Library.
const LINGER_PACKED_DEFAULT: Duration = Duration::from_millis(100);

/// Maximum messages in flight, whatever the options: their table takes 32 bytes each.
const MESSAGES_MAX: f64 = 4e6;

/// Overhead of a message in flight, in the SDK and in its request.
const MESSAGE_BYTES: u64 = 400;

/// Minimum size of an aggregate, bytes: magic bytes, digest, and the lengths and numbers of a
/// record and a key.
const AGGREGATE_BYTES_MIN: u64 = 100;

/// Checks options against each other and the stream's maximum record size.
pub(crate) fn check(
    args: &ProducerArgs,
    workload: &Workload,
    record_bytes_max: usize,
) -> Result<(), UsageError> {
    check_sizes(args, &workload.messages, record_bytes_max)?;
    let sizes = AGGREGATE_BYTES_MIN..=record_bytes_max as u64;
    if aggregate_bytes(args).is_some_and(|bytes| !sizes.contains(&bytes)) {
        return Err(UsageError::new(
            "--aggregate",
            format!("the stream accepts records of at most {record_bytes_max} bytes"),
            format!("use a size from {AGGREGATE_BYTES_MIN} to {record_bytes_max}, or 0"),
        ));
    }
    if args.batch_size == 0 || args.batch_size > REQUEST_BYTES_MAX as u64 {
        let problem = "out of range";
        let remedy = "use at most 10MiB; stand-ins for Kinesis may accept only 5MiB";
        return Err(UsageError::new("--batch-size", problem, remedy));
    }
    if args.partition_key_field.is_some() && workload.messages.format == MessageFormat::Json {
        let problem = "in this format, records are strings within the messages and have no fields";
        let remedy = "add --format raw, or --format binary for latencies and an audit";
        return Err(UsageError::new("--partition-key-field", problem, remedy));
    }
    Ok(())
}

/// Checks that some record has the partition key field: otherwise all records would go to one
/// shard.
pub(crate) fn check_partition_keys(
    args: &ProducerArgs,
    workload: &Workload,
) -> Result<(), UsageError> {
    let (Content::Records(records), Some(field)) =
        (&workload.messages.content, &args.partition_key_field)
    else {
        return Ok(());
    };
    let has_key = |index| partition_key_field(records.get(index), field).is_some();
    if (0..records.len()).any(has_key) {
        return Ok(());
    }
    let first =
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(records.get(0));
    let problem = format!("no record of --input has a field '{field}' with a string or a number");
    let remedy = match first {
        Ok(first) => {
            let names: Vec<&str> = first.keys().map(String::as_str).collect();
            format!("use one of those in the first record: {}", names.join(", "))
        }
        Err(_) => "remove it, since the records are not JSON objects".to_owned(),
    };
    Err(UsageError::new("--partition-key-field", problem, remedy))
}

/// The producers' needs: each has a thread, a connection per request, and memory for messages in
/// flight.
pub(crate) fn workers(args: &ProducerArgs, workload: &Workload) -> Workers {
    let shards = 1;
    let messages = u64::from(in_flight_messages(args, workload, shards));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let message_bytes = mean_message_bytes(&workload.messages) as u64 + MESSAGE_BYTES;
    let each = Needs {
        memory_bytes: 1_500_000,
        queue_bytes: messages.saturating_mul(message_bytes),
        threads: 1,
        files: 4 + u64::from(args.in_flight),
    };
    Workers { kind: "producers", option: "--producers", count: args.producers, each }
}

/// Checks that every message fits into a record with its partition key.
fn check_sizes(
    args: &ProducerArgs,
    messages: &MessageSpec,
    record_bytes_max: usize,
) -> Result<(), UsageError> {
    let (largest, key) = (messages.likely_largest_bytes(), largest_key_bytes(args));
    if largest + key as f64 <= record_bytes_max as f64 {
        return Ok(());
    }
    let (option, largest) = match (&messages.content, &args.partition_key_field) {
        (Content::Records(records), Some(field)) => {
            // The keys are known, and few have the maximum length.
            let header_bytes = messages.format.smallest_bytes();
            let keyed_bytes = |record: &[u8]| {
                let key = partition_key_field(record, field);
                header_bytes + record.len() + key.map_or(PARTITION_KEY_DEFAULT.len(), |k| k.len())
            };
            let sizes = (0..records.len()).map(|index| keyed_bytes(records.get(index)));
            ("--input", sizes.max().unwrap_or_default() as f64)
        }
        (Content::Records(_), None) => ("--input", largest + key as f64),
        (Content::Generated { .. }, _) => ("--record-size", largest + key as f64),
    };
    if largest <= record_bytes_max as f64 {
        return Ok(());
    }
    let problem = format!(
        "messages of up to {largest:.0} bytes, including partition keys, exceed the stream's \
         maximum record size of {record_bytes_max} bytes"
    );
    let remedy = "use smaller messages, or raise the stream's limit (UpdateMaxRecordSize)";
    Err(UsageError::new(option, problem, remedy))
}

/// The maximum size of packed records, if messages are packed.
fn aggregate_bytes(args: &ProducerArgs) -> Option<u64> {
    args.aggregate.filter(|bytes| *bytes > 0)
}

/// The settings of the producer with number `index`.
pub(crate) fn config(
    options: &Options,
    workload: &Workload,
    index: u32,
    timings: Option<Sender<Timing>>,
) -> PublishConfig {
    let args = &options.producer;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    PublishConfig {
        stream: options.stream.stream.clone(),
        put: match args.put {
            PutArg::Record => Put::Record,
            PutArg::Records => Put::Records {
                records_max: usize::from(args.batch_records),
                bytes_max: size(args.batch_size),
            },
        },
        in_flight_max: args.in_flight as usize,
        linger_ns: duration_ns(linger(args)),
        aggregate_bytes: aggregate_bytes(args).map(size),
        keys: match &args.partition_key_field {
            Some(name) => KeySource::Field {
                name: name.clone(),
                from_bytes: workload.messages.format.smallest_bytes(),
            },
            None => KeySource::Message,
        },
        explicit_hash_keys: args.explicit_hash_keys,
        give_up_ns: duration_ns(args.grace),
        seed: workload.messages.seed.wrapping_add(u64::from(index)),
        timings,
    }
}

/// The linger in force.
pub(crate) fn linger(args: &ProducerArgs) -> Duration {
    let default =
        if aggregate_bytes(args).is_some() { LINGER_PACKED_DEFAULT } else { LINGER_DEFAULT };
    args.linger.unwrap_or(default)
}

/// Maximum messages in flight per producer. In a closed loop they fill the requests exactly, so
/// that the service time is that of a request and not of a queue before it; in an open loop there
/// is room for messages waiting for a retry.
pub(crate) fn in_flight_messages(args: &ProducerArgs, workload: &Workload, shards: usize) -> u32 {
    let mean_bytes = mean_message_bytes(&workload.messages).max(1.0);
    let per_record = match aggregate_bytes(args) {
        Some(bytes) => (bytes as f64 / mean_bytes).ceil().max(1.0),
        None => 1.0,
    };
    let records = match args.put {
        PutArg::Record => 1.0,
        PutArg::Records => f64::from(args.batch_records),
    };
    let per_request = (records * per_record).min((args.batch_size as f64 / mean_bytes).ceil());
    let per_request = per_request.max(1.0);
    let requests = f64::from(args.in_flight);
    let in_flight = if workload.schedule.is_open_loop() {
        (2.0 * requests + 2.0) * per_request
    } else if per_record > 1.0 {
        // One aggregate per shard is always open.
        (requests + 1.0) * per_request + shards as f64 * per_record
    } else {
        requests * per_request
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
    let messages = in_flight.clamp(1.0, MESSAGES_MAX) as u32;
    messages
}

fn mean_message_bytes(messages: &MessageSpec) -> f64 {
    match &messages.content {
        Content::Generated { sizes, .. } => sizes.mean_bytes(),
        Content::Records(records) => {
            let bytes: usize = (0..records.len()).map(|index| records.get(index).len()).sum();
            (bytes / records.len() + messages.format.smallest_bytes()) as f64
        }
    }
}

fn largest_key_bytes(args: &ProducerArgs) -> usize {
    match args.partition_key_field {
        // A character takes up to four bytes.
        Some(_) => PARTITION_KEY_CHARS_MAX * 4,
        None => KEY_BYTES,
    }
}
