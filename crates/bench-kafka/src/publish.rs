//! Sending: librdkafka as the engine's [`Publish`] transport.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Batch, Completion, Delivery, Failure, Publish, TransportError};
use rdkafka::types::RDKafkaErrorCode;

use crate::answers;
use crate::config::{KafkaConfig, STATISTICS_INTERVAL};
use crate::error::KafkaError;
use crate::linger::share_linger;
use crate::native::{DeliveryReport, NativeProducer, Outgoing, ProducerEvent, TransactionError};
use crate::requests::RequestWatch;

/// Timeout of the first contact with the transaction coordinator.
const TRANSACTIONS_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum wait per call that ends a transaction, so that the poll loop can check its deadline. The
/// operation continues in the background.
const TRANSACTION_STEP: Duration = Duration::from_millis(50);

/// Number of requests that measure a single round trip; the minimum is robust on a busy machine.
const ROUND_TRIPS: u32 = 5;

/// The failure of messages whose transaction was aborted on purpose: no error of librdkafka's.
const ABORTED_ON_PURPOSE: Failure = Failure::Aborted(RDKafkaErrorCode::NoError as i32);

/// The code of a message that is too large for the client library or for the topic.
const TOO_LARGE: i32 = RDKafkaErrorCode::MessageSizeTooLarge as i32;

/// Codes with which the client library itself gives up on a message. All others are answers of a
/// broker.
const UNANSWERED: [RDKafkaErrorCode; 14] = [
    RDKafkaErrorCode::MessageTimedOut,
    RDKafkaErrorCode::OperationTimedOut,
    RDKafkaErrorCode::TimedOutQueue,
    RDKafkaErrorCode::BrokerTransportFailure,
    RDKafkaErrorCode::AllBrokersDown,
    RDKafkaErrorCode::Resolve,
    RDKafkaErrorCode::BrokerDestroy,
    RDKafkaErrorCode::DestroyBroker,
    RDKafkaErrorCode::PurgeQueue,
    RDKafkaErrorCode::PurgeInflight,
    RDKafkaErrorCode::Interrupted,
    RDKafkaErrorCode::WaitingForCoordinator,
    RDKafkaErrorCode::NodeUpdate,
    RDKafkaErrorCode::NetworkException,
];

/// How a producer sends.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendPlan {
    /// Its transactions; they need a `transactional.id` in the configuration.
    pub transaction: Option<TransactionPlan>,
    /// Its maximum rate; `None` to send as fast as possible.
    pub rate: Option<SendRate>,
}

/// A producer's rate; both values are above 0.
#[derive(Debug, Clone, Copy)]
pub struct SendRate {
    /// Messages per second.
    pub messages_per_s: f64,
    /// Bytes per second, excluding keys.
    pub bytes_per_s: f64,
}

/// When a producer ends its transactions, and which ones it aborts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPlan {
    /// Messages per transaction.
    pub messages: u32,
    /// Maximum age of a transaction with fewer messages, nanoseconds.
    pub age_max_ns: u64,
    /// Every Nth transaction is aborted; the others are committed.
    pub abort_every: Option<NonZeroU32>,
}

/// The size limit that a message exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// The client's `message.max.bytes`; the message was not sent.
    Client,
    /// The topic's `max.message.bytes`.
    Topic,
}

/// A producer of one topic.
pub struct KafkaPublisher {
    producer: NativeProducer,
    clock: SystemClock,
    /// The part of the linger that messages spend in the engine.
    lingering_ns: u64,
    transaction: Option<Transaction>,
    /// Completions of messages that librdkafka rejected.
    refused: Vec<Completion>,
    /// The codes seen so far, to be explained later.
    codes: Codes,
    fatal: Option<RDKafkaErrorCode>,
    requests: RequestWatch,
    /// Set when the broker's process has ended, if it is watched.
    broker_ended: Option<Arc<AtomicBool>>,
}

/// Codes, each with the broker's message at its first occurrence, if it sent one.
type Codes = Vec<(RDKafkaErrorCode, Option<String>)>;

