//! The figures of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::AuditSummary;
use crate::latency::{LatencyKind, LatencySummary};

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How messages were scheduled; decides which latencies exist.
    pub load: LoadModel,
    /// From the start of the schedule to its end, or to the last message if that came later; warm-up
    /// included. Of a run that only reads, from the start to the last message. Seconds.
    pub elapsed_s: f64,
    /// Warm-up left out of latencies and rates, seconds.
    pub warm_up_s: f64,
    /// The sending side, when this run sent.
    pub produced: Option<Produced>,
    /// The receiving side, when this run received.
    pub consumed: Option<Consumed>,
    /// Acked less intended. Open-loop runs only.
    pub publish_latency: Option<LatencySummary>,
    /// Acked less sent.
    pub service_time: Option<LatencySummary>,
    /// Sent less intended. Open-loop runs only.
    pub schedule_lag: Option<LatencySummary>,
    /// Received less intended (closed loop: less sent).
    pub end_to_end_latency: Option<LatencySummary>,
    /// How the instants of sender and receiver were compared.
    pub end_to_end_clock: Option<ClockComparison>,
    /// Arrived in the stream, by the stream's wall clock, less intended. Streams that tell only.
    #[serde(default)]
    pub arrival_latency: Option<LatencySummary>,
    /// Landed (the write of the row was confirmed) less intended. Runs that end in a table only.
    #[serde(default)]
    pub landing_latency: Option<LatencySummary>,
    /// Landed less received: what the table costs. Runs that end in a table only.
    #[serde(default)]
    pub table_time: Option<LatencySummary>,
    /// What became of the messages, when this run could tell.
    pub audit: Option<AuditSummary>,
    /// Whether the generator kept its own schedule. Open-loop runs only, and of these only runs of
    /// which a message was measured.
    pub self_check: Option<SelfCheck>,
    /// What this process used.
    pub resources: Resources,
    /// Counts of the system's own by name, such as `records_throttled`: which there are depends on
    /// the tool.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// How long the system's own work took, by name, such as `commit_time`: which there are depends
    /// on the tool. What ended in the warm-up is left out.
    #[serde(default)]
    pub durations: BTreeMap<String, LatencySummary>,
}

impl Summary {
    /// One of its latencies; absent without a sample.
    #[must_use]
    pub fn latency(&self, kind: LatencyKind) -> Option<&LatencySummary> {
        match kind {
            LatencyKind::Publish => self.publish_latency.as_ref(),
            LatencyKind::ServiceTime => self.service_time.as_ref(),
            LatencyKind::EndToEnd => self.end_to_end_latency.as_ref(),
            LatencyKind::Arrival => self.arrival_latency.as_ref(),
            LatencyKind::Landing => self.landing_latency.as_ref(),
            LatencyKind::TableTime => self.table_time.as_ref(),
            LatencyKind::ScheduleLag => self.schedule_lag.as_ref(),
        }
    }
}

/// How messages were scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadModel {
    /// Messages were due at fixed instants, however slow the system.
    Open,
    /// As fast as possible: the system's own pace decided when a message was sent, so that no
    /// latency from an intended instant exists.
    Closed,
    /// This run sent nothing.
    None,
}

/// The sending side of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Produced {
    /// Messages handed to the client library.
    pub sent: u64,
    /// Messages that the system confirmed.
    pub acked: u64,
    /// Messages that it refused, or that timed out.
    pub failed: u64,
    /// Messages without an answer when the run ended.
    pub unresolved: u64,
    /// Failures by reason.
    pub failures: BTreeMap<String, u64>,
    /// Bytes of the confirmed messages, keys included.
    pub acked_bytes: u64,
    /// Share of the messages due that got no answer: unresolved, given up by the client library
    /// (timeouts), or never sent for want of room behind such messages. A refusal is an answer. 0 to
    /// 1.
    #[serde(default)]
    pub unanswered_share: f64,
    /// The share above which the run is invalid.
    #[serde(default)]
    pub unanswered_max: f64,
    /// Why messages had no answer, if the connection knew: all brokers down, say.
    #[serde(default)]
    pub outage: Option<String>,
    /// Confirmed messages per second, warm-up left out, from the start of the schedule to its end or
    /// to the last confirmation, whichever is later. Null where there is no such time.
    pub rate_msg_per_s: Option<f64>,
    /// Confirmed bytes per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Rate that was asked for, messages a second; absent when unpaced.
    pub target_rate_msg_per_s: Option<f64>,
}

/// The receiving side of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consumed {
    /// Messages received, repeats, foreign and undecodable ones included.
    pub received: u64,
    /// Bytes of the messages received, keys included.
    pub received_bytes: u64,
    /// Of these, messages of the run whose rows were written: a message that is to land counts as
    /// received only then. 0 where nothing is to land.
    #[serde(default)]
    pub landed: u64,
    /// Messages received (where they are to land: landed) per second, warm-up left out. Of a run that
    /// only reads, over the time from when the first message was waited for to the last message.
    /// Null where there is no time that holds the messages.
    pub rate_msg_per_s: Option<f64>,
    /// Bytes received per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Why reading stopped, where it was not for having read everything.
    #[serde(default)]
    pub early_stop: Option<EarlyStop>,
    /// Whether there was more to read when it stopped, as far as the readers could tell.
    #[serde(default)]
    pub is_behind: bool,
}

/// Why a run stopped reading, where it was not for having read everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStop {
    /// Nothing had come for the time after which missing messages count as lost.
    Silence,
    /// As many messages had come as were asked for.
    Count,
    /// The time to read was over.
    Deadline,
}

impl Produced {
    /// The default of [`Produced::unanswered_max`].
    pub const UNANSWERED_MAX_DEFAULT: f64 = 0.01;
}

/// How the instants of sender and receiver were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockComparison {
    /// Samples of one host, compared by its monotonic clock: no error.
    pub monotonic: u64,
    /// Samples across hosts, compared by the wall clocks: the error is the hosts' clock offset,
    /// which this run did not estimate.
    pub wall: u64,
}

/// Whether the generator kept its own schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCheck {
    /// Whether the messages left in time: the 99th percentile of the schedule lag below
    /// [`SelfCheck::LAG_P99_MAX_NS`] and every due message sent.
    pub kept_schedule: bool,
    /// 99th percentile of the schedule lag, nanoseconds.
    pub lag_p99_ns: u64,
    /// Time that producers could not send because too much was unanswered, nanoseconds, summed
    /// over the producers: lag of that kind is the system's, not the generator's.
    pub blocked_ns: u64,
    /// Messages that were due and never sent.
    pub unsent: u64,
}

impl SelfCheck {
    /// The schedule counts as kept below this 99th percentile of the lag: 1 ms.
    pub const LAG_P99_MAX_NS: u64 = 1_000_000;
}

/// What a process used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Processor time of all threads during the run, seconds.
    pub cpu_s: f64,
    /// Processor time a message sent or received, microseconds.
    pub cpu_us_per_message: Option<f64>,
    /// Largest resident memory, bytes; 0 where the system does not tell.
    pub memory_max_bytes: u64,
}
