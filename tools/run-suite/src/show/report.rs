//! What is told of experiments, and where: the summary on standard output, and the page beside the
//! results.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use bench_cli::{OutputFormat, output, place_of_file, place_of_folder};
use bench_record::files::replace_file;
use bench_report::{Draftsman, Picture};
use clap::{Args, ValueEnum};

use super::gates::{GateArgs, tell_github, write_junit};
use super::page::page;
use super::summary::SuiteSummary;
use super::text;
use crate::run::folder::experiments_in;
use crate::run::metrics::SuiteMetrics;

/// The name of the page.
const PAGE: &str = "report.html";

pub(crate) const JUNIT: &str = "Write the verdicts of runs and gates as JUnit XML";

/// Options of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders of experiments or runs, or folders that hold experiments
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,

    /// What to make: by default a summary on standard output, and the page
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<ReportFormat>,

    #[command(flatten)]
    page: PageArgs,

    /// Leave out runs with which something was wrong, such as a warm-up that was too short
    #[arg(long)]
    exclude_flagged: bool,

    #[command(flatten)]
    gates: GateArgs,

    #[arg(long, value_name = "FILE", help = JUNIT, value_parser = place_of_file())]
    junit: Option<PathBuf>,
}

/// Options of the page.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PageArgs {
    /// Where the page goes, instead of report.html in the folder
    #[arg(long, value_name = "FILE", value_parser = place_of_file())]
    html: Option<PathBuf>,

    /// Open the page in a browser
    #[arg(long)]
    open: bool,

    /// Folder for the charts of the page as SVG files, and as PNG files if built with `--features png`
    #[arg(long, value_name = "DIR", value_parser = place_of_folder())]
    plots: Option<PathBuf>,

    /// Add what others have published, in a table of its own
    #[arg(long)]
    references: bool,
}

/// What a report is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// A summary on standard output
    Text,
    /// The page, and nothing on standard output but its path
    Html,
    /// The page without charts, on standard output
    Markdown,
    /// All figures on standard output
    Json,
    /// The figures of each cell on standard output
    Csv,
}

/// Whether there is to be a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageWish {
    /// It must be written.
    Asked,
    /// It is written if it can be: results may lie where nothing can be written.
    Usual,
    /// Only an option for it makes one.
    Unasked,
}

/// What is told of an experiment, and where.
#[derive(Debug, Default)]
pub(crate) struct Telling<'a> {
    pub(crate) junit: Option<&'a Path>,
    pub(crate) page: PageArgs,
    /// Where the figures are served meanwhile.
    pub(crate) metrics: Option<SuiteMetrics>,
}

impl ReportArgs {
    /// Makes the report.
    pub(crate) fn report(&self, format: OutputFormat) -> Result<SuiteSummary> {
        let mut folders = Vec::new();
        for dir in &self.dirs {
            folders.extend(experiments_in(dir)?);
        }
        let summary = SuiteSummary::read(&folders, &self.gates, self.exclude_flagged)?;
        warn_of_unreadable(&summary);
        let place = self.page.place(&self.dirs, &folders);
        match self.format {
            None => print(&summary, format)?,
            Some(ReportFormat::Text) => print(&summary, OutputFormat::Human)?,
            Some(ReportFormat::Json) => print(&summary, OutputFormat::Json)?,
            Some(ReportFormat::Csv) => print(&summary, OutputFormat::Csv)?,
            Some(ReportFormat::Markdown) => {
                output::print_text(&page(&summary, self.page.references)?.markdown())?;
            }
            Some(ReportFormat::Html) => {}
        }
        let wish = match self.format {
            Some(ReportFormat::Html) => PageWish::Asked,
            None if format == OutputFormat::Human => PageWish::Usual,
            _ => PageWish::Unasked,
        };
        tell_others(&summary, self.junit.as_deref())?;
        if self.page.write(&summary, &place, wish)? {
            match wish {
                PageWish::Asked => output::print_text(&format!("{}\n", place.display()))?,
                PageWish::Usual => tell_place(&place)?,
                PageWish::Unasked => {}
            }
        }
        Ok(summary)
    }
}

