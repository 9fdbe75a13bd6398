//! `[[prepare]]`: files that an experiment needs, made once before its first run.
//!
//! The commands run in the folder `files` of the experiment, one after another. Options name the
//! folder as `{files}`. It gets its name when all files are made, so that after a run-suite that was
//! killed before, the next one makes them again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench_cli::Shutdown;
use bench_core::system::ending;
use bench_record::files::create_new;

use super::child::{self, Cause, Invocation};
use super::folder::ExperimentFolder;
use crate::file::form::Prepare;
use crate::host::tool_process::ToolProcess;
use crate::plan::experiment_plan::FILES_FOLDER;
use crate::plan::tool::{Tool, command_line};

const UNFINISHED: &str = "files.new";
const LOG: &str = "prepare.log";

/// Makes the files of an experiment, unless they are there, or until a shutdown is requested.
pub(crate) fn make_files(folder: &ExperimentFolder, shutdown: &Shutdown) -> Result<()> {
    let steps = &folder.state().plan.prepare;
    let files = folder.path().join(FILES_FOLDER);
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
    // The files of a failed step may show why; those of an interrupted one are of no use.
    let _ = match made {
        Ok(_) => fs::remove_dir_all(&unfinished),
        Err(_) => fs::remove_dir(&unfinished),
    };
    made.map(|_| ()).with_context(|| format!("failed to prepare; see {}", log_path.display()))
}

/// Runs a step in `dir`. Returns whether it came to its end: false after an interruption.
fn run(
    step: &Prepare,
    folder: &ExperimentFolder,
    dir: &Path,
    log: &File,
    shutdown: &Shutdown,
) -> Result<bool> {
    let tool = Tool::find(&step.tool)?;
    // Its path may be relative, and it runs elsewhere.
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
        |_| shutdown.is_requested().then_some(Cause::Interruption),
        |_| (),
    )?;
    if ended.cause == Cause::Interruption {
        return Ok(false);
    }
    let ending = ending(ended.status);
    ensure!(
        ended.status.success(),
        "`{}` ended with {ending}",
        command_line(&step.tool, &step.arguments)
    );
    Ok(true)
}
