//! Administration of streams and their shards.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{ScalingType, ShardFilter, ShardFilterType, StreamMode};
use aws_sdk_kinesis::types::{StreamModeDetails, StreamStatus};
use bench_aws::AwsError;
use tokio::time::{Instant, sleep};

use crate::KinesisError;

/// The tag of streams created by this benchmark. Only those may be deleted without confirmation.
pub const MARK: &str = "stream-benchmark";

/// Default maximum size of a record, bytes: data and partition key together.
pub const RECORD_BYTES_DEFAULT: usize = 1 << 20;

/// Interval between polls of a changing stream. `DescribeStreamSummary` is limited to 20 calls per
/// second for the whole account.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The capacity of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// This many shards, at least 1.
    Shards(u32),
    /// On demand: Kinesis scales it within limits.
    OnDemand,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its ARN, needed to register consumers.
    pub arn: String,
    /// `ACTIVE`, `CREATING`, ...
    pub status: String,
    /// Whether it is in on-demand mode.
    pub on_demand: bool,
    /// Open shards.
    pub open_shards: u32,
    /// The largest record, bytes: data and partition key together.
    pub record_bytes_max: usize,
}

/// A shard of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shard that it was split from, or the first of the two that were merged.
    pub parent: Option<String>,
    /// The second of the two shards that were merged.
    pub adjacent_parent: Option<String>,
    /// First hash key of its range.
    pub first_hash_key: u128,
    /// Last hash key of its range.
    pub last_hash_key: u128,
    /// The sequence number of its first record, or an earlier one.
    pub first_sequence: String,
    /// The last sequence number of a closed shard; `None` if it is open.
    pub last_sequence: Option<String>,
}

impl Shard {
    /// Whether it accepts records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.last_sequence.is_none()
    }
}

/// Describes a stream, whether it is active or not.
pub async fn describe(client: &Client, stream: &str) -> Result<Stream, KinesisError> {
    let answer = client.describe_stream_summary().stream_name(stream).send().await;
    let answer = answer.map_err(|error| failed("describe", stream, &error))?;
    let Some(summary) = answer.stream_description_summary() else {
        return Err(KinesisError::NoStream { stream: stream.to_owned() });
    };
    let mode = summary.stream_mode_details().map(StreamModeDetails::stream_mode);
    let record_kib = summary.max_record_size_in_kib().and_then(|kib| usize::try_from(kib).ok());
    Ok(Stream {
        name: summary.stream_name().to_owned(),
        arn: summary.stream_arn().to_owned(),
        status: summary.stream_status().as_str().to_owned(),
        on_demand: mode == Some(&StreamMode::OnDemand),
        open_shards: u32::try_from(summary.open_shard_count()).unwrap_or(0),
        record_bytes_max: record_kib.map_or(RECORD_BYTES_DEFAULT, |kib| kib << 10),
    })
}

/// All shards of a stream that still hold records, including closed ones, sorted by id.
pub async fn list_shards(client: &Client, stream: &str) -> Result<Vec<Shard>, KinesisError> {
    list_filtered(client, stream, None).await
}

/// The open shards of a stream, sorted by hash key.
pub async fn open_shards(client: &Client, stream: &str) -> Result<Vec<Shard>, KinesisError> {
    let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().ok();
    let mut shards = list_filtered(client, stream, filter).await?;
    // Stand-ins for Kinesis may not support the filter.
    shards.retain(Shard::is_open);
    shards.sort_by_key(|shard| shard.first_hash_key);
    Ok(shards)
}

async fn list_filtered(
    client: &Client,
    stream: &str,
    filter: Option<ShardFilter>,
) -> Result<Vec<Shard>, KinesisError> {
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let request = match next.take() {
            // A token includes the stream and the filter.
            Some(token) => client.list_shards().next_token(token),
            None => client.list_shards().stream_name(stream).set_shard_filter(filter.clone()),
        };
        let page =
            request.send().await.map_err(|error| failed("list the shards of", stream, &error))?;
        for shard in page.shards() {
            shards.push(read_shard(stream, shard)?);
        }
        match page.next_token() {
            Some(token) => next = Some(token.to_owned()),
            None => return Ok(shards),
        }
    }
}

