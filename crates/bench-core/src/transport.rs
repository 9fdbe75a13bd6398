//! The seam between the engine and a messaging system: what an adapter implements.
//!
//! It is a completion interface: [`Publish::submit`] hands over a batch and returns at once,
//! [`Publish::poll`] waits for confirmations, [`Receive::receive`] waits for messages. Nothing here
//! needs an allocation per message, a copy beyond the client library's own, or an async runtime; an
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
/// Keys and values share one reused buffer, so a batch allocates only until it has reached its
/// largest size. At most half of the buffer belongs to messages that are gone, however long one
/// message waits.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    messages: VecDeque<Message>,
    /// Of the messages in `messages`.
    size_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    token: Token,
    key_start: usize,
    value_start: usize,
    end: usize,
    keyed: bool,
}

impl Message {
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
        self.messages.push_back(Message { token, key_start, value_start, end, keyed });
        self.size_bytes += end - key_start;
        end - key_start
    }

    /// Number of messages in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the batch holds no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.messages.iter().map(|message| Outgoing {
            token: message.token,
            key: message.keyed.then(|| &self.bytes[message.key_start..message.value_start]),
            value: &self.bytes[message.value_start..message.end],
        })
    }

    /// Size of the keys and values in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Removes the messages for which `accepted`, called oldest first with the position, returns
    /// true. The others stay, in order, to be submitted again.
    pub fn remove_accepted(&mut self, mut accepted: impl FnMut(usize) -> bool) {
        let mut position = 0;
        let size_bytes = &mut self.size_bytes;
        self.messages.retain(|message| {
            let stays = !accepted(position);
            position += 1;
            if !stays {
                *size_bytes -= message.size_bytes();
            }
            stays
        });
        self.reclaim();
    }

    /// Compacts the buffer once half of it belongs to messages that are gone. That moves no more
    /// bytes than it frees, so it costs less than copying them in did.
    fn reclaim(&mut self) {
        if self.bytes.len() < 2 * self.size_bytes {
            return;
        }
        let mut end = 0;
        for message in &mut self.messages {
            self.bytes.copy_within(message.key_start..message.end, end);
            let moved_by = message.key_start - end;
            message.key_start -= moved_by;
            message.value_start -= moved_by;
            message.end -= moved_by;
            end = message.end;
        }
        self.bytes.truncate(end);
    }

    /// Removes all messages.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
        self.size_bytes = 0;
    }
}

/// A submitted message that is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The token of the message.
    pub token: Token,
    /// When the client library reported it.
    pub at_ns: InstantNs,
    /// What became of the message.
    pub delivery: Delivery,
}

/// The outcome of a submitted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The system has confirmed it.
    Acknowledged,
    /// It was not confirmed.
    Failed(Failure),
}

/// How a message failed, with the adapter's code for the reason; see [`Publish::explain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The client library did not send it.
    Unsent(i32),
    /// The system refused it.
    Refused(i32),
    /// The client library gave it up without an answer from the system (a timeout), so nothing is
    /// known of it. The time it waited is a lower bound of its latency.
    Unanswered(i32),
    /// It was taken back, as the messages of an aborted transaction are: a consumer that reads
    /// committed messages must never receive it.
    Aborted(i32),
}

impl Delivery {
    /// Whether the system has confirmed the message.
    #[must_use]
    pub fn is_acknowledged(self) -> bool {
        self == Self::Acknowledged
    }

    /// How the message failed, if it did.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Acknowledged => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

impl Failure {
    /// The adapter's code for the reason.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Unsent(code)
            | Self::Refused(code)
            | Self::Unanswered(code)
            | Self::Aborted(code) => code,
        }
    }
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
    /// Further instants of the message; none for most systems.
    pub timestamps: Timestamps,
}

/// Further instants of a message, in the engine's clock (see
/// [`Stamp::to_clock`](crate::clock::Stamp::to_clock)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// When the stream received it, by the system's wall clock.
    pub arrived_ns: Option<InstantNs>,
    /// When the write of its row was confirmed. A message bound for a table is passed on only then.
    pub landed_ns: Option<InstantNs>,
    /// Whether `received_ns` or `landed_ns` came from the clock of another host.
    pub by_wall_clock: bool,
}

