//! `run-suite noise`: one cell of an experiment twice, to see how much equal runs differ.

use bench_cli::UsageError;

use super::cells::{Cell, runs};
use super::experiment_plan::Plan;
use crate::file::form::Order;
use crate::file::gate::Gates;

/// The names of the two cells.
const LABELS: [&str; 2] = ["A", "A again"];

/// Makes a plan of so many blocks, each of which runs the cell at `number`, from 1, twice.
pub(crate) fn noise_plan(
    plan: Plan,
    name: String,
    number: usize,
    repeats: u32,
) -> Result<Plan, UsageError> {
    let cell = number.checked_sub(1).and_then(|index| plan.cells.get(index));
    let Some(cell) = cell.cloned() else {
        let problem = format!("{number} is not one of its {} cells", plan.cells.len());
        return Err(UsageError::new(
            "--cell",
            problem,
            "`run-suite run FILE --dry-run` lists them",
        ));
    };
    let seed = plan.seed.unwrap_or_default();
    Ok(Plan {
        question: format!("How much do equal runs of {} differ?", cell.label),
        name,
        columns: Vec::new(),
        cells: LABELS
            .map(|label| Cell {
                name: Some(label.to_owned()),
                label: label.to_owned(),
                ..cell.clone()
            })
            .into(),
        runs: runs(LABELS.len(), repeats, Order::Blocks, seed)?,
        seed: Some(seed),
        enough: None,
        gates: Gates::default(),
        ..plan
    })
}
