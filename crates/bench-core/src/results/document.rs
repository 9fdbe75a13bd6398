//! `run.json`: what a run was asked, where it ran, what it measured and what that is worth.
//!
//! The schema is versioned by [`SCHEMA_VERSION`]. Fields are added freely; a field that changes its
//! meaning or goes away raises the version. `docs/run.schema.json` is generated from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::{ClockOrigin, InstantNs};

/// Version of the `run.json` schema that this code writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// One run of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// Version of this schema.
    pub schema_version: u32,
    /// Name and version of the tool that ran.
    pub tool: ToolInfo,
    /// The run id that its messages carry, ten hexadecimal digits.
    pub run_id: String,
    /// Start of the run, RFC 3339 in UTC.
    pub started_at: String,
    /// When the schedule starts. Absent until the tool is connected and knows it.
    #[serde(default)]
    pub schedule: Option<ScheduleStart>,
    /// Whether the run came to its end.
    pub status: Status,
    /// What the figures are worth. Absent while the run goes on.
    pub verdict: Option<Verdict>,
    /// Every option in force, defaults included, by long name. Secrets are replaced by `***`.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The services that the run talked to.
    pub services: Vec<ServiceInfo>,
    /// The machine that it ran on.
    pub host: HostInfo,
    /// Versions of the parts that matter for the figures (client libraries and the like).
    pub versions: BTreeMap<String, String>,
    /// The figures. Absent while the run goes on.
    pub summary: Option<Summary>,
    /// What the reader must know about the figures, one sentence each.
    pub warnings: Vec<String>,
    /// What a driver did to the system in the course of the run, in the order of time.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
}

/// The instant from which the times of a run are counted. A process of the same host compares it
/// with its own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleStart {
    /// By the host's monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// The boot that this clock counts from: 24 bits of a hash of its id.
    pub boot: u32,
    /// By the wall clock, nanoseconds since 1970.
    pub unix_ns: i64,
}

impl ScheduleStart {
    /// The start of a schedule by the clock that gave the instant.
    #[must_use]
    pub fn new(start_ns: InstantNs, origin: ClockOrigin) -> Self {
        Self {
            monotonic_ns: start_ns,
            boot: origin.boot.to_hash(),
            unix_ns: origin.wall_offset_ns.saturating_add_unsigned(start_ns),
        }
    }
}

/// Something that a driver did to the system, or to the tool, to see what becomes of the messages.
/// Times are seconds from the start of the schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// What was done.
    pub action: FaultAction,
    /// To what: a node of the services, `tool`, a worker of the tool, or a service.
    pub target: String,
    /// How much, for an action that knows more and less: `100ms`, `1MiB/s`.
    pub setting: Option<String>,
    /// When it was done. Absent when the run ended before.
    pub begin_s: Option<f64>,
    /// When it was undone: what was killed is up again, what stood still goes on. The begin for
    /// what takes no time. Absent when it was not undone in the run.
    pub end_s: Option<f64>,
    /// From the begin until messages were received (without consumers: confirmed) as before.
    /// 0 when the figures show no disturbance at all.
    pub recovery_s: Option<f64>,
    /// Why there is no recovery.
    pub unrecovered: Option<String>,
    /// Disturbed intervals after the recovery, up to the next fault or the end.
    pub disturbed_again: u64,
    /// What counted as undisturbed.
    pub band: Option<FaultBand>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// Ends a process without a word (SIGKILL), or tears a worker down as if that had happened.
    Kill,
    /// Has a process stand still for a time (SIGSTOP).
    Stop,
    /// Ends a process in good order (SIGTERM) and starts it again.
    Restart,
    /// Adds latency to connections.
    Latency,
    /// Limits the bandwidth of connections.
    Bandwidth,
    /// Resets all connections.
    Reset,
}

impl std::fmt::Display for FaultAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Latency => "latency",
            Self::Bandwidth => "bandwidth",
            Self::Reset => "reset",
        })
    }
}

