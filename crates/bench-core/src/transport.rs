//! The seam between the engine and a messaging system: what an adapter implements.
//!
//! It is a completion interface: [`Publish::submit`] hands over a batch and returns at once,
//! [`Publish::poll`] waits for confirmations, [`Receive::receive`] waits for messages. Nothing here
//! needs an allocation per message, a copy beyond the client library's own, or an async runtime; an
//! adapter of an async client hides its runtime. Waiting ends at an instant of the engine's clock,
//! so the same loops run on a virtual clock in tests.

use std::collections::VecDeque;

use crate::clock::InstantNs;
use crate::results::SelfCheck;

/// Identifies a message between its submission and its completion. The engine chooses it; an
/// adapter hands it back.
pub type Token = u32;

/// Messages on their way to the client library, oldest first.
///
/// Keys and values share one reused buffer, so a batch allocates only until it has reached its
/// largest size. At most half of the buffer belongs to messages already removed, however long any
/// other message waits.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: VecDeque<Entry>,
    /// Size of the messages in `entries`.
    size_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    token: Token,
    key_start: usize,
    value_start: usize,
    end: usize,
    keyed: bool,
}

impl Entry {
    fn size_bytes(&self) -> usize {
        self.end - self.key_start
    }
}

/// One message of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The token to return with the completion.
    pub token: Token,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The message.
    pub value: &'a [u8],
}

impl Batch {
    /// Appends a message written by `key` and `value`; each gets the buffer to append to, and `value`
    /// also the offset at which the value begins. Returns the size of both in bytes.
    #[inline]
    pub fn push(
        &mut self,
        token: Token,
        key: impl FnOnce(&mut Vec<u8>) -> bool,
        value: impl FnOnce(&mut Vec<u8>, usize),
    ) -> usize {
        let key_start = self.bytes.len();
        let keyed = key(&mut self.bytes);
        let value_start = self.bytes.len();
        value(&mut self.bytes, value_start);
        let end = self.bytes.len();
        self.entries.push_back(Entry { token, key_start, value_start, end, keyed });
        self.size_bytes += end - key_start;
        end - key_start
    }

    /// Number of messages in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the batch holds no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.entries.iter().map(|entry| Outgoing {
            token: entry.token,
            key: entry.keyed.then(|| &self.bytes[entry.key_start..entry.value_start]),
            value: &self.bytes[entry.value_start..entry.end],
        })
    }

    /// Size of the keys and values in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Removes the messages for which `accepted`, called with the position and oldest first, returns
    /// true. The others stay, in order, to be submitted again.
    pub fn remove_accepted(&mut self, mut accepted: impl FnMut(usize) -> bool) {
        let mut position = 0;
        let size_bytes = &mut self.size_bytes;
        self.entries.retain(|entry| {
            let stays = !accepted(position);
            position += 1;
            if !stays {
                *size_bytes -= entry.size_bytes();
            }
            stays
        });
        self.reclaim();
    }

    /// Compacts the buffer once half of it belongs to removed messages. That moves no more bytes
    /// than it frees, so it costs less than copying the messages in did.
    fn reclaim(&mut self) {
        if self.bytes.len() < 2 * self.size_bytes {
            return;
        }
        let mut end = 0;
        for entry in &mut self.entries {
            self.bytes.copy_within(entry.key_start..entry.end, end);
            let moved_by = entry.key_start - end;
            entry.key_start -= moved_by;
            entry.value_start -= moved_by;
            entry.end -= moved_by;
            end = entry.end;
        }
        self.bytes.truncate(end);
    }

    /// Removes all messages.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.size_bytes = 0;
    }
}

/// The outcome of a submitted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The token of the message.
    pub token: Token,
    /// When the client library reported it.
    pub at_ns: InstantNs,
    /// Success, or the system's code for the failure; see [`Publish::explain`].
    pub outcome: Result<(), i32>,
}

/// A received message, borrowed from the client library for the duration of the call.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The message.
    pub value: &'a [u8],
    /// The partition (shard, table partition): the scope in which the system promises order.
    pub partition: u32,
    /// When the client library handed it over.
    pub received_ns: InstantNs,
    /// Further instants on its way; empty for most systems.
    pub stamps: Stamps,
}

