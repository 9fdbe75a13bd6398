//! The narrow part of librdkafka that the hot path uses, and all of this crate's `unsafe` code.
//!
//! The `rdkafka` crate's own producer and consumer hand over one message at a time. The batch calls
//! below cost less with all of the measurement than those without any (`docs/performance.md`), which
//! is the difference between measuring the client library and measuring the harness.

#![expect(unsafe_code, reason = "librdkafka's batch calls have no safe binding; see the module")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::config::KafkaConfig;
use crate::error::KafkaError;

/// The partition that asks librdkafka to choose one.
const PARTITION_UNASSIGNED: i32 = -1;

/// A librdkafka client.
struct Client {
    handle: *mut rd::rd_kafka_t,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Client {}

impl Client {
    fn new(
        config: &KafkaConfig,
        kind: rd::rd_kafka_type_t,
        events: i32,
    ) -> Result<Self, KafkaError> {
        config.validate()?;
        let servers = config.bootstrap_servers().unwrap_or_default().to_owned();
        let failed = |reason: String| KafkaError::Client { servers: servers.clone(), reason };
        let native = config
            .to_client_config()
            .create_native_config()
            .map_err(|error| failed(error.to_string()))?;
        let mut reason = [0 as c_char; 512];
        // SAFETY: the configuration is valid and duplicated, since rd_kafka_new takes it over when
        // it succeeds and leaves it to the caller when it fails; the buffer outlives the call.
        unsafe {
            let conf = rd::rd_kafka_conf_dup(native.ptr());
            rd::rd_kafka_conf_set_log_cb(conf, Some(log));
            rd::rd_kafka_conf_set_events(conf, events);
            let handle = rd::rd_kafka_new(kind, conf, reason.as_mut_ptr(), reason.len());
            if handle.is_null() {
                rd::rd_kafka_conf_destroy(conf);
                return Err(failed(text(reason.as_ptr())));
            }
            Ok(Self { handle })
        }
    }

    /// The error that makes this client useless, if there is one.
    fn fatal_error(&self) -> Option<String> {
        let mut reason = [0 as c_char; 512];
        // SAFETY: the handle is alive and the buffer outlives the call.
        unsafe {
            let code = rd::rd_kafka_fatal_error(self.handle, reason.as_mut_ptr(), reason.len());
            (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| text(reason.as_ptr()))
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the handle is alive, and nothing made from it is left: every owner of a queue or
        // a topic drops those first.
        unsafe { rd::rd_kafka_destroy(self.handle) }
    }
}

/// Passes librdkafka's log lines on.
unsafe extern "C" fn log(
    _client: *const rd::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes two strings that live through the call.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    match level {
        // Syslog levels: 0 to 3 are errors, 4 is a warning.
        0..=3 => tracing::warn!(target: "librdkafka", "{facility}: {line}"),
        4 => tracing::info!(target: "librdkafka", "{facility}: {line}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
    }
}

/// Copies a C string.
///
/// # Safety
/// `string` is null or points to a string that ends with a zero byte.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// A queue of a client.
struct Queue(*mut rd::rd_kafka_queue_t);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is alive; librdkafka counts references to it.
        unsafe { rd::rd_kafka_queue_destroy(self.0) }
    }
}

/// A producer of one topic.
pub(crate) struct NativeProducer {
    topic: *mut rd::rd_kafka_topic_t,
    events: Queue,
    wake_up: OwnedFd,
    _wake_up_writer: OwnedFd,
    messages: Vec<rd::rd_kafka_message_t>,
    /// Where messages go: the only partition there is, or whichever librdkafka chooses.
    partition: i32,
    // Last, so that it is dropped after everything made from it.
    client: Client,
}

// SAFETY: the topic handle and the buffer of messages, whose pointers are only used within a call,
// go with their owner; librdkafka's handles may be used from any thread.
unsafe impl Send for NativeProducer {}

/// What became of one message that librdkafka was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) token: u32,
    pub(crate) error: Option<RDKafkaErrorCode>,
}

