//! `run.json`: a run's options, its environment, its figures and their verdict.
//!
//! The schema is versioned by [`SCHEMA_VERSION`]. Fields are added freely; removing a field or
//! changing its meaning raises the version. `docs/run.schema.json` is generated from these types.

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
    /// When the schedule starts. Absent until the tool is connected.
    #[serde(default)]
    pub schedule: Option<ScheduleStart>,
    /// Whether the run completed.
    pub status: Status,
    /// Whether the figures are valid. Absent while the run is in progress.
    pub verdict: Option<Verdict>,
    /// Every option in force, defaults included, by long name. Secrets are replaced by `***`.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The services that the run talked to.
    pub services: Vec<ServiceInfo>,
    /// The machine that it ran on.
    pub host: HostInfo,
    /// Versions of components that affect the figures, such as client libraries.
    pub versions: BTreeMap<String, String>,
    /// The figures. Absent while the run is in progress.
    pub summary: Option<Summary>,
    /// Warnings about the figures, one sentence each.
    pub warnings: Vec<String>,
    /// Faults injected by a driver during the run, in chronological order.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
}

/// The instant from which the times of a run are counted. A process on the same host can compare it
/// with its own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleStart {
    /// By the host's monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// The boot that this clock counts from: 24 bits of a hash of the boot id.
    pub boot: u32,
    /// By the wall clock, nanoseconds since 1970.
    pub unix_ns: i64,
}

impl ScheduleStart {
    /// The start of a schedule, with the origin of the clock that it was read from.
    #[must_use]
    pub fn new(start_ns: InstantNs, origin: ClockOrigin) -> Self {
        Self {
            monotonic_ns: start_ns,
            boot: origin.boot.to_hash(),
            unix_ns: origin.wall_offset_ns.saturating_add_unsigned(start_ns),
        }
    }
}

/// A fault that a driver injected into the system or the tool. Times are seconds from the start of
/// the schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// The kind of fault.
    pub action: FaultAction,
    /// Its target: a node of the services, `tool`, a worker of the tool, or a service.
    pub target: String,
    /// Its magnitude, if the action has one: `100ms`, `1MiB/s`.
    pub setting: Option<String>,
    /// When it began. Absent if the run ended earlier.
    pub begin_s: Option<f64>,
    /// When it ended: a killed process is up again, a stopped one continues. Equals the beginning
    /// for instantaneous faults. Absent if it did not end during the run.
    pub end_s: Option<f64>,
    /// Time from the beginning until messages were received (without consumers: confirmed) as
    /// before. 0 if the figures show no disturbance at all.
    pub recovery_s: Option<f64>,
    /// Why there is no recovery time.
    pub unrecovered: Option<String>,
    /// Disturbed intervals after the recovery, up to the next fault or the end.
    pub disturbed_again: u64,
    /// The range of undisturbed intervals.
    pub band: Option<FaultBand>,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultAction {
    /// Kills a process (SIGKILL), or tears a worker down as if it had been killed.
    Kill,
    /// Stops a process for some time (SIGSTOP).
    Stop,
    /// Shuts a process down gracefully (SIGTERM) and starts it again.
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
    /// Action, setting and target: `kill kafka-2`, `latency 100ms kafka`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.setting {
            Some(setting) => format!("{} {setting} {}", self.action, self.target),
            None => format!("{} {}", self.action, self.target),
        }
    }

    /// Whether it was active at some time from `start_s` to `end_s`. A fault without an end stays
    /// active; an instantaneous one belongs to the interval that contains or begins with it.
    #[must_use]
    pub fn is_active(&self, start_s: f64, end_s: f64) -> bool {
        let Some(begin_s) = self.begin_s.filter(|begin_s| *begin_s < end_s) else { return false };
        self.end_s.is_none_or(|over_s| over_s > start_s || begin_s >= start_s)
    }
}

/// The range of the intervals between the warm-up and the first fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultBand {
    /// The latency that was examined.
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

/// The tool that performed the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolInfo {
    /// Name of the binary.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How far the run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The run is in progress, or its process died.
    Running,
    /// The run completed.
    Complete,
    /// The run was interrupted: the figures cover the time until then.
    Incomplete,
    /// The run failed; the warnings say why.
    Failed,
}

/// Whether a run's figures are valid.
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
    /// No message known to be acknowledged was lost, but the record of acknowledged messages is
    /// incomplete: further ones may exist and may be lost.
    Partial,
    /// Loss, corruption, too many unacknowledged messages, or nothing received: the other figures
    /// must not be quoted.
    Invalid,
}

