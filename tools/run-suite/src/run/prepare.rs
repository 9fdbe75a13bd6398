//! `[[prepare]]`: files that an experiment needs, made once before its first run.
//!
//! The commands run in the folder `files` of the experiment, one after another. Options name the
//! folder as `{files}`. It appears under its name when all is made, so that a run-suite that was
//! killed half way makes it anew.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench_cli::Shutdown;
use bench_core::system::{create_new, ending};
use serde::{Deserialize, Serialize};

use crate::plan::tool::Tool;
use crate::run::child::{self, Cause, Invocation, ToolProcess};
use crate::run::folder::ExperimentFolder;

/// What stands for the folder in the values of options.
const PLACEHOLDER: &str = "{files}";

const FOLDER: &str = "files";
const UNFINISHED: &str = "files.new";
const LOG: &str = "prepare.log";

/// A tool that makes files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prepare {
    /// The binary.
    pub(crate) tool: String,
    /// All of its arguments.
    pub(crate) arguments: Vec<String>,
}

/// The value of an option in the experiment of this folder.
pub(crate) fn with_files(value: &str, experiment_dir: &Path) -> String {
    value.replace(PLACEHOLDER, &experiment_dir.join(FOLDER).to_string_lossy())
}

/// Makes the files of an experiment, unless they are there, or until a shutdown is requested.
pub(crate) fn make_files(folder: &ExperimentFolder, shutdown: &Shutdown) -> Result<()> {
    let steps = &folder.state().plan.prepare;
    let files = folder.path().join(FOLDER);
    if steps.is_empty() || files.is_dir() {
        return Ok(());
    }
    let unfinished = folder.path().join(UNFINISHED);
    let failed = |path: &Path| format!("failed to make {}", path.display());
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).with_context(|| failed(&unfinished))?;
    }
    fs::create_dir(&unfinished).with_context(|| failed(&unfinished))?;
    let log_path = folder.path().join(LOG);
    let log = create_new(&log_path).with_context(|| failed(&log_path))?;
    let made = steps.iter().try_fold(true, |goes_on, step| {
        Ok::<_, anyhow::Error>(goes_on && run(step, folder, &unfinished, &log, shutdown)?)
    });
    if matches!(made, Ok(true)) {
        return fs::rename(&unfinished, &files).with_context(|| failed(&files));
    }
    // What a failed step has made may show why; half of it is of no use otherwise.
    let _ = match made {
        Ok(_) => fs::remove_dir_all(&unfinished),
        Err(_) => fs::remove_dir(&unfinished),
    };
    made.map(|_| ()).with_context(|| format!("failed to prepare; {} says why", log_path.display()))
}

/// Runs a step to its end in `dir`. Whether it got there: false after an interruption.
fn run(
    step: &Prepare,
    folder: &ExperimentFolder,
    dir: &Path,
    log: &File,
    shutdown: &Shutdown,
) -> Result<bool> {
    let tool = Tool::find(&step.tool)?;
    // Beside run-suite it is named by a path that may be relative, and runs elsewhere.
    let executable: PathBuf = std::path::absolute(tool.executable())
        .with_context(|| format!("failed to find {}", tool.executable().display()))?;
    let log = || log.try_clone().context("failed to write the log");
    let arguments: Vec<OsString> = step.arguments.iter().map(OsString::from).collect();
    let ended = child::run(
        Invocation {
            executable: &executable,
            arguments: &arguments,
            services: folder.state().plan.services,
            environment: Vec::new(),
            current_dir: Some(dir),
            output: Some(log()?),
            log: log()?,
            lock: folder.lock(),
        },
        &ToolProcess::default(),
        Duration::MAX,
        || shutdown.is_requested(),
        |_| (),
    )?;
    if ended.cause == Cause::Interruption {
        return Ok(false);
    }
    let ending = ending(ended.status);
    ensure!(ended.status.success(), "`{}` ended with {ending}", step.command_line());
    Ok(true)
}

impl Prepare {
    /// As a shell would take it.
    pub(crate) fn command_line(&self) -> String {
        let arguments: Vec<OsString> = self.arguments.iter().map(OsString::from).collect();
        crate::plan::tool::command_line(&self.tool, &arguments)
    }
}