struct Transaction {
    plan: TransactionPlan,
    /// Transactions that have ended since the last one aborted on purpose.
    since_abort: u32,
    /// When the open transaction began.
    begun_ns: Option<InstantNs>,
    produced: u32,
    /// Deliveries of the open transaction, which complete when it is committed.
    delivered: Vec<Completion>,
    /// How the open transaction is being ended, once that has begun.
    ending: Option<Ending>,
    /// Whether no message follows, so that the open transaction ends now.
    is_last: bool,
}

/// Whether a transaction is committed or aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    /// With the failure of its messages.
    Abort(Failure),
}

impl Transaction {
    fn new(plan: TransactionPlan) -> Self {
        Self {
            plan,
            since_abort: 0,
            begun_ns: None,
            produced: 0,
            delivered: Vec::new(),
            ending: None,
            is_last: false,
        }
    }

    /// How to end the open transaction, if it is full, old enough, or the last.
    fn due(&self, now_ns: InstantNs) -> Option<Ending> {
        let begun_ns = self.begun_ns?;
        let is_old = now_ns.saturating_sub(begun_ns) >= self.plan.age_max_ns;
        let is_full = self.produced >= self.plan.messages;
        let ending = if self.is_to_be_aborted() {
            Ending::Abort(ABORTED_ON_PURPOSE)
        } else {
            Ending::Commit
        };
        (is_old || is_full || self.is_last).then_some(ending)
    }

    /// Whether messages of the open transaction are still in flight.
    fn is_delivering(&self) -> bool {
        self.delivered.len() < self.produced as usize
    }

    /// Whether the open transaction is one to abort on purpose.
    fn is_to_be_aborted(&self) -> bool {
        self.plan.abort_every.is_some_and(|every| self.since_abort + 1 >= every.get())
    }

    /// Resets the state for the next transaction and returns the deliveries of this one.
    fn end(&mut self) -> std::vec::Drain<'_, Completion> {
        self.since_abort = if self.is_to_be_aborted() { 0 } else { self.since_abort + 1 };
        self.begun_ns = None;
        self.produced = 0;
        self.ending = None;
        self.delivered.drain(..)
    }

    /// Number of messages that the open transaction still takes.
    fn room(&self) -> usize {
        if self.ending.is_some() {
            return 0;
        }
        self.plan.messages.saturating_sub(self.produced) as usize
    }
}

impl KafkaPublisher {
    /// Checks that the client library accepts the configuration as a whole, without connecting.
    pub fn check(config: &KafkaConfig) -> Result<(), KafkaError> {
        NativeProducer::check(config)
    }

    /// Connects a producer of `topic`. Waits up to `timeout` for the topic's metadata.
    pub fn connect(
        config: &KafkaConfig,
        topic: &str,
        clock: SystemClock,
        plan: SendPlan,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        Self::connect_unless(|| false, config, topic, clock, plan, timeout)
    }

    /// Same as [`connect`](Self::connect), but gives up once `is_cancelled` returns true.
    pub fn connect_unless(
        is_cancelled: impl Fn() -> bool,
        config: &KafkaConfig,
        topic: &str,
        clock: SystemClock,
        plan: SendPlan,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let mut config = config.clone();
        let lingering_ns = plan.rate.map_or(0, |rate| share_linger(&mut config, rate));
        let mut producer = NativeProducer::new(&config, topic)?;
        producer.learn_topic(timeout)?;
        let mut requests = RequestWatch::default();
        if config.get(STATISTICS_INTERVAL).is_some() {
            // Now, while the client is connected and idle.
            for _ in 0..ROUND_TRIPS {
                let asked_ns = clock.now_ns();
                producer.learn_topic(timeout)?;
                requests.note_round_trip(Duration::from_nanos(clock.now_ns() - asked_ns));
            }
        }
        let mut publisher = Self {
            producer,
            clock,
            lingering_ns,
            transaction: plan.transaction.map(Transaction::new),
            refused: Vec::new(),
            codes: Vec::new(),
            fatal: None,
            requests,
            broker_ended: None,
        };
        if publisher.transaction.is_some() {
            publisher.start_transactions(is_cancelled, timeout)?;
        }
        Ok(publisher)
    }

