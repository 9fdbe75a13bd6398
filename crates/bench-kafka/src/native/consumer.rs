//! Receiving in batches, and keeping account of what was passed on.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as rd;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::{Client, Queue, Reports, error_code, library, millis, text};
use crate::answers::Subject;
use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::reading::{Reading, Until};

/// Ends a consumer without committing and without leaving its group.
const DESTROY_WITHOUT_CLOSE: c_int = rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;

/// The property by which the client library reports the ends of partitions.
pub(crate) const PARTITION_EOF: &str = "enable.partition.eof";

/// How long a consumer may take to commit what it has read and to leave its group. A broker that
/// does not answer would otherwise hold it up for as long as a session lasts.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a look for a broker takes that answers again.
const BROKER_LOOK: Duration = Duration::from_millis(20);

/// How long one poll takes while the consumer closes.
const CLOSE_POLL: Duration = Duration::from_millis(20);

/// Whether a consumer belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// To the one that the configuration names.
    Group,
    /// To none: no request ever names one, so that no right on a group is needed.
    Alone,
}

/// The partitions of a consumer without a group. With a group's name in its configuration,
/// librdkafka asks for the group's coordinator, whether it is used or not; so it has none, and reads
/// by the calls that were there before groups.
#[derive(Default)]
struct Alone {
    topic: Option<*mut rd::rd_kafka_topic_t>,
    started: Vec<i32>,
}

/// A consumer of one topic.
pub(crate) struct NativeConsumer {
    queue: Queue,
    /// The topic, once known.
    topic: CString,
    /// What its requests are about.
    subject: Subject,
    /// `None` for a member of a group.
    alone: Option<Alone>,
    /// Whether its group may change while it goes on reading.
    is_cooperative: bool,
    messages: Vec<*mut rd::rd_kafka_message_t>,
    /// How many of the messages are waiting to be passed on.
    filled: usize,
    /// What was passed on and is not settled, oldest first; `None` where passing on settles.
    held: Option<VecDeque<Held>>,
    // Last, so that it is dropped after everything made from it.
    client: Client,
}

/// Messages that followed one another in a partition.
struct Held {
    messages: usize,
    /// The last of them, by which all are settled.
    last: *mut rd::rd_kafka_message_t,
}

// SAFETY: the messages belong to the consumer alone; librdkafka's handles may be used from any
// thread.
unsafe impl Send for NativeConsumer {}

/// What librdkafka hands a consumer.
pub(crate) enum Fetched<'a> {
    /// A message.
    Message(Record<'a>),
    /// For the moment there is nothing more to read in a partition, from this offset on; with its
    /// high watermark.
    End { partition: i32, offset: i64, high: Option<i64> },
    /// Something went wrong.
    Error(RDKafkaErrorCode),
}

/// A message as the broker keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    message: &'a rd::rd_kafka_message_t,
}

/// The time that stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordTime {
    /// There is none.
    None,
    /// When the producer made the message, milliseconds since 1970.
    Created(i64),
    /// When the broker stored it, milliseconds since 1970.
    Appended(i64),
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value; `None` for null, which is not the same as no bytes.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// The key; `None` for null, which is not the same as no bytes.
    #[inline]
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: the message and what it points to live for 'a.
        unsafe { bytes(self.message.key, self.message.key_len) }
    }

    /// The value; `None` for null (a tombstone), which is not the same as no bytes.
    #[inline]
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: the message and what it points to live for 'a.
        unsafe { bytes(self.message.payload, self.message.len) }
    }

    /// Its partition.
    #[inline]
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.message.partition
    }

    /// Its offset within the partition.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.message.offset
    }

    /// When it was made or stored.
    #[must_use]
    pub fn time(&self) -> RecordTime {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and the result outlives the call.
        let ms = unsafe { rd::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        match kind {
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => {
                RecordTime::Created(ms)
            }
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                RecordTime::Appended(ms)
            }
            rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => RecordTime::None,
        }
    }

    /// Its headers, in their order.
    #[must_use]
    pub fn headers(&self) -> Vec<RecordHeader<'a>> {
        let mut headers = ptr::null_mut();
        let mut found = Vec::new();
        // SAFETY: the message is alive and owns its headers, which live for 'a as it does; names end
        // with a zero byte, and values are as long as is said.
        unsafe {
            let code = rd::rd_kafka_message_headers(self.message, &raw mut headers);
            if error_code(code).is_some() {
                return found;
            }
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            while error_code(rd::rd_kafka_header_get_all(
                headers,
                found.len(),
                &raw mut name,
                &raw mut value,
                &raw mut size,
            ))
            .is_none()
            {
                let name = CStr::from_ptr::<'a>(name).to_string_lossy();
                found.push(RecordHeader { name, value: bytes(value, size) });
            }
        }
        found
    }
}