/// A service that the run talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInfo {
    /// Its name: `kafka`, `kinesis`, ...
    pub name: String,
    /// Where it came from.
    pub origin: ServiceOrigin,
    /// Its address.
    pub address: String,
    /// Its version, as far as known.
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

    /// The environment variable with which a driver tells a tool which services to use: with
    /// `embedded`, an adapter takes no server from the environment.
    pub const VARIABLE: &str = "BENCH_SERVICES";

    /// The origin that a driver requests, if there is a driver.
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
    /// Load average over one minute when the run started; shows other work on the machine.
    pub load_average_1m: f64,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How messages were scheduled; determines which latencies exist.
    pub load: LoadModel,
    /// Seconds from the start of the schedule to its end, or to the last message if that was later;
    /// includes the warm-up. For a run that only reads, from the start to the last message.
    pub elapsed_s: f64,
    /// Warm-up excluded from latencies and rates, seconds.
    pub warm_up_s: f64,
    /// The sending side, if this run sent messages.
    pub produced: Option<Produced>,
    /// The receiving side, if this run received messages.
    pub consumed: Option<Consumed>,
    /// Acked minus intended. Open-loop runs only.
    pub publish_latency: Option<LatencySummary>,
    /// Acked minus sent.
    pub service_time: Option<LatencySummary>,
    /// Sent minus intended. Open-loop runs only.
    pub schedule_lag: Option<LatencySummary>,
    /// Received minus intended (closed loop: minus sent).
    pub end_to_end_latency: Option<LatencySummary>,
    /// How the instants of sender and receiver were compared.
    pub end_to_end_clock: Option<ClockComparison>,
    /// Arrived in the stream, by the stream's wall clock, minus intended. Only for streams that
    /// report it.
    #[serde(default)]
    pub arrival_latency: Option<LatencySummary>,
    /// Landed (the write of the row was confirmed) minus intended. Only for runs that end in a
    /// table.
    #[serde(default)]
    pub landing_latency: Option<LatencySummary>,
    /// Landed minus received: the cost of the table. Only for runs that end in a table.
    #[serde(default)]
    pub table_time: Option<LatencySummary>,
    /// What became of the messages, if this run could tell.
    pub audit: Option<AuditSummary>,
    /// Whether the generator kept its own schedule. Only for open-loop runs with measured messages.
    pub self_check: Option<SelfCheck>,
    /// Resources used by this process.
    pub resources: Resources,
    /// System-specific counts by name, such as `records_throttled`; the names depend on the tool.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Durations of the system's own work by name, such as `commit_time`; the names depend on the
    /// tool. Excludes work that ended in the warm-up.
    #[serde(default)]
    pub durations: BTreeMap<String, LatencySummary>,
}

/// How messages were scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadModel {
    /// Messages were due at fixed instants, however slow the system.
    Open,
    /// As fast as possible: the system's own pace determined when a message was sent, so there is
    /// no latency from an intended instant.
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
    /// Messages unacknowledged when the run ended.
    pub unresolved: u64,
    /// Failures by reason.
    pub failures: BTreeMap<String, u64>,
    /// Bytes of the confirmed messages, keys included.
    pub acked_bytes: u64,
    /// Share of due messages that were never acknowledged: unresolved, given up by the client
    /// library (timeouts), or never sent because such messages left no room. Excludes messages that
    /// the system refused. 0 to 1.
    #[serde(default)]
    pub unanswered_share: f64,
    /// The share above which the run is invalid.
    #[serde(default)]
    pub unanswered_max: f64,
    /// Why messages were not acknowledged, if the connection knew: all brokers down, for example.
    #[serde(default)]
    pub outage: Option<String>,
    /// Confirmed messages per second after the warm-up, from the start of the schedule to its end
    /// or to the last confirmation, whichever is later. Null if that time is empty.
    pub rate_msg_per_s: Option<f64>,
    /// Confirmed bytes per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Target rate, messages per second; absent when unpaced.
    pub target_rate_msg_per_s: Option<f64>,
}

