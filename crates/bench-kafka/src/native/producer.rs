//! Sends in batches, with delivery reports as events, and runs transactions.

use std::ffi::{CString, c_int, c_void};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Client, Queue, Reports, error_code, library, millis, text};
use crate::answers::Subject;
use crate::config::{KafkaConfig, REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_DEFAULT};
use crate::error::KafkaError;
use crate::health::Health;
use crate::reading::{Reading, Until};

/// The partition number that makes librdkafka choose one.
const PARTITION_UNASSIGNED: i32 = -1;

/// A producer of one topic.
pub(crate) struct NativeProducer {
    topic: *mut rd::rd_kafka_topic_t,
    events: Queue,
    wake_up: OwnedFd,
    _wake_up_writer: OwnedFd,
    messages: Vec<rd::rd_kafka_message_t>,
    /// The topic's only partition, or [`PARTITION_UNASSIGNED`].
    partition: i32,
    /// What its requests are about, for errors.
    subject: Subject,
    // Last, so that it is dropped after everything made from it.
    client: Client,
}

// SAFETY: the topic handle and the message buffer, whose pointers are only used within a call, move
// with their owner; librdkafka's handles may be used from any thread.
unsafe impl Send for NativeProducer {}

/// The result of one message that was handed to librdkafka.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryReport {
    pub(crate) token: u32,
    pub(crate) error: Option<RDKafkaErrorCode>,
    /// The broker's message about the error, if it sent one.
    pub(crate) words: Option<String>,
}

/// A message to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) token: u32,
    pub(crate) key: Option<&'a [u8]>,
    /// `None` for null (a tombstone), as distinct from empty.
    pub(crate) value: Option<&'a [u8]>,
}

/// An event of librdkafka.
pub(crate) enum ProducerEvent {
    /// Messages completed and were passed to the sink.
    Deliveries,
    /// The producer has failed for good.
    Fatal(RDKafkaErrorCode),
    /// Statistics as JSON, if the configuration enables them.
    Statistics(String),
    /// Anything else.
    Other,
}

/// An error of a transaction.
pub(crate) struct TransactionError {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) requires_abort: bool,
    pub(crate) retriable: bool,
}

/// Creates a producer client.
fn client(config: &KafkaConfig) -> Result<Client, KafkaError> {
    let events = rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_ERROR | rd::RD_KAFKA_EVENT_STATS;
    let mut config = config.clone();
    config.set_default(REQUESTS_IN_FLIGHT, REQUESTS_IN_FLIGHT_DEFAULT.to_string());
    let kind = rd::rd_kafka_type_t::RD_KAFKA_PRODUCER;
    Client::new(&config, kind, events, Reports::new(Reading::new(Until::Stopped)))
}

impl NativeProducer {
    /// Checks that librdkafka accepts the configuration as a whole, without contacting a broker.
    pub(crate) fn check(config: &KafkaConfig) -> Result<(), KafkaError> {
        client(config).map(drop)
    }

    pub(crate) fn new(config: &KafkaConfig, topic: &str) -> Result<Self, KafkaError> {
        let failed = |reason: &str| KafkaError::Library {
            action: format!("open a producer for topic '{topic}'"),
            reason: reason.to_owned(),
        };
        let client = client(config)?;
        let subject = Subject {
            cluster_right: "IDEMPOTENT_WRITE",
            transactional_id: config.get("transactional.id").map(str::to_owned),
            ..Subject::topic("WRITE", topic)
        };
        let name = CString::new(topic).map_err(|_| failed("its name contains a zero byte"))?;
        let (wake_up, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK)
            .map_err(|error| failed(&error.to_string()))?;
        // SAFETY: the client is alive, the name ends with a zero byte, and a null topic
        // configuration means the client's.
        let topic =
            unsafe { rd::rd_kafka_topic_new(client.handle, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(failed("librdkafka rejects its name"));
        }
        // SAFETY: the client is alive; the pipe lives as long as the queue; the payload is copied.
        let events = unsafe {
            let queue = rd::rd_kafka_queue_get_main(client.handle);
            let payload = 1_u8;
            rd::rd_kafka_queue_io_event_enable(
                queue,
                writer.as_raw_fd(),
                (&raw const payload).cast::<c_void>(),
                1,
            );
            Queue(queue)
        };
        Ok(Self {
            topic,
            events,
            wake_up,
            _wake_up_writer: writer,
            messages: Vec::new(),
            partition: PARTITION_UNASSIGNED,
            subject,
            client,
        })
    }

    /// Fetches the topic's metadata, so that the first message does not wait for it. With a single
    /// partition, choosing one is skipped, which is a large part of the cost per message.
    pub(crate) fn learn_topic(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        let mut metadata = ptr::null();
        // SAFETY: client and topic are alive; the returned metadata is destroyed after its last
        // use, and has `topic_cnt` topics.
        let code = unsafe {
            let code = rd::rd_kafka_metadata(
                self.client.handle,
                0,
                self.topic,
                &raw mut metadata,
                millis(timeout),
            );
            let mut topic_code = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            if !metadata.is_null() {
                if (*metadata).topic_cnt == 1 {
                    let topic = &*(*metadata).topics;
                    topic_code = topic.err;
                    if topic.partition_cnt == 1 {
                        self.partition = 0;
                    }
                }
                rd::rd_kafka_metadata_destroy(metadata);
            }
            if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR { topic_code } else { code }
        };
        let topic = self.subject.topic.as_deref().unwrap_or_default();
        library(&format!("look up the partitions of topic '{topic}'"), code, &self.subject)
            .map_err(|error| error.because_of(self.client.reports.health.last_error()))
    }

    /// What its requests are about, for errors.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.client.fatal_error()
    }

