//! Faults: what is done to the services, or to the tool, in the course of a run.
//!
//! What became of them is entered into the run's
//! result folder by [`bench_core::results::mark_faults`].

use std::fmt::{self, Display, Formatter};

use bench_cli::quantity::duration_ns;
use bench_core::results::{FaultAction, FaultRecord};
use serde::{Deserialize, Serialize};

use super::fault_section::consumer_number;

/// The tool, as a target.
pub(super) const TOOL: &str = "tool";

/// The option of a tool by which a consumer is lost: `NUMBER@TIME[+TIME]`.
pub(crate) const KILL_CONSUMER: &str = "kill-consumer";

/// Something that is done in every run of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// When, nanoseconds after the start of the schedule.
    pub(crate) at_ns: u64,
    /// What.
    pub(crate) deed: Deed,
    /// To what: `kafka-1`, `kafka` for all of its nodes, `tool`, `consumer-1`.
    pub(crate) target: String,
    /// How much, as the file says it.
    pub(crate) setting: Option<String>,
    /// After so long it is undone, nanoseconds. Otherwise it is undone after the run, or there is
    /// nothing to undo.
    pub(crate) lasts_ns: Option<u64>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Deed {
    /// SIGKILL to a node; undone by starting it.
    Kill,
    /// The tool tears a consumer down as if its process had been killed; undone by a new one.
    KillConsumer,
    /// SIGSTOP to a node; undone by SIGCONT.
    Stop,
    /// SIGSTOP to the tool; undone by SIGCONT.
    StopTool,
    /// SIGTERM to a node, which is started again when it has ended.
    Restart,
    /// So many nanoseconds more for each round trip through a proxy.
    Latency(u64),
    /// So many bytes a second through a proxy, on each way.
    Bandwidth(u64),
    /// RST to all connections of a proxy.
    Reset,
}

impl Deed {
    /// What the results call it.
    pub(crate) fn action(self) -> FaultAction {
        match self {
            Self::Kill | Self::KillConsumer => FaultAction::Kill,
            Self::Stop | Self::StopTool => FaultAction::Stop,
            Self::Restart => FaultAction::Restart,
            Self::Latency(_) => FaultAction::Latency,
            Self::Bandwidth(_) => FaultAction::Bandwidth,
            Self::Reset => FaultAction::Reset,
        }
    }

    /// Whether it needs services that this project has started.
    pub(crate) fn needs_local(self) -> bool {
        !matches!(self, Self::KillConsumer | Self::StopTool)
    }

    /// Whether it needs a proxy between the tool and the service.
    pub(crate) fn needs_network(self) -> bool {
        matches!(self, Self::Latency(_) | Self::Bandwidth(_) | Self::Reset)
    }
}

impl Fault {
    /// What the results say of it before it is carried out.
    pub(crate) fn record(&self) -> FaultRecord {
        FaultRecord {
            action: self.deed.action(),
            target: self.target.clone(),
            setting: self.setting.clone(),
            begin_s: None,
            end_s: None,
            recovery_s: None,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        }
    }

    pub(crate) fn end_ns(&self) -> Option<u64> {
        Some(self.at_ns.saturating_add(self.lasts_ns?))
    }

    /// The number of the consumer that it kills.
    fn consumer(&self) -> Option<u32> {
        (self.deed == Deed::KillConsumer).then(|| consumer_number(&self.target)).flatten()
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.record().name(), duration_ns(self.at_ns))?;
        match (self.deed, self.lasts_ns) {
            (Deed::Kill | Deed::KillConsumer, Some(ns)) => {
                write!(f, ", started again {} later", duration_ns(ns))
            }
            (_, Some(ns)) => write!(f, " for {}", duration_ns(ns)),
            (_, None) => Ok(()),
        }
    }
}

/// What shows that a run whose results hold these records did not have all of its faults.
pub(crate) fn unrecorded(faults: &[Fault], records: &[FaultRecord]) -> Option<String> {
    faults.iter().enumerate().find_map(|(index, fault)| {
        let name = fault.record().name();
        match records.get(index).filter(|record| record.name() == name) {
            None => Some(format!("its results do not say that {name} was done")),
            Some(record) if record.begin_s.is_none() => {
                Some(format!("the run ended before {name}"))
            }
            Some(_) => None,
        }
    })
}

/// The values of [`KILL_CONSUMER`] by which a tool carries out its share of the faults.
pub(crate) fn kill_consumer_values(faults: &[Fault]) -> Vec<String> {
    let value = |fault: &Fault| {
        let number = fault.consumer()?;
        let again = fault.lasts_ns.map(|ns| format!("+{}", exact_time(ns))).unwrap_or_default();
        Some(format!("{number}@{}{again}", exact_time(fault.at_ns)))
    };
    faults.iter().filter_map(value).collect()
}

/// Whether the tool reaches its servers through proxies.
pub(crate) fn need_network(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| fault.deed.needs_network())
}

/// A time as options take it, exactly.
fn exact_time(ns: u64) -> String {
    let (ms, rest_ns) = (ns / 1_000_000, ns % 1_000_000);
    match (ms % 1000, rest_ns) {
        (0, 0) => format!("{}s", ms / 1000),
        (_, 0) => format!("{ms}ms"),
        _ => format!("{ns}ns"),
    }
}