    /// Makes the [outage](Publish::outage) report the end of the broker's process, once `ended` is
    /// set.
    pub fn watch_broker(&mut self, ended: Arc<AtomicBool>) {
        self.broker_ended = Some(ended);
    }

    /// Why no broker has been reachable for at least `duration`; `None` if one was.
    #[must_use]
    pub fn lasting_outage(&self, duration: Duration) -> Option<String> {
        self.producer.health().lasting_outage(duration)
    }

    /// Registers the producer for transactions. Waits up to a minute, or up to `timeout` if all
    /// brokers are down.
    fn start_transactions(
        &mut self,
        is_cancelled: impl Fn() -> bool,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        let deadline = Instant::now() + TRANSACTIONS_TIMEOUT;
        loop {
            let error = match self.producer.init_transactions(TRANSACTION_STEP) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.take_events(&mut Vec::new());
            let outage = self.lasting_outage(timeout);
            let is_over = outage.is_some() || is_cancelled() || Instant::now() >= deadline;
            if !error.retriable || is_over {
                let action = "start transactions".to_owned();
                return Err(match outage {
                    Some(reason) => KafkaError::Library { action, reason },
                    None => KafkaError::answer(action, error.code, self.producer.subject(), None),
                });
            }
        }
    }

    /// Handles all queued events.
    fn take_events(&mut self, completions: &mut Vec<Completion>) {
        loop {
            let codes = &mut self.codes;
            let mut at_ns = None;
            let mut has_answer = false;
            let clock = self.clock;
            let out = match &mut self.transaction {
                Some(transaction) => &mut transaction.delivered,
                None => &mut *completions,
            };
            let sink = |report: DeliveryReport| {
                // One response of the broker acknowledged all messages of an event.
                let at_ns = *at_ns.get_or_insert_with(|| clock.now_ns());
                let delivery = match report.error {
                    None => Delivery::Acknowledged,
                    Some(error) => {
                        note_code(codes, error, report.words);
                        Delivery::Failed(delivery_failure(error))
                    }
                };
                let is_answer = !matches!(delivery, Delivery::Failed(Failure::Unanswered(_)));
                has_answer |= is_answer;
                out.push(Completion { token: report.token, at_ns, delivery });
            };
            match self.producer.next_event(sink) {
                None => return,
                Some(ProducerEvent::Fatal(code)) => {
                    self.fatal = Some(self.producer.fatal_error().unwrap_or(code));
                }
                Some(ProducerEvent::Statistics(json)) => self.requests.note(&json),
                Some(ProducerEvent::Deliveries) if has_answer => self.producer.health().answered(),
                Some(ProducerEvent::Deliveries | ProducerEvent::Other) => {}
            }
        }
    }

    fn begin_if_needed(&mut self) -> Result<(), TransportError> {
        if let Some(transaction) = self.transaction.as_mut().filter(|t| t.begun_ns.is_none()) {
            let begun = self.producer.begin_transaction();
            begun.map_err(|error| transaction_failed(&self.producer, "begin", &error))?;
            transaction.begun_ns = Some(self.clock.now_ns());
        }
        Ok(())
    }

    /// Ends the open transaction if it is due; waits briefly at most.
    fn end_transaction_if_due(
        &mut self,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let now_ns = self.clock.now_ns();
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        let Some(mut ending) = transaction.ending.or_else(|| transaction.due(now_ns)) else {
            return Ok(());
        };
        transaction.ending = Some(ending);
        if !self.has_delivered() {
            return Ok(());
        }
        if ending == Ending::Commit {
            match self.producer.commit_transaction(TRANSACTION_STEP) {
                Ok(()) => {}
                Err(error) if error.requires_abort => {
                    let meaning = answers::sentence(error.code, self.producer.subject(), None);
                    tracing::warn!("a transaction was aborted: {meaning}");
                    let code = note_code(&mut self.codes, error.code, None);
                    ending = Ending::Abort(Failure::Aborted(code));
                }
                Err(error) if error.retriable => return Ok(()),
                Err(error) => return Err(transaction_failed(&self.producer, "commit", &error)),
            }
        }
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        transaction.ending = Some(ending);
        if ending != Ending::Commit {
            match self.producer.abort_transaction(TRANSACTION_STEP) {
                Ok(()) => {}
                Err(error) if error.retriable => return Ok(()),
                Err(error) => return Err(transaction_failed(&self.producer, "abort", &error)),
            }
        }
        let at_ns = self.clock.now_ns();
        completions.extend(transaction.end().map(|done| match ending {
            Ending::Abort(failure) => {
                Completion { at_ns, delivery: Delivery::Failed(failure), ..done }
            }
            Ending::Commit => Completion { at_ns, ..done },
        }));
        Ok(())
    }