/// Something that librdkafka has to say.
pub(crate) enum ProducerEvent {
    /// Messages completed; they were passed to the sink.
    Deliveries,
    /// An error that concerns no single message.
    Error(RDKafkaErrorCode, String),
    /// Anything else.
    Other,
}

/// Why a transaction could not be carried on.
pub(crate) struct TransactionError {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
    pub(crate) requires_abort: bool,
    pub(crate) retriable: bool,
}

impl NativeProducer {
    pub(crate) fn new(config: &KafkaConfig, topic: &str) -> Result<Self, KafkaError> {
        let failed = |reason: &str| KafkaError::Library {
            action: format!("open a producer for topic '{topic}'"),
            reason: reason.to_owned(),
        };
        let events = rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_ERROR;
        let client = Client::new(config, rd::rd_kafka_type_t::RD_KAFKA_PRODUCER, events)?;
        let name = CString::new(topic).map_err(|_| failed("its name holds a zero byte"))?;
        let (wake_up, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK)
            .map_err(|error| failed(&error.to_string()))?;
        // SAFETY: the client is alive, the name ends with a zero byte, and a topic configuration of
        // null asks for the client's own.
        let topic =
            unsafe { rd::rd_kafka_topic_new(client.handle, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(failed("librdkafka refuses its name"));
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
            client,
        })
    }

