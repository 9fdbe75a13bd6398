//! The figures of an experiment, from its folder alone: each cell's runs, and their medians.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_core::results::{FaultRecord, LoadModel, RunDocument, ServiceOrigin, Summary};
use serde::Serialize;

use crate::folder::{State, read_document};
use crate::plan::Plan;
use crate::verdict::RunStatus;

/// Version of the JSON form of [`SuiteSummary`].
const SCHEMA_VERSION: u32 = 1;

/// One or more experiments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SuiteSummary {
    schema_version: u32,
    pub(crate) experiments: Vec<ExperimentSummary>,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ExperimentSummary {
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) tool: String,
    /// Where its folder is.
    pub(crate) folder: PathBuf,
    /// When the folder was made, RFC 3339 in UTC.
    pub(crate) created_at: String,
    /// Whether every run has come to an end of its own.
    pub(crate) finished: bool,
    /// Runs of each cell.
    pub(crate) repeats: u32,
    /// Options that differ between the cells.
    pub(crate) columns: Vec<String>,
    pub(crate) cells: Vec<CellSummary>,
}

/// One cell. Its medians are those of its valid runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct CellSummary {
    /// Name of its case, when that has one.
    pub(crate) name: Option<String>,
    /// What sets it apart from the others.
    pub(crate) label: String,
    /// Its values of [`ExperimentSummary::columns`]; absent where the tool's default holds.
    pub(crate) values: Vec<Option<String>>,
    /// Runs that came to their end and lost nothing.
    pub(crate) valid_runs: usize,
    /// Messages received a second; messages acknowledged where none are received.
    pub(crate) throughput_msg_per_s: Option<Spread<f64>>,
    /// The same in bytes.
    pub(crate) throughput_bytes_per_s: Option<Spread<f64>>,
    /// Median end-to-end latency of each run.
    pub(crate) end_to_end_p50_ns: Option<Spread<u64>>,
    /// 99th percentile of the end-to-end latency of each run.
    pub(crate) end_to_end_p99_ns: Option<Spread<u64>>,
    /// The longest recovery from a fault of each run; absent when a valid run has not recovered from
    /// all of its faults.
    pub(crate) recovery_s: Option<Spread<f64>>,
    pub(crate) runs: Vec<RunSummary>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RunSummary {
    pub(crate) repeat: u32,
    /// Its result folder.
    pub(crate) folder: PathBuf,
    pub(crate) status: RunStatus,
    /// The tool's exit code.
    pub(crate) exit_code: Option<i32>,
    /// Why the run does not count.
    pub(crate) problem: Option<String>,
    /// Where its services came from.
    pub(crate) origins: Vec<ServiceOrigin>,
    /// What the reader must know about its figures.
    pub(crate) warnings: Vec<String>,
    /// What was done in its course.
    pub(crate) faults: Vec<FaultRecord>,
    /// All of its figures, also those of a run that does not count.
    pub(crate) figures: Option<Summary>,
}

/// The values of one figure in the repeats of a cell. All three were measured: of an even number of
/// values, the median is the worse of the two in the middle, not their mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread<T> {
    pub(crate) median: T,
    pub(crate) min: T,
    pub(crate) max: T,
}

/// Which values are the worse ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worse {
    Low,
    High,
}

impl SuiteSummary {
    /// Reads the experiments in `folders`.
    pub(crate) fn read(folders: &[PathBuf]) -> Result<Self> {
        let experiments = folders
            .iter()
            .map(|folder| {
                let state = State::load(folder)?;
                Ok(ExperimentSummary::new(folder, &state, |run_dir| read_document(run_dir).ok()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { schema_version: SCHEMA_VERSION, experiments })
    }

    /// The JSON form.
    pub(crate) fn json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).context("failed to write the summary")?;
        Ok(json + "\n")
    }

    /// The CSV form: a line a cell, with the options that differ between cells. What does not exist
    /// is empty.
    pub(crate) fn csv(&self) -> Result<String> {
        let mut columns: Vec<&str> = Vec::new();
        for column in self.experiments.iter().flat_map(|experiment| &experiment.columns) {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(csv_header(&columns))?;
        for experiment in &self.experiments {
            for cell in &experiment.cells {
                csv.write_record(csv_record(experiment, cell, &columns))?;
            }
        }
        let bytes = csv.into_inner().context("failed to write the summary")?;
        Ok(String::from_utf8(bytes)?)
    }

    /// The status of every run.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = RunStatus> {
        self.runs().map(|run| run.status)
    }

    /// Every run, cell by cell.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &RunSummary> {
        let cells = self.experiments.iter().flat_map(|experiment| &experiment.cells);
        cells.flat_map(|cell| &cell.runs)
    }
}