/// Longest time that lingering messages may stay with the engine, nanoseconds: half of the schedule
/// lag limit.
pub const LINGERING_MAX_NS: u64 = SelfCheck::LAG_P99_MAX_NS / 2;

/// The part of a linger that messages may spend with the engine, nanoseconds: a tenth, at most
/// [`LINGERING_MAX_NS`]. See [`Publish::lingering_ns`].
#[must_use]
pub fn lingering_share_ns(linger_ns: u64) -> u64 {
    (linger_ns / 10).min(LINGERING_MAX_NS)
}

/// The connection cannot be used any more.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// What was attempted on what, what went wrong, and the remedy.
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
    /// Hands the messages of `batch` to the client library without waiting. Accepted messages are
    /// removed from the batch and complete later, each exactly once. The others stay (a full queue)
    /// and are submitted again.
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError>;

    /// Appends completions. Waits for the first one until `until_ns`, or returns earlier if messages
    /// that are due by then must be submitted first.
    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError>;

    /// How long a message may stay with the engine after it is due, because it would only wait in
    /// the client library, nanoseconds. A producer that need not wake for every message uses much
    /// less processor time. Zero where messages leave at once. The delay is part of every figure.
    fn lingering_ns(&self) -> u64 {
        0
    }

    /// Announces that no message will follow, so that whatever waits for more (a lingering batch, an
    /// open transaction) is sent now.
    fn finish(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    /// A warning about the figures that only becomes known while messages are sent. Called when the
    /// producer has ended.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Describes the reason of a failure to the user. Called once per failure, at the end.
    fn explain(&self, failure: Failure) -> String;

    /// Why messages are not being answered at the moment, if the connection knows: its servers are
    /// unreachable, or the process of an embedded one has ended. `None` while the system answers.
    fn outage(&self) -> Option<String> {
        None
    }
}

/// A connection for receiving messages, owned by one consumer.
///
/// No method has a default, so that a receiver that wraps another one cannot forget to pass a call
/// on. The comments say what a system answers that does not know.
pub trait Receive {
    /// Passes messages to `sink`, oldest first; waits for the first one until `until_ns` at the
    /// latest. Returns their number.
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError>;

    /// Whether everything that was in the system when it was last asked has been received. A system
    /// that cannot tell returns false; a reader then stops when nothing has come for a while.
    fn at_end(&self) -> bool;

    /// Whether the system is known to hold more than has been received. Only then does a message of
    /// another run count as progress, and may missing messages still lie ahead. A system that cannot
    /// tell returns false.
    fn is_behind(&self) -> bool;

    /// What the reader waits for that ends by itself and hides messages until then, such as another
    /// producer's open transaction. That time does not count towards the timeout after which
    /// messages are lost. `None` when messages may come at any time.
    fn waits_for(&self) -> Option<String>;

    /// From now on, commits a message's position only after [`settle`](Self::settle). Used when
    /// messages go to a sink that can still fail. A system that keeps no positions does nothing.
    fn hold_back(&mut self);

    /// Commits the positions of the oldest `messages` passed on since [`Receive::hold_back`] and not
    /// settled yet.
    fn settle(&mut self, messages: usize);
}

/// The connection type of the side that a run does not have. It has no values.
#[derive(Debug, Clone, Copy)]
pub enum NoConnection {}

impl Publish for NoConnection {
    fn submit(&mut self, _: &mut Batch) -> Result<(), TransportError> {
        match *self {}
    }

    fn poll(&mut self, _: InstantNs, _: &mut Vec<Completion>) -> Result<(), TransportError> {
        match *self {}
    }