    /// Learns the topic's partitions, so that the first message does not wait for that. Where there
    /// is only one, the choice of a partition, a good part of a message's cost, is left out.
    pub(crate) fn learn_topic(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        let mut metadata = ptr::null();
        // SAFETY: client and topic are alive; what was handed out is destroyed after its last use,
        // and holds as many topics as it says.
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
        library("learn the partitions of the topic", code)
    }

    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.client.fatal_error()
    }

    /// Hands over messages, which librdkafka copies. `outcome` is told for each, by position:
    /// `None` when it was accepted.
    pub(crate) fn produce<'a>(
        &mut self,
        messages: impl Iterator<Item = (u32, Option<&'a [u8]>, &'a [u8])>,
        mut outcome: impl FnMut(usize, u32, Option<RDKafkaErrorCode>),
    ) {
        self.messages.clear();
        self.messages.extend(messages.map(|(token, key, value)| rd::rd_kafka_message_t {
            err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: ptr::null_mut(),
            partition: self.partition,
            payload: value.as_ptr().cast_mut().cast::<c_void>(),
            len: value.len(),
            key: key.map_or(ptr::null_mut(), |key| key.as_ptr().cast_mut().cast::<c_void>()),
            key_len: key.map_or(0, <[u8]>::len),
            offset: 0,
            _private: ptr::without_provenance_mut(token as usize),
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

    /// The next event, without waiting.
    pub(crate) fn next_event(&mut self, mut sink: impl FnMut(Delivery)) -> Option<ProducerEvent> {
        // SAFETY: the queue is alive; the event is destroyed below, after its last use, and the
        // messages that it lends are not kept.
        unsafe {
            let event = rd::rd_kafka_queue_poll(self.events.0, 0);
            if event.is_null() {
                return None;
            }
            let told = match rd::rd_kafka_event_type(event) {
                rd::RD_KAFKA_EVENT_DR => {
                    loop {
                        let message = rd::rd_kafka_event_message_next(event);
                        if message.is_null() {
                            break;
                        }
                        let message = &*message;
                        sink(Delivery { token: token(message), error: error_code(message.err) });
                    }
                    ProducerEvent::Deliveries
                }
                rd::RD_KAFKA_EVENT_ERROR => ProducerEvent::Error(
                    rd::rd_kafka_event_error(event).into(),
                    text(rd::rd_kafka_event_error_string(event)),
                ),
                _ => ProducerEvent::Other,
            };
            rd::rd_kafka_event_destroy(event);
            Some(told)
        }
    }

    /// Waits until there may be an event, for `timeout` at most. Unlike librdkafka's own waiting,
    /// which counts in milliseconds, this is exact enough to pace messages by.
    pub(crate) fn wait(&mut self, timeout: Duration) {
        let time = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut descriptors = [PollFd::new(&self.wake_up, PollFlags::IN)];
        // An interrupted wait is a short one.
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
        // SAFETY: the topic is alive and used by nobody else; the client is alive and is not used
        // after this. What was not sent is dropped: the engine has given up on it.
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

/// The token that a message was produced with.
fn token(message: &rd::rd_kafka_message_t) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "it was made from a u32")]
    let token = message._private.addr() as u32;
    token
}

fn error_code(code: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

/// Takes an error object apart.
fn check(error: *mut rd::rd_kafka_error_t) -> Result<(), TransactionError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is alive until it is destroyed, after its last use.
    unsafe {
        let told = TransactionError {
            code: rd::rd_kafka_error_code(error).into(),
            reason: text(rd::rd_kafka_error_string(error)),
            requires_abort: rd::rd_kafka_error_txn_requires_abort(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(told)
    }
}

/// A consumer.
pub(crate) struct NativeConsumer {
    queue: Queue,
    messages: Vec<*mut rd::rd_kafka_message_t>,
    /// How many of the messages are waiting to be passed on.
    filled: usize,
    // Last, so that it is dropped after everything made from it.
    client: Client,
}

// SAFETY: the messages belong to the consumer alone; librdkafka's handles may be used from any
// thread.
unsafe impl Send for NativeConsumer {}

/// What librdkafka hands a consumer.
pub(crate) enum Fetched<'a> {
    /// A message.
    Message { key: Option<&'a [u8]>, value: &'a [u8], partition: i32 },
    /// The end of a partition was reached.
    End { partition: i32 },
    /// Something went wrong.
    Error(RDKafkaErrorCode, String),
}

impl NativeConsumer {
    /// A consumer that takes up to `batch_max` messages at once.
    pub(crate) fn new(config: &KafkaConfig, batch_max: usize) -> Result<Self, KafkaError> {
        // Left to itself, the batch call takes the end of a partition for a message, and stores an
        // offset that a group's next reader would go on from one message too late.
        let mut config = config.clone();
        config.set("enable.auto.offset.store", "false");
        let client = Client::new(&config, rd::rd_kafka_type_t::RD_KAFKA_CONSUMER, 0)?;
        // SAFETY: the client is alive, and a consumer, so it has such a queue.
        let queue = unsafe {
            // Errors and the like come the same way as messages.
            rd::rd_kafka_poll_set_consumer(client.handle);
            Queue(rd::rd_kafka_queue_get_consumer(client.handle))
        };
        Ok(Self { queue, messages: vec![ptr::null_mut(); batch_max.max(1)], filled: 0, client })
    }

    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.client.fatal_error()
    }

    pub(crate) fn subscribe(&mut self, topics: &TopicPartitionList) -> Result<(), KafkaError> {
        // SAFETY: client and list are alive; librdkafka copies the list.
        library("subscribe to the topic", unsafe {
            rd::rd_kafka_subscribe(self.client.handle, topics.ptr())
        })
    }

    pub(crate) fn assign(&mut self, partitions: &TopicPartitionList) -> Result<(), KafkaError> {
        // SAFETY: client and list are alive; librdkafka copies the list.
        library("take over partitions", unsafe {
            rd::rd_kafka_assign(self.client.handle, partitions.ptr())
        })
    }

    /// Commits offsets and waits for the answer.
    pub(crate) fn commit(&mut self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        // SAFETY: client and list are alive.
        library("commit the group's first offsets", unsafe {
            rd::rd_kafka_commit(self.client.handle, offsets.ptr(), 0)
        })
    }

    /// How many partitions this consumer reads.
    pub(crate) fn assigned(&self) -> usize {
        let mut list = ptr::null_mut();
        // SAFETY: the client is alive; a list that was handed out is destroyed after its last use.
        unsafe {
            let code = rd::rd_kafka_assignment(self.client.handle, &raw mut list);
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
                return 0;
            }
            let count = usize::try_from((*list).cnt).unwrap_or(0);
            rd::rd_kafka_topic_partition_list_destroy(list);
            count
        }
    }

    /// Takes what is there, waiting up to `timeout` for the first message. It is kept until
    /// [`NativeConsumer::pass_on`].
    pub(crate) fn fetch(&mut self, timeout: Duration) {
        if self.filled > 0 {
            return;
        }
        self.take_waiting();
        if self.filled == 0 && !timeout.is_zero() {
            // The batch call waits until the batch is full; this one returns with the first.
            // SAFETY: the client is alive; the message is ours until it is destroyed.
            let first = unsafe { rd::rd_kafka_consumer_poll(self.client.handle, millis(timeout)) };
            if !first.is_null() {
                self.messages[0] = first;
                self.filled = 1;
                self.take_waiting();
            }
        }
    }

    /// Whether messages wait to be passed on.
    pub(crate) fn has_fetched(&self) -> bool {
        self.filled > 0
    }

    fn take_waiting(&mut self) {
        let room = &mut self.messages[self.filled..];
        if room.is_empty() {
            return;
        }
        // SAFETY: the queue is alive and `room` has the length that is passed; the messages written
        // there are ours until they are destroyed.
        let taken = unsafe {
            rd::rd_kafka_consume_batch_queue(self.queue.0, 0, room.as_mut_ptr(), room.len())
        };
        self.filled += usize::try_from(taken).unwrap_or(0);
    }

    /// Passes on what was fetched, and stores how far that is, to be committed for the group.
    pub(crate) fn pass_on(&mut self, mut sink: impl FnMut(Fetched<'_>)) {
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        for (index, &pointer) in fetched.iter().enumerate() {
            // SAFETY: the message was handed out by librdkafka, is lent for the call of the sink,
            // and destroyed once, after that; so is the one after it, which is only looked at.
            unsafe {
                let message = &*pointer;
                match error_code(message.err) {
                    None => sink(Fetched::Message {
                        key: bytes(message.key, message.key_len),
                        value: bytes(message.payload, message.len).unwrap_or_default(),
                        partition: message.partition,
                    }),
                    Some(RDKafkaErrorCode::PartitionEOF) => {
                        sink(Fetched::End { partition: message.partition });
                    }
                    Some(code) => {
                        sink(Fetched::Error(code, text(rd::rd_kafka_message_errstr(pointer))));
                    }
                }
                // One call does for all that follow one another in a partition.
                let next = fetched.get(index + 1).map(|&next| &*next);
                let goes_on = next.is_some_and(|next| {
                    next.partition == message.partition && error_code(next.err).is_none()
                });
                if !goes_on && error_code(message.err).is_none() {
                    store_offset(pointer);
                }
                rd::rd_kafka_message_destroy(pointer);
            }
        }
    }
}

/// Stores that a message has been read. This fails for a partition that was taken away meanwhile:
/// its next reader goes on from the last commit.
///
/// # Safety
/// `message` was handed out by a consumer and is not destroyed.
unsafe fn store_offset(message: *mut rd::rd_kafka_message_t) {
    // SAFETY: as the caller promises; an error is ours to destroy.
    unsafe {
        let error = rd::rd_kafka_offset_store_message(message);
        if !error.is_null() {
            rd::rd_kafka_error_destroy(error);
        }
    }
}

impl Drop for NativeConsumer {
    fn drop(&mut self) {
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        // SAFETY: what was not passed on is destroyed, once, and not stored as read; the client is
        // alive; it leaves its group and commits what was passed on.
        unsafe {
            for &pointer in fetched {
                rd::rd_kafka_message_destroy(pointer);
            }
            rd::rd_kafka_consumer_close(self.client.handle);
        }
    }
}

/// Bytes that librdkafka lends; `None` for null, which is not the same as no bytes.
///
/// # Safety
/// `start` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

fn library(action: &str, code: RDKafkaRespErr) -> Result<(), KafkaError> {
    match error_code(code) {
        None => Ok(()),
        Some(code) => Err(KafkaError::Request { action: action.to_owned(), code }),
    }
}