    /// Waits briefly for the open transaction's messages to be delivered. librdkafka cannot flush
    /// by itself when delivery reports are taken as events, as here.
    fn has_delivered(&mut self) -> bool {
        let deadline_ns = self.clock.now_ns().saturating_add(duration_ns(TRANSACTION_STEP));
        loop {
            // In a transaction, deliveries are not yet completions.
            self.take_events(&mut Vec::new());
            if !self.transaction.as_ref().is_some_and(Transaction::is_delivering) {
                return true;
            }
            if self.fatal.is_some() || self.clock.now_ns() >= deadline_ns {
                return false;
            }
            self.producer.wait(Duration::from_millis(10));
        }
    }

    fn check_fatal(&self) -> Result<(), TransportError> {
        match self.fatal {
            Some(code) => Err(TransportError::new(format!(
                "the Kafka producer failed: {}",
                answers::sentence(code, self.producer.subject(), None)
            ))),
            None => Ok(()),
        }
    }
}

impl KafkaPublisher {
    /// Submits one message outside any transaction; false if the queue is full. `None` stands for a
    /// null key, or a null value (a tombstone).
    pub fn submit_one(&mut self, token: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        let Self { producer, clock, refused, codes, .. } = self;
        let mut has_room = true;
        let messages = std::iter::once(Outgoing { token, key, value });
        producer.produce(messages, |_, token, error| match error {
            None => {}
            Some(RDKafkaErrorCode::QueueFull) => has_room = false,
            Some(error) => refused.push(refusal(codes, token, clock.now_ns(), error)),
        });
        has_room
    }

    /// Whether the broker refused a message because of the batch it was in; alone, it may be accepted.
    #[must_use]
    pub fn is_about_batch(&self, failure: Failure) -> bool {
        const ABOUT_BATCH: [RDKafkaErrorCode; 7] = [
            RDKafkaErrorCode::MessageSizeTooLarge,
            RDKafkaErrorCode::MessageBatchTooLarge,
            RDKafkaErrorCode::InvalidRecord,
            RDKafkaErrorCode::InvalidDifferentRecord,
            RDKafkaErrorCode::InvalidTimestamp,
            RDKafkaErrorCode::InvalidMessage,
            RDKafkaErrorCode::InvalidMessageSize,
        ];
        let Failure::Refused(code) = failure else { return false };
        ABOUT_BATCH.iter().any(|about| *about as i32 == code)
    }

    /// The limit that the message exceeded, if that was why it failed.
    #[must_use]
    pub fn size_limit(&self, failure: Failure) -> Option<SizeLimit> {
        match failure {
            Failure::Refused(TOO_LARGE) => Some(SizeLimit::Topic),
            Failure::Unsent(TOO_LARGE) => Some(SizeLimit::Client),
            _ => None,
        }
    }

    fn explain_code(&self, code: i32) -> String {
        match self.codes.iter().find(|(known, _)| *known as i32 == code) {
            Some((code, words)) => {
                answers::sentence(*code, self.producer.subject(), words.as_deref())
            }
            None => format!("Kafka error {code}"),
        }
    }
}

