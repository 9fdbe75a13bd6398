//! Sending: librdkafka as the engine's [`Publish`] transport.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_core::clock::{Clock as _, InstantNs, SystemClock, duration_ns};
use bench_core::transport::{Batch, Completion, Publish, TransportError};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::{KafkaConfig, STATISTICS_INTERVAL};
use crate::error::KafkaError;
use crate::native::{Delivery, NativeProducer, ProducerEvent, TransactionError};
use crate::requests::RequestWatch;

/// How long a transaction's begin, commit or abort may take.
const TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);

/// Requests that show how long a single one takes: the quickest counts, on a busy machine, too.
const ROUND_TRIPS: u32 = 5;

/// The failure code of messages whose transaction was aborted because that was asked for. No code
/// of librdkafka's is as low.
const ABORTED_ON_PURPOSE: i32 = i32::MIN;

/// Failure codes of messages whose transaction had to be aborted are librdkafka's, this much lower:
/// unlike others that failed, such a message must never be seen.
const ABORTED: i32 = -1_000_000;

/// When a producer ends a transaction, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPlan {
    /// Messages a transaction.
    pub messages: u32,
    /// A transaction with fewer messages ends after so long, nanoseconds.
    pub age_max_ns: u64,
    /// Of so many transactions one, the last, is aborted; the others are committed.
    pub abort_every: Option<NonZeroU32>,
}

/// A producer of one topic.
pub struct KafkaPublisher {
    producer: NativeProducer,
    clock: SystemClock,
    transaction: Option<Transaction>,
    /// Failures of messages that librdkafka did not even take.
    refused: Vec<Completion>,
    /// The meanings of the codes that were handed out.
    codes: Vec<RDKafkaErrorCode>,
    fatal: Option<String>,
    requests: RequestWatch,
}

struct Transaction {
    plan: TransactionPlan,
    /// Transactions that have ended since one was last aborted on purpose.
    since_abort: u32,
    /// When the open one began.
    begun_ns: Option<InstantNs>,
    produced: u32,
    /// Delivered within the open transaction: not confirmed before it is committed.
    delivered: Vec<Completion>,
}

impl Transaction {
    /// Whether the open transaction is one to abort on purpose.
    fn is_to_be_aborted(&self) -> bool {
        self.plan.abort_every.is_some_and(|every| self.since_abort + 1 >= every.get())
    }

    /// Makes room for the next transaction; returns what was delivered in this one.
    fn end(&mut self) -> std::vec::Drain<'_, Completion> {
        self.since_abort = if self.is_to_be_aborted() { 0 } else { self.since_abort + 1 };
        self.begun_ns = None;
        self.produced = 0;
        self.delivered.drain(..)
    }

    /// How many more messages belong to the open transaction.
    fn room(&self) -> usize {
        self.plan.messages.saturating_sub(self.produced) as usize
    }
}

impl KafkaPublisher {
    /// Checks that the client library takes the configuration as a whole, without connecting.
    pub fn check(config: &KafkaConfig) -> Result<(), KafkaError> {
        NativeProducer::check(config)
    }

    /// Connects a producer of `topic`. With `transaction` its configuration must have a
    /// `transactional.id`. Waits up to `timeout` for the topic to be known.
    pub fn connect(
        config: &KafkaConfig,
        topic: &str,
        clock: SystemClock,
        transaction: Option<TransactionPlan>,
        timeout: Duration,
    ) -> Result<Self, KafkaError> {
        let mut producer = NativeProducer::new(config, topic)?;
        producer.learn_topic(timeout)?;
        let mut requests = RequestWatch::default();
        if config.get(STATISTICS_INTERVAL).is_some() {
            // Connected and idle, as it is only now.
            for _ in 0..ROUND_TRIPS {
                let asked_ns = clock.now_ns();
                producer.learn_topic(timeout)?;
                requests.note_round_trip(Duration::from_nanos(clock.now_ns() - asked_ns));
            }
        }
        if transaction.is_some() {
            producer.init_transactions(TRANSACTION_TIMEOUT).map_err(|error| {
                KafkaError::Library {
                    action: "start transactions".to_owned(),
                    reason: format!("{} ({})", error.reason, error.code),
                }
            })?;
        }
        let transaction = transaction.map(|plan| Transaction {
            plan,
            since_abort: 0,
            begun_ns: None,
            produced: 0,
            delivered: Vec::new(),
        });
        Ok(Self {
            producer,
            clock,
            transaction,
            refused: Vec::new(),
            codes: Vec::new(),
            fatal: None,
            requests,
        })
    }

    /// Takes all events that are there.
    fn take_events(&mut self, completions: &mut Vec<Completion>) {
        loop {
            let codes = &mut self.codes;
            let mut at_ns = None;
            let clock = self.clock;
            let out = match &mut self.transaction {
                Some(transaction) => &mut transaction.delivered,
                None => &mut *completions,
            };
            let sink = |delivery: Delivery| {
                // All messages of an event were confirmed by one answer of the broker.
                let at_ns = *at_ns.get_or_insert_with(|| clock.now_ns());
                out.push(completion(codes, delivery.token, at_ns, delivery.error));
            };
            match self.producer.next_event(sink) {
                None => return,
                Some(ProducerEvent::Error(RDKafkaErrorCode::Fatal, reason)) => {
                    self.fatal = Some(self.producer.fatal_error().unwrap_or(reason));
                }
                Some(ProducerEvent::Error(code, reason)) => {
                    tracing::debug!("producer: {code}: {reason}");
                }
                Some(ProducerEvent::Statistics(json)) => self.requests.note(&json),
                Some(ProducerEvent::Deliveries | ProducerEvent::Other) => {}
            }
        }
    }