impl NativeConsumer {
    /// A consumer that takes up to `batch_max` messages at once.
    pub(crate) fn new(
        config: &KafkaConfig,
        batch_max: usize,
        until: Until,
        membership: Membership,
    ) -> Result<Self, KafkaError> {
        let mut config = config.in_force_for_consumers();
        let alone = (membership == Membership::Alone).then(Alone::default);
        if alone.is_some() {
            config.set("group.id", "");
        }
        let subject = Subject {
            group: config.get("group.id").map(str::to_owned),
            ..Subject::topic("READ", "")
        };
        let is_cooperative = alone.is_none() && is_cooperative(&config);
        let reports = Reports::new(Reading::new(until));
        let client = Client::new(&config, rd::rd_kafka_type_t::RD_KAFKA_CONSUMER, 0, reports)?;
        // SAFETY: the client is alive, and a consumer, so it has such a queue if it is in a group, and
        // the main queue in any case.
        let queue = unsafe {
            if alone.is_some() {
                Queue(rd::rd_kafka_queue_get_main(client.handle))
            } else {
                // Errors and the like come the same way as messages.
                rd::rd_kafka_poll_set_consumer(client.handle);
                Queue(rd::rd_kafka_queue_get_consumer(client.handle))
            }
        };
        let messages = vec![ptr::null_mut(); batch_max.max(1)];
        let (topic, held) = (CString::default(), None);
        let filled = 0;
        Ok(Self { queue, topic, subject, alone, is_cooperative, messages, filled, held, client })
    }

    /// What the client's callbacks have reported.
    pub(crate) fn reports(&self) -> &Arc<Reports> {
        &self.client.reports
    }

