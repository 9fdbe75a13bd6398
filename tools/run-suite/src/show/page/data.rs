//! The data behind a page, for other programs: the figures of cells and of runs, and the intervals of runs.

use bench_cli::report;
use bench_record::file_names;
use bench_record::files::read_file;
use bench_report::DataFile;

use super::told::left_by;
use crate::show::summary::{CellSummary, ExperimentSummary, RunSummary, SuiteSummary, ToolSummary};

/// The most that the intervals of all runs may add to a page, bytes.
const INTERVALS_BYTES_MAX: usize = 1_000_000;

/// The files that a reader can save.
pub(super) fn files(suite: &SuiteSummary) -> Vec<DataFile> {
    let file = |name: &str, about: &str, text| DataFile {
        name: name.to_owned(),
        about: about.to_owned(),
        text,
    };
    let mut files = vec![
        file("figures.csv", "All figures of all cells.", suite.csv()),
        file("runs.csv", "All figures of each run.", runs(suite)),
    ];
    files.extend(intervals(suite));
    files
}

/// What one of the tools of a run left.
struct Left<'a> {
    experiment: &'a ExperimentSummary,
    cell: &'a CellSummary,
    run: &'a RunSummary,
    tool: &'a ToolSummary,
}

fn left(suite: &SuiteSummary) -> impl Iterator<Item = Left<'_>> {
    suite.experiments.iter().flat_map(|experiment| {
        experiment.cells.iter().flat_map(move |cell| {
            cell.runs.iter().flat_map(move |run| {
                run.tools().map(move |tool| Left { experiment, cell, run, tool })
            })
        })
    })
}

fn runs(suite: &SuiteSummary) -> String {
    let mut rows = Vec::new();
    for Left { experiment, cell, run, tool } in left(suite) {
        let Some((_, document)) = left_by(tool) else { continue };
        let (repeat, is_valid) = (run.repeat.to_string(), run.is_valid().to_string());
        rows.push((vec![experiment.name.clone(), cell.label.clone(), repeat, is_valid], document));
    }
    report::csv_after(&["experiment", "cell", "repeat", "valid"], &rows)
}

/// The intervals of each run, as they lie in its folder, as far as they fit.
fn intervals(suite: &SuiteSummary) -> Vec<DataFile> {
    let mut room = INTERVALS_BYTES_MAX;
    let file = |it: Left<'_>| {
        let text = read_file(&it.tool.folder.join(file_names::INTERVALS)).ok()?;
        let text = String::from_utf8(text).ok()?;
        let place = it.tool.folder.strip_prefix(&it.experiment.folder).unwrap_or(&it.tool.folder);
        let name = format!("{}/{}/{}", it.experiment.name, place.display(), file_names::INTERVALS);
        let about = format!(
            "Intervals of {}, {}, repeat {}.",
            it.experiment.name, it.cell.label, it.run.repeat
        );
        Some(DataFile { name: name.replace("//", "/").replace('/', "-"), about, text })
    };
    let fits = |file: &DataFile| {
        room = room.saturating_sub(file.text.len());
        room > 0
    };
    left(suite).filter_map(file).take_while(fits).collect()
}
