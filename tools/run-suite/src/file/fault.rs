//! Faults: what breaks in a run.

use std::fmt::{self, Display, Formatter};

use bench_cli::quantity::duration_ns;
use bench_record::FaultRecord;
use serde::{Deserialize, Serialize};

/// The tool, as a target.
pub(super) const TOOL: &str = "tool";

/// Something that breaks in every run of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// When, nanoseconds after the start of the schedule.
    pub(crate) at_ns: u64,
    /// What happens.
    #[serde(alias = "deed")]
    pub(crate) action: FaultAction,
    /// What breaks: a node such as `kafka-1`, a service for all of its nodes, `tool`, `consumer-1`.
    pub(crate) target: String,
    /// How much, as the file has it.
    pub(crate) setting: Option<String>,
    /// Time after which it is undone, nanoseconds. Without one it is undone after the run, if there is
    /// anything to undo.
    pub(crate) lasts_ns: Option<u64>,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultAction {
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
    /// Nanoseconds added to each round trip through a proxy.
    Latency(u64),
    /// Bytes per second through a proxy, in each direction.
    Bandwidth(u64),
    /// RST to all connections of a proxy.
    Reset,
}

impl FaultAction {
    /// Its name in results.
    fn recorded(self) -> bench_record::FaultAction {
        use bench_record::FaultAction;
        match self {
            Self::Kill | Self::KillConsumer => FaultAction::Kill,
            Self::Stop | Self::StopTool => FaultAction::Stop,
            Self::Restart => FaultAction::Restart,
            Self::Latency(_) => FaultAction::Latency,
            Self::Bandwidth(_) => FaultAction::Bandwidth,
            Self::Reset => FaultAction::Reset,
        }
    }

    /// Whether it needs services that run-suite has started.
    pub(crate) fn needs_local(self) -> bool {
        !matches!(self, Self::KillConsumer | Self::StopTool)
    }

    /// Whether it needs a proxy between the tool and the service.
    pub(crate) fn needs_network(self) -> bool {
        matches!(self, Self::Latency(_) | Self::Bandwidth(_) | Self::Reset)
    }
}

impl Fault {
    /// Its entry in the results before it begins.
    pub(crate) fn record(&self) -> FaultRecord {
        FaultRecord {
            action: self.action.recorded(),
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
        (self.action == FaultAction::KillConsumer).then(|| consumer_number(&self.target)).flatten()
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.record().name(), duration_ns(self.at_ns))?;
        match (self.action, self.lasts_ns) {
            (FaultAction::Kill | FaultAction::KillConsumer, Some(ns)) => {
                write!(f, ", started again {} later", duration_ns(ns))
            }
            (_, Some(ns)) => write!(f, " for {}", duration_ns(ns)),
            (_, None) => Ok(()),
        }
    }
}

/// Returns why a run with these records did not have all of its faults, if it did not.
pub(crate) fn unrecorded(faults: &[Fault], records: &[FaultRecord]) -> Option<String> {
    faults.iter().enumerate().find_map(|(index, fault)| {
        let name = fault.record().name();
        match records.get(index).filter(|record| record.name() == name) {
            None => Some(format!("its results have no record of {name}")),
            Some(record) if record.begin_s.is_none() => {
                Some(format!("the run ended before {name}"))
            }
            Some(_) => None,
        }
    })
}

/// The values of the option [`KILL_CONSUMER`](bench_record::protocol::KILL_CONSUMER) for the faults that
/// the tool itself produces.
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
    faults.iter().any(|fault| fault.action.needs_network())
}

/// A time as an option takes it, without rounding.
fn exact_time(ns: u64) -> String {
    let (ms, rest_ns) = (ns / 1_000_000, ns % 1_000_000);
    match (ms % 1000, rest_ns) {
        (0, 0) => format!("{}s", ms / 1000),
        (_, 0) => format!("{ms}ms"),
        _ => format!("{ns}ns"),
    }
}

/// The number in `consumer-3`.
pub(super) fn consumer_number(target: &str) -> Option<u32> {
    target.strip_prefix("consumer-")?.parse().ok().filter(|number| *number > 0)
}