fn read_shard(stream: &str, shard: &aws_sdk_kinesis::types::Shard) -> Result<Shard, KinesisError> {
    let keys = shard.hash_key_range().and_then(|range| {
        Some((range.starting_hash_key().parse().ok()?, range.ending_hash_key().parse().ok()?))
    });
    let (first_hash_key, last_hash_key) = keys.ok_or_else(|| KinesisError::HashKeys {
        stream: stream.to_owned(),
        shard: shard.shard_id().to_owned(),
    })?;
    let sequences = shard.sequence_number_range();
    let first_sequence = sequences.map(|range| range.starting_sequence_number().to_owned());
    Ok(Shard {
        id: shard.shard_id().to_owned(),
        parent: shard.parent_shard_id().map(str::to_owned),
        adjacent_parent: shard.adjacent_parent_shard_id().map(str::to_owned),
        first_hash_key,
        last_hash_key,
        first_sequence: first_sequence.unwrap_or_default(),
        last_sequence: sequences
            .and_then(|range| range.ending_sequence_number())
            .map(str::to_owned),
    })
}

/// Result of [`ensure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOutcome {
    /// The stream was created, with the benchmark's tag.
    Created,
    /// The stream exists as requested.
    Unchanged,
    /// The stream existed and was resharded.
    Resharded {
        /// Shards before.
        from: u32,
    },
    /// The stream exists in the other capacity mode and keeps it: the mode can change only twice
    /// per day.
    OtherMode,
}

/// Creates the stream if it is missing, reshards it if necessary, and waits up to `timeout` until
/// it is active.
pub async fn ensure(
    client: &Client,
    stream: &str,
    capacity: Capacity,
    timeout: Duration,
) -> Result<StreamOutcome, KinesisError> {
    match describe(client, stream).await {
        Ok(_) => {}
        Err(KinesisError::NoStream { .. }) => {
            create(client, stream, capacity, timeout).await?;
            return Ok(StreamOutcome::Created);
        }
        Err(error) => return Err(error),
    }
    let found = await_active(client, stream, timeout).await?;
    match capacity {
        Capacity::Shards(_) if found.on_demand => Ok(StreamOutcome::OtherMode),
        Capacity::OnDemand if !found.on_demand => Ok(StreamOutcome::OtherMode),
        Capacity::Shards(shards) if shards != found.open_shards => {
            reshard(client, stream, shards, timeout).await?;
            Ok(StreamOutcome::Resharded { from: found.open_shards })
        }
        _ => Ok(StreamOutcome::Unchanged),
    }
}

/// Creates a stream with the benchmark's tag, and waits until it is active.
pub async fn create(
    client: &Client,
    stream: &str,
    capacity: Capacity,
    timeout: Duration,
) -> Result<Stream, KinesisError> {
    let request = client.create_stream().stream_name(stream);
    let request = match capacity {
        Capacity::Shards(shards) => request.shard_count(i32::try_from(shards).unwrap_or(i32::MAX)),
        Capacity::OnDemand => request.set_stream_mode_details(
            StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().ok(),
        ),
    };
    match request.send().await {
        Ok(_) => {}
        // Another producer was faster; it also tags the stream.
        Err(error) if error.code() == Some("ResourceInUseException") => {}
        Err(error) => return Err(failed("create", stream, &error)),
    }
    let created = await_active(client, stream, timeout).await?;
    let tagged = client.add_tags_to_stream().stream_name(stream).tags(MARK, "true").send().await;
    tagged.map_err(|error| failed("tag", stream, &error))?;
    Ok(created)
}

