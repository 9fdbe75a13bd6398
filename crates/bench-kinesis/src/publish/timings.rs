//! Records the timing of every single message.

use std::collections::HashMap;
use std::sync::mpsc::Sender;

use aws_sdk_kinesis::types::PutRecordsResultEntry;
use bench_core::clock::InstantNs;
use bench_core::message;
use bench_core::transport::{Outgoing, Token};

/// The timing of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Producer and sequence number; `None` for a message without a header.
    pub sequence: Option<(u16, u64)>,
    /// Size of the message, bytes.
    pub size_bytes: usize,
    /// When it was due, or created if there is no rate.
    pub intended_ns: InstantNs,
    /// When it was submitted to the publisher.
    pub sent_ns: InstantNs,
    /// When it completed.
    pub done_ns: InstantNs,
    /// How often its Kinesis record was sent.
    pub tries: u32,
    /// The shard and sequence number of that record; `None` if it failed.
    pub place: Option<(String, String)>,
}

/// The timings of messages in flight.
pub(super) struct Timings {
    out: Sender<Timing>,
    open: HashMap<Token, Timing>,
}

impl Timings {
    pub(super) fn new(out: Sender<Timing>) -> Self {
        Self { out, open: HashMap::new() }
    }

    pub(super) fn begin(&mut self, message: &Outgoing<'_>, now_ns: InstantNs) {
        let header = message::decode(message.value).ok();
        let timing = Timing {
            sequence: header.map(|header| (header.producer, header.sequence)),
            size_bytes: message.value.len(),
            intended_ns: header.map_or(now_ns, |header| header.intended_ns),
            sent_ns: header.map_or(now_ns, |header| header.sent_ns),
            done_ns: 0,
            tries: 0,
            place: None,
        };
        self.open.insert(message.token, timing);
    }

    pub(super) fn end(
        &mut self,
        tokens: &[Token],
        done_ns: InstantNs,
        tries: u32,
        entry: Option<&PutRecordsResultEntry>,
    ) {
        let place = entry.and_then(|entry| {
            Some((entry.shard_id()?.to_owned(), entry.sequence_number()?.to_owned()))
        });
        for token in tokens {
            if let Some(timing) = self.open.remove(token) {
                let timing = Timing { done_ns, tries, place: place.clone(), ..timing };
                // A writer that has ended has reported its error.
                let _ = self.out.send(timing);
            }
        }
    }
}