/// Further instants on a message's way, all by the engine's clock (see
/// [`Stamp::to_clock`](crate::clock::Stamp::to_clock)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When the stream accepted it, by the wall clock of the system.
    pub arrived_ns: Option<InstantNs>,
    /// When the write of its row was confirmed. A message that must land is handed over only then.
    pub landed_ns: Option<InstantNs>,
    /// Whether `received_ns` or `landed_ns` came from the clock of another host.
    pub by_wall_clock: bool,
}

/// Longest time that lingering messages may stay with the engine, in nanoseconds: half of the
/// allowed schedule lag.
pub const LINGERING_MAX_NS: u64 = SelfCheck::LAG_P99_MAX_NS / 2;

/// The part of a linger time that messages may spend with the engine, in nanoseconds: a tenth, and
/// at most [`LINGERING_MAX_NS`]. See [`Publish::lingering_ns`].
#[must_use]
pub fn lingering_share_ns(linger_ns: u64) -> u64 {
    (linger_ns / 10).min(LINGERING_MAX_NS)
}

/// The connection has become unusable.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What was attempted, what went wrong, and the remedy.
    pub message: String,
}

impl TransportError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A connection for sending messages, owned by one producer.
pub trait Publish {
    /// Hands the messages of `batch` to the client library, without waiting. Accepted messages are
    /// removed from the batch and complete later, each exactly once; messages that stay were refused
    /// for now (a full queue) and will be submitted again.
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError>;

    /// Appends completions; waits for the first one until `until_ns` at the latest, or until the
    /// adapter needs to be called again after everything due by then was submitted.
    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError>;

    /// How long a due message may stay with the engine because it would only wait in the client
    /// library anyway, in nanoseconds: a producer that does not wake for every message uses much
    /// less CPU. Zero if messages are sent immediately. The delay is part of every figure.
    fn lingering_ns(&self) -> u64 {
        0
    }

    /// Called after the last message: sends whatever waits for more (a lingering batch, an open
    /// transaction).
    fn finish(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    /// A remark for the reader of the figures that is known only after sending; called when the
    /// producer has ended.
    fn remark(&self) -> Option<String> {
        None
    }

    /// The meaning of a failure code, for people.
    fn explain(&self, code: i32) -> String;

    /// Whether messages that failed with this code were withdrawn, like those of an aborted
    /// transaction: no consumer of committed messages may ever receive one. Other failed messages
    /// may or may not arrive.
    fn is_aborted(&self, code: i32) -> bool {
        let _ = code;
        false
    }

    /// Whether messages that failed with this code were given up by the client library (a timeout)
    /// rather than refused by the system. The time they waited is a lower bound of their latency.
    fn is_unanswered(&self, code: i32) -> bool {
        let _ = code;
        false
    }

    /// Why messages are currently not acknowledged, if the connection knows: its servers are
    /// unreachable, or the process of an embedded one has ended. `None` while the system responds.
    fn outage(&self) -> Option<String> {
        None
    }
}

/// A connection for receiving messages, owned by one consumer.
pub trait Receive {
    /// Passes messages to `sink`, oldest first; waits for the first one until `until_ns` at the
    /// latest. Returns their number.
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError>;

    /// Whether everything that was in the system at the last request has been received. Systems that
    /// cannot tell return false, and a reader stops after some time without messages.
    fn at_end(&self) -> bool {
        false
    }

    /// Whether the system is known to hold more than has been received: the reader has not reached
    /// the end. Only then does a message of another run count as progress, and missing messages may
    /// still be ahead. Systems that cannot tell return false.
    fn is_behind(&self) -> bool {
        false
    }

    /// A condition that hides messages until it ends by itself, such as another producer's open
    /// transaction, described for people. That time does not count as the silence after which
    /// missing messages are lost. `None` if messages may arrive at any time.
    fn waits_for(&self) -> Option<String> {
        None
    }

    /// From now on, commit a message's position only after [`settle`](Self::settle). Used when
    /// messages go to a sink that can still fail, so that a later consumer resumes with those not
    /// settled. Systems without committed positions need not implement this.
    fn hold_back(&mut self) {}

    /// Settles the oldest `messages` unsettled messages passed on since [`Receive::hold_back`].
    fn settle(&mut self, messages: usize) {
        let _ = messages;
    }
}

/// The connection type of a side that a run does not have; it has no values.
#[derive(Debug, Clone, Copy)]
pub enum NoConnection {}

impl Publish for NoConnection {
    fn submit(&mut self, _: &mut Batch) -> Result<(), TransportError> {
        match *self {}
    }