/// The receiving side of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Consumed {
    /// Messages received, including repeats, foreign and undecodable ones.
    pub received: u64,
    /// Bytes of the messages received, keys included.
    pub received_bytes: u64,
    /// Of these, messages of the run whose rows were written: a message that must land counts as
    /// received only then. 0 if nothing must land.
    #[serde(default)]
    pub landed: u64,
    /// Messages received (or landed, if they must land) per second after the warm-up. For a run
    /// that only reads, from the start of the wait for the first message to the last message. Null
    /// if that time is empty.
    pub rate_msg_per_s: Option<f64>,
    /// Bytes received per second, likewise.
    pub rate_bytes_per_s: Option<f64>,
    /// Why reading stopped, if it was before everything was read.
    #[serde(default)]
    pub early_stop: Option<EarlyStop>,
    /// Whether there was more to read when reading stopped, as far as the readers could tell.
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
    /// Of the samples, messages that were never acknowledged, counted with the time they waited.
    /// Their latency is at least that.
    #[serde(default)]
    pub unanswered: u64,
    /// The shortest of these waits: percentiles that are not smaller are lower bounds. 0 if there
    /// were none.
    #[serde(default)]
    pub unanswered_min_ns: u64,
    /// Samples below zero, excluded from percentiles: a sign of clocks that disagree.
    pub negative: u64,
    /// The most negative sample; 0 if there was none.
    pub negative_min_ns: i64,
    /// Samples beyond the histogram's range, excluded from percentiles.
    pub beyond_range: u64,
    /// The largest of them; 0 if there was none.
    pub beyond_range_max_ns: u64,
}

impl Produced {
    /// The default of [`Produced::unanswered_max`].
    pub const UNANSWERED_MAX_DEFAULT: f64 = 0.01;
}

impl LatencySummary {
    /// Whether the true value of a percentile of `latency_ns` may be larger because it includes
    /// unacknowledged messages.
    #[must_use]
    pub fn is_lower_bound(&self, latency_ns: u64) -> bool {
        self.unanswered > 0 && latency_ns >= self.unanswered_min_ns
    }
}

/// How the instants of sender and receiver were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockComparison {
    /// Samples on one host, compared by its monotonic clock: no error.
    pub monotonic: u64,
    /// Samples across hosts, compared by the wall clocks: the error is the hosts' clock offset,
    /// which this run did not estimate.
    pub wall: u64,
}

/// What became of the messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditSummary {
    /// What the received messages were compared with.
    pub against: AuditBasis,
    /// Distinct messages of this run that were received.
    pub received: u64,
    /// Acknowledged but not received. With `sequences`: missing between the lowest and the highest
    /// received; with `expected`: the same, or the shortfall from the expected number if larger.
    pub lost: u64,
    /// Like `lost`, for a run that stopped reading before the end: the messages may exist.
    #[serde(default)]
    pub unread: u64,
    /// Why the record of acknowledged messages is incomplete, if it is.
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
    /// Received although never acknowledged (a message that timed out but arrived), excluding those
    /// in `aborted_received`.
    pub unacked_received: u64,
    /// Received although their transaction was aborted.
    #[serde(default)]
    pub aborted_received: u64,
    /// The guarantee given to the readers; violating it makes the run invalid.
    #[serde(default)]
    pub guarantee: Guarantee,
    /// The same by producer.
    pub producers: Vec<ProducerAudit>,
}

/// Why a run stopped reading before it had read everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyStop {
    /// No message arrived for the time after which missing ones count as lost.
    Silence,
    /// The requested number of messages was reached.
    Count,
    /// The time to read was over.
    Deadline,
}

/// What received messages were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditBasis {
    /// The messages that the system acknowledged.
    Acked,
    /// The sequence numbers alone: a loss at either end of a stream goes unnoticed, so gaps are only
    /// a warning.
    Sequences,
    /// The expected number of messages, and the sequence numbers: gaps are a loss.
    Expected,
}

/// The delivery guarantee given to readers. Each includes those before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// Acknowledged messages arrive undamaged.
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
    /// Whether messages were sent on time: the 99th percentile of the schedule lag is below
    /// [`SelfCheck::LAG_P99_MAX_NS`] and every due message was sent.
    pub kept_schedule: bool,
    /// 99th percentile of the schedule lag, nanoseconds.
    pub lag_p99_ns: u64,
    /// Time that producers could not send because too many messages were unacknowledged,
    /// nanoseconds, summed over producers: such lag is the system's, not the generator's.
    pub blocked_ns: u64,
    /// Messages that were due and never sent.
    pub unsent: u64,
}

impl SelfCheck {
    /// The schedule counts as kept if the 99th percentile of the lag is below this: 1 ms.
    pub const LAG_P99_MAX_NS: u64 = 1_000_000;
}

/// Resources used by a process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Processor time of all threads during the run, seconds.
    pub cpu_s: f64,
    /// Processor time per message sent or received, microseconds.
    pub cpu_us_per_message: Option<f64>,
    /// Largest resident memory, bytes; 0 if the system does not report it.
    pub memory_max_bytes: u64,
}
