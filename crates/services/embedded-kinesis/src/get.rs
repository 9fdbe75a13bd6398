//! Reading records: as ferrokinesis does, plus how far a consumer is behind, the children of a
//! shard that has ended, positions by time, and the limits of shards.

use axum::body::Bytes;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::sequence::{
    increment_sequence, parse_sequence, resolve_shard_id, shard_ix_to_hex,
};
use ferrokinesis::shard_iterator::{create_shard_iterator, decode_shard_iterator};
use ferrokinesis::store::Store;
use ferrokinesis::util::current_time_ms;
use serde_json::{Value, json};

use super::put::{decoded_bytes, exceeded};
use super::reads::CALL_MAX_BYTES;
use super::request::{checked, parsed};
use super::streams::{Answer, Service};

const NEXT: &str = "NextShardIterator";

pub(super) async fn get_records(service: &Service, body: &[u8]) -> Answer {
    let data = checked(Operation::GetRecords, &parsed(body)?)?;
    let place = data["ShardIterator"].as_str().and_then(|iterator| Place::of(iterator).ok());
    let Some(place) = place else {
        // This returns what is wrong with the iterator.
        return dispatch(&service.store, Operation::GetRecords, data).await;
    };
    if let Some(reads) = &service.reads
        && !reads.admit(&place.stream, &place.shard)
    {
        return Err(exceeded(&service.store, &place.stream, &place.shard));
    }
    let _turn = service.order.read().await;
    let answer = dispatch(&service.store, Operation::GetRecords, data).await?;
    let mut answer = answer.unwrap_or_default();
    if let Some(reads) = &service.reads {
        let given_bytes = place.cut(&mut answer, CALL_MAX_BYTES);
        reads.charge(&place.stream, &place.shard, given_bytes);
    }
    match answer[NEXT].as_str().and_then(|next| Place::of(next).ok()) {
        Some(next) => {
            answer["MillisBehindLatest"] = json!(next.millis_behind(&service.store).await);
        }
        None => answer["ChildShards"] = place.children(&service.store).await?,
    }
    Ok(Some(answer))
}

/// The position of an iterator.
struct Place {
    stream: String,
    shard: String,
    sequence_number: String,
}

impl Place {
    fn of(iterator: &str) -> Result<Self, ferrokinesis::shard_iterator::ShardIteratorError> {
        let (_, stream, shard, sequence_number) = decode_shard_iterator(iterator)?;
        Ok(Self { stream, shard, sequence_number })
    }

    /// Removes records from an answer until it is small enough, keeping at least one. Returns the
    /// size of the rest.
    fn cut(&self, answer: &mut Value, max_bytes: usize) -> usize {
        let Some(records) = answer["Records"].as_array_mut() else { return 0 };
        let mut size_bytes = 0;
        for index in 0..records.len() {
            let more_bytes = record_bytes(&records[index]);
            if index > 0 && size_bytes + more_bytes > max_bytes {
                let last = records[index - 1]["SequenceNumber"].as_str().map(parse_sequence);
                if let Some(Ok(last)) = last {
                    records.truncate(index);
                    let next = increment_sequence(&last, None);
                    answer[NEXT] = json!(create_shard_iterator(
                        &self.stream,
                        &self.shard,
                        &next,
                        current_time_ms()
                    ));
                }
                break;
            }
            size_bytes += more_bytes;
        }
        size_bytes
    }

    /// Age of the first record from here on; 0 without one.
    async fn millis_behind(&self, store: &Store) -> u64 {
        let Ok((_, index)) = resolve_shard_id(&self.shard) else { return 0 };
        let from = format!("{}/{}", shard_ix_to_hex(index), self.sequence_number);
        let to = shard_ix_to_hex(index + 1);
        let waiting = store.get_records_range_limited(&self.stream, &from, &to, 1).await;
        let waiting = waiting.first().map(|(_, record)| record.approximate_arrival_timestamp);
        waiting.map_or(0, |arrived_s| {
            // A consumer with something left to read is behind.
            current_time_ms().saturating_sub(whole_millis(arrived_s)).max(1)
        })
    }

    /// The shards that this one was split or merged into.
    async fn children(&self, store: &Store) -> Result<Value, KinesisErrorResponse> {
        let stream = store.get_stream(&self.stream).await?;
        let children = stream.shards.iter().filter_map(|shard| {
            let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
            let parents: Vec<&String> = parents.into_iter().flatten().collect();
            parents.contains(&&self.shard).then(|| {
                json!({
                    "ShardId": shard.shard_id,
                    "ParentShards": parents,
                    "HashKeyRange": shard.hash_key_range,
                })
            })
        });
        Ok(children.collect())
    }
}

/// A request for a position by time, changed to the end if no record is that late: ferrokinesis
/// would begin with the first record. `None` if the request needs no change.
pub(super) async fn with_position(
    store: &Store,
    operation: Operation,
    body: &[u8],
) -> Option<Bytes> {
    let mut data = parsed(body).ok()?;
    let (stream, name) = if operation == Operation::SubscribeToShard {
        let consumer = data["ConsumerARN"].as_str()?;
        (store.stream_name_from_arn(consumer.split("/consumer/").next()?)?, "Type")
    } else {
        (store.resolve_stream_name(&data).ok()?, "ShardIteratorType")
    };
    let (_, index) = resolve_shard_id(data["ShardId"].as_str()?).ok()?;
    let position = match operation {
        Operation::SubscribeToShard => data.get_mut("StartingPosition")?,
        _ => &mut data,
    };
    let position = position.as_object_mut()?;
    let wanted_s = position.get("Timestamp")?.as_f64()?;
    // A future time is refused, which is right.
    if position.get(name)? != "AT_TIMESTAMP" || whole_millis(wanted_s) > current_time_ms() {
        return None;
    }
    let from = format!("{}/", shard_ix_to_hex(index));
    let to = shard_ix_to_hex(index + 1);
    if store.find_first_record_at_timestamp(&stream, &from, &to, wanted_s).await.is_some() {
        return None;
    }
    position.remove("Timestamp");
    position.insert(name.to_owned(), json!("LATEST"));
    serde_json::to_vec(&data).ok().map(Bytes::from)
}

fn record_bytes(record: &Value) -> usize {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    text("PartitionKey").len() + decoded_bytes(text("Data"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the casts saturate, and times are after 1970"
)]
fn whole_millis(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}