impl Publish for KafkaPublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        self.begin_if_needed()?;
        let Self { producer, clock, transaction, refused, codes, .. } = self;
        // Messages beyond the transaction stay in the batch until it is committed.
        let room = transaction.as_ref().map_or(usize::MAX, Transaction::room);
        // Positions of messages that stay because the queue is full; usually none.
        let mut full = Vec::new();
        let messages = batch.iter().take(room);
        let messages = messages.map(|message| Outgoing {
            token: message.token,
            key: message.key,
            value: Some(message.value),
        });
        let mut accepted = 0;
        producer.produce(messages, |position, token, error| match error {
            None => accepted += 1,
            Some(RDKafkaErrorCode::QueueFull) => full.push(position),
            Some(error) => refused.push(refusal(codes, token, clock.now_ns(), error)),
        });
        if let Some(transaction) = transaction {
            transaction.produced += accepted;
        }
        batch.remove_accepted(|position| position < room && full.binary_search(&position).is_err());
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        loop {
            completions.append(&mut self.refused);
            self.take_events(completions);
            self.end_transaction_if_due(completions)?;
            self.check_fatal()?;
            if !completions.is_empty() {
                return Ok(());
            }
            let now_ns = self.clock.now_ns();
            if now_ns >= until_ns {
                return Ok(());
            }
            let mut wait_ns = until_ns - now_ns;
            if let Some(transaction) = &self.transaction
                && let Some(begun_ns) = transaction.begun_ns
            {
                let due_ns = begun_ns.saturating_add(transaction.plan.age_max_ns);
                wait_ns = wait_ns.min(due_ns.saturating_sub(now_ns));
            }
            self.producer.wait(Duration::from_nanos(wait_ns));
        }
    }

    fn lingering_ns(&self) -> u64 {
        self.lingering_ns
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_last = true;
        }
        let mut completions = Vec::new();
        self.end_transaction_if_due(&mut completions)?;
        self.refused.append(&mut completions);
        Ok(())
    }

    fn explain(&self, failure: Failure) -> String {
        match failure {
            ABORTED_ON_PURPOSE => "aborted on purpose".to_owned(),
            Failure::Aborted(code) => format!("transaction aborted: {}", self.explain_code(code)),
            Failure::Unsent(TOO_LARGE) => "the message is larger than the client's \
                                           message.max.bytes (MessageSizeTooLarge); lower \
                                           --record-size, or raise --config message.max.bytes=N \
                                           and the topic's max.message.bytes"
                .to_owned(),
            Failure::Unsent(code) | Failure::Refused(code) | Failure::Unanswered(code) => {
                self.explain_code(code)
            }
        }
    }

    fn remark(&self) -> Option<String> {
        self.requests.warning()
    }

    fn outage(&self) -> Option<String> {
        let has_ended = |ended: &Arc<AtomicBool>| ended.load(Ordering::Relaxed);
        if self.broker_ended.as_ref().is_some_and(has_ended) {
            return Some("the embedded broker's process has ended".to_owned());
        }
        self.producer.health().outage()
    }
}

/// The completion of a message that the client library rejected.
fn refusal(codes: &mut Codes, token: u32, at_ns: InstantNs, error: RDKafkaErrorCode) -> Completion {
    let code = note_code(codes, error, None);
    let failure =
        if UNANSWERED.contains(&error) { Failure::Unanswered(code) } else { Failure::Unsent(code) };
    Completion { token, at_ns, delivery: Delivery::Failed(failure) }
}

/// The failure of a message that was sent.
fn delivery_failure(error: RDKafkaErrorCode) -> Failure {
    if UNANSWERED.contains(&error) {
        Failure::Unanswered(error as i32)
    } else {
        Failure::Refused(error as i32)
    }
}

/// Remembers a code to explain it later, and returns its number.
fn note_code(codes: &mut Codes, code: RDKafkaErrorCode, words: Option<String>) -> i32 {
    if !codes.iter().any(|(known, _)| *known == code) {
        codes.push((code, words));
    }
    code as i32
}

fn transaction_failed(
    producer: &NativeProducer,
    action: &str,
    error: &TransactionError,
) -> TransportError {
    let meaning = answers::sentence(error.code, producer.subject(), None);
    TransportError::new(format!("failed to {action} a transaction: {meaning}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clients_own_timeouts_are_unanswered() {
        let failure = delivery_failure(RDKafkaErrorCode::MessageTimedOut);
        assert!(matches!(failure, Failure::Unanswered(_)));
        // The broker's own.
        let failure = delivery_failure(RDKafkaErrorCode::RequestTimedOut);
        assert!(matches!(failure, Failure::Refused(_)));
    }
}
