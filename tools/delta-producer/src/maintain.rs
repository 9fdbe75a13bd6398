//! Keeping a table in shape between runs: compaction, and removal of files that it needs no more.

use anyhow::{Context, Result, bail};
use bench_cli::{Exit, OutputFormat, Shutdown, UsageError, Waiting, confirm, output};
use bench_core::counts::Counts;
use bench_delta::maintenance::{self, Optimized, Vacuumed};
use bench_delta::{Access, DeltaError, Lake, Table};
use serde::Serialize;

use crate::options::MaintainArgs;

/// The version of the JSON document. It changes when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// What was done when the user had enough.
const REACHED: &str = "the place of the table was tried";
const OPTIMIZED: &str = "the table was compacted";
const VACUUMED: &str = "files were looked for and removed";

/// What became of the table.
#[derive(Serialize)]
struct Report {
    table: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimized: Option<Compaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vacuumed: Option<Removal>,
}

#[derive(Serialize)]
struct Compaction {
    /// The version that it became; absent where there was nothing to do.
    version: Option<u64>,
    files_removed: u64,
    bytes_removed: u64,
    files_added: u64,
    bytes_added: u64,
}

#[derive(Serialize)]
struct Removal {
    /// Whether the files are still there.
    dry_run: bool,
    files: Vec<String>,
}

/// Does with the table what the command line asks for.
pub(crate) fn maintain(args: &MaintainArgs) -> Result<Exit> {
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let waiting = Waiting::new(&shutdown)?;
    let lake = find(args, &waiting)?;
    let optimized = if args.optimize {
        let optimized = maintenance::optimize(&lake, args.target_file_size);
        let may_be_left = "files that no version names may be left; maintain --vacuum removes them";
        Some(waiting.until(optimized, OPTIMIZED).context(may_be_left)??.into())
    } else {
        None
    };
    let vacuumed = if args.vacuum { Some(vacuum(args, &lake, &waiting)?) } else { None };
    let table = lake.uri().to_owned();
    print(&Report { table, optimized, vacuumed: vacuumed.map(Into::into) }, args.output)?;
    Ok(Exit::Good)
}

/// The table, which is there and is one that this tool may change.
fn find(args: &MaintainArgs, waiting: &Waiting) -> Result<Lake> {
    let Some(place) = args.lake.place(None).map_err(DeltaError::from)? else {
        let problem = "no table is named, and that of an embedded S3 ends with its run";
        return Err(UsageError::new("--lake-path", problem, "name one").into());
    };
    let named = waiting.until(args.lake.reach(place), REACHED)??;
    waiting.until(named.prepare(Access::Read), REACHED)??;
    let lake = named.connect(&Counts::default())?;
    let table = waiting.until(Table::open(&lake), REACHED)??;
    let table = table.ok_or_else(|| DeltaError::NoTable { uri: lake.uri().to_owned() })?;
    if !table.is_ours() && !args.force {
        let problem =
            format!("delta-producer did not create {}, so nothing was changed", lake.uri());
        let remedy = "name another one, or add --force";
        return Err(UsageError::new("--lake-path", problem, remedy).into());
    }
    Ok(lake)
}

/// Removes files that are not needed, after the user has seen how many.
fn vacuum(args: &MaintainArgs, lake: &Lake, waiting: &Waiting) -> Result<Vacuumed> {
    let look = maintenance::vacuum(lake, args.retention, true);
    let found = waiting.until(look, VACUUMED)??;
    if args.dry_run || found.files.is_empty() {
        return Ok(Vacuumed { dry_run: args.dry_run, ..found });
    }
    if !args.yes {
        let text = format!("{}: {} files that it needs no more\n", lake.uri(), found.files.len());
        output::show_plan(&text)?;
        let asking = || confirm("Delete for good?");
        if !waiting.until_done(asking, "it asked, so that no file was removed")?? {
            bail!("not confirmed, so no file was removed");
        }
    }
    let removal = maintenance::vacuum(lake, args.retention, false);
    Ok(waiting.until(removal, VACUUMED)??)
}

