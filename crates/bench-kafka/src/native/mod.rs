//! The narrow part of librdkafka that the hot path uses, and all of this crate's `unsafe` code.
//!
//! The `rdkafka` crate's own producer and consumer hand over one message at a time. The batch calls
//! below cost less with all of the measurement than those without any (`docs/performance.md`), which
//! is the difference between measuring the client library and measuring the harness.

#![expect(unsafe_code, reason = "librdkafka's batch calls have no safe binding; see the module")]

mod consumer;
mod producer;

use std::ffi::{CStr, c_char, c_int};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::config::KafkaConfig;
use crate::error::KafkaError;

pub(crate) use consumer::{Fetched, NativeConsumer};
pub(crate) use producer::{Delivery, NativeProducer, ProducerEvent, TransactionError};

/// A librdkafka client.
struct Client {
    handle: *mut rd::rd_kafka_t,
    /// How it ends; see `rd_kafka_destroy_flags`.
    destroy_flags: c_int,
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
            if matches!(kind, rd::rd_kafka_type_t::RD_KAFKA_CONSUMER) {
                rd::rd_kafka_conf_set_rebalance_cb(conf, Some(consumer::rebalance));
            }
            rd::rd_kafka_conf_set_events(conf, events);
            let handle = rd::rd_kafka_new(kind, conf, reason.as_mut_ptr(), reason.len());
            if handle.is_null() {
                rd::rd_kafka_conf_destroy(conf);
                return Err(failed(text(reason.as_ptr())));
            }
            Ok(Self { handle, destroy_flags: 0 })
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
        unsafe { rd::rd_kafka_destroy_flags(self.handle, self.destroy_flags) }
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

fn error_code(code: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

fn library(action: &str, code: RDKafkaRespErr) -> Result<(), KafkaError> {
    match error_code(code) {
        None => Ok(()),
        Some(code) => Err(KafkaError::Request { action: action.to_owned(), code }),
    }
}
