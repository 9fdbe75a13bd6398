//! Storing records: as ferrokinesis does, but with arrival times in milliseconds, up to the 10 MiB
//! that Kinesis allows now, and without a gap between sequence number and stored record.

use ferrokinesis::actions::Operation;
use ferrokinesis::constants::INVALID_ARGUMENT;
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::sequence::partition_key_to_hash_key;
use ferrokinesis::store::{SequenceAllocation, Store};
use ferrokinesis::types::StoredRecordRef;
use serde_json::{Value, json};

use super::request::{checked, parsed};
use super::streams::{Answer, Service};

/// Largest size of one `PutRecords`, partition keys included.
const BATCH_MAX_BYTES: usize = 10 << 20;

/// Largest size of a record, its partition key included. ferrokinesis checks the data alone.
const RECORD_MAX_BYTES: usize = 1 << 20;

/// A record of a request.
struct Entry<'a> {
    partition_key: &'a str,
    hash_key: u128,
    /// In Base64.
    data: &'a str,
    size_bytes: usize,
}

/// The result of one: its position, or its own error.
type Outcome = Result<SequenceAllocation, KinesisErrorResponse>;

pub(super) async fn put_record(service: &Service, body: &[u8]) -> Answer {
    let data = checked(Operation::PutRecord, &parsed(body)?)?;
    let stream = service.store.resolve_stream_name(&data)?;
    let outcomes = put(service, &stream, &[entry(&data)?]).await?;
    let place = outcomes.into_iter().next().transpose()?;
    Ok(place.as_ref().map(described))
}

pub(super) async fn put_records(service: &Service, body: &[u8]) -> Answer {
    let data = checked(Operation::PutRecords, &parsed(body)?)?;
    let stream = service.store.resolve_stream_name(&data)?;
    let records = data["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let entries = records.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    if entries.iter().map(|entry| entry.size_bytes).sum::<usize>() > BATCH_MAX_BYTES {
        let message = format!("Records size exceeds {BATCH_MAX_BYTES} bytes");
        return Err(KinesisErrorResponse::client_error(INVALID_ARGUMENT, Some(&message)));
    }
    let outcomes = put(service, &stream, &entries).await?;
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let outcomes = outcomes.iter().map(|outcome| match outcome {
        Ok(place) => described(place),
        Err(error) => {
            json!({ "ErrorCode": error.body.error_type, "ErrorMessage": error.body.message })
        }
    });
    Ok(Some(json!({ "FailedRecordCount": failed, "Records": outcomes.collect::<Value>() })))
}

/// Stores the records that the limits of their shards allow.
async fn put(
    service: &Service,
    stream: &str,
    entries: &[Entry<'_>],
) -> Result<Vec<Outcome>, KinesisErrorResponse> {
    let store = &service.store;
    let hash_keys: Vec<u128> = entries.iter().map(|entry| entry.hash_key).collect();
    let mut outcomes = Vec::with_capacity(entries.len());
    let mut allowed = Vec::with_capacity(entries.len());
    let _turn = service.order.write().await;
    let places = store.allocate_sequences_batch(stream, &hash_keys).await?;
    for (entry, place) in entries.iter().zip(places) {
        let size_bytes = entry.size_bytes as u64;
        let reserved =
            store.try_reserve_shard_throughput(stream, &place.shard_id, size_bytes, place.now);
        if reserved.await.is_err() {
            outcomes.push(Err(exceeded(store, stream, &place.shard_id)));
            continue;
        }
        let record = StoredRecordRef {
            partition_key: entry.partition_key,
            data: entry.data,
            approximate_arrival_timestamp: place.now as f64 / 1e3,
        };
        allowed.push((place.stream_key.clone(), record));
        outcomes.push(Ok(place));
    }
    store.put_records_batch(stream, &allowed).await?;
    Ok(outcomes)
}

/// The refusal of a shard in Amazon's words, which name the shard.
pub(super) fn exceeded(store: &Store, stream: &str, shard: &str) -> KinesisErrorResponse {
    let account = &store.aws_account_id;
    let message =
        format!("Rate exceeded for shard {shard} in stream {stream} under account {account}.");
    KinesisErrorResponse::client_error("ProvisionedThroughputExceededException", Some(&message))
}

fn described(place: &SequenceAllocation) -> Value {
    json!({ "ShardId": place.shard_id, "SequenceNumber": place.seq_num })
}

fn entry(record: &Value) -> Result<Entry<'_>, KinesisErrorResponse> {
    let partition_key = record["PartitionKey"].as_str().unwrap_or_default();
    let data = record["Data"].as_str().unwrap_or_default();
    let hash_key = match record["ExplicitHashKey"].as_str() {
        None => partition_key_to_hash_key(partition_key),
        Some(explicit) => explicit_hash_key(explicit)?,
    };
    let size_bytes = partition_key.len() + decoded_bytes(data);
    if size_bytes > RECORD_MAX_BYTES {
        let message = format!(
            "Record size of {size_bytes} bytes, partition key included, exceeds {RECORD_MAX_BYTES} \
             bytes"
        );
        return Err(KinesisErrorResponse::client_error(INVALID_ARGUMENT, Some(&message)));
    }
    Ok(Entry { partition_key, hash_key, data, size_bytes })
}

/// A number as Amazon writes it: decimal, without sign and leading zeros.
fn explicit_hash_key(explicit: &str) -> Result<u128, KinesisErrorResponse> {
    let hash_key = explicit.parse().ok().filter(|hash_key: &u128| hash_key.to_string() == explicit);
    hash_key.ok_or_else(|| {
        let message = format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified \
             value was {explicit}"
        );
        KinesisErrorResponse::client_error(INVALID_ARGUMENT, Some(&message))
    })
}

/// Size of the data in this Base64 text.
pub(super) fn decoded_bytes(data: &str) -> usize {
    let padding = data.bytes().rev().take_while(|&letter| letter == b'=').count();
    (data.len() / 4 * 3).saturating_sub(padding)
}