impl FaultRecord {
    /// What was done to what: `kill kafka-2`, `latency 100ms kafka`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.setting {
            Some(setting) => format!("{} {setting} {}", self.action, self.target),
            None => format!("{} {}", self.action, self.target),
        }
    }

    /// Whether it was in force at some time from `start_s` to `end_s`. What was not undone stays in
    /// force; what takes no time belongs to the interval that begins with it or holds it.
    #[must_use]
    pub fn is_active(&self, start_s: f64, end_s: f64) -> bool {
        let Some(begin_s) = self.begin_s.filter(|begin_s| *begin_s < end_s) else { return false };
        self.end_s.is_none_or(|over_s| over_s > start_s || begin_s >= start_s)
    }
}

/// The range of the intervals between the warm-up and the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultBand {
    /// The latency that was looked at.
    pub latency: MeasuredLatency,
    /// Number of these intervals.
    pub intervals: u64,
    /// The highest of their 99th percentiles, nanoseconds.
    pub p99_max_ns: u64,
    /// The lowest of their rates of messages received (without consumers: confirmed).
    pub rate_min_msg_per_s: f64,
}

/// The latency by which the intervals of a run are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredLatency {
    /// Where there are consumers.
    EndToEnd,
    /// Where there are none.
    Publish,
    /// Where there is no schedule either.
    ServiceTime,
}

/// The tool that made the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolInfo {
    /// Name of the binary.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How far the run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The run goes on, or its process died.
    Running,
    /// The run came to its end.
    Complete,
    /// The run was interrupted: the figures cover what was done until then.
    Incomplete,
    /// The run could not be carried out; the warnings say why.
    Failed,
}

/// What a run's figures are worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// `valid`, `partial`, or `invalid`.
    pub outcome: VerdictOutcome,
    /// Why the run is not valid, one sentence each; empty for a valid run.
    pub reasons: Vec<String>,
}

/// Whether a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictOutcome {
    /// Nothing acknowledged was lost, nothing arrived corrupt.
    Valid,
    /// Nothing that is known to have been acknowledged was lost, but the record of what was
    /// acknowledged is not whole: there may be more, and it may be lost.
    Partial,
    /// Loss, corruption, more messages without an answer than may be, or nothing received: the other
    /// figures must not be quoted.
    Invalid,
}

/// A service that the run talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInfo {
    /// What it is: `kafka`, `kinesis`, ...
    pub name: String,
    /// Where it came from.
    pub origin: ServiceOrigin,
    /// Its address.
    pub address: String,
    /// Its version, or what is known of it.
    pub version: String,
}

/// Where a service came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceOrigin {
    /// A stand-in on this machine: figures show the client's ceiling on loopback, never the
    /// system's performance.
    Embedded,
    /// The real server, started on this machine by this project.
    Local,
    /// The user's own cluster or account.
    External,
}

impl ServiceOrigin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Local, Self::External];

    /// The environment variable by which a driver tells a tool which services to use: with
    /// `embedded`, an adapter takes no server from the environment.
    pub const VARIABLE: &str = "BENCH_SERVICES";

    /// What a driver asks for, if there is one.
    #[must_use]
    pub fn requested() -> Option<Self> {
        let value = std::env::var(Self::VARIABLE).ok()?;
        Self::ALL.into_iter().find(|origin| origin.to_string() == value)
    }
}

impl std::fmt::Display for ServiceOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Local => "local",
            Self::External => "external",
        })
    }
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    /// Host name.
    pub name: String,
    /// Operating system and release.
    pub os: String,
    /// Processor model.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Load average over one minute when the run started; other work on the machine shows here.
    pub load_average_1m: f64,
}

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