/// Tells of the experiments in `dir` that have just been run.
pub(crate) fn tell(
    dir: &Path,
    telling: &Telling<'_>,
    format: OutputFormat,
) -> Result<SuiteSummary> {
    let folders = experiments_in(dir)?;
    let summary = SuiteSummary::read(&folders, &GateArgs::default(), false)?;
    warn_of_unreadable(&summary);
    print(&summary, format)?;
    tell_others(&summary, telling.junit)?;
    let place = telling.page.place(&[dir.to_path_buf()], &folders);
    if telling.page.write(&summary, &place, PageWish::Usual)? && format == OutputFormat::Human {
        tell_place(&place)?;
    }
    Ok(summary)
}

fn warn_of_unreadable(summary: &SuiteSummary) {
    for experiment in &summary.unreadable {
        tracing::warn!("{}", experiment.problem);
    }
}

fn print(summary: &SuiteSummary, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Human => text::human(summary),
        OutputFormat::Json => summary.json()?,
        OutputFormat::Csv => summary.csv(),
    };
    Ok(output::print_result(format, &text)?)
}

fn tell_others(summary: &SuiteSummary, junit: Option<&Path>) -> Result<()> {
    if let Some(junit) = junit {
        write_junit(summary, junit)?;
    }
    tell_github(summary)
}

impl PageArgs {
    /// Where the page goes: into the folder of an experiment, for several into the one that holds them, or
    /// else into the working folder.
    fn place(&self, dirs: &[PathBuf], experiments: &[PathBuf]) -> PathBuf {
        match (&self.html, experiments, dirs) {
            (Some(file), _, _) => file.clone(),
            (None, [folder], _) | (None, _, [folder]) => folder.join(PAGE),
            _ => PathBuf::from(PAGE),
        }
    }

    /// Writes the page and the pictures of its charts; returns whether there is a page.
    fn write(&self, summary: &SuiteSummary, place: &Path, wish: PageWish) -> Result<bool> {
        let wish = if self.html.is_some() || self.open { PageWish::Asked } else { wish };
        if wish == PageWish::Unasked && self.plots.is_none() {
            return Ok(false);
        }
        let page = page(summary, self.references)?;
        let Some(folder) = &self.plots else { return self.write_page(place, &page.html(), wish) };
        let pictures = Draftsman::new()?.pictures(&page)?;
        let is_written = self.write_page(place, &page.html_with(&pictures), wish)?;
        write_plots(&pictures, folder)?;
        Ok(is_written)
    }

    fn write_page(&self, place: &Path, html: &str, wish: PageWish) -> Result<bool> {
        if wish == PageWish::Unasked {
            return Ok(false);
        }
        let written = replace_file(place, |file| file.write_all(html.as_bytes()))
            .with_context(|| format!("failed to write {}: use another --html", place.display()));
        match written {
            Ok(()) if self.open => open(place),
            Ok(()) => {}
            Err(error) if wish == PageWish::Usual => {
                tracing::warn!("{error:#}");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

fn tell_place(page: &Path) -> Result<()> {
    Ok(output::print_text(&format!("\nreport:\n  {}\n", page.display()))?)
}

/// Writes each picture to a file of its own.
fn write_plots(pictures: &[Picture], folder: &Path) -> Result<()> {
    let failed = |path: &Path| format!("failed to write {}: use another --plots", path.display());
    std::fs::create_dir_all(folder).with_context(|| failed(folder))?;
    let write = |name: &str, ending: &str, bytes: &[u8]| {
        let path = folder.join(format!("{name}.{ending}"));
        let written = replace_file(&path, |file| file.write_all(bytes));
        written.with_context(|| failed(&path))
    };
    #[cfg(feature = "png")]
    let raster = bench_report::Raster::new()?;
    for picture in pictures {
        write(&picture.name, "svg", picture.svg.as_bytes())?;
        #[cfg(feature = "png")]
        write(&picture.name, "png", &raster.png(picture)?)?;
    }
    Ok(())
}

/// Opens a file with the desktop's program for it, which goes on by itself.
fn open(path: &Path) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(program)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        tracing::warn!("failed to start {program}: {error}; open {} yourself", path.display());
    }
}