    pub(crate) fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.client.fatal_error()
    }

    /// What its requests are about.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    fn set_topic(&mut self, topic: &str) -> Result<(), KafkaError> {
        self.topic = c_name(topic)?;
        self.subject.topic = Some(topic.to_owned());
        Ok(())
    }

    /// Joins the group that the configuration names.
    pub(crate) fn subscribe(&mut self, topic: &str) -> Result<(), KafkaError> {
        self.set_topic(topic)?;
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(topic);
        self.client.reports.reading().joined();
        // SAFETY: client and list are alive; librdkafka copies the list.
        let code = unsafe { rd::rd_kafka_subscribe(self.client.handle, topics.ptr()) };
        library(&format!("subscribe to topic '{topic}'"), code, &self.subject)
    }

    /// Reads these partitions from these offsets on, and no others any more.
    pub(crate) fn assign(&mut self, topic: &str, starts: &[(i32, i64)]) -> Result<(), KafkaError> {
        self.set_topic(topic)?;
        self.drop_fetched();
        let action = format!("read topic '{topic}'");
        let Some(alone) = &mut self.alone else {
            return Err(KafkaError::Library {
                action,
                reason: "a member of a group gets its partitions from the group".to_owned(),
            });
        };
        // SAFETY: client and queue are alive, and the name ends with a zero byte; a topic
        // configuration of null asks for the client's own.
        let code = unsafe {
            alone.stop();
            let handle =
                rd::rd_kafka_topic_new(self.client.handle, self.topic.as_ptr(), ptr::null_mut());
            if handle.is_null() {
                rd::rd_kafka_last_error()
            } else {
                alone.topic = Some(handle);
                alone.start(handle, starts, &self.queue)
            }
        };
        library(&action, code, &self.subject)
    }

    /// Forgets what was fetched and not passed on.
    fn drop_fetched(&mut self) {
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        for &pointer in fetched {
            // SAFETY: the message is ours, and destroyed once.
            unsafe { rd::rd_kafka_message_destroy(pointer) }
        }
    }

    /// Commits offsets; waits for the answer until `is_over` says so, which is asked every now and
    /// then.
    pub(crate) fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        is_over: impl Fn() -> bool,
    ) -> Result<(), KafkaError> {
        let action = "commit the group's first offsets";
        // SAFETY: client and list are alive, and the queue outlives the wait for the answer; an
        // event is ours to destroy. An answer that nobody waits for goes with the queue.
        unsafe {
            let answers = Queue(rd::rd_kafka_queue_new(self.client.handle));
            let code = rd::rd_kafka_commit_queue(
                self.client.handle,
                offsets.ptr(),
                answers.0,
                None,
                ptr::null_mut(),
            );
            library(action, code, &self.subject)?;
            loop {
                let answer = rd::rd_kafka_queue_poll(answers.0, millis(CLOSE_POLL));
                if !answer.is_null() {
                    let code = rd::rd_kafka_event_error(answer);
                    rd::rd_kafka_event_destroy(answer);
                    return library(action, code, &self.subject);
                }
                if is_over() {
                    let code = RDKafkaErrorCode::OperationTimedOut;
                    return Err(KafkaError::answer(action, code, &self.subject, None)
                        .because_of(self.client.reports.health.complaint()));
                }
                self.serve();
                // Without a right on the group there is no coordinator to answer.
                let denied = RDKafkaErrorCode::GroupAuthorizationFailed;
                if self.fetched_error() == Some(denied) {
                    return Err(KafkaError::answer(action, denied, &self.subject, None));
                }
            }
        }
    }

    /// The high watermark of a partition, as of the last answer to a fetch.
    pub(crate) fn high_watermark(&self, partition: i32) -> Option<i64> {
        high_watermark(&self.client, &self.topic, partition)
    }

    /// Looks for a moment whether a broker answers, after all of them were down.
    pub(crate) fn look_for_broker(&self) {
        let mut metadata = ptr::null();
        // SAFETY: the client is alive; what was handed out is destroyed.
        let code = unsafe {
            let code = rd::rd_kafka_metadata(
                self.client.handle,
                0,
                ptr::null_mut(),
                &raw mut metadata,
                millis(BROKER_LOOK),
            );
            if !metadata.is_null() {
                rd::rd_kafka_metadata_destroy(metadata);
            }
            code
        };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            self.client.reports.health.answered();
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
            // SAFETY: client and queue are alive; the message is ours until it is destroyed.
            let first = unsafe {
                if self.alone.is_some() {
                    rd::rd_kafka_consume_queue(self.queue.0, millis(timeout))
                } else {
                    rd::rd_kafka_consumer_poll(self.client.handle, millis(timeout))
                }
            };
            if !first.is_null() {
                self.messages[0] = first;
                self.filled = 1;
                self.take_waiting();
            }
        }
    }

    /// Lets the client library do what it must between messages, such as changing the assignment.
    /// Messages that arrive are kept.
    pub(crate) fn serve(&mut self) {
        if self.filled == self.messages.len() {
            self.messages.resize(self.filled * 2, ptr::null_mut());
        }
        self.take_waiting();
    }

    /// Whether messages wait to be passed on.
    pub(crate) fn has_fetched(&self) -> bool {
        self.filled > 0
    }

    /// The first error among what waits to be passed on.
    pub(crate) fn fetched_error(&self) -> Option<RDKafkaErrorCode> {
        self.messages[..self.filled].iter().find_map(|&pointer| {
            // SAFETY: the message is ours until it is passed on.
            let code = error_code(unsafe { (*pointer).err })?;
            (code != RDKafkaErrorCode::PartitionEOF).then_some(code)
        })
    }

    fn take_waiting(&mut self) {
        if self.is_cooperative {
            return self.take_one_by_one();
        }
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

    /// Takes what is there without the batch call. That takes the end of a partition for a message
    /// here, too, and notes the position behind it; a cooperative group, which pauses partitions that
    /// stay where they are, has them go on there, and the message at the end is lost (librdkafka 2.12,
    /// `rd_kafka_q_serve_rkmessages`).
    fn take_one_by_one(&mut self) {
        while self.filled < self.messages.len() {
            // SAFETY: the client is alive; the message is ours until it is destroyed.
            let message = unsafe { rd::rd_kafka_consumer_poll(self.client.handle, 0) };
            if message.is_null() {
                return;
            }
            self.messages[self.filled] = message;
            self.filled += 1;
        }
    }

    /// Ends as a process that crashes would: nothing is committed and the group not told, which
    /// finds out when the session times out.
    pub(crate) fn kill(mut self) {
        self.client.destroy_flags = DESTROY_WITHOUT_CLOSE;
    }

    /// Has messages from now on wait to be [settled](Self::settle) when they were passed on.
    pub(crate) fn hold_back(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Messages that were passed on and are not settled.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().flatten().map(|held| held.messages).sum()
    }

    /// Stores how far the oldest `messages` that are held go, to be committed for the group. Of
    /// messages that followed one another, it is stored when all are settled.
    pub(crate) fn settle(&mut self, mut messages: usize) {
        let Some(held) = &mut self.held else { return };
        while let Some(first) = held.front_mut() {
            if messages < first.messages {
                first.messages -= messages;
                return;
            }
            messages -= first.messages;
            // SAFETY: the message was kept for this, and is destroyed once.
            unsafe {
                if self.alone.is_none() {
                    store_offset(first.last);
                }
                rd::rd_kafka_message_destroy(first.last);
            }
            held.pop_front();
        }
    }

    /// Passes on what was fetched, and stores how far that is, to be committed for the group,
    /// unless that waits for [`NativeConsumer::settle`].
    pub(crate) fn pass_on(&mut self, mut sink: impl FnMut(Fetched<'_>)) {
        let mut in_a_row = 0;
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        for (index, &pointer) in fetched.iter().enumerate() {
            // SAFETY: the message was handed out by librdkafka, is lent for the call of the sink,
            // and destroyed once, after that; so is the one after it, which is only looked at.
            unsafe {
                let message = &*pointer;
                match error_code(message.err) {
                    None => sink(Fetched::Message(Record { message })),
                    Some(RDKafkaErrorCode::PartitionEOF) => sink(Fetched::End {
                        partition: message.partition,
                        offset: message.offset,
                        high: high_watermark(&self.client, &self.topic, message.partition),
                    }),
                    Some(code) => {
                        tracing::debug!("{}", text(rd::rd_kafka_message_errstr(pointer)));
                        sink(Fetched::Error(code));
                    }
                }
                // One call does for all that follow one another in a partition.
                let next = fetched.get(index + 1).map(|&next| &*next);
                let goes_on = next.is_some_and(|next| {
                    next.partition == message.partition && error_code(next.err).is_none()
                });
                if error_code(message.err).is_none() {
                    in_a_row += 1;
                    if !goes_on {
                        let messages = std::mem::take(&mut in_a_row);
                        if let Some(held) = &mut self.held {
                            held.push_back(Held { messages, last: pointer });
                            continue;
                        }
                        if self.alone.is_none() {
                            store_offset(pointer);
                        }
                    }
                }
                rd::rd_kafka_message_destroy(pointer);
            }
        }
    }
}

/// Whether members of the configured group keep their partitions while it changes.
fn is_cooperative(config: &KafkaConfig) -> bool {
    let has = |name, value| {
        config.get(name).is_some_and(|text| text.to_ascii_lowercase().contains(value))
    };
    has("partition.assignment.strategy", "cooperative") || has("group.protocol", "consumer")
}

/// Does what librdkafka would do by itself, when the consumer is next polled. Left to itself, it does
/// not leave a cooperative group whose member is closed while it has partitions (2.12,
/// `rd_kafka_cgrp_incr_unassign_done`), and the others wait until its session has timed out.
pub(super) unsafe extern "C" fn rebalance(
    client: *mut rd::rd_kafka_t,
    event: RDKafkaRespErr,
    partitions: *mut rd::rd_kafka_topic_partition_list_t,
    reports: *mut c_void,
) {
    let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    // SAFETY: librdkafka passes a client that is alive, what it was given as opaque, which outlives
    // the client, and a list that lives through the call and is copied; an error is ours to destroy,
    // and logged by librdkafka.
    unsafe {
        let is_cooperative = text(rd::rd_kafka_rebalance_protocol(client)) == "COOPERATIVE";
        let ids = ids(&*partitions);
        let mut reading = (*reports.cast::<Reports>()).reading();
        if is_assignment {
            reading.assigned(ids, is_cooperative);
        } else {
            reading.revoked(ids);
        }
        drop(reading);
        let error = match (is_cooperative, is_assignment) {
            (true, true) => rd::rd_kafka_incremental_assign(client, partitions),
            (true, false) => rd::rd_kafka_incremental_unassign(client, partitions),
            (false, _) => {
                rd::rd_kafka_assign(client, if is_assignment { partitions } else { ptr::null() });
                ptr::null_mut()
            }
        };
        if !error.is_null() {
            rd::rd_kafka_error_destroy(error);
        }
    }
}

/// The high watermark of a partition, as of the last answer to a fetch, whatever its reader sees.
fn high_watermark(client: &Client, topic: &CStr, partition: i32) -> Option<i64> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, the name ends with a zero byte, and the results outlive the call.
    let code = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            client.handle,
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The partitions in a list of librdkafka's.
///
/// # Safety
/// The list is one of librdkafka's, and lives as long as the iterator.
unsafe fn ids(list: &rd::rd_kafka_topic_partition_list_t) -> impl Iterator<Item = i32> {
    let count = usize::try_from(list.cnt).unwrap_or(0);
    let elements = if count == 0 {
        &[]
    } else {
        // SAFETY: as the caller promises, the list holds as many elements as it says.
        unsafe { std::slice::from_raw_parts(list.elems, count) }
    };
    elements.iter().map(|element| element.partition)
}

fn c_name(topic: &str) -> Result<CString, KafkaError> {
    CString::new(topic).map_err(|_| KafkaError::Library {
        action: format!("read topic '{topic}'"),
        reason: "its name holds a zero byte".to_owned(),
    })
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

impl NativeConsumer {
    /// Commits what was read and leaves the group, unless no broker answers in time.
    fn close(&mut self) -> bool {
        if self.alone.is_some() {
            return true;
        }
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        // SAFETY: the client and its queue are alive; an error is ours to destroy, and so is a
        // message that still comes.
        unsafe {
            let error = rd::rd_kafka_consumer_close_queue(self.client.handle, self.queue.0);
            if !error.is_null() {
                rd::rd_kafka_error_destroy(error);
                return true;
            }
            while rd::rd_kafka_consumer_closed(self.client.handle) == 0 {
                if self.client.reports.health.is_down() || Instant::now() >= deadline {
                    return false;
                }
                let late = rd::rd_kafka_consumer_poll(self.client.handle, millis(CLOSE_POLL));
                if !late.is_null() {
                    rd::rd_kafka_message_destroy(late);
                }
            }
        }
        true
    }
}

impl Drop for NativeConsumer {
    fn drop(&mut self) {
        self.drop_fetched();
        // SAFETY: what was not settled is destroyed, once, and not stored as read; the client is
        // alive.
        unsafe {
            for held in self.held.take().into_iter().flatten() {
                rd::rd_kafka_message_destroy(held.last);
            }
            if let Some(alone) = &mut self.alone {
                alone.stop();
            }
        }
        if self.client.reports.health.is_down() {
            self.look_for_broker();
        }
        let is_down = self.client.reports.health.is_down();
        let is_killed = self.client.destroy_flags == DESTROY_WITHOUT_CLOSE;
        if is_down || (!is_killed && !self.close()) {
            self.client.destroy_flags = DESTROY_WITHOUT_CLOSE;
            self.client.is_lost = true;
        }
    }
}

impl Alone {
    /// Begins to read partitions of `topic` into `queue`.
    ///
    /// # Safety
    /// The topic is a handle of the client that the queue is of, and both are alive.
    unsafe fn start(
        &mut self,
        topic: *mut rd::rd_kafka_topic_t,
        starts: &[(i32, i64)],
        queue: &Queue,
    ) -> RDKafkaRespErr {
        for &(partition, offset) in starts {
            // SAFETY: as the caller promises.
            unsafe {
                if rd::rd_kafka_consume_start_queue(topic, partition, offset, queue.0) != 0 {
                    return rd::rd_kafka_last_error();
                }
            }
            self.started.push(partition);
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Ends reading. No broker is asked.
    ///
    /// # Safety
    /// The client is alive.
    unsafe fn stop(&mut self) {
        let Some(topic) = self.topic.take() else { return };
        // SAFETY: the topic is alive until it is destroyed, after its last use.
        unsafe {
            for partition in self.started.drain(..) {
                rd::rd_kafka_consume_stop(topic, partition);
            }
            rd::rd_kafka_topic_destroy(topic);
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
