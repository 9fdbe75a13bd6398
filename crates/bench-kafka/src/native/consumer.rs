//! Receives in batches and stores the offsets of what was passed on.

use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_int};
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as rd;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::alone::Alone;
use super::record::Record;
use super::{Client, Queue, Reports, error_code, library, millis, text};
use crate::answers::Subject;
use crate::config::KafkaConfig;
use crate::error::KafkaError;
use crate::reading::{Reading, Until};

/// Flag that destroys a consumer without committing and without leaving its group.
const DESTROY_WITHOUT_CLOSE: c_int = rd::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;

/// The property that makes the client library report the ends of partitions.
pub(crate) const PARTITION_EOF: &str = "enable.partition.eof";

/// Maximum time for a consumer to commit what it has read and to leave its group. Without it, a
/// broker that does not answer would block the consumer until the session times out.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Timeout of a check whether a broker answers again.
const BROKER_LOOK: Duration = Duration::from_millis(20);

/// Timeout of one poll while the consumer closes.
const CLOSE_POLL: Duration = Duration::from_millis(20);

/// Whether a consumer belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It joins the configured group.
    Group,
    /// It belongs to no group: no request names one, so that no permission on a group is needed.
    Alone,
}

/// A consumer of one topic.
pub(crate) struct NativeConsumer {
    queue: Queue,
    /// The topic, once known.
    topic: CString,
    /// What its requests are about, for errors.
    subject: Subject,
    /// `None` for a member of a group.
    alone: Option<Alone>,
    /// Whether it keeps reading while its group rebalances.
    is_cooperative: bool,
    messages: Vec<*mut rd::rd_kafka_message_t>,
    /// Number of `messages` waiting to be passed on.
    filled: usize,
    /// Messages that were passed on but not settled, oldest first; `None` if passing on settles
    /// them.
    held: Option<VecDeque<UnsettledRun>>,
    // Last, so that it is dropped after everything made from it.
    client: Client,
}

/// Consecutive messages of a partition.
struct UnsettledRun {
    messages: usize,
    /// The last of them; storing its offset settles all.
    last: *mut rd::rd_kafka_message_t,
}

// SAFETY: the messages belong to the consumer alone; librdkafka's handles may be used from any
// thread.
unsafe impl Send for NativeConsumer {}

/// Something that librdkafka hands to a consumer.
pub(crate) enum Fetched<'a> {
    /// A message.
    Message(Record<'a>),
    /// The current end of a partition, with its high watermark.
    End { partition: i32, offset: i64, high: Option<i64> },
    /// An error.
    Error(RDKafkaErrorCode),
}

