//! The figures of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::AuditSummary;
use crate::latency::{LatencyKind, LatencySummary};

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How messages were scheduled, which determines the latencies that exist.
    pub load: LoadModel,
    /// Seconds from the start of the schedule to its end, or to the last message if that came later;
    /// warm-up included. For a run that only reads, from the start to the last message.
    pub elapsed_s: f64,
    /// Warm-up excluded from latencies and rates, seconds.
    pub warm_up_s: f64,
    /// The sending side, if this run sent.
    pub produced: Option<Produced>,
    /// The receiving side, if this run received.
    pub consumed: Option<Consumed>,
    /// Acked minus intended. Open-loop runs only.
    pub publish_latency: Option<LatencySummary>,
    /// Acked less sent.
    pub service_time: Option<LatencySummary>,
    /// Sent minus intended. Open-loop runs only.
    pub schedule_lag: Option<LatencySummary>,
    /// Received minus intended (closed loop: minus sent).
    pub end_to_end_latency: Option<LatencySummary>,
    /// How the instants of sender and receiver were compared.
    pub end_to_end_clock: Option<ClockComparison>,
    /// Arrived in the stream, by the stream's wall clock, less intended. Only for streams that report
    /// it.
    #[serde(default)]
    pub arrival_latency: Option<LatencySummary>,
    /// Landed (the write of the row was confirmed) minus intended. Only for runs that end in a
    /// table.
    #[serde(default)]
    pub landing_latency: Option<LatencySummary>,
    /// Landed minus received: the cost of the table. Only for runs that end in a table.
    #[serde(default)]
    pub table_time: Option<LatencySummary>,
    /// What became of the messages, if this run could determine it.
    pub audit: Option<AuditSummary>,
    /// Whether the generator kept its own schedule. Only for open-loop runs that measured a message.
    pub self_check: Option<SelfCheck>,
    /// Resources that this process used.
    pub resources: Resources,
    /// The system's own counts by name, such as `records_throttled`; the names depend on the tool.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Durations of the system's own work by name, such as `commit_time`; the names depend on the tool.
    /// Work that ended in the warm-up is excluded.
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
    /// Messages were due at fixed instants, however slow the system was.
    Open,
    /// As fast as possible: the system's own pace determined when a message was sent, so there are no
    /// latencies from an intended instant.
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
    /// Messages still unanswered when the run ended.
    pub unresolved: u64,
    /// Failures by reason.
    pub failures: BTreeMap<String, u64>,
    /// Bytes of the confirmed messages, keys included.
    pub acked_bytes: u64,
    /// Share of the due messages that were never answered, 0 to 1: unresolved, given up by the client
    /// library (timeouts), or never sent because such messages filled the queue. A refusal is an answer.
    #[serde(default)]
    pub unanswered_share: f64,
    /// The share above which the run is invalid.
    #[serde(default)]
    pub unanswered_max: f64,
    /// Why messages were not answered, if the connection knew: all brokers down, for example.
    #[serde(default)]
    pub outage: Option<String>,
    /// Confirmed messages per second, warm-up excluded, from the start of the schedule to its end or
    /// to the last confirmation, whichever is later. Null if that takes no time.
    pub rate_msg_per_s: Option<f64>,
    /// Confirmed bytes per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Target rate, messages per second; absent when unpaced.
    pub target_rate_msg_per_s: Option<f64>,
}

/// The receiving side of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consumed {
    /// Messages received, including repeated, foreign and undecodable ones.
    pub received: u64,
    /// Bytes of the messages received, keys included.
    pub received_bytes: u64,
    /// Of these, messages of the run whose rows were written: where messages land in a table, one counts
    /// as received only then. 0 elsewhere.
    #[serde(default)]
    pub landed: u64,
    /// Messages received (or landed) per second, warm-up excluded. For a run that only reads, from when
    /// it began to wait for the first message to the last message. Null if that takes no time.
    pub rate_msg_per_s: Option<f64>,
    /// Bytes received per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Why reading stopped before everything was read, if it did.
    #[serde(default)]
    pub early_stop: Option<EarlyStop>,
    /// Whether more was left to read when it stopped, as far as the readers could tell.
    #[serde(default)]
    pub is_behind: bool,
}

/// Why a run stopped reading before everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStop {
    /// Nothing arrived for the time after which missing messages count as lost.
    Silence,
    /// The requested number of messages had arrived.
    Count,
    /// The time limit for reading was reached.
    Deadline,
}

impl Produced {
    /// The default of [`Produced::unanswered_max`].
    pub const UNANSWERED_MAX_DEFAULT: f64 = 0.01;
}

/// How the instants of sender and receiver were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockComparison {
    /// Samples on one host, compared by its monotonic clock: no error.
    pub monotonic: u64,
    /// Samples across hosts, compared by the wall clocks: the error is the offset of the hosts' clocks,
    /// which this run did not estimate.
    pub wall: u64,
}

/// Whether the generator kept its own schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCheck {
    /// Whether messages were sent on time: the 99th percentile of the schedule lag is below
    /// [`SelfCheck::LAG_P99_MAX_NS`], and every due message was sent.
    pub kept_schedule: bool,
    /// 99th percentile of the schedule lag, nanoseconds.
    pub lag_p99_ns: u64,
    /// Nanoseconds in which producers could not send because too many messages were unanswered, summed
    /// over the producers. Such lag is caused by the system, not by the generator.
    pub blocked_ns: u64,
    /// Messages that were due and never sent.
    pub unsent: u64,
}

impl SelfCheck {
    /// The schedule counts as kept if the 99th percentile of the lag is below this: 1 ms.
    pub const LAG_P99_MAX_NS: u64 = 1_000_000;
}

/// Resources that a process used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Processor time of all threads during the run, seconds.
    pub cpu_s: f64,
    /// Processor time per message sent or received, microseconds.
    pub cpu_us_per_message: Option<f64>,
    /// Peak resident memory, bytes; 0 if the system does not report it.
    pub memory_max_bytes: u64,
}