impl From<Optimized> for Compaction {
    fn from(optimized: Optimized) -> Self {
        let Optimized { version, files_removed, bytes_removed, files_added, bytes_added } =
            optimized;
        Self { version, files_removed, bytes_removed, files_added, bytes_added }
    }
}

impl From<Vacuumed> for Removal {
    fn from(Vacuumed { files, dry_run }: Vacuumed) -> Self {
        Self { dry_run, files }
    }
}

fn print(report: &Report, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Human => human(report),
        OutputFormat::Json => output::versioned_json(SCHEMA_VERSION, report)?,
        OutputFormat::Csv => csv(report),
    };
    output::print_result(format, &text).context("failed to print the result")
}

fn human(report: &Report) -> String {
    let mut lines = vec![report.table.clone()];
    if let Some(optimized) = &report.optimized {
        lines.push(match optimized.version {
            None => "compacted: nothing to do".to_owned(),
            Some(version) => format!(
                "compacted: {} files of {} became {} of {}, version {version}",
                optimized.files_removed,
                bench_cli::quantity::bytes(optimized.bytes_removed),
                optimized.files_added,
                bench_cli::quantity::bytes(optimized.bytes_added),
            ),
        });
    }
    if let Some(Removal { dry_run, files }) = &report.vacuumed {
        let removed = if *dry_run { "would be removed" } else { "removed" };
        lines.push(format!("vacuumed: {} files {removed}", files.len()));
        lines.extend(files.iter().map(|file| format!("  {file}")));
    }
    lines.join("\n") + "\n"
}

/// A line for each file that was, or would be, removed from the store; one for a compaction.
fn csv(report: &Report) -> String {
    let columns = [
        "operation",
        "version",
        "files_removed",
        "bytes_removed",
        "files_added",
        "bytes_added",
        "file",
    ];
    let mut rows = Vec::new();
    if let Some(optimized) = &report.optimized {
        let Compaction { version, files_removed, bytes_removed, files_added, bytes_added } =
            optimized;
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        let numbers = [files_removed, bytes_removed, files_added, bytes_added];
        let numbers = numbers.into_iter().map(ToString::to_string);
        let cells = ["optimize".to_owned(), version].into_iter().chain(numbers);
        rows.push(cells.chain([String::new()]).collect());
    }
    if let Some(Removal { dry_run, files }) = &report.vacuumed {
        let operation = if *dry_run { "would-remove" } else { "remove" };
        rows.extend(files.iter().map(|file| {
            let mut row = vec![String::new(); columns.len()];
            (row[0], row[6]) = (operation.to_owned(), file.clone());
            row
        }));
    }
    output::csv_table(columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: Option<u64>, dry_run: bool) -> Report {
        let optimized = Optimized {
            version,
            files_removed: 40,
            bytes_removed: 1_200_000,
            files_added: 1,
            bytes_added: 1_100_000,
        };
        let files = vec!["part-1.parquet".to_owned(), "a,b.parquet".to_owned()];
        Report {
            table: "s3://b/t".to_owned(),
            optimized: Some(optimized.into()),
            vacuumed: Some(Vacuumed { files, dry_run }.into()),
        }
    }

    #[test]
    fn people_are_told_what_became_of_the_files() {
        assert_eq!(
            human(&report(Some(41), true)),
            "s3://b/t\n\
             compacted: 40 files of 1.20 MB became 1 of 1.10 MB, version 41\n\
             vacuumed: 2 files would be removed\n  part-1.parquet\n  a,b.parquet\n"
        );
        assert!(human(&report(None, false)).contains("compacted: nothing to do\n"));
        assert!(human(&report(None, false)).contains("vacuumed: 2 files removed\n"));
    }

    #[test]
    fn programs_are_told_the_same() {
        let text = csv(&report(Some(41), false));
        let lines: Vec<_> = text.lines().skip(1).collect();
        let expected = [
            "optimize,41,40,1200000,1,1100000,",
            "remove,,,,,,part-1.parquet",
            "remove,,,,,,\"a,b.parquet\"",
        ];
        assert_eq!(lines, expected);
    }
}
