//! Creates, extends and deletes topics, keeping the brokers' messages when they refuse.
//!
//! The `rdkafka` crate's admin client returns the code of a refusal and drops its message, which
//! alone says which setting is wrong or which topic the name collides with.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::types::RDKafkaErrorCode;

use super::{Queue, error_code, millis, text};

/// Buffer size for librdkafka's message about a request that it does not send.
const REASON_BYTES: usize = 512;

/// The change requested for a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TopicRequest<'a> {
    /// Create it; -1 replicas means the brokers' default.
    Create { partitions: i32, replication: i32, settings: &'a BTreeMap<String, String> },
    /// Add partitions up to this total.
    Extend { total: usize },
    /// Delete it.
    Delete,
}

/// Why a request about a topic was refused.
#[derive(Debug)]
pub(crate) struct TopicRefusal {
    pub(crate) code: RDKafkaErrorCode,
    /// The message of the broker or the client library, if there is one.
    pub(crate) words: Option<String>,
}

impl TopicRefusal {
    fn new(code: RDKafkaErrorCode, words: impl Into<Option<String>>) -> Self {
        Self { code, words: words.into() }
    }
}

/// Sends a request about topic `name` and waits up to `timeout` for its answer.
pub(crate) fn request_topic<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    request: TopicRequest<'_>,
    timeout: Duration,
) -> Result<(), TopicRefusal> {
    let name = c_text(name, RDKafkaErrorCode::InvalidTopic)?;
    let client = client.native_ptr();
    // SAFETY: the client is borrowed for the call; options, queue and the request's objects
    // live through the calls that use them and are destroyed once; results are lent by their event.
    unsafe {
        let queue = Queue(rd::rd_kafka_queue_new(client));
        let options = TopicOptions(rd::rd_kafka_AdminOptions_new(
            client,
            rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ANY,
        ));
        let mut reason = [0 as c_char; REASON_BYTES];
        let ms = millis(timeout);
        for set in [
            rd::rd_kafka_AdminOptions_set_request_timeout,
            rd::rd_kafka_AdminOptions_set_operation_timeout,
        ] {
            // Fails only for a timeout out of range; then the default applies.
            let _ = set(options.0, ms, reason.as_mut_ptr(), reason.len());
        }
        match request {
            TopicRequest::Create { partitions, replication, settings } => {
                let topic = new_topic(&name, partitions, replication, settings)?;
                let mut topics = [topic.0];
                rd::rd_kafka_CreateTopics(client, topics.as_mut_ptr(), 1, options.0, queue.0);
            }
            TopicRequest::Extend { total } => {
                let mut more = [new_partitions(&name, total)?];
                rd::rd_kafka_CreatePartitions(client, more.as_mut_ptr(), 1, options.0, queue.0);
                rd::rd_kafka_NewPartitions_destroy(more[0]);
            }
            TopicRequest::Delete => {
                let mut gone = [rd::rd_kafka_DeleteTopic_new(name.as_ptr())];
                rd::rd_kafka_DeleteTopics(client, gone.as_mut_ptr(), 1, options.0, queue.0);
                rd::rd_kafka_DeleteTopic_destroy(gone[0]);
            }
        }
        // The request has its own timeout; this longer one covers a missing answer.
        let patience = ms.saturating_add(5_000);
        let event = TopicEvent(rd::rd_kafka_queue_poll(queue.0, patience));
        if event.0.is_null() {
            return Err(TopicRefusal::new(RDKafkaErrorCode::OperationTimedOut, None));
        }
        event.outcome(request)
    }
}

/// Converts a setting or a name to a C string; fails with `code` if it contains a zero byte.
fn c_text(value: &str, code: RDKafkaErrorCode) -> Result<CString, TopicRefusal> {
    CString::new(value).map_err(|_| {
        TopicRefusal::new(code, format!("'{}' contains a zero byte", value.escape_debug()))
    })
}

