//! Converting rows and confirmations to items and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bench_core::clock::{BootId, ClockOrigin, Stamp};
use bench_core::message::RunId;

use super::BUCKETS;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, parse_run, run_name};
use crate::stored::StoredRow;

/// The table's partition key.
pub(super) const BUCKET: &str = "bucket";
/// The table's sort key.
pub(super) const ROW: &str = "row";
/// The bucket that lists runs, one item each.
pub(super) const RUNS_BUCKET: &str = "runs";
/// The attribute of a row's message.
const MESSAGE: &str = "message";
/// The attribute of a confirmation item: for each batch its part and row count (4 bytes each) and
/// the instant (8 bytes), all little-endian.
const BATCHES: &str = "batches";
const BATCH_BYTES: usize = 16;
/// The suffix, after the run, of the bucket of its confirmations.
const CONFIRMED: &str = "confirmed";

/// Batches whose confirmations share an item, filling two fifths of it.
const PARTS_PER_ITEM: u32 = 10_000;

/// An item of the SDK.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowKey {
    pub(super) bucket: String,
    pub(super) row: String,
}

/// The name of a run's bucket with this number.
pub(super) fn bucket_name(run: Option<RunId>, number: u64) -> String {
    format!("{}#{number:02}", run_name(run))
}

/// The names of all buckets of a run.
pub(super) fn bucket_names(run: Option<RunId>) -> impl Iterator<Item = String> {
    (0..BUCKETS).map(move |number| bucket_name(run, number))
}

impl RowKey {
    /// The key of a row written at this instant, nanoseconds since 1970.
    pub(super) fn new(row: &OwnedRow, written_ns: u64, writer: u32) -> Self {
        // Foreign messages have no sequence number.
        let spread = if row.run.is_some() { row.sequence } else { written_ns };
        let mixed = (u64::from(row.producer) << 48 ^ spread).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            bucket: bucket_name(row.run, (mixed >> 32) % BUCKETS),
            row: format!("{written_ns:016x}-{writer:08x}-{}-{}", row.producer, row.sequence),
        }
    }
}

/// The lowest sort key of rows written at or after this instant.
pub(super) fn row_from(written_ns: u64) -> String {
    format!("{written_ns:016x}")
}

/// A row as an item.
pub(super) fn row_item(key: &RowKey, row: &OwnedRow, batch: BatchId) -> Item {
    let mut item = key_item(&key.bucket, &key.row);
    let mut set = |name: &str, value| item.insert(name.to_owned(), value);
    set(MESSAGE, AttributeValue::B(Blob::new(row.message.as_slice())));
    if let Some(key) = &row.key {
        set("key", AttributeValue::B(Blob::new(key.as_slice())));
    }
    set("partition", number(row.partition));
    set("received_ns", number(row.received.instant_ns));
    set("boot", number(row.received.origin.boot.to_hash()));
    set("wall_offset_ns", number(row.received.origin.wall_offset_ns));
    if let Some(arrived_ms) = row.arrived_wall_ms {
        set("arrived_ms", number(arrived_ms));
    }
    set("batch", number(batch.call));
    set("part", number(batch.part));
    item
}

/// The item that lists a run.
pub(super) fn run_item(run: RunId) -> Item {
    key_item(RUNS_BUCKET, &run.to_string())
}

/// The key attributes of an item.
pub(super) fn key_item(bucket: &str, row: &str) -> Item {
    HashMap::from([
        (BUCKET.to_owned(), AttributeValue::S(bucket.to_owned())),
        (ROW.to_owned(), AttributeValue::S(row.to_owned())),
    ])
}

/// The key of the item that holds a batch's confirmation.
pub(super) fn confirmation_key(run: Option<RunId>, id: BatchId) -> RowKey {
    let bucket = format!("{}#{CONFIRMED}", run_name(run));
    RowKey { bucket, row: format!("{:016x}-{:08x}", id.call, id.part / PARTS_PER_ITEM) }
}

