//! The part of librdkafka that the hot path uses, and all of this crate's `unsafe` code.
//!
//! The `rdkafka` crate's own producer and consumer handle one message at a time. The batch calls
//! used here, with all measurement, cost less than those without any (`docs/performance.md`): this
//! tool measures the client library rather than itself.

#![expect(unsafe_code, reason = "librdkafka's batch calls have no safe binding; see the module")]

mod alone;
mod consumer;
mod producer;
mod rebalance;
mod record;
mod topics;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::answers::Subject;
use crate::config::KafkaConfig;
use crate::connection_error::ConnectionError;
use crate::error::KafkaError;
use crate::health::{self, Health};
use crate::reading::Reading;

pub(crate) use consumer::{Fetched, Membership, NativeConsumer, PARTITION_EOF};
pub(crate) use producer::{
    DeliveryReport, NativeProducer, Outgoing, ProducerEvent, TransactionError,
};
pub use record::{Record, RecordHeader, RecordTime};
pub(crate) use topics::{TopicRequest, request_topic};

/// State that librdkafka's callbacks report to the owner of a client.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) health: Health,
    reading: Mutex<Reading>,
}

impl Reports {
    fn new(reading: Reading) -> Arc<Self> {
        Arc::new(Self { health: Health::default(), reading: Mutex::new(reading) })
    }

    /// Records an error of the whole client.
    fn take(&self, code: c_int, reason: &str) {
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as c_int {
            self.health.lost_all_brokers();
        } else {
            self.health.record_error(ConnectionError::new(reason));
        }
    }

    /// How far a consumer has read. Do not hold the guard while the consumer is polled.
    pub(crate) fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A librdkafka client.
struct Client {
    handle: *mut rd::rd_kafka_t,
    /// Flags for `rd_kafka_destroy_flags`.
    destroy_flags: c_int,
    /// Whether it has lost its brokers. It is then destroyed in the background, since its threads
    /// may wait for answers until the session times out.
    is_lost: bool,
    reports: Arc<Reports>,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Client {}

impl Client {
    fn new(
        config: &KafkaConfig,
        kind: rd::rd_kafka_type_t,
        events: i32,
        reports: Arc<Reports>,
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
        // it succeeds and leaves it to the caller when it fails; the buffer outlives the call, and
        // the reports outlive the client (see its drop).
        unsafe {
            let conf = rd::rd_kafka_conf_dup(native.ptr());
            rd::rd_kafka_conf_set_log_cb(conf, Some(log));
            rd::rd_kafka_conf_set_error_cb(conf, Some(error));
            rd::rd_kafka_conf_set_opaque(conf, Arc::as_ptr(&reports).cast_mut().cast::<c_void>());
            if matches!(kind, rd::rd_kafka_type_t::RD_KAFKA_CONSUMER) {
                rd::rd_kafka_conf_set_rebalance_cb(conf, Some(rebalance::rebalance));
            }
            rd::rd_kafka_conf_set_events(conf, events);
            let handle = rd::rd_kafka_new(kind, conf, reason.as_mut_ptr(), reason.len());
            if handle.is_null() {
                rd::rd_kafka_conf_destroy(conf);
                return Err(failed(text(reason.as_ptr())));
            }
            Ok(Self { handle, destroy_flags: 0, is_lost: false, reports })
        }
    }

    /// The fatal error of this client, if there is one.
    fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        let mut reason = [0 as c_char; 512];
        // SAFETY: the handle is alive and the buffer outlives the call.
        unsafe {
            let code = rd::rd_kafka_fatal_error(self.handle, reason.as_mut_ptr(), reason.len());
            let code = error_code(code)?;
            tracing::debug!("fatal: {}", text(reason.as_ptr()));
            Some(code)
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (closing, flags) = (ClosingClient(self.handle), self.destroy_flags);
        if !self.is_lost {
            closing.destroy(flags);
            return;
        }
        // Callbacks may run until the process ends, even if no thread can be started.
        std::mem::forget(Arc::clone(&self.reports));
        let end = move || closing.destroy(flags);
        let _ = std::thread::Builder::new().name("client-end".to_owned()).spawn(end);
    }
}

/// A client to be destroyed.
struct ClosingClient(*mut rd::rd_kafka_t);

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for ClosingClient {}

impl ClosingClient {
    fn destroy(self, flags: c_int) {
        // SAFETY: the handle is alive, and nothing made from it is left: every owner of a queue or
        // a topic drops those first.
        unsafe { rd::rd_kafka_destroy_flags(self.0, flags) }
    }
}

/// Records an error of the whole client.
unsafe extern "C" fn error(
    _client: *mut rd::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    reports: *mut c_void,
) {
    // SAFETY: librdkafka passes a string that lives through the call, and its opaque pointer, which
    // outlives the client.
    unsafe { (*reports.cast::<Reports>()).take(code, &text(reason)) }
}

/// Forwards librdkafka's log lines; repeated ones only at debug level.
unsafe extern "C" fn log(
    client: *const rd::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes two strings that live through the call, and a client whose opaque,
    // once it is set, outlives it.
    let (facility, line, reports) = unsafe {
        (text(facility), text(line), rd::rd_kafka_opaque(client).cast::<Reports>().as_ref())
    };
    // Lines begin with the names of the client and its thread.
    let line = line.split_once("]: ").map_or(line.as_str(), |(_, line)| line);
    if facility == "FAIL" {
        let connection_error = ConnectionError::new(line);
        // Retries and other clients of the same brokers repeat these.
        let is_known =
            health::is_outage_logged() || !health::is_news(format!("FAIL {connection_error}"));
        match level {
            _ if is_known => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
            0..=3 => {
                tracing::warn!("no connection to {connection_error}; {}", connection_error.remedy);
            }
            4 => tracing::info!("no connection to {connection_error}; {}", connection_error.remedy),
            _ => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
        }
        if let Some(reports) = reports {
            // Not all of these also arrive as errors.
            reports.health.record_error(connection_error);
        }
        return;
    }
    // Anything that a user can act on also arrives as an error and is explained there.
    if level <= 4 && health::is_news(format!("{facility} {line}")) {
        tracing::info!(target: "librdkafka", "{facility}: {line}");
    } else {
        tracing::debug!(target: "librdkafka", "{facility}: {line}");
    }
}

/// Copies a C string; null becomes empty.
///
/// # Safety
/// `string` is null or points to a string that ends with a zero byte.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: guaranteed by the caller.
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

fn library(action: &str, code: RDKafkaRespErr, subject: &Subject) -> Result<(), KafkaError> {
    match error_code(code) {
        None => Ok(()),
        Some(code) => Err(KafkaError::answer(action, code, subject, None)),
    }
}