fn new_topic(
    name: &CString,
    partitions: i32,
    replication: i32,
    settings: &BTreeMap<String, String>,
) -> Result<NewTopic, TopicRefusal> {
    let mut reason = [0 as c_char; REASON_BYTES];
    // SAFETY: the name ends with a zero byte, as do the settings, all of which are copied; the buffer
    // outlives the call.
    unsafe {
        let topic = NewTopic(rd::rd_kafka_NewTopic_new(
            name.as_ptr(),
            partitions,
            replication,
            reason.as_mut_ptr(),
            reason.len(),
        ));
        if topic.0.is_null() {
            let words = text(reason.as_ptr());
            let code = if words.contains("replication") {
                RDKafkaErrorCode::InvalidReplicationFactor
            } else if words.contains("partitions") {
                RDKafkaErrorCode::InvalidPartitions
            } else {
                RDKafkaErrorCode::InvalidTopic
            };
            return Err(TopicRefusal::new(code, words));
        }
        for (key, value) in settings {
            let key = c_text(key, RDKafkaErrorCode::InvalidConfig)?;
            let value = c_text(value, RDKafkaErrorCode::InvalidConfig)?;
            let code = rd::rd_kafka_NewTopic_set_config(topic.0, key.as_ptr(), value.as_ptr());
            if let Some(code) = error_code(code) {
                return Err(TopicRefusal::new(code, None));
            }
        }
        Ok(topic)
    }
}

fn new_partitions(
    name: &CString,
    total: usize,
) -> Result<*mut rd::rd_kafka_NewPartitions_t, TopicRefusal> {
    let mut reason = [0 as c_char; REASON_BYTES];
    // SAFETY: the name ends with a zero byte and is copied; the buffer outlives the call.
    unsafe {
        let more =
            rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, reason.as_mut_ptr(), reason.len());
        if more.is_null() {
            let words = text(reason.as_ptr());
            return Err(TopicRefusal::new(RDKafkaErrorCode::InvalidPartitions, words));
        }
        Ok(more)
    }
}

struct NewTopic(*mut rd::rd_kafka_NewTopic_t);

impl Drop for NewTopic {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the object is alive and has no other owner.
            unsafe { rd::rd_kafka_NewTopic_destroy(self.0) }
        }
    }
}

struct TopicOptions(*mut rd::rd_kafka_AdminOptions_t);

impl Drop for TopicOptions {
    fn drop(&mut self) {
        // SAFETY: the object is alive and has no other owner.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

struct TopicEvent(*mut rd::rd_kafka_event_t);

impl TopicEvent {
    /// The result for the request's only topic.
    ///
    /// # Safety
    /// The event answers this `request`.
    unsafe fn outcome(&self, request: TopicRequest<'_>) -> Result<(), TopicRefusal> {
        // SAFETY: the event is alive; borrowed data is copied before its end.
        unsafe {
            if let Some(code) = error_code(rd::rd_kafka_event_error(self.0)) {
                return Err(TopicRefusal::new(code, None));
            }
            let mut count = 0;
            let results = match request {
                TopicRequest::Create { .. } => rd::rd_kafka_CreateTopics_result_topics(
                    rd::rd_kafka_event_CreateTopics_result(self.0),
                    &raw mut count,
                ),
                TopicRequest::Extend { .. } => rd::rd_kafka_CreatePartitions_result_topics(
                    rd::rd_kafka_event_CreatePartitions_result(self.0),
                    &raw mut count,
                ),
                TopicRequest::Delete => rd::rd_kafka_DeleteTopics_result_topics(
                    rd::rd_kafka_event_DeleteTopics_result(self.0),
                    &raw mut count,
                ),
            };
            if count == 0 || results.is_null() {
                return Ok(());
            }
            let result = *results;
            match error_code(rd::rd_kafka_topic_result_error(result)) {
                None => Ok(()),
                Some(code) => {
                    let words = text(rd::rd_kafka_topic_result_error_string(result));
                    Err(TopicRefusal::new(code, words))
                }
            }
        }
    }
}

impl Drop for TopicEvent {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the event is ours to destroy, once.
            unsafe { rd::rd_kafka_event_destroy(self.0) }
        }
    }
}