/// Confirmations as items. All are of one writer and therefore one clock.
pub(super) fn confirmation_items(batches: &[ConfirmedBatch]) -> Vec<Item> {
    let mut items: Vec<(RowKey, ClockOrigin, Vec<u8>)> = Vec::new();
    for batch in batches {
        let key = confirmation_key(batch.run, batch.id);
        let origin = batch.landed.origin;
        let position = items.iter().position(|(other, ..)| *other == key);
        let position = position.unwrap_or_else(|| {
            items.push((key, origin, Vec::new()));
            items.len() - 1
        });
        let bytes = &mut items[position].2;
        bytes.extend(batch.id.part.to_le_bytes());
        bytes.extend(batch.rows.to_le_bytes());
        bytes.extend(batch.landed.instant_ns.to_le_bytes());
    }
    let item = |(key, origin, bytes): (RowKey, ClockOrigin, Vec<u8>)| {
        let mut item = key_item(&key.bucket, &key.row);
        item.insert(BATCHES.to_owned(), AttributeValue::B(Blob::new(bytes)));
        item.insert("boot".to_owned(), number(origin.boot.to_hash()));
        item.insert("wall_offset_ns".to_owned(), number(origin.wall_offset_ns));
        item
    };
    items.into_iter().map(item).collect()
}

/// Whether an item is a row, rather than a confirmation or the name of a run.
pub(super) fn is_row(item: &Item) -> bool {
    item.contains_key(MESSAGE)
}

/// The confirmations in an item.
pub(super) fn confirmations(item: &Item) -> Result<Vec<(BatchId, Stamp)>, String> {
    let row = text(item, ROW)?;
    let call = row.split('-').next().and_then(|call| u64::from_str_radix(call, 16).ok());
    let call = call.ok_or_else(|| format!("'{row}' is not a confirmation's key"))?;
    let origin = origin(item)?;
    let batches = bytes(item, BATCHES)?.chunks_exact(BATCH_BYTES).map(|batch| {
        let (part, rest) = batch.split_at(4);
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |all, b| all << 8 | u64::from(*b));
        let part = u32::try_from(word(part)).unwrap_or(u32::MAX);
        let instant_ns = word(&rest[4..]);
        (BatchId { call, part }, Stamp { instant_ns, origin })
    });
    Ok(batches.collect())
}

/// The row in an item, and when it was written, nanoseconds since 1970.
pub(super) fn stored_row(mut item: Item) -> Result<(StoredRow, u64), String> {
    let (run, _) = text(&item, BUCKET)?.split_once('#').ok_or("a bucket without a number")?;
    let run = parse_run(run).map_err(|_| format!("'{run}' is not a run"))?;
    let row = text(&item, ROW)?;
    let parts: Vec<&str> = row.split('-').collect();
    let key = match parts[..] {
        [written, _, producer, sequence] => u64::from_str_radix(written, 16)
            .ok()
            .zip(producer.parse().ok())
            .zip(sequence.parse().ok()),
        _ => None,
    };
    let ((written_ns, producer), sequence) =
        key.ok_or_else(|| format!("'{row}' is not a row's key"))?;
    let batch = BatchId { call: parsed(&item, "batch")?, part: parsed(&item, "part")? };
    let received = Stamp { instant_ns: parsed(&item, "received_ns")?, origin: origin(&item)? };
    let partition = parsed(&item, "partition")?;
    let arrived_wall_ms =
        item.contains_key("arrived_ms").then(|| parsed(&item, "arrived_ms")).transpose()?;
    let key = item.remove("key").and_then(|value| match value {
        AttributeValue::B(key) => Some(key.into_inner()),
        _ => None,
    });
    let Some(AttributeValue::B(message)) = item.remove(MESSAGE) else {
        return Err("a message that is not binary".to_owned());
    };
    let message = message.into_inner();
    let stored = StoredRow {
        run,
        producer,
        sequence,
        key,
        message,
        partition,
        received,
        arrived_wall_ms,
        batch,
    };
    Ok((stored, written_ns))
}

