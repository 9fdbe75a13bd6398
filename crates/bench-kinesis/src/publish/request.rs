//! Kinesis records in flight, and the requests that carry them.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use bench_aws::{AwsError, is_throttled};
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::Token;
use bytes::Bytes;

use super::Put;

/// A Kinesis record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The partition key, UTF-8.
    pub(super) key: Bytes,
    /// The explicit hash key, if it has one.
    pub(super) hash_key: Option<Arc<str>>,
    pub(super) data: Bytes,
    pub(super) messages: Messages,
    /// When it first became ready to be sent.
    pub(super) ready_ns: InstantNs,
    /// How often it has been sent.
    pub(super) tries: u32,
}

impl Record {
    /// Size as Kinesis counts it.
    pub(super) fn size_bytes(&self) -> usize {
        self.key.len() + self.data.len()
    }

    fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}

/// The messages in a Kinesis record.
#[derive(Debug, Clone)]
pub(super) enum Messages {
    One(Token),
    /// The messages of an aggregate.
    Many(Vec<Token>),
}

impl Messages {
    pub(super) fn tokens(&self) -> &[Token] {
        match self {
            Self::One(token) => std::slice::from_ref(token),
            Self::Many(tokens) => tokens,
        }
    }
}

/// The answer to a request, or its error.
pub(super) struct Answer {
    pub(super) records: Vec<Record>,
    /// When the answer arrived.
    pub(super) at_ns: InstantNs,
    /// The result of each record, in order.
    pub(super) result: Result<Vec<PutRecordsResultEntry>, Refusal>,
}

/// Why a request, or one of its records, failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The service's code, or our own for failures without an answer.
    pub(super) code: String,
    /// The message for users.
    pub(super) text: String,
    pub(super) remedy: Remedy,
    /// Why there was no answer, if there was none.
    pub(super) silence: Option<String>,
}

/// How to handle a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A rate limit was exceeded: retry later.
    Throttle,
    /// The error is transient: retry later.
    Retry,
    /// These records cannot be sent.
    Drop,
    /// No record can be sent any more.
    Stop,
}

/// Codes after which no request of this client can succeed.
const HOPELESS: [&str; 10] = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
];

/// Codes of failures in the service.
const PASSING: [&str; 4] = [
    "InternalFailure",
    "InternalServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

impl Refusal {
    /// The refusal of one record of a request.
    pub(super) fn of_record(entry: &PutRecordsResultEntry) -> Option<Self> {
        let code = entry.error_code()?;
        let text = match entry.error_message().filter(|message| !message.is_empty()) {
            // Messages about throttling name the shard and the account, but each code should be one
            // line in a result.
            Some(message) if !is_throttled(code) => format!("{code}: {message}"),
            _ => code.to_owned(),
        };
        let (code, remedy) = (code.to_owned(), remedy(code).unwrap_or(Remedy::Retry));
        Some(Self { code, text, remedy, silence: None })
    }

    /// The refusal of a record that is missing from the answer.
    pub(super) fn unanswered() -> Self {
        let text = "the service's answer omitted the record".to_owned();
        let (code, silence) = ("Unanswered".to_owned(), Some(text.clone()));
        Self { code, text, remedy: Remedy::Retry, silence }
    }

    fn of_request<E>(
        operation: &str,
        stream: &str,
        error: &SdkError<E, aws_sdk_kinesis::config::http::HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let found = AwsError::new(format!("{operation} stream '{stream}'"), error);
        // A truncated answer does not count.
        let is_answer = matches!(error, SdkError::ServiceError(_));
        let raw = error.raw_response().filter(|_| is_answer);
        let status = raw.map(|response| response.status().as_u16());
        let (code, remedy) = match (&found.code, status) {
            (Some(code), status) => {
                let by_status = status.is_some_and(|status| status >= 500).then_some(Remedy::Retry);
                (code.clone(), remedy(code).or(by_status).unwrap_or(Remedy::Drop))
            }
            (None, Some(429)) => ("429".to_owned(), Remedy::Throttle),
            (None, Some(status)) if status < 500 => (status.to_string(), Remedy::Drop),
            (None, Some(status)) => (status.to_string(), Remedy::Retry),
            (None, None) => match error {
                SdkError::TimeoutError(_) => ("Timeout".to_owned(), Remedy::Retry),
                _ if found.reason.contains("credentials") => {
                    ("NoCredentials".to_owned(), Remedy::Stop)
                }
                SdkError::ConstructionFailure(_) => ("Construction".to_owned(), Remedy::Stop),
                _ => ("Connection".to_owned(), Remedy::Retry),
            },
        };
        let silence = (!is_answer).then(|| found.reason.clone());
        Self { code, text: found.to_string(), remedy, silence }
    }
}

fn remedy(code: &str) -> Option<Remedy> {
    if is_throttled(code) {
        Some(Remedy::Throttle)
    } else if HOPELESS.contains(&code) {
        Some(Remedy::Stop)
    } else if PASSING.contains(&code) {
        Some(Remedy::Retry)
    } else {
        None
    }
}

/// Sends the records of one request, at least one.
pub(super) async fn put(
    client: Client,
    stream: Arc<str>,
    put: Put,
    mut records: Vec<Record>,
    clock: SystemClock,
) -> Answer {
    for record in &mut records {
        record.tries += 1;
    }
    let result = match put {
        Put::Record => put_record(&client, &stream, &records).await,
        Put::Records { .. } => put_records(&client, &stream, &records).await,
    };
    Answer { records, at_ns: clock.now_ns(), result }
}

async fn put_records(
    client: &Client,
    stream: &str,
    records: &[Record],
) -> Result<Vec<PutRecordsResultEntry>, Refusal> {
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        let entry = PutRecordsRequestEntry::builder()
            .data(Blob::from_maybe_shared(record.data.clone()))
            .partition_key(record.key_text())
            .set_explicit_hash_key(record.hash_key.as_deref().map(str::to_owned))
            .build();
        // All required fields are set.
        entries.extend(entry.ok());
    }
    let request = client.put_records().stream_name(stream).set_records(Some(entries));
    let answer = request.send().await;
    answer
        .map(|answer| answer.records)
        .map_err(|error| Refusal::of_request("put records in", stream, &error))
}

async fn put_record(
    client: &Client,
    stream: &str,
    records: &[Record],
) -> Result<Vec<PutRecordsResultEntry>, Refusal> {
    let mut results = Vec::with_capacity(1);
    for record in records {
        let request = client
            .put_record()
            .stream_name(stream)
            .data(Blob::from_maybe_shared(record.data.clone()))
            .partition_key(record.key_text())
            .set_explicit_hash_key(record.hash_key.as_deref().map(str::to_owned));
        let answer = request.send().await;
        let answer =
            answer.map_err(|error| Refusal::of_request("put a record in", stream, &error))?;
        let result = PutRecordsResultEntry::builder()
            .shard_id(answer.shard_id)
            .sequence_number(answer.sequence_number);
        results.push(result.build());
    }
    Ok(results)
}
