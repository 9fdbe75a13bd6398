//! The files of a run, read with suspicion: a file may be gone, cut short or swapped, or be a pipe or a
//! folder.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use bench_core::system::{cause, shortened_lines};
use bench_record::files::read_file;
use bench_record::{RunDocument, SCHEMA_VERSION, file_names, protocol};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::plan::cells::PlannedRun;
use crate::plan::experiment_plan::Plan;

/// A file that cannot be read, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// What was attempted on which file, and why it failed.
    problem: String,
    /// Whether it does not exist.
    pub(crate) is_missing: bool,
}

/// The files of one run.
#[derive(Debug)]
pub(crate) struct RunFiles {
    pub(crate) first: ToolFiles,
    /// That of the second tool, where the experiment has one.
    pub(crate) then: Option<ToolFiles>,
}

/// The files of one tool of a run.
#[derive(Debug)]
pub(crate) struct ToolFiles {
    /// Its result folder.
    pub(crate) dir: PathBuf,
    pub(crate) document: Result<RunDocument, Unreadable>,
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    fn unread(path: &Path, error: &io::Error) -> Self {
        Self {
            problem: format!("failed to read {}: {}", path.display(), cause(error)),
            is_missing: error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn misunderstood(path: &Path, reason: &str) -> Self {
        let problem = format!("failed to understand {}: {reason}", path.display());
        let problem = shortened_lines(&problem).into_owned();
        Self { problem, is_missing: false }
    }
}

impl RunFiles {
    /// Reads the files of a run of the experiment in `dir`. `run_ids` are those of its tools, as far as
    /// they were recorded.
    pub(crate) fn read(dir: &Path, plan: &Plan, run: PlannedRun, run_ids: &[String]) -> Self {
        let run_dir = dir.join(plan.run_folder(run));
        let place = plan.run_folder(run);
        let then_dir = plan.then_dir(&run_dir).zip(plan.then_dir(Path::new(&place)));
        let then = plan.then.as_ref().zip(then_dir);
        Self {
            then: then.map(|(call, (dir, place))| {
                ToolFiles::read(dir, &call.tool, &place, run_ids.get(1))
            }),
            first: ToolFiles::read(run_dir, &plan.tool, Path::new(&place), run_ids.first()),
        }
    }

    /// Those of its tools, in their order.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &ToolFiles> {
        std::iter::once(&self.first).chain(&self.then)
    }

    /// Whether the first file that cannot be read does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        let unreadable = self.tools().find_map(|tool| tool.document.as_ref().err());
        unreadable.is_some_and(|unreadable| unreadable.is_missing)
    }

    /// The run ids of the tools, up to the first without a document.
    pub(crate) fn run_ids(&self) -> Vec<String> {
        let document = |tool: &ToolFiles| Some(tool.document.as_ref().ok()?.run_id.clone());
        self.tools().map_while(document).collect()
    }
}

impl ToolFiles {
    /// Reads the files of `tool` in `dir`, which ends with `place`.
    pub(crate) fn read(dir: PathBuf, tool: &str, place: &Path, run_id: Option<&String>) -> Self {
        let document = read_document(&dir).and_then(|document| {
            match foreign(&document, tool, place, run_id) {
                Some(reason) => Err(Unreadable::misunderstood(&document_path(&dir), &reason)),
                None => Ok(document),
            }
        });
        Self { dir, document }
    }

    /// Where its document is, or should be.
    pub(crate) fn document_path(&self) -> PathBuf {
        document_path(&self.dir)
    }
}

/// Returns why a document does not belong to the run in whose folder it is, if it does not.
fn foreign(
    document: &RunDocument,
    tool: &str,
    place: &Path,
    run_id: Option<&String>,
) -> Option<String> {
    if document.tool.name != tool {
        return Some(format!("it is a result of {}, not of {tool}", document.tool.name));
    }
    if let Some(own) = run_id.filter(|own| **own != document.run_id) {
        return Some(format!("it is of run {}, and the run here was {own}", document.run_id));
    }
    let made_in = document.options.get(protocol::RUN_DIR).and_then(serde_json::Value::as_str)?;
    (!Path::new(made_in).ends_with(place)).then(|| format!("it is of the run in {made_in}"))
}

fn document_path(run_dir: &Path) -> PathBuf {
    run_dir.join(file_names::DOCUMENT)
}

/// Reads the `run.json` of a run.
pub(crate) fn read_document(run_dir: &Path) -> Result<RunDocument, Unreadable> {
    read_json(&document_path(run_dir), SCHEMA_VERSION)
}

/// Reads a file of JSON with a schema version of at most `version_max`.
pub(crate) fn read_json<T: DeserializeOwned>(
    path: &Path,
    version_max: u32,
) -> Result<T, Unreadable> {
    let text = read_file(path).map_err(|error| Unreadable::unread(path, &error))?;
    let damaged = |error: serde_json::Error| {
        let reason = match error.classify() {
            _ if text.trim_ascii().is_empty() => "it is empty".to_owned(),
            Category::Eof => format!("it is cut short: {error}"),
            _ => error.to_string(),
        };
        Unreadable::misunderstood(path, &reason)
    };
    let Version { schema_version: version } = serde_json::from_slice(&text).map_err(damaged)?;
    if !(1..=version_max).contains(&version) {
        let reason = format!(
            "it has schema version {version}, this run-suite knows {version_max}; use the \
             run-suite that wrote it"
        );
        return Err(Unreadable::misunderstood(path, &reason));
    }
    serde_json::from_slice(&text).map_err(damaged)
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}