/// The sort key of an item.
pub(super) fn row_of(item: &Item) -> Result<&str, String> {
    text(item, ROW)
}

fn origin(item: &Item) -> Result<ClockOrigin, String> {
    Ok(ClockOrigin {
        boot: BootId::from_hash(parsed(item, "boot")?),
        wall_offset_ns: parsed(item, "wall_offset_ns")?,
    })
}

fn number<T: ToString + Copy>(value: T) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, String> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(format!("an item without '{name}'")),
    }
}

fn bytes<'a>(item: &'a Item, name: &str) -> Result<&'a [u8], String> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(format!("an item without '{name}'")),
    }
}

fn parsed<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, String> {
    match item.get(name) {
        Some(AttributeValue::N(number)) => {
            number.parse().map_err(|_| format!("'{name}' is {number}"))
        }
        _ => Err(format!("an item without '{name}'")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(instant_ns: u64, boot: u32, wall_offset_ns: i64) -> Stamp {
        let origin = ClockOrigin { boot: BootId::from_hash(boot), wall_offset_ns };
        Stamp { instant_ns, origin }
    }

    #[test]
    fn confirmations_are_found_by_batch() {
        let run = Some(RunId::from_bits(5));
        let batch = |part| ConfirmedBatch {
            run,
            id: BatchId { call: 77, part },
            rows: 25,
            landed: stamp(u64::from(part) * 1_000, 3, -9),
        };
        let items = confirmation_items(&[batch(0), batch(9_999), batch(10_000)]);
        assert_eq!(items.len(), 2, "one for ten thousand batches");
        for part in [0, 9_999, 10_000] {
            let id = BatchId { call: 77, part };
            let key = confirmation_key(run, id);
            let item = items.iter().find(|item| row_of(item) == Ok(&key.row)).expect("there");
            let found = confirmations(item).expect("confirmations");
            assert!(found.contains(&(id, batch(part).landed)), "{found:?}");
        }
    }

    #[test]
    fn malformed_rows_are_rejected() {
        let mut item = key_item("0000000005#00", "0000-1-2-3");
        assert!(!is_row(&item));
        assert!(stored_row(item.clone()).expect_err("no batch").contains("batch"));
        item.insert(BATCHES.to_owned(), AttributeValue::S("text".to_owned()));
        assert!(confirmations(&item).is_err());
        assert!(stored_row(key_item("orders", "17")).is_err());
    }

    proptest! {
        #[test]
        fn rows_round_trip(
            bits in prop::option::of(any::<u64>()),
            producer: u16,
            sequence in 0_u64..1 << 48,
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            message in prop::collection::vec(any::<u8>(), 0..200),
            numbers: (u32, u64, u32, i64, u64),
            arrived_wall_ms: Option<i64>,
            batch: (u64, u32),
        ) {
            let (partition, received_ns, boot, wall_offset_ns, written_ns) = numbers;
            let row = OwnedRow {
                index: 0,
                run: bits.map(RunId::from_bits),
                producer,
                sequence,
                key,
                message,
                partition,
                received: stamp(received_ns, boot, wall_offset_ns),
                arrived_wall_ms,
            };
            let batch = BatchId { call: batch.0, part: batch.1 };
            let key = RowKey::new(&row, written_ns, 8);
            prop_assert!(bucket_names(row.run).any(|bucket| bucket == key.bucket));
            let (stored, found_ns) = stored_row(row_item(&key, &row, batch)).expect("a row");
            prop_assert_eq!(found_ns, written_ns);
            prop_assert_eq!((stored.run, stored.producer, stored.sequence), (row.run, producer, sequence));
            prop_assert_eq!((stored.key, stored.message), (row.key, row.message));
            prop_assert_eq!((stored.partition, stored.received), (partition, row.received));
            prop_assert_eq!((stored.arrived_wall_ms, stored.batch), (arrived_wall_ms, batch));
        }
    }
}