    fn begin_if_needed(&mut self) -> Result<(), TransportError> {
        if let Some(transaction) = self.transaction.as_mut().filter(|t| t.begun_ns.is_none()) {
            self.producer.begin_transaction().map_err(|e| transaction_failed("begin", &e))?;
            transaction.begun_ns = Some(self.clock.now_ns());
        }
        Ok(())
    }

    /// Ends the open transaction when it is full, old enough, or `now` is asked for.
    fn end_transaction_if_due(
        &mut self,
        now: bool,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let Some(transaction) = &self.transaction else { return Ok(()) };
        let Some(begun_ns) = transaction.begun_ns else { return Ok(()) };
        let age_ns = self.clock.now_ns().saturating_sub(begun_ns);
        let plan = transaction.plan;
        if !now && transaction.produced < plan.messages && age_ns < plan.age_max_ns {
            return Ok(());
        }
        let on_purpose = transaction.is_to_be_aborted();
        self.await_deliveries(completions);
        let aborted = if on_purpose {
            Some(ABORTED_ON_PURPOSE)
        } else {
            match self.commit() {
                Ok(()) => None,
                Err(error) if error.requires_abort => {
                    tracing::warn!("a transaction was aborted: {}", error.reason);
                    Some(ABORTED + note_code(&mut self.codes, error.code))
                }
                Err(error) => return Err(transaction_failed("commit", &error)),
            }
        };
        if aborted.is_some() {
            self.producer
                .abort_transaction(TRANSACTION_TIMEOUT)
                .map_err(|error| transaction_failed("abort", &error))?;
        }
        let at_ns = self.clock.now_ns();
        let Some(transaction) = &mut self.transaction else { return Ok(()) };
        completions.extend(transaction.end().map(|done| match aborted {
            Some(code) => Completion { at_ns, outcome: Err(code), ..done },
            None => Completion { at_ns, ..done },
        }));
        Ok(())
    }

    /// librdkafka cannot flush by itself when its delivery reports are taken as events, as here.
    fn await_deliveries(&mut self, completions: &mut Vec<Completion>) {
        let deadline_ns = self.clock.now_ns().saturating_add(duration_ns(TRANSACTION_TIMEOUT));
        loop {
            self.take_events(completions);
            let outstanding = self.transaction.as_ref().is_some_and(|transaction| {
                transaction.delivered.len() < transaction.produced as usize
            });
            if !outstanding || self.fatal.is_some() || self.clock.now_ns() >= deadline_ns {
                return;
            }
            self.producer.wait(Duration::from_millis(10));
        }
    }

    fn commit(&mut self) -> Result<(), TransactionError> {
        loop {
            match self.producer.commit_transaction(TRANSACTION_TIMEOUT) {
                Err(error) if error.retriable => tracing::debug!("commit again: {}", error.reason),
                result => return result,
            }
        }
    }

    fn check_fatal(&self) -> Result<(), TransportError> {
        match &self.fatal {
            Some(reason) => Err(TransportError::new(format!(
                "the Kafka producer cannot go on: {reason}; start the run again"
            ))),
            None => Ok(()),
        }
    }
}

impl Publish for KafkaPublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        self.begin_if_needed()?;
        let Self { producer, clock, transaction, refused, codes, .. } = self;
        // What goes beyond the transaction stays in the batch until that is committed.
        let room = transaction.as_ref().map_or(usize::MAX, Transaction::room);
        // Positions of messages that stay because the queue is full; usually there are none.
        let mut full = Vec::new();
        let messages = batch.iter().take(room);
        let messages = messages.map(|message| (message.token, message.key, message.value));
        let mut accepted = 0;
        producer.produce(messages, |position, token, error| match error {
            None => accepted += 1,
            Some(RDKafkaErrorCode::QueueFull) => full.push(position),
            Some(error) => refused.push(completion(codes, token, clock.now_ns(), Some(error))),
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
            self.end_transaction_if_due(false, completions)?;
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

    fn finish(&mut self) -> Result<(), TransportError> {
        let mut completions = Vec::new();
        self.end_transaction_if_due(true, &mut completions)?;
        self.refused.append(&mut completions);
        Ok(())
    }

    fn explain(&self, code: i32) -> String {
        if code == ABORTED_ON_PURPOSE {
            return "aborted on purpose".to_owned();
        }
        if self.is_aborted(code) {
            return format!("transaction aborted: {}", self.explain(code - ABORTED));
        }
        let known = self.codes.iter().find(|known| **known as i32 == code);
        known.map_or_else(|| format!("Kafka error {code}"), ToString::to_string)
    }

    fn remark(&self) -> Option<String> {
        self.requests.warning()
    }

    fn is_aborted(&self, code: i32) -> bool {
        // librdkafka's own codes lie within a few hundred of 0.
        code < ABORTED / 2
    }
}

/// A completion; keeps the meaning of its code.
#[inline]
fn completion(
    codes: &mut Vec<RDKafkaErrorCode>,
    token: u32,
    at_ns: InstantNs,
    error: Option<RDKafkaErrorCode>,
) -> Completion {
    let Some(error) = error else { return Completion { token, at_ns, outcome: Ok(()) } };
    Completion { token, at_ns, outcome: Err(note_code(codes, error)) }
}

/// The number of a code, whose meaning is kept.
fn note_code(codes: &mut Vec<RDKafkaErrorCode>, code: RDKafkaErrorCode) -> i32 {
    if !codes.contains(&code) {
        codes.push(code);
    }
    code as i32
}

fn transaction_failed(action: &str, error: &TransactionError) -> TransportError {
    TransportError::new(format!(
        "failed to {action} a transaction: {} ({}); check that the broker supports transactions \
         and that no other producer uses the same transactional.id",
        error.reason, error.code
    ))
}