impl ExperimentSummary {
    /// Summarises an experiment; `document` gives what a run has left in its folder.
    fn new(folder: &Path, state: &State, document: impl Fn(&Path) -> Option<RunDocument>) -> Self {
        let plan = &state.plan;
        let cells = (0..plan.cells.len())
            .map(|cell| {
                let mut runs: Vec<RunSummary> = plan
                    .runs
                    .iter()
                    .zip(&state.runs)
                    .filter(|(planned, _)| planned.cell == cell)
                    .map(|(planned, run)| {
                        let folder = folder.join(plan.run_folder(*planned));
                        let document = document(&folder);
                        RunSummary {
                            repeat: planned.repeat,
                            folder,
                            status: run.status,
                            exit_code: run.exit_code,
                            problem: run.problem.clone(),
                            origins: origins(document.as_ref()),
                            warnings: document
                                .as_ref()
                                .map(|document| document.warnings.clone())
                                .unwrap_or_default(),
                            faults: document
                                .as_ref()
                                .map(|document| document.faults.clone())
                                .unwrap_or_default(),
                            figures: document.and_then(|document| document.summary),
                        }
                    })
                    .collect();
                runs.sort_by_key(|run| run.repeat);
                CellSummary::new(plan, cell, runs)
            })
            .collect();
        Self {
            name: plan.name.clone(),
            question: plan.question.clone(),
            tool: plan.tool.clone(),
            folder: folder.to_path_buf(),
            created_at: state.created_at.clone(),
            finished: state.is_finished(),
            repeats: plan.repeats(),
            columns: plan.columns.clone(),
            cells,
        }
    }
}

impl CellSummary {
    fn new(plan: &Plan, cell: usize, runs: Vec<RunSummary>) -> Self {
        let valid = || {
            let runs = runs.iter().filter(|run| run.status == RunStatus::Complete);
            runs.filter_map(|run| run.figures.as_ref())
        };
        let latencies = || valid().filter_map(|figures| figures.end_to_end_latency.as_ref());
        let (low, high) = (Worse::Low, Worse::High);
        let definition = &plan.cells[cell];
        Self {
            name: definition.name.clone(),
            label: definition.label.clone(),
            values: plan.columns.iter().map(|column| definition.value(column)).collect(),
            valid_runs: runs.iter().filter(|run| run.status == RunStatus::Complete).count(),
            throughput_msg_per_s: Spread::of(valid().filter_map(throughput_msg_per_s), low),
            throughput_bytes_per_s: Spread::of(valid().filter_map(throughput_bytes_per_s), low),
            end_to_end_p50_ns: Spread::of(latencies().map(|latency| latency.p50_ns), high),
            end_to_end_p99_ns: Spread::of(latencies().map(|latency| latency.p99_ns), high),
            recovery_s: recovery_s(&runs),
            runs,
        }
    }
}

impl RunSummary {
    /// Whether the system's own pace decided when messages were sent.
    pub(crate) fn is_closed_loop(&self) -> bool {
        self.figures.as_ref().is_some_and(|figures| figures.load == LoadModel::Closed)
    }
}

impl<T: PartialOrd + Copy> Spread<T> {
    fn of(values: impl Iterator<Item = T>, worse: Worse) -> Option<Self> {
        let mut values: Vec<T> = values.collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let middle = match worse {
            Worse::Low => values.len().saturating_sub(1) / 2,
            Worse::High => values.len() / 2,
        };
        Some(Self { median: *values.get(middle)?, min: *values.first()?, max: *values.last()? })
    }
}

/// The longest recoveries of the valid runs. A run that has not recovered would be the worst value,
/// and leaving it out would flatter the others.
fn recovery_s(runs: &[RunSummary]) -> Option<Spread<f64>> {
    let valid = runs.iter().filter(|run| run.status == RunStatus::Complete);
    let longest = |run: &RunSummary| {
        let recoveries: Option<Vec<f64>> =
            run.faults.iter().map(|fault| fault.recovery_s).collect();
        recoveries?.into_iter().reduce(f64::max)
    };
    let longest: Option<Vec<f64>> = valid.map(longest).collect();
    Spread::of(longest?.into_iter(), Worse::High)
}

/// Messages received a second; messages acknowledged where the run received none.
pub(crate) fn throughput_msg_per_s(figures: &Summary) -> Option<f64> {
    let received = figures.consumed.as_ref().map(|consumed| consumed.rate_msg_per_s);
    received.or_else(|| figures.produced.as_ref().map(|produced| produced.rate_msg_per_s))
}

