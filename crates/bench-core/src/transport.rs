//! The seam between the engine and a messaging system: what an adapter implements.
//!
//! It is a completion interface: [`Publish::submit`] hands over a batch and returns at once,
//! [`Publish::poll`] waits for confirmations, [`Receive::receive`] waits for messages. Nothing here
//! needs an allocation a message, a copy beyond the client library's own, or an async runtime; an
//! adapter of an async client hides its runtime. Waiting ends at an instant of the engine's clock,
//! so the same loops run on a virtual clock in tests.

use std::collections::VecDeque;

use bench_record::SelfCheck;

use crate::clock::InstantNs;

/// Identifies a message between its submission and its completion. The engine chooses it; an
/// adapter hands it back.
pub type Token = u32;

/// Messages on their way to the client library, oldest first.
///
/// Keys and values lie in one buffer that is used again, so a batch allocates only until it has
/// reached its largest size. The buffer holds at most as many bytes of messages that are gone as of
/// messages that wait, however long one of them waits.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: VecDeque<Entry>,
    /// Of the messages in `entries`.
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
    /// To be handed back with the completion.
    pub token: Token,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The message.
    pub value: &'a [u8],
}

impl Batch {
    /// Appends a message that `key` and `value` write; each gets the buffer to append to, `value`
    /// also where the value begins. Returns the size of both, bytes.
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

    /// Messages in the batch.
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

    /// Size of the keys and values, bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Removes the messages for which `accepted`, called oldest first with the position, says yes.
    /// The others stay, in order, to be submitted again.
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

    /// Moves the messages that are left together once half of the buffer is of messages that are
    /// gone. That moves no more bytes than it frees, so it costs less than their copying in.
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

/// What became of a submitted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The token of the message.
    pub token: Token,
    /// When the client library reported it.
    pub at_ns: InstantNs,
    /// Confirmed, or the system's code for why not; see [`Publish::explain`].
    pub outcome: Result<(), i32>,
}

/// A message that was received. Borrowed from the client library for the time of the call.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The message.
    pub value: &'a [u8],
    /// The partition (shard, table partition): the scope in which the system promises order.
    pub partition: u32,
    /// When the client library handed it over.
    pub received_ns: InstantNs,
    /// What else is known of its way; nothing for most systems.
    pub stamps: Stamps,
}

/// What else is known of a message's way; all in the engine's clock (see
/// [`Stamp::to_clock`](crate::clock::Stamp::to_clock)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When the stream took it in, by the wall clock of the system.
    pub arrived_ns: Option<InstantNs>,
    /// When the write of its row was confirmed. A message that is to land is handed over only then.
    pub landed_ns: Option<InstantNs>,
    /// Whether `received_ns` or `landed_ns` came from the clock of another host.
    pub by_wall_clock: bool,
}

/// Longest time for which messages that linger may stay with the engine, nanoseconds: half of what
/// the schedule lag may be.
pub const LINGERING_MAX_NS: u64 = SelfCheck::LAG_P99_MAX_NS / 2;

/// The part of a linger that messages may spend with the engine, nanoseconds: a tenth, and at most
/// [`LINGERING_MAX_NS`]. See [`Publish::lingering_ns`].
#[must_use]
pub fn lingering_share_ns(linger_ns: u64) -> u64 {
    (linger_ns / 10).min(LINGERING_MAX_NS)
}

/// The connection is of no more use.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What was attempted on what, what went wrong, and what to do about it.
    pub message: String,
}

impl TransportError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A connection that messages are sent on, owned by one producer.
pub trait Publish {
    /// Hands the messages of `batch` to the client library, without waiting. Accepted messages are
    /// removed from the batch and complete later, each exactly once; what stays was refused for the
    /// moment (a full queue) and is submitted again.
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError>;

    /// Appends completions; waits for the first one until `until_ns` at the latest, or until it has
    /// to be called again with everything that is due by then submitted.
    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError>;

    /// How long a message may stay with the engine after it is due, because it would only wait
    /// further in here, nanoseconds: a producer that need not wake for every message costs the
    /// machine much less. Zero where messages go at once. The delay is part of every figure.
    fn lingering_ns(&self) -> u64 {
        0
    }

    /// Tells that no message will follow: whatever waits for more (a lingering batch, an open
    /// transaction) is to be sent now.
    fn finish(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    /// What the reader of the figures must know and only shows while messages are sent; asked when
    /// the producer has ended.
    fn remark(&self) -> Option<String> {
        None
    }

    /// What a failure code means, for people.
    fn explain(&self, code: i32) -> String;

    /// Whether messages that failed with this code were taken back, as those of an aborted
    /// transaction are: no consumer that reads what was committed may ever get one. Of others that
    /// failed, nothing is known.
    fn is_aborted(&self, code: i32) -> bool {
        let _ = code;
        false
    }

    /// Whether messages that failed with this code were given up without an answer from the system
    /// (a timeout in the client library), rather than refused by it. How long they waited is a
    /// lower bound of their latency.
    fn is_unanswered(&self, code: i32) -> bool {
        let _ = code;
        false
    }

    /// Why messages go without an answer at the moment, if the connection knows: its servers are
    /// unreachable, or the process of an embedded one has ended. `None` while the system answers.
    fn outage(&self) -> Option<String> {
        None
    }
}

/// A connection that messages are received on, owned by one consumer.
pub trait Receive {
    /// Passes messages to `sink`, oldest first; waits for the first one until `until_ns` at the
    /// latest. Returns how many there were.
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError>;

    /// Whether everything that was in the system when it was last asked has been received. Systems
    /// that cannot tell say no, and a reader stops when nothing has come for a while.
    fn at_end(&self) -> bool {
        false
    }

    /// Whether there is known to be more in the system than has been received: the reader has not
    /// come to the end. Only then does a message of another run show progress, and what is missing
    /// may still lie ahead. Systems that cannot tell say no.
    fn is_behind(&self) -> bool {
        false
    }

    /// What the reader waits for that ends by itself and hides messages until then, such as an open
    /// transaction of another producer, for people. The time until then is no silence after which
    /// messages could count as lost. `None` when messages may come at any time.
    fn waits_for(&self) -> Option<String> {
        None
    }

    /// Asks that messages from now on count as read only when they are [settled](Self::settle):
    /// whoever reads on where this consumer stops gets those that are not. For who passes them on
    /// to where they may still be lost. Systems that keep no such position have nothing to do.
    fn hold_back(&mut self) {}

    /// Settles the oldest `messages` that have been passed on since [`Receive::hold_back`] and are
    /// not settled yet.
    fn settle(&mut self, messages: usize) {
        let _ = messages;
    }
}

/// The connection of a side that a run does not have, as a type: there is none.
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
    fn a_message_that_waits_does_not_keep_the_bytes_of_others() {
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

    /// What may happen to a batch.
    #[derive(Debug, Clone)]
    enum Step {
        Push {
            key: Option<Vec<u8>>,
            value: Vec<u8>,
        },
        /// Of the messages in the batch, those at set bits (in turn) are accepted.
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
        fn any_order_of_submitting_and_refusing_keeps_messages_and_bounds_memory(steps in steps()) {
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
