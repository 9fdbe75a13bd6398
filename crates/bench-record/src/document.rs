//! `run.json`: the options of a run, where it ran, what it measured, and the verdict.
//!
//! The schema is versioned by [`SCHEMA_VERSION`]. Fields are added freely; removing a field or
//! changing its meaning raises the version. `docs/run.schema.json` is generated from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::faults::FaultRecord;
use crate::services::ServiceInfo;
use crate::summary::Summary;

/// Version of the result folder that this code writes; it reads version 1 as well. `docs/results.md`
/// lists the differences.
pub const SCHEMA_VERSION: u32 = 2;

/// One run of one tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// Version of the schema of the result folder.
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
    /// How far the run got.
    pub status: Status,
    /// Whether the figures count. Absent while the run goes on.
    pub verdict: Option<Verdict>,
    /// Every option in force, defaults included, by long name. Secrets are replaced by `***`.
    pub options: BTreeMap<String, serde_json::Value>,
    /// The services that the run used.
    pub services: Vec<ServiceInfo>,
    /// The machine that it ran on.
    pub host: HostInfo,
    /// Versions of components that affect the figures, such as client libraries.
    pub versions: BTreeMap<String, String>,
    /// Settings of the system as it reported them when the run began, by name: `topic
    /// min.insync.replicas`. Without secrets.
    #[serde(default)]
    pub settings_in_force: BTreeMap<String, String>,
    /// The figures. Absent while the run is in progress.
    pub summary: Option<Summary>,
    /// What a reader of the figures must know, one sentence each.
    pub warnings: Vec<String>,
    /// Faults that a driver injected during the run, in order of time.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
}

/// The instant from which the times of a run are counted. Processes on the same host can compare it
/// with their own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleStart {
    /// By the host's monotonic clock, nanoseconds.
    pub monotonic_ns: u64,
    /// The boot that this clock counts from: 24 bits of a hash of the boot id.
    pub boot: u32,
    /// By the wall clock, nanoseconds since 1970.
    pub unix_ns: i64,
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
    /// The run is still going, or its process died.
    Running,
    /// The run completed.
    Complete,
    /// The run was interrupted: the figures cover what was done before that.
    Incomplete,
    /// The run failed; the warnings say why.
    Failed,
}

/// Whether a run's figures count, and why not.
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
    /// No acknowledged message was lost, and none arrived corrupt.
    Valid,
    /// No message known to be acknowledged was lost, but the record of acknowledged messages is
    /// incomplete: others may be lost.
    Partial,
    /// Messages were lost or corrupt, too many were never answered, or none was received: do not quote
    /// the other figures.
    Invalid,
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
    /// Processors available to this process.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Load average over one minute at the start of the run, which shows other work on the machine.
    pub load_average_1m: f64,
    /// Settings that change how fast it is, by name, as far as the system tells: `smt`, `governor`,
    /// `turbo`, `clock_source`, `clock_synchronized`, `cpu_limit`, `memory_limit`, and `file_system`, that
    /// of the result folder.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}