    fn explain(&self, _: Failure) -> String {
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

    fn at_end(&self) -> bool {
        match *self {}
    }

    fn is_behind(&self) -> bool {
        match *self {}
    }

    fn waits_for(&self) -> Option<String> {
        match *self {}
    }

    fn hold_back(&mut self) {
        match *self {}
    }

    fn settle(&mut self, _: usize) {
        match *self {}
    }
}

/// One of two kinds of receivers, for a tool that chooses when it runs.
#[derive(Debug)]
pub enum EitherReceiver<A, B> {
    /// The first kind.
    A(A),
    /// The second kind.
    B(B),
}

/// Calls the same method of whichever receiver it is.
macro_rules! either {
    ($either:expr, $receiver:ident => $call:expr) => {
        match $either {
            EitherReceiver::A($receiver) => $call,
            EitherReceiver::B($receiver) => $call,
        }
    };
}

impl<A: Receive, B: Receive> Receive for EitherReceiver<A, B> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        either!(self, receiver => receiver.receive(until_ns, sink))
    }

    fn at_end(&self) -> bool {
        either!(self, receiver => receiver.at_end())
    }

    fn is_behind(&self) -> bool {
        either!(self, receiver => receiver.is_behind())
    }

    fn waits_for(&self) -> Option<String> {
        either!(self, receiver => receiver.waits_for())
    }

    fn hold_back(&mut self) {
        either!(self, receiver => receiver.hold_back());
    }

    fn settle(&mut self, messages: usize) {
        either!(self, receiver => receiver.settle(messages));
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
    fn completions_stay_small() {
        assert_eq!(size_of::<Delivery>(), 8);
        assert_eq!(size_of::<Completion>(), 24);
    }

    /// Answers true and notes every call.
    #[derive(Default)]
    struct Recorder(Vec<&'static str>, std::cell::RefCell<Vec<&'static str>>);

    impl Receive for Recorder {
        fn receive(
            &mut self,
            _: InstantNs,
            _: impl FnMut(Incoming<'_>),
        ) -> Result<usize, TransportError> {
            self.0.push("receive");
            Ok(7)
        }

        fn at_end(&self) -> bool {
            self.1.borrow_mut().push("at_end");
            true
        }

        fn is_behind(&self) -> bool {
            self.1.borrow_mut().push("is_behind");
            true
        }

        fn waits_for(&self) -> Option<String> {
            self.1.borrow_mut().push("waits_for");
            Some("a commit".to_owned())
        }

        fn hold_back(&mut self) {
            self.0.push("hold_back");
        }

        fn settle(&mut self, messages: usize) {
            assert_eq!(messages, 3);
            self.0.push("settle");
        }
    }

    #[test]
    fn either_receiver_passes_every_call_on() {
        type Either = EitherReceiver<Recorder, Recorder>;
        for mut either in [Either::A(Recorder::default()), Either::B(Recorder::default())] {
            assert_eq!(either.receive(0, |_| ()).expect("receives"), 7);
            assert!(either.at_end() && either.is_behind());
            assert_eq!(either.waits_for().as_deref(), Some("a commit"));
            either.hold_back();
            either.settle(3);
            let (EitherReceiver::A(inner) | EitherReceiver::B(inner)) = either;
            assert_eq!(inner.0, ["receive", "hold_back", "settle"]);
            assert_eq!(inner.1.into_inner(), ["at_end", "is_behind", "waits_for"]);
        }
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
    fn waiting_message_frees_bytes_of_others() {
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
    enum Operation {
        Push {
            key: Option<Vec<u8>>,
            value: Vec<u8>,
        },
        /// Accepts the messages at positions that are true, cycling through the list.
        Submit {
            accepted: Vec<bool>,
        },
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let bytes = || vec(any::<u8>(), 0..60);
        let push =
            (option::of(bytes()), bytes()).prop_map(|(key, value)| Operation::Push { key, value });
        let submit = vec(any::<bool>(), 1..8).prop_map(|accepted| Operation::Submit { accepted });
        vec(prop_oneof![3 => push, 1 => submit], 0..200)
    }

    proptest! {
        #[test]
        fn any_submissions_keep_messages_and_bound_memory(operations in operations()) {
            let mut batch = Batch::default();
            let mut model: Vec<(Token, Option<Vec<u8>>, Vec<u8>)> = Vec::new();
            for (token, operation) in (0..).zip(operations) {
                match operation {
                    Operation::Push { key, value } => {
                        push(&mut batch, token, key.as_deref(), &value);
                        model.push((token, key, value));
                    }
                    Operation::Submit { accepted } => {
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