impl NativeConsumer {
    /// Creates a consumer that takes up to `batch_max` messages at once.
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
        // SAFETY: the client is alive, and a consumer, so it has a consumer queue if it is in a
        // group, and the main queue in any case.
        let queue = unsafe {
            if alone.is_some() {
                Queue(rd::rd_kafka_queue_get_main(client.handle))
            } else {
                // Errors and other events arrive in the same queue as messages.
                rd::rd_kafka_poll_set_consumer(client.handle);
                Queue(rd::rd_kafka_queue_get_consumer(client.handle))
            }
        };
        let messages = vec![ptr::null_mut(); batch_max.max(1)];
        let (topic, held) = (CString::default(), None);
        let filled = 0;
        Ok(Self { queue, topic, subject, alone, is_cooperative, messages, filled, held, client })
    }

    /// The state reported by the client's callbacks.
    pub(crate) fn reports(&self) -> &Arc<Reports> {
        &self.client.reports
    }

    pub(crate) fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.client.fatal_error()
    }

    /// What its requests are about, for errors.
    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    fn set_topic(&mut self, topic: &str) -> Result<(), KafkaError> {
        self.topic = c_name(topic)?;
        self.subject.topic = Some(topic.to_owned());
        Ok(())
    }

    /// Joins the configured group.
    pub(crate) fn subscribe(&mut self, topic: &str) -> Result<(), KafkaError> {
        self.set_topic(topic)?;
        let mut topics = TopicPartitionList::new();
        topics.add_topic_unassigned(topic);
        self.client.reports.reading().joined();
        // SAFETY: client and list are alive; librdkafka copies the list.
        let code = unsafe { rd::rd_kafka_subscribe(self.client.handle, topics.ptr()) };
        library(&format!("subscribe to topic '{topic}'"), code, &self.subject)
    }

    /// Replaces the assignment: reads these partitions from these offsets.
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
        // SAFETY: client and queue are alive, and the name ends with a zero byte; a null topic
        // configuration means the client's.
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

    /// Drops messages that were fetched but not passed on.
    fn drop_fetched(&mut self) {
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        for &pointer in fetched {
            // SAFETY: the message is ours, and destroyed once.
            unsafe { rd::rd_kafka_message_destroy(pointer) }
        }
    }

    /// Commits offsets; waits for the answer until `is_over` returns true.
    pub(crate) fn commit(
        &mut self,
        offsets: &TopicPartitionList,
        is_over: impl Fn() -> bool,
    ) -> Result<(), KafkaError> {
        let action = "commit the group's first offsets";
        // SAFETY: client and list are alive, and the queue outlives the wait for the answer; an
        // event is ours to destroy. A late answer is dropped with the queue.
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
                        .because_of(self.client.reports.health.last_error()));
                }
                self.serve();
                // Without permission on the group, no coordinator answers.
                let denied = RDKafkaErrorCode::GroupAuthorizationFailed;
                if self.fetched_error() == Some(denied) {
                    return Err(KafkaError::answer(action, denied, &self.subject, None));
                }
            }
        }
    }

    /// The high watermark of a partition, as of the last fetch response.
    pub(crate) fn high_watermark(&self, partition: i32) -> Option<i64> {
        high_watermark(&self.client, &self.topic, partition)
    }

    /// Checks briefly whether a broker answers, after all of them were down.
    pub(crate) fn look_for_broker(&self) {
        let mut metadata = ptr::null();
        // SAFETY: the client is alive; the returned metadata is destroyed.
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

    /// Fetches available messages, waiting up to `timeout` for the first one. They are kept until
    /// [`NativeConsumer::pass_on`].
    pub(crate) fn fetch(&mut self, timeout: Duration) {
        if self.filled > 0 {
            return;
        }
        self.take_waiting();
        if self.filled == 0 && !timeout.is_zero() {
            // The batch call would wait until the batch is full; this one returns with the first
            // message. SAFETY: client and queue are alive; the message is ours until it is
            // destroyed.
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

    /// Lets the client library do its work between messages, such as changing the assignment.
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

    /// The first error among the messages waiting to be passed on.
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
        // SAFETY: the queue is alive and `room` has the given length; the messages written there
        // are ours until they are destroyed.
        let taken = unsafe {
            rd::rd_kafka_consume_batch_queue(self.queue.0, 0, room.as_mut_ptr(), room.len())
        };
        self.filled += usize::try_from(taken).unwrap_or(0);
    }

    /// Takes available messages without the batch call, which treats the end of a partition as a
    /// message and records the position after it. In a cooperative group, partitions that are
    /// paused during a rebalance resume from that position, and the message at the end is lost
    /// (librdkafka 2.12, `rd_kafka_q_serve_rkmessages`).
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

    /// Ends as if the process had crashed: nothing is committed, and the group notices only when
    /// the session times out.
    pub(crate) fn kill(mut self) {
        self.client.destroy_flags = DESTROY_WITHOUT_CLOSE;
    }

    /// From now on, stores the offsets of messages only once they are [settled](Self::settle).
    pub(crate) fn hold_back(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Number of messages that were passed on but not settled.
    pub(crate) fn held(&self) -> usize {
        self.held.iter().flatten().map(|held| held.messages).sum()
    }

    /// Settles the oldest `messages` and stores their offsets, to be committed for the group. The
    /// offset of consecutive messages is stored once all of them are settled.
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

    /// Passes on the fetched messages and stores their offsets, to be committed for the group,
    /// unless that waits for [`NativeConsumer::settle`].
    pub(crate) fn pass_on(&mut self, mut sink: impl FnMut(Fetched<'_>)) {
        let mut in_a_row = 0;
        let fetched = &self.messages[..std::mem::take(&mut self.filled)];
        for (index, &pointer) in fetched.iter().enumerate() {
            // SAFETY: the message was handed out by librdkafka, is borrowed for the sink's call,
            // and destroyed once, after that; so is the next one, which is only inspected here.
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
                // One call stores the offset of all consecutive messages of a partition.
                let next = fetched.get(index + 1).map(|&next| &*next);
                let goes_on = next.is_some_and(|next| {
                    next.partition == message.partition && error_code(next.err).is_none()
                });
                if error_code(message.err).is_none() {
                    in_a_row += 1;
                    if !goes_on {
                        let messages = std::mem::take(&mut in_a_row);
                        if let Some(held) = &mut self.held {
                            held.push_back(UnsettledRun { messages, last: pointer });
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

/// Whether members of the configured group keep their partitions during a rebalance.
fn is_cooperative(config: &KafkaConfig) -> bool {
    let has = |name, value| {
        config.get(name).is_some_and(|text| text.to_ascii_lowercase().contains(value))
    };
    has("partition.assignment.strategy", "cooperative") || has("group.protocol", "consumer")
}

/// The high watermark of a partition, as of the last fetch response, whatever the isolation level.
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

fn c_name(topic: &str) -> Result<CString, KafkaError> {
    CString::new(topic).map_err(|_| KafkaError::Library {
        action: format!("read topic '{topic}'"),
        reason: "its name contains a zero byte".to_owned(),
    })
}

/// Stores the offset of a read message. This fails for a partition that has been revoked: its next
/// reader continues from the last commit.
///
/// # Safety
/// `message` was handed out by a consumer and is not destroyed.
unsafe fn store_offset(message: *mut rd::rd_kafka_message_t) {
    // SAFETY: guaranteed by the caller; an error is ours to destroy.
    unsafe {
        let error = rd::rd_kafka_offset_store_message(message);
        if !error.is_null() {
            rd::rd_kafka_error_destroy(error);
        }
    }
}

impl NativeConsumer {
    /// Commits the stored offsets and leaves the group; false if no broker answers in time.
    fn close(&mut self) -> bool {
        if self.alone.is_some() {
            return true;
        }
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        // SAFETY: the client and its queue are alive; an error is ours to destroy, and so is a
        // message that still arrives.
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
        // SAFETY: unsettled messages are destroyed once, without storing their offsets; the client
        // is alive.
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