/// Whether a stream has the benchmark's tag.
pub async fn is_marked(client: &Client, stream: &str) -> Result<bool, KinesisError> {
    let answer = client.list_tags_for_stream().stream_name(stream).send().await;
    let answer = answer.map_err(|error| failed("list the tags of", stream, &error))?;
    Ok(answer.tags().iter().any(|tag| tag.key() == MARK))
}

/// Changes a stream's number of shards, with hash keys evenly distributed, and waits until it is
/// done. Each step at most doubles or halves the number, as Kinesis requires.
pub async fn reshard(
    client: &Client,
    stream: &str,
    shards: u32,
    timeout: Duration,
) -> Result<Stream, KinesisError> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let found = await_active(client, stream, left).await?;
        if found.open_shards == shards {
            return Ok(found);
        }
        let step = shards.clamp(found.open_shards.div_ceil(2), found.open_shards.saturating_mul(2));
        let answer = client
            .update_shard_count()
            .stream_name(stream)
            .target_shard_count(i32::try_from(step).unwrap_or(i32::MAX))
            .scaling_type(ScalingType::UniformScaling)
            .send()
            .await;
        answer.map_err(|error| failed("change the number of shards of", stream, &error))?;
    }
}

/// Splits a shard so that hash keys from `first_hash_key` up get their own shard, and waits until
/// it is done.
pub async fn split(
    client: &Client,
    stream: &str,
    shard: &str,
    first_hash_key: u128,
    timeout: Duration,
) -> Result<Stream, KinesisError> {
    let request = client.split_shard().stream_name(stream).shard_to_split(shard);
    let answer = request.new_starting_hash_key(first_hash_key.to_string()).send().await;
    answer.map_err(|error| failed(&format!("split shard {shard} of"), stream, &error))?;
    await_active(client, stream, timeout).await
}

/// Merges two shards with adjacent hash keys, and waits until it is done.
pub async fn merge(
    client: &Client,
    stream: &str,
    shard: &str,
    adjacent: &str,
    timeout: Duration,
) -> Result<Stream, KinesisError> {
    let request = client.merge_shards().stream_name(stream).shard_to_merge(shard);
    let answer = request.adjacent_shard_to_merge(adjacent).send().await;
    let merging = format!("merge shards {shard} and {adjacent} of");
    answer.map_err(|error| failed(&merging, stream, &error))?;
    await_active(client, stream, timeout).await
}

/// Deletes a stream with its records and registered consumers, and waits until it is gone.
pub async fn delete(client: &Client, stream: &str, timeout: Duration) -> Result<(), KinesisError> {
    let request = client.delete_stream().stream_name(stream).enforce_consumer_deletion(true);
    request.send().await.map_err(|error| failed("delete", stream, &error))?;
    let until = Instant::now() + timeout;
    loop {
        match describe(client, stream).await {
            Err(KinesisError::NoStream { .. }) => return Ok(()),
            Err(error) => return Err(error),
            Ok(found) if Instant::now() >= until => return Err(not_ready(found, timeout)),
            Ok(_) => sleep(LOOK_EVERY).await,
        }
    }
}

/// Waits until a stream is active, so that it accepts records and changes.
pub async fn await_active(
    client: &Client,
    stream: &str,
    timeout: Duration,
) -> Result<Stream, KinesisError> {
    let until = Instant::now() + timeout;
    loop {
        let found = describe(client, stream).await?;
        if found.status == StreamStatus::Active.as_str() {
            return Ok(found);
        }
        if found.status == StreamStatus::Deleting.as_str() || Instant::now() >= until {
            return Err(not_ready(found, timeout));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn not_ready(found: Stream, waited: Duration) -> KinesisError {
    KinesisError::NotReady { stream: found.name, status: found.status, waited }
}

/// Converts the SDK's error of an action on a stream.
fn failed<E, R>(action: &str, stream: &str, error: &SdkError<E, R>) -> KinesisError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if error.code() == Some("ResourceNotFoundException") {
        return KinesisError::NoStream { stream: stream.to_owned() };
    }
    AwsError::new(format!("{action} stream '{stream}'"), error).into()
}
