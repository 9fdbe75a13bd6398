//! `run-suite history`: the same cells over many folders in the order of time, and where they changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use bench_cli::output::{csv_table, versioned_json};
use bench_cli::quantity::parse_share;
use bench_cli::{Align, OutputFormat, UsageError, table};
use bench_stats::steps;
use clap::Args;
use serde::Serialize;

use super::percent;
use crate::file::figure::Figure;
use crate::run::comparison::side::{Side, cells_of};
use crate::run::folder::{State, experiments_in};
use crate::run::key_figures::bound;

/// Version of the JSON form.
const SCHEMA_VERSION: u32 = 1;

/// Options of the history.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Folders of experiments, or folders that hold some
    #[arg(required = true)]
    dirs: Vec<PathBuf>,

    /// Figure to follow, instead of those of the experiments; several times for several
    #[arg(long, value_name = "FIGURE")]
    figure: Vec<String>,

    /// Changes below this share are not reported
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = parse_share)]
    margin: f64,
}

/// The course of figures over experiments.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct History {
    series: Vec<Series>,
}

/// One figure of one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Series {
    experiment: String,
    cell: String,
    figure: Figure,
    points: Vec<Point>,
}

/// The figure in one experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Point {
    /// When the experiment was made, RFC 3339 in UTC.
    created_at: String,
    folder: PathBuf,
    /// The value of each valid run, in the order of repeats.
    values: Vec<f64>,
    /// Whether a value may be larger in truth, because messages without an answer are in it.
    is_lower_bound: bool,
    /// The change from the level before, if it changed here: 0.1 for 10 % more.
    change: Option<f64>,
}

/// An experiment with its cells.
struct Made {
    folder: PathBuf,
    state: State,
    cells: Vec<Side>,
}

impl HistoryArgs {
    /// The history in a format.
    pub(crate) fn text(&self, format: OutputFormat) -> Result<String> {
        let history = self.history()?;
        Ok(match format {
            OutputFormat::Human => history.human(),
            OutputFormat::Json => versioned_json(SCHEMA_VERSION, &history)?,
            OutputFormat::Csv => history.csv(),
        })
    }

    fn history(&self) -> Result<History> {
        let figures = self.figure.iter().map(|name| Figure::parse("--figure", name));
        let figures: Vec<Figure> = figures.collect::<Result<_, UsageError>>()?;
        let mut made = Vec::new();
        for dir in &self.dirs {
            for folder in experiments_in(dir)? {
                let state = State::load(&folder)?;
                let cells = cells_of(&folder, state.clone());
                made.push(Made { folder, state, cells });
            }
        }
        made.sort_by(|a, b| a.state.created_at.cmp(&b.state.created_at));
        let mut series: Vec<Series> = Vec::new();
        for made in &made {
            made.add_to(&mut series, &figures);
        }
        for series in &mut series {
            series.mark_changes(self.margin);
        }
        Ok(History { series })
    }
}

impl Made {
    /// Adds a point to the series of each cell and figure.
    fn add_to(&self, all: &mut Vec<Series>, figures: &[Figure]) {
        for cell in &self.cells {
            let own = if figures.is_empty() { cell.primary() } else { figures.to_vec() };
            for figure in own {
                let point = Point {
                    created_at: self.state.created_at.clone(),
                    folder: self.folder.clone(),
                    is_lower_bound: cell.measured(&figure).iter().any(|it| it.is_lower_bound),
                    values: cell.values(&figure),
                    change: None,
                };
                let name = &self.state.plan.name;
                let known = all.iter_mut().find(|series| {
                    series.experiment == *name
                        && series.cell == cell.label()
                        && series.figure == figure
                });
                match known {
                    Some(series) => series.points.push(point),
                    None => all.push(Series {
                        experiment: name.clone(),
                        cell: cell.label().to_owned(),
                        figure,
                        points: vec![point],
                    }),
                }
            }
        }
    }
}

impl Series {
    /// Marks the points where the level of all runs changes.
    fn mark_changes(&mut self, margin: f64) {
        let runs: Vec<(usize, f64)> = self
            .points
            .iter()
            .enumerate()
            .flat_map(|(index, point)| point.values.iter().map(move |value| (index, *value)))
            .filter(|(_, value)| *value > 0.0)
            .collect();
        let logs: Vec<f64> = runs.iter().map(|(_, value)| value.ln()).collect();
        for step in steps(&logs, margin.ln_1p()) {
            self.points[runs[step.at].0].change = Some((step.after - step.before).exp_m1());
        }
    }

    fn title(&self) -> String {
        format!("{} {} {}", self.experiment, self.cell, self.figure)
    }
}

impl History {
    fn human(&self) -> String {
        let mut text = String::new();
        for series in &self.series {
            let measure = &series.figure.measure;
            let rows: Vec<Vec<String>> = series
                .points
                .iter()
                .map(|point| {
                    let shown = |value: Option<f64>| match value {
                        Some(value) => bound(point.is_lower_bound, measure.show(value)),
                        None => "-".to_owned(),
                    };
                    let least = point.values.iter().copied().min_by(f64::total_cmp);
                    let most = point.values.iter().copied().max_by(f64::total_cmp);
                    let change = point.change.map(|change| {
                        format!(
                            "changed by {}{}",
                            if change > 0.0 { "+" } else { "" },
                            percent(change)
                        )
                    });
                    vec![
                        format!("  {}", point.created_at),
                        shown(measure.middle(&point.values)),
                        format!("{} to {}", shown(least), shown(most)),
                        format!("{} runs", point.values.len()),
                        change.unwrap_or_default(),
                    ]
                })
                .collect();
            let align =
                |column| if column == 0 || column == 4 { Align::Left } else { Align::Right };
            let _ = writeln!(text, "{}\n{}", series.title(), table(&rows, align));
        }
        let changes = self.series.iter().flat_map(|series| &series.points);
        if changes.filter(|point| point.change.is_some()).count() == 0 {
            text.push_str("no change found\n");
        }
        text
    }

    /// A row per experiment and a column per series, as Apache Otava reads it.
    fn csv(&self) -> String {
        let mut header = vec!["time".to_owned(), "folder".to_owned()];
        header.extend(self.series.iter().map(Series::title));
        let points = self.series.iter().flat_map(|series| &series.points);
        let rows: BTreeSet<(&String, &PathBuf)> =
            points.map(|point| (&point.created_at, &point.folder)).collect();
        let rows = rows.into_iter().map(|(created_at, folder)| {
            let mut row = vec![created_at.clone(), folder.display().to_string()];
            row.extend(self.series.iter().map(|series| {
                let point = series.points.iter().find(|point| point.folder == *folder);
                let value = point.and_then(|point| series.figure.measure.middle(&point.values));
                value.map_or_else(String::new, |value| value.to_string())
            }));
            row
        });
        csv_table(header, rows)
    }
}
