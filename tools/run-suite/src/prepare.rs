//! `[[prepare]]`: files that an experiment needs, made once before its first run.
//!
//! The commands run in the folder `files` of the experiment, one after another. Options name the
//! folder as `{files}`. It appears under its name when all is made, so that a run-suite that was
//! killed half way makes it anew.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::folder::ExperimentFolder;
use crate::tool::Tool;

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

/// Makes the files of an experiment, unless they are there.
pub(crate) fn make_files(folder: &ExperimentFolder) -> Result<()> {
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
    let log = File::create(&log_path).with_context(|| failed(&log_path))?;
    for step in steps {
        run(step, &unfinished, &log)
            .with_context(|| format!("failed to prepare; {} says why", log_path.display()))?;
    }
    fs::rename(&unfinished, &files).with_context(|| failed(&files))
}

fn run(step: &Prepare, dir: &Path, log: &File) -> Result<()> {
    let tool = Tool::find(&step.tool)?;
    // Beside run-suite it is named by a path that may be relative, and runs elsewhere.
    let executable: PathBuf = std::path::absolute(tool.executable())
        .with_context(|| format!("failed to find {}", tool.executable().display()))?;
    let status = Command::new(executable)
        .args(&step.arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("failed to write the log")?)
        .stderr(log.try_clone().context("failed to write the log")?)
        .status()
        .with_context(|| format!("failed to start {}", step.tool))?;
    ensure!(status.success(), "`{}` ended with {status}", step.command_line());
    Ok(())
}

impl Prepare {
    /// As a shell would take it.
    pub(crate) fn command_line(&self) -> String {
        let arguments: Vec<OsString> = self.arguments.iter().map(OsString::from).collect();
        crate::tool::command_line(&self.tool, &arguments)
    }
}