/// Bytes received a second; bytes acknowledged where the run received none.
pub(crate) fn throughput_bytes_per_s(figures: &Summary) -> Option<f64> {
    let received = figures.consumed.as_ref().map(|consumed| consumed.rate_bytes_per_s);
    received.or_else(|| figures.produced.as_ref().map(|produced| produced.rate_bytes_per_s))
}

fn origins(document: Option<&RunDocument>) -> Vec<ServiceOrigin> {
    let services = document.into_iter().flat_map(|document| &document.services);
    services.map(|service| service.origin).collect()
}

fn csv_header(columns: &[&str]) -> Vec<String> {
    let mut header = vec!["experiment".to_owned(), "cell".to_owned()];
    header.extend(columns.iter().map(|&column| column.to_owned()));
    header.extend(["runs".to_owned(), "valid_runs".to_owned()]);
    for figure in [
        "throughput_msg_per_s",
        "throughput_bytes_per_s",
        "end_to_end_p50_ns",
        "end_to_end_p99_ns",
        "recovery_s",
    ] {
        header.extend(["median", "min", "max"].map(|which| format!("{figure}_{which}")));
    }
    header
}

fn csv_record(experiment: &ExperimentSummary, cell: &CellSummary, columns: &[&str]) -> Vec<String> {
    fn spread<T: ToString>(spread: Option<&Spread<T>>) -> [String; 3] {
        spread.map_or_else(Default::default, |spread| {
            [spread.median.to_string(), spread.min.to_string(), spread.max.to_string()]
        })
    }
    let value = |column: &&str| {
        let index = experiment.columns.iter().position(|own| own == column);
        index.and_then(|index| cell.values[index].clone()).unwrap_or_default()
    };
    let mut record = vec![experiment.name.clone(), cell.label.clone()];
    record.extend(columns.iter().map(value));
    record.extend([cell.runs.len().to_string(), cell.valid_runs.to_string()]);
    record.extend(spread(cell.throughput_msg_per_s.as_ref()));
    record.extend(spread(cell.throughput_bytes_per_s.as_ref()));
    record.extend(spread(cell.end_to_end_p50_ns.as_ref()));
    record.extend(spread(cell.end_to_end_p99_ns.as_ref()));
    record.extend(spread(cell.recovery_s.as_ref()));
    record
}

#[cfg(test)]
mod tests {
    use bench_core::results::FaultAction;

    use super::*;

    fn run(recoveries: &[Option<f64>]) -> RunSummary {
        let fault = |recovery_s: &Option<f64>| FaultRecord {
            action: FaultAction::Kill,
            target: "kafka-1".to_owned(),
            setting: None,
            begin_s: Some(1.0),
            end_s: None,
            recovery_s: *recovery_s,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        };
        RunSummary {
            repeat: 1,
            folder: PathBuf::new(),
            status: RunStatus::Complete,
            exit_code: Some(0),
            problem: None,
            origins: Vec::new(),
            warnings: Vec::new(),
            faults: recoveries.iter().map(fault).collect(),
            figures: None,
        }
    }

    #[test]
    fn a_recovery_is_the_longest_of_a_run_and_none_when_one_has_none() {
        let both = [run(&[Some(2.0), Some(3.0)]), run(&[Some(1.0), Some(0.0)])];
        assert_eq!(recovery_s(&both), Some(Spread { median: 3.0, min: 1.0, max: 3.0 }));
        assert_eq!(recovery_s(&[run(&[Some(2.0), None]), run(&[Some(1.0)])]), None);
        assert_eq!(recovery_s(&[run(&[])]), None);
    }

    #[test]
    fn a_median_is_a_value_that_was_measured_the_worse_of_two() {
        let of = |values: &[u64], worse| {
            Spread::of(values.iter().copied(), worse).map(|spread| spread.median)
        };
        assert_eq!(of(&[], Worse::High), None);
        assert_eq!(of(&[7], Worse::Low), Some(7));
        assert_eq!(of(&[30, 10, 20], Worse::Low), Some(20));
        assert_eq!(of(&[30, 10, 20], Worse::High), Some(20));
        assert_eq!(of(&[40, 10, 30, 20], Worse::Low), Some(20));
        assert_eq!(of(&[40, 10, 30, 20], Worse::High), Some(30));
        let spread = Spread::of([3.0, 1.0, 2.0].into_iter(), Worse::Low).expect("values");
        assert!(spread == Spread { median: 2.0, min: 1.0, max: 3.0 });
    }
}