    /// The state of its connections.
    pub(crate) fn health(&self) -> &Health {
        &self.client.reports.health
    }

    /// Hands messages to librdkafka, which copies them. Calls `outcome` for each, with its
    /// position, token and error; `None` means accepted.
    pub(crate) fn produce<'a>(
        &mut self,
        messages: impl Iterator<Item = Outgoing<'a>>,
        mut outcome: impl FnMut(usize, u32, Option<RDKafkaErrorCode>),
    ) {
        self.messages.clear();
        self.messages.extend(messages.map(|Outgoing { token, key, value }| {
            rd::rd_kafka_message_t {
                err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: self.partition,
                payload: value.map_or(ptr::null_mut(), start),
                len: value.map_or(0, <[u8]>::len),
                key: key.map_or(ptr::null_mut(), start),
                key_len: key.map_or(0, <[u8]>::len),
                offset: 0,
                _private: ptr::without_provenance_mut(token as usize),
            }
        }));
        let count = c_int::try_from(self.messages.len()).unwrap_or(c_int::MAX);
        // SAFETY: the array holds `count` messages whose keys and values are borrowed for longer
        // than the call; with the copy flag librdkafka only reads them, within the call.
        let accepted = unsafe {
            rd::rd_kafka_produce_batch(
                self.topic,
                self.partition,
                rd::RD_KAFKA_MSG_F_COPY,
                self.messages.as_mut_ptr(),
                count,
            )
        };
        let all_accepted = accepted == count;
        for (position, message) in self.messages.iter().enumerate() {
            let error = if all_accepted { None } else { error_code(message.err) };
            outcome(position, token(message), error);
        }
    }

    /// Returns the next event, without waiting.
    pub(crate) fn next_event(
        &mut self,
        mut sink: impl FnMut(DeliveryReport),
    ) -> Option<ProducerEvent> {
        // SAFETY: the queue is alive; the event is destroyed below, after its last use, and the
        // messages that it lends are not kept.
        unsafe {
            let event = rd::rd_kafka_queue_poll(self.events.0, 0);
            if event.is_null() {
                return None;
            }
            let result = match rd::rd_kafka_event_type(event) {
                rd::RD_KAFKA_EVENT_DR => {
                    loop {
                        let message = rd::rd_kafka_event_message_next(event);
                        if message.is_null() {
                            break;
                        }
                        let error = error_code((*message).err);
                        let words =
                            error.map(|_| text(rd::rd_kafka_message_produce_errstr(message)));
                        sink(DeliveryReport { token: token(&*message), error, words });
                    }
                    ProducerEvent::Deliveries
                }
                rd::RD_KAFKA_EVENT_ERROR => {
                    let reason = text(rd::rd_kafka_event_error_string(event));
                    let code = rd::rd_kafka_event_error(event);
                    if rd::rd_kafka_event_error_is_fatal(event) != 0 {
                        tracing::debug!("fatal: {reason}");
                        ProducerEvent::Fatal(code.into())
                    } else {
                        self.client.reports.take(code as c_int, &reason);
                        ProducerEvent::Other
                    }
                }
                rd::RD_KAFKA_EVENT_STATS => {
                    ProducerEvent::Statistics(text(rd::rd_kafka_event_stats(event)))
                }
                _ => ProducerEvent::Other,
            };
            rd::rd_kafka_event_destroy(event);
            Some(result)
        }
    }

    /// Waits up to `timeout` for an event. Unlike librdkafka's own waits, which count milliseconds,
    /// this is precise enough to pace messages.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        let time = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut descriptors = [PollFd::new(&self.wake_up, PollFlags::IN)];
        // An interrupted wait only ends early.
        if rustix::event::poll(&mut descriptors, Some(&time)).is_ok_and(|ready| ready > 0) {
            let mut payloads = [0_u8; 64];
            let _ = rustix::io::read(&self.wake_up, &mut payloads);
        }
    }

    pub(crate) fn init_transactions(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive.
        check(unsafe { rd::rd_kafka_init_transactions(self.client.handle, millis(timeout)) })
    }

    pub(crate) fn begin_transaction(&mut self) -> Result<(), TransactionError> {
        // SAFETY: the client is alive.
        check(unsafe { rd::rd_kafka_begin_transaction(self.client.handle) })
    }

    pub(crate) fn commit_transaction(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive.
        check(unsafe { rd::rd_kafka_commit_transaction(self.client.handle, millis(timeout)) })
    }

    pub(crate) fn abort_transaction(&mut self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the client is alive.
        check(unsafe { rd::rd_kafka_abort_transaction(self.client.handle, millis(timeout)) })
    }
}

