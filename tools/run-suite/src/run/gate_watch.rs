//! Gates that a run fails while it goes on: it need not come to its end.

use std::path::Path;
use std::time::Duration;

use bench_stats::Bounds;

use super::analysis::{LEVEL, interval_so_far};
use super::early_failure::EarlyFailure;
use super::folder::State;
use super::run_state::RunStatus;
use crate::file::figure::Measure;
use crate::file::gate::{Bound, Gate, Side};

/// The instants at which a run is checked, as shares of its expected time.
const LOOKS: [f64; 3] = [0.25, 0.5, 0.75];

/// Looks at a run that goes on.
pub(super) struct GateWatch<'a> {
    gates: Vec<&'a Gate>,
    run_dir: &'a Path,
    /// The times of the looks to come.
    looks: Vec<Duration>,
}

impl<'a> GateWatch<'a> {
    /// Over the run at `index`, as far as its experiment asks for that. `of_then` if its second tool runs.
    ///
    /// Runs after the first of a cell have none: one that is worse than the others does not fail the gate.
    pub(super) fn new(
        state: &'a State,
        index: usize,
        of_then: bool,
        run_dir: &'a Path,
        expected: Option<Duration>,
    ) -> Self {
        let plan = &state.plan;
        let is_in_cell = |run: &usize| plan.runs[*run].cell == plan.runs[index].cell;
        let is_first = !(0..plan.runs.len())
            .filter(is_in_cell)
            .any(|run| state.runs[run].status == RunStatus::Complete);
        let is_watched = |gate: &&Gate| gate.figure.of_then == of_then && can_fail_early(gate);
        let gates: Vec<&Gate> = if plan.gates.abort && is_first {
            plan.gates.conditions.iter().filter(is_watched).collect()
        } else {
            Vec::new()
        };
        let expected = expected.filter(|_| !gates.is_empty());
        let looks = expected.map(|time| LOOKS.map(|share| time.mul_f64(share)));
        Self { gates, run_dir, looks: looks.into_iter().flatten().collect() }
    }

    /// The gate that the run fails by what it has recorded so far, if it is time for a look.
    pub(super) fn look(&mut self, elapsed: Duration) -> Option<EarlyFailure> {
        let due = self.looks.iter().filter(|look| **look <= elapsed).count();
        if due == 0 {
            return None;
        }
        self.looks.drain(..due);
        self.gates.iter().find_map(|gate| {
            let Bounds { low, high } =
                interval_so_far(self.run_dir, &gate.figure.measure, level())?;
            let is_beyond = !gate.holds(low) && !gate.holds(high);
            is_beyond.then(|| EarlyFailure::new(gate, Bounds { low, high }, elapsed))
        })
    }
}

/// Whether what a run has recorded so far can show that it fails the gate. Latencies may be larger in
/// truth, because some messages have no answer yet.
fn can_fail_early(gate: &Gate) -> bool {
    let may_grow = matches!(gate.figure.measure, Measure::Latency(..));
    matches!(gate.bound, Bound::Value(_)) && !(may_grow && gate.side == Side::Above)
}

/// The level of a look: it is split over all of them and the end of the run, so that looking more often
/// fails no more runs by chance.
fn level() -> f64 {
    1.0 - (1.0 - LEVEL) / (LOOKS.len() + 1) as f64
}
