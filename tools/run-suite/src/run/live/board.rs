//! How far an experiment has come, while one of its runs goes on.

use std::time::Duration;

use bench_cli::live::COLUMNS_MIN;
use bench_record::intervals::IntervalRow;

use super::view;
use crate::run::folder::State;
use crate::run::health::Flag;
use crate::run::run_state::RunStatus;

/// The fewest rows of a terminal with room for cells and the course of the run.
const ROWS_MIN: usize = 16;

/// The runs of an experiment, cell by cell.
#[derive(Debug, Clone)]
pub(in crate::run) struct Board {
    /// The experiment and the run: `[4/9] kafka-rate rate=5k/s repeat 2`.
    pub(super) title: String,
    pub(super) cells: Vec<BoardCell>,
    /// The cell of the run that goes on.
    pub(super) current: usize,
    /// How long the schedules of the runs after this one take, as far as their options tell.
    pub(super) others_take: Duration,
    /// The rate at which the run sends, messages per second.
    pub(super) target_per_s: Option<f64>,
}

/// A cell, with the status of each repeat.
#[derive(Debug, Clone)]
pub(super) struct BoardCell {
    pub(super) label: String,
    pub(super) repeats: Vec<RunStatus>,
}

/// The run that goes on.
pub(in crate::run) struct Now<'a> {
    pub(in crate::run) elapsed: Duration,
    /// How long its schedule takes, if its options tell.
    pub(in crate::run) expected: Option<Duration>,
    pub(in crate::run) rows: &'a [IntervalRow],
    /// What is wrong with the run so far.
    pub(in crate::run) flags: &'a [Flag],
}

impl Board {
    /// At the beginning of the run at `index`.
    pub(in crate::run) fn new(title: String, state: &State, index: usize) -> Self {
        let plan = &state.plan;
        let mut cells: Vec<BoardCell> = plan
            .cells
            .iter()
            .map(|cell| BoardCell { label: cell.label.clone(), repeats: Vec::new() })
            .collect();
        let mut by_repeat: Vec<usize> = (0..plan.runs.len()).collect();
        by_repeat.sort_by_key(|run| plan.runs[*run].repeat);
        for run in by_repeat {
            let status = if run == index { RunStatus::Running } else { state.runs[run].status };
            cells[plan.runs[run].cell].repeats.push(status);
        }
        let is_left = |run: &usize| *run != index && state.runs[*run].status == RunStatus::Pending;
        let left = (0..plan.runs.len()).filter(is_left);
        let others_take = left.filter_map(|run| plan.expected(plan.runs[run])).sum();
        let target_per_s = plan.target_rate_per_s(plan.runs[index]);
        Self { title, cells, current: plan.runs[index].cell, others_take, target_per_s }
    }

    /// What a terminal of this size shows; `None` if it has room for one line only.
    pub(in crate::run) fn lines(
        &self,
        (columns, rows): (usize, usize),
        now: &Now<'_>,
        has_colours: bool,
    ) -> Option<Vec<String>> {
        if columns < COLUMNS_MIN || rows < ROWS_MIN {
            return None;
        }
        Some(view::lines(self, now, columns - 1, rows, has_colours))
    }
}
