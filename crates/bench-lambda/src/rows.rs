//! The rows of an event.

use aws_lambda_events::event::kinesis::KinesisEventRecord;
use bench_core::message::decode;
use bench_kinesis::aggregation::{Deaggregated, deaggregate};
use bench_kinesis::receive::shard_number;
use bench_tables::Row;

use crate::event::ReceivedEvent;

/// The unpacked records of an event.
pub(crate) struct Records<'a> {
    event: &'a ReceivedEvent,
    contents: Vec<Deaggregated<'a>>,
}

/// The rows of an event.
pub(crate) struct Rows<'a> {
    pub(crate) rows: Vec<Row<'a>>,
    /// For each row, the index of its record in the event.
    pub(crate) origins: Vec<usize>,
}

impl<'a> Records<'a> {
    pub(crate) fn of(event: &'a ReceivedEvent) -> Self {
        let records = event.event.records.iter();
        Self { event, contents: records.map(|record| deaggregate(&record.kinesis.data)).collect() }
    }

    /// One row per message, including messages that are not the benchmark's.
    pub(crate) fn rows(&self) -> Rows<'_> {
        let mut rows = Rows { rows: Vec::new(), origins: Vec::new() };
        for (index, (record, content)) in
            self.event.event.records.iter().zip(&self.contents).enumerate()
        {
            let partition = partition(record);
            let arrived_wall_ms =
                Some(record.kinesis.approximate_arrival_timestamp.timestamp_millis());
            for message in content.records() {
                let header = decode(message.data).ok();
                let key = message.partition_key.unwrap_or(&record.kinesis.partition_key);
                rows.rows.push(Row {
                    run: header.map(|header| header.run),
                    producer: header.map_or(0, |header| header.producer),
                    sequence: header.map_or(0, |header| header.sequence),
                    key: Some(key.as_bytes()),
                    message: message.data,
                    partition,
                    received: self.event.received,
                    arrived_wall_ms,
                });
                rows.origins.push(index);
            }
        }
        rows
    }
}

/// The shard number, which precedes the sequence number in the event's id.
fn partition(record: &KinesisEventRecord) -> u32 {
    let id = record.event_id.as_deref().unwrap_or_default();
    shard_number(id.split(':').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bench_core::clock::{BootId, ClockOrigin};
    use bench_core::message::RunId;
    use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
    use bench_kinesis::aggregation::Aggregator;

    use super::*;

    /// The example in AWS's documentation, with other records.
    fn event(data: &[&[u8]]) -> ReceivedEvent {
        let records: Vec<String> = data
            .iter()
            .enumerate()
            .map(|(index, data)| {
                format!(
                    r#"{{"kinesis": {{"kinesisSchemaVersion": "1.0", "partitionKey": "key-{index}",
                    "sequenceNumber": "4959{index}", "data": "{}",
                    "approximateArrivalTimestamp": 1545084650.987}},
                    "eventSource": "aws:kinesis", "eventVersion": "1.0",
                    "eventID": "shardId-000000000006:4959{index}",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
                    "awsRegion": "us-east-2",
                    "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/s"}}"#,
                    STANDARD.encode(data)
                )
            })
            .collect();
        let text = format!(r#"{{"Records": [{}]}}"#, records.join(","));
        serde_json::from_str(&text).expect("an event")
    }

    fn message(sequence: u64) -> Vec<u8> {
        let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 0 };
        let mut message = vec![7; HEADER_BYTES + 10];
        HeaderWriter::new(RunId::from_bits(5), 3, origin).seal(&mut message, sequence, 1, 2);
        message
    }

    #[test]
    fn every_message_of_every_record_becomes_a_row() {
        let mut aggregator = Aggregator::new(10_000);
        for sequence in 10..13 {
            assert!(aggregator.push("user", None, &message(sequence)));
        }
        let aggregate = aggregator.close().expect("three records").data;
        let (plain, last) = (message(9), message(13));
        let event = event(&[&plain, &aggregate, b"no message", &last]);
        let records = Records::of(&event);
        let Rows { rows, origins } = records.rows();
        let sequences: Vec<u64> = rows.iter().map(|row| row.sequence).collect();
        assert_eq!(sequences, [9, 10, 11, 12, 0, 13]);
        assert_eq!(origins, [0, 1, 1, 1, 2, 3]);
        let keys: Vec<&[u8]> = rows.iter().filter_map(|row| row.key).collect();
        let expected: [&[u8]; 6] = [b"key-0", b"user", b"user", b"user", b"key-2", b"key-3"];
        assert_eq!(keys, expected);
        for row in &rows {
            let is_ours = row.message != b"no message";
            assert_eq!(row.run, is_ours.then(|| RunId::from_bits(5)));
            assert_eq!(row.partition, 6);
            assert_eq!(row.arrived_wall_ms, Some(1_545_084_650_987));
            assert_eq!(row.received, event.received);
        }
        assert_eq!((rows[5].producer, rows[5].message), (3, &last[..]));
    }

    #[test]
    fn events_without_records_have_no_rows() {
        let event: ReceivedEvent = serde_json::from_str(r#"{"Records": []}"#).expect("an event");
        assert!(Records::of(&event).rows().rows.is_empty());
    }
}