impl Drop for NativeProducer {
    fn drop(&mut self) {
        // SAFETY: the topic is alive and has no other user; the client is alive and is not used
        // after this. Unsent messages are dropped: the engine has given up on them.
        unsafe {
            rd::rd_kafka_purge(
                self.client.handle,
                rd::RD_KAFKA_PURGE_F_QUEUE | rd::RD_KAFKA_PURGE_F_INFLIGHT,
            );
            rd::rd_kafka_queue_io_event_enable(self.events.0, -1, ptr::null(), 0);
            rd::rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// The start of a slice, never null. librdkafka only reads from it.
fn start(bytes: &[u8]) -> *mut c_void {
    bytes.as_ptr().cast_mut().cast::<c_void>()
}

/// The token that a message was produced with.
fn token(message: &rd::rd_kafka_message_t) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "it was made from a u32")]
    let token = message._private.addr() as u32;
    token
}

/// Converts librdkafka's error object and destroys it.
fn check(error: *mut rd::rd_kafka_error_t) -> Result<(), TransactionError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is alive until it is destroyed, after its last use.
    unsafe {
        tracing::debug!("{}", text(rd::rd_kafka_error_string(error)));
        let failure = TransactionError {
            code: rd::rd_kafka_error_code(error).into(),
            requires_abort: rd::rd_kafka_error_txn_requires_abort(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_char;

    use super::*;

    /// The value of a property in a producer with this configuration.
    fn in_force(config: &KafkaConfig, name: &str) -> String {
        let client = client(config).expect("a client");
        let name = CString::new(name).expect("no zero byte");
        let (mut value, mut size) = ([0 as c_char; 512], 512);
        // SAFETY: the client is alive, and the buffer is as long as it says.
        unsafe {
            let config = rd::rd_kafka_conf(client.handle);
            rd::rd_kafka_conf_get(config, name.as_ptr(), value.as_mut_ptr(), &raw mut size);
            text(value.as_ptr())
        }
    }

    fn config(settings: &[&str]) -> KafkaConfig {
        let mut config = KafkaConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1");
        for setting in settings {
            config.set_all_from_text(&[setting]).expect("a setting");
        }
        config
    }

    #[test]
    fn producers_keep_five_requests_in_flight_by_default() {
        for (settings, requests) in [
            (&[][..], "5"),
            (&["enable.idempotence=true"], "5"),
            (&["max.in.flight=1000000"], "1000000"),
            (&["max.in.flight.requests.per.connection=1"], "1"),
        ] {
            assert_eq!(in_force(&config(settings), REQUESTS_IN_FLIGHT), requests, "{settings:?}");
        }
    }

    #[test]
    fn conflicting_settings_are_found_without_a_broker() {
        assert!(NativeProducer::check(&config(&["enable.idempotence=true"])).is_ok());
        let settings = ["enable.idempotence=true", "max.in.flight=6"];
        let error = NativeProducer::check(&config(&settings)).expect_err("too many");
        assert!(error.to_string().contains("`max.in.flight` must be set <= 5"), "{error}");
    }
}
