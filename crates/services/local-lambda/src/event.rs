//! The event in which Lambda hands a batch of records to a function.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Largest event, bytes: AWS's limit for a synchronous invocation, 6 MB.
pub(super) const EVENT_BYTES_MAX: usize = 6 << 20;

/// The role of a function here, in the account of the embedded services.
const ROLE_NAME: &str = "lambda-role";

/// One record of a shard, as the stream returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamRecord<'a> {
    pub(super) sequence_number: &'a str,
    pub(super) partition_key: &'a str,
    pub(super) data: &'a [u8],
    /// Its arrival in the stream, ms since 1970.
    pub(super) arrived_ms: i64,
}

/// The source of a function's records, which each of them names.
#[derive(Debug, Clone)]
pub(super) struct EventSource {
    stream_arn: String,
    region: String,
    role_arn: String,
}

impl EventSource {
    /// The stream of this ARN (`arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`).
    pub(super) fn new(stream_arn: &str) -> Self {
        let mut parts = stream_arn.split(':').skip(1);
        let partition = parts.next().unwrap_or("aws");
        let region = parts.nth(1).unwrap_or_default();
        let account = parts.next().unwrap_or_default();
        Self {
            role_arn: format!("arn:{partition}:iam::{account}:role/{ROLE_NAME}"),
            region: region.to_owned(),
            stream_arn: stream_arn.to_owned(),
        }
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// The ARN of a function in the stream's account and region.
    pub(super) fn function_arn(&self, name: &str) -> String {
        let account = self.role_arn.split(':').nth(4).unwrap_or_default();
        format!("arn:aws:lambda:{}:{account}:function:{name}", self.region)
    }

    /// A record in the form of an event.
    pub(super) fn record(&self, shard: &str, record: &StreamRecord<'_>) -> String {
        let event = EventRecord {
            kinesis: EventKinesis {
                kinesis_schema_version: "1.0",
                partition_key: record.partition_key,
                sequence_number: record.sequence_number,
                data: STANDARD.encode(record.data),
                approximate_arrival_timestamp: record.arrived_ms as f64 / 1_000.0,
            },
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_id: format!("{shard}:{}", record.sequence_number),
            event_name: "aws:kinesis:record",
            invoke_identity_arn: &self.role_arn,
            aws_region: &self.region,
            event_source_arn: &self.stream_arn,
        };
        // Text and numbers can always be serialised.
        serde_json::to_string(&event).unwrap_or_default()
    }
}

/// The event of these records.
pub(super) fn event<'a>(records: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut event = HEAD.to_vec();
    for record in records {
        if event.len() > HEAD.len() {
            event.push(b',');
        }
        event.extend_from_slice(record.as_bytes());
    }
    event.extend_from_slice(TAIL);
    event
}

/// Size of an event without its records, bytes.
pub(super) const FRAME_BYTES: usize = HEAD.len() + TAIL.len();

const HEAD: &[u8] = br#"{"Records":["#;
const TAIL: &[u8] = b"]}";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventRecord<'a> {
    kinesis: EventKinesis<'a>,
    event_source: &'static str,
    event_version: &'static str,
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'static str,
    invoke_identity_arn: &'a str,
    aws_region: &'a str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventKinesis<'a> {
    kinesis_schema_version: &'static str,
    partition_key: &'a str,
    sequence_number: &'a str,
    data: String,
    /// Seconds since 1970.
    approximate_arrival_timestamp: f64,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The example in AWS's documentation ("Using Lambda to process records from Amazon Kinesis").
    const DOCUMENTED: &str = include_str!("documented-event.json");

    #[test]
    fn events_match_the_documented_example() {
        let source =
            EventSource::new("arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream");
        let record = |sequence_number, data, arrived_ms| {
            let record = StreamRecord { sequence_number, partition_key: "1", data, arrived_ms };
            source.record("shardId-000000000006", &record)
        };
        let records = [
            record(
                "49590338271490256608559692538361571095921575989136588898",
                b"Hello, this is a test.".as_slice(),
                1_545_084_650_987,
            ),
            record(
                "49590338271490256608559692540925702759324208523137515618",
                b"This is only a test.".as_slice(),
                1_545_084_711_166,
            ),
        ];
        let event = event(records.iter().map(String::as_str));
        assert_eq!(event.len(), FRAME_BYTES + records[0].len() + 1 + records[1].len());
        let ours: Value = serde_json::from_slice(&event).expect("JSON");
        let documented: Value = serde_json::from_str(DOCUMENTED).expect("JSON");
        let count = documented["Records"].as_array().expect("records").len();
        for index in 0..count {
            let (ours, theirs) = (&ours["Records"][index], &documented["Records"][index]);
            for (name, value) in theirs.as_object().expect("a record") {
                assert_eq!(&ours[name], value, "{name} of record {index}");
            }
        }
        assert_eq!(ours, documented, "and there is nothing else");
    }

    #[test]
    fn keys_that_json_must_escape_arrive() {
        let source = EventSource::new("arn:aws:kinesis:eu-west-1:1:stream/s");
        let key = "a \"key\"\n\u{1F980}";
        let record = StreamRecord {
            sequence_number: "1",
            partition_key: key,
            data: &[0, 255],
            arrived_ms: 0,
        };
        let text = source.record("shardId-000000000000", &record);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["kinesis"]["partitionKey"], key);
        assert_eq!(value["kinesis"]["data"], "AP8=");
        assert_eq!(source.function_arn("f"), "arn:aws:lambda:eu-west-1:1:function:f");
    }
}