/// A distribution of latencies, nanoseconds, read from an HDR histogram of three significant
/// digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencySummary {
    /// Samples in the distribution.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ns: f64,
    /// Standard deviation.
    pub std_dev_ns: f64,
    /// Smallest sample.
    pub min_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 75th percentile.
    pub p75_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p99_9_ns: u64,
    /// 99.99th percentile.
    pub p99_99_ns: u64,
    /// Largest sample.
    pub max_ns: u64,
    /// Of the samples, messages that got no answer, counted with the time that they had waited. Their
    /// latency is at least that.
    #[serde(default)]
    pub unanswered: u64,
    /// The shortest of these waits: a percentile that is not smaller is a lower bound. 0 when there
    /// was none.
    #[serde(default)]
    pub unanswered_min_ns: u64,
    /// Samples below zero, which no percentile holds: the sign of clocks that disagree.
    pub negative: u64,
    /// The most negative sample; 0 when there was none.
    pub negative_min_ns: i64,
    /// Samples beyond the histogram's range, which the percentiles do not hold.
    pub beyond_range: u64,
    /// The largest of them; 0 when there was none.
    pub beyond_range_max_ns: u64,
}

impl Produced {
    /// The default of [`Produced::unanswered_max`].
    pub const UNANSWERED_MAX_DEFAULT: f64 = 0.01;
}

impl LatencySummary {
    /// Whether the true value of a percentile that reads `latency_ns` may be larger, because messages
    /// without an answer are in it.
    #[must_use]
    pub fn is_lower_bound(&self, latency_ns: u64) -> bool {
        self.unanswered > 0 && latency_ns >= self.unanswered_min_ns
    }
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

/// What became of the messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    /// What the received messages were held against.
    pub against: AuditBasis,
    /// Distinct messages of this run that were received.
    pub received: u64,
    /// Acknowledged and not received. Against `sequences`: missing between the lowest and the
    /// highest received; against `expected` the same, or what the number lacks where that is more.
    pub lost: u64,
    /// The same of a run that stopped reading before the end: they may be there.
    #[serde(default)]
    pub unread: u64,
    /// Why the record of what was acknowledged is not whole, where it is not.
    #[serde(default)]
    pub partial: Option<String>,
    /// Received again.
    pub duplicated: u64,
    /// Received after a later message of the same producer and partition.
    pub reordered: u64,
    /// Not decodable: damaged, or not written by this benchmark.
    pub corrupt: u64,
    /// Of another run.
    pub foreign: u64,
    /// Received although never acknowledged (a time-out whose message arrived all the same); those
    /// of `aborted_received` left out.
    pub unacked_received: u64,
    /// Received although their transaction was aborted.
    #[serde(default)]
    pub aborted_received: u64,
    /// What the readers were promised: more than that makes the run invalid.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// The same by producer.
    pub producers: Vec<ProducerAudit>,
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

/// What received messages were held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditBasis {
    /// The messages that the system acknowledged.
    Acked,
    /// The sequence numbers alone: what is missing at either end of a stream cannot be seen, so
    /// that gaps are a warning and no verdict.
    Sequences,
    /// The number of messages that was to come, and the sequence numbers: gaps are a loss.
    Expected,
}

/// What readers were promised of messages. Each holds what those before it promise.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// What was acknowledged arrives, undamaged.
    #[default]
    AtLeastOnce,
    /// Nothing of an aborted transaction arrives.
    Committed,
    /// Nothing arrives twice.
    ExactlyOnce,
}

/// The audit of one producer's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProducerAudit {
    /// The run that it belongs to.
    pub run_id: String,
    /// Producer id.
    pub producer: u16,
    /// Acknowledged messages; 0 against `sequences`.
    pub acked: u64,
    /// Distinct messages received.
    pub received: u64,
    /// As in [`AuditSummary::lost`].
    pub lost: u64,
    /// As in [`AuditSummary::unread`].
    #[serde(default)]
    pub unread: u64,
    /// As in [`AuditSummary::duplicated`].
    pub duplicated: u64,
    /// As in [`AuditSummary::reordered`].
    pub reordered: u64,
    /// As in [`AuditSummary::unacked_received`].
    pub unacked_received: u64,
    /// As in [`AuditSummary::aborted_received`].
    #[serde(default)]
    pub aborted_received: u64,
    /// The first ranges of lost or unread sequence numbers, `first..=last`, at most ten.
    pub lost_ranges: Vec<(u64, u64)>,
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