    fn poll(&mut self, _: InstantNs, _: &mut Vec<Completion>) -> Result<(), TransportError> {
        match *self {}
    }

    fn explain(&self, _: i32) -> String {
        match *self {}
    }
}

impl Receive for NoConnection {
    fn receive(
        &mut self,
        _: InstantNs,
        _: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn push(batch: &mut Batch, token: Token, key: Option<&[u8]>, value: &[u8]) {
        batch.push(
            token,
            |bytes| {
                bytes.extend_from_slice(key.unwrap_or_default());
                key.is_some()
            },
            |bytes, _| bytes.extend_from_slice(value),
        );
    }

    #[test]
    fn refused_messages_stay_in_order() {
        let mut batch = Batch::default();
        push(&mut batch, 1, None, b"one");
        push(&mut batch, 2, Some(b"k"), b"two");
        push(&mut batch, 3, Some(b""), b"three");
        assert_eq!((batch.len(), batch.size_bytes()), (3, 12));
        batch.remove_accepted(|position| position == 1);
        push(&mut batch, 4, None, b"");
        let left: Vec<_> = batch.iter().map(|m| (m.token, m.key, m.value)).collect();
        let empty: &[u8] = b"";
        assert_eq!(
            left,
            [(1, None, &b"one"[..]), (3, Some(empty), b"three"), (4, None, empty)],
            "an empty key is a key"
        );
        batch.remove_accepted(|_| true);
        assert!(batch.is_empty() && batch.bytes.is_empty());
    }

    #[test]
    fn waiting_messages_do_not_pin_other_bytes() {
        let mut batch = Batch::default();
        push(&mut batch, 0, Some(b"waits"), b"for ever");
        for token in 1..100_000 {
            push(&mut batch, token, None, &[7; 100]);
            batch.remove_accepted(|position| position > 0);
        }
        let left: Vec<_> = batch.iter().map(|m| (m.token, m.key, m.value)).collect();
        assert_eq!(left, [(0, Some(&b"waits"[..]), &b"for ever"[..])]);
        assert!(batch.bytes.capacity() < 1_000, "{} bytes", batch.bytes.capacity());
    }

    /// An operation on a batch.
    #[derive(Debug, Clone)]
    enum Step {
        Push {
            key: Option<Vec<u8>>,
            value: Vec<u8>,
        },
        /// Accepts the messages at positions that are true, cycling through the list.
        Submit {
            accepted: Vec<bool>,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = || vec(any::<u8>(), 0..60);
        let push =
            (option::of(bytes()), bytes()).prop_map(|(key, value)| Step::Push { key, value });
        let submit = vec(any::<bool>(), 1..8).prop_map(|accepted| Step::Submit { accepted });
        vec(prop_oneof![3 => push, 1 => submit], 0..200)
    }

    proptest! {
        #[test]
        fn refusals_keep_messages_and_bound_memory(steps in steps()) {
            let mut batch = Batch::default();
            let mut model: Vec<(Token, Option<Vec<u8>>, Vec<u8>)> = Vec::new();
            for (token, step) in (0..).zip(steps) {
                match step {
                    Step::Push { key, value } => {
                        push(&mut batch, token, key.as_deref(), &value);
                        model.push((token, key, value));
                    }
                    Step::Submit { accepted } => {
                        let takes = |position: usize| accepted[position % accepted.len()];
                        batch.remove_accepted(takes);
                        let mut position = 0;
                        model.retain(|_| { position += 1; !takes(position - 1) });
                        prop_assert!(batch.bytes.len() <= 2 * batch.size_bytes());
                    }
                }
                let own = |bytes: &[u8]| bytes.to_vec();
                let left: Vec<_> =
                    batch.iter().map(|m| (m.token, m.key.map(own), own(m.value))).collect();
                prop_assert_eq!(&left, &model);
                let size = |(_, key, value): &(Token, Option<Vec<u8>>, Vec<u8>)| {
                    key.as_ref().map_or(0, Vec::len) + value.len()
                };
                prop_assert_eq!(batch.size_bytes(), model.iter().map(size).sum::<usize>());
            }
        }
    }
}
