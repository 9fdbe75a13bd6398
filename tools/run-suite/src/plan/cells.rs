//! The cells of an experiment, and the order of their runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bench_cli::UsageError;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::file::experiment::{Case, Experiment};
use crate::file::form::Order;
use crate::file::options::{OptionValue, Options};
use crate::file::owner::Owner;

/// The most runs (cells times repeats) of one experiment.
pub(crate) const RUNS_MAX: usize = 10_000;

/// One point of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Name of its case, when that has one.
    pub(crate) name: Option<String>,
    /// What sets the cell apart from the others, in words.
    pub(crate) label: String,
    /// All options of the tool.
    pub(crate) options: Options,
    /// All options of the tool that comes after it.
    #[serde(default)]
    pub(crate) then: Options,
    /// Settings of services, and what is not an option at all, under their names among all options.
    #[serde(default)]
    pub(crate) settings: Options,
}

/// One run of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedRun {
    /// Index of the cell in [`Plan::cells`].
    pub(crate) cell: usize,
    /// 1 for the first run of the cell.
    pub(crate) repeat: u32,
}

impl Cell {
    /// The value of an option as tables show it; `None` leaves it to the tool.
    pub(crate) fn value(&self, option: &str) -> Option<String> {
        let (options, name) = match Owner::of(option) {
            (Owner::Tool, own) => (&self.options, own),
            (Owner::Then, own) => (&self.then, own),
            (Owner::Service(_) | Owner::Environment | Owner::Build, _) => (&self.settings, option),
        };
        options.iter().find(|(known, _)| known == name).map(|(_, value)| value.shown())
    }
}

impl Cell {
    /// The variables that it sets for its tools.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.texts_of(&Owner::Environment).collect()
    }

    /// Another build of a tool.
    pub(crate) fn build(&self, tool: &str) -> Option<PathBuf> {
        let mut builds = self.texts_of(&Owner::Build);
        builds.find(|(name, _)| name == tool).map(|(_, path)| path.into())
    }

    /// The settings of services alone.
    pub(crate) fn service_settings(&self) -> Options {
        let is_service = |name: &str| matches!(Owner::of(name).0, Owner::Service(_));
        self.settings.iter().filter(|(name, _)| is_service(name)).cloned().collect()
    }

    fn texts_of(&self, owner: &Owner) -> impl Iterator<Item = (String, String)> {
        owner
            .own(&self.settings)
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.single().ok()?)))
    }
}

/// Each case at each point of the matrix; without cases the points, without either one cell.
pub(super) fn cells(experiment: &Experiment) -> Result<Vec<Cell>, UsageError> {
    let whole = Case { name: None, options: Options::new() };
    let cases =
        if experiment.cases.is_empty() { std::slice::from_ref(&whole) } else { &experiment.cases };
    let points = points(&experiment.matrix)?;
    if cases.len().saturating_mul(points.len()) > RUNS_MAX {
        return Err(too_many_runs());
    }
    let mut labels = BTreeSet::new();
    let mut cells = Vec::with_capacity(cases.len() * points.len());
    for case in cases {
        for point in &points {
            let cell = cell(experiment, case, point);
            if !labels.insert(cell.label.clone()) {
                return Err(UsageError::new(
                    "[[case]] and [matrix]",
                    format!("two cells are called `{}`", cell.label),
                    "name each case and each swept value once",
                ));
            }
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// The combinations of the swept values; the last option varies fastest.
fn points(matrix: &[(String, Vec<OptionValue>)]) -> Result<Vec<Options>, UsageError> {
    let mut points = vec![Options::new()];
    for (name, values) in matrix {
        if points.len().saturating_mul(values.len()) > RUNS_MAX {
            return Err(too_many_runs());
        }
        points = points
            .iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((name.clone(), value.clone()));
                    point
                })
            })
            .collect();
    }
    Ok(points)
}

fn cell(experiment: &Experiment, case: &Case, point: &Options) -> Cell {
    let mut all = experiment.options.clone();
    for (name, value) in case.options.iter().chain(point) {
        match all.iter_mut().find(|(option, _)| option == name) {
            Some((_, fixed)) => *fixed = value.clone(),
            None => all.push((name.clone(), value.clone())),
        }
    }
    Cell {
        name: case.name.clone(),
        label: label(&experiment.name, case, point),
        options: Owner::Tool.own(&all),
        then: Owner::Then.own(&all),
        settings: all
            .into_iter()
            .filter(|(name, _)| !matches!(Owner::of(name).0, Owner::Tool | Owner::Then))
            .collect(),
    }
}

/// The name of the case, or else its options, then the point of the matrix; an experiment of one
/// cell gives it its own name.
fn label(experiment: &str, case: &Case, point: &Options) -> String {
    let own = if case.name.is_some() { &[] } else { case.options.as_slice() };
    let words: Vec<String> = case
        .name
        .iter()
        .cloned()
        .chain(own.iter().chain(point).map(|(name, value)| format!("{name}={}", value.shown())))
        .collect();
    if words.is_empty() { experiment.to_owned() } else { words.join(" ") }
}

/// The options of all cases, then those of the matrix.
pub(super) fn columns(experiment: &Experiment) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let cases = experiment.cases.iter().flat_map(|case| &case.options).map(|(name, _)| name);
    for name in cases.chain(experiment.matrix.iter().map(|(name, _)| name)) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

/// The runs in their order, of which `seed` draws the part that is left to chance.
pub(super) fn runs(
    cells: usize,
    repeats: u32,
    order: Order,
    seed: u32,
) -> Result<Vec<PlannedRun>, UsageError> {
    if cells.saturating_mul(repeats as usize) > RUNS_MAX {
        return Err(too_many_runs());
    }
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(u64::from(seed));
    Ok(match order {
        Order::Blocks => (1..=repeats)
            .flat_map(|repeat| {
                let mut block: Vec<PlannedRun> =
                    (0..cells).map(|cell| PlannedRun { cell, repeat }).collect();
                block.shuffle(&mut chance);
                block
            })
            .collect(),
        Order::Interleaved => (1..=repeats)
            .flat_map(|repeat| (0..cells).map(move |cell| PlannedRun { cell, repeat }))
            .collect(),
        Order::Grouped => (0..cells)
            .flat_map(|cell| (1..=repeats).map(move |repeat| PlannedRun { cell, repeat }))
            .collect(),
    })
}

/// The error of a sweep that is too large.
pub(super) fn too_many_runs() -> UsageError {
    let problem = format!("more than {RUNS_MAX} runs");
    UsageError::new("[[case]], [matrix] and `repeats`", problem, "sweep less, or split the file")
}
