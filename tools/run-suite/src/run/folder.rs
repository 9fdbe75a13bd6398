//! An experiment's folder: a copy of its file, its state, and a folder for each run.
//!
//! ```text
//! results/kafka-record-size-20261121-083000/
//!   experiment.toml            the experiment file
//!   experiment.json            plan and state, replaced as a whole after every run
//!   files/                     files that the experiment prepares for its runs
//!   run-suite.lock             held while run-suite works on the folder
//!   01-record-size-100/repeat-1/       the tool's result folder
//!   01-record-size-100/repeat-1.log    the tool's standard error
//!   01-record-size-100/repeat-1/then/  the same of the tool that runs after it, with `then.log`
//!   01-record-size-100/repeat-1.aside-1/    the folder of a run that was cut short
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bench_cli::{Interrupted, Shutdown};
use bench_record::files::{create_new, open_lock, replace_file};
use bench_record::{RunDocument, file_names, rfc3339};
use serde::{Deserialize, Serialize};

use super::early_failure::EarlyFailure;
use super::git;
use super::run_files::{RunFiles, read_document, read_json};
use super::run_state::{RunState, RunStatus};
use super::verdict::{Judgement, judge_run};
use crate::plan::experiment_plan::Plan;

/// Version of `experiment.json` that this code writes. It reads older ones, but does not run them.
const SCHEMA_VERSION: u32 = 2;

const FILE: &str = "experiment.toml";
const STATE: &str = "experiment.json";
const LOCK: &str = "run-suite.lock";

/// Time to wait for the tools of a killed run-suite to end. A tool whose server is gone waits half a
/// minute for answers.
const LOCK_WAIT: Duration = Duration::from_secs(45);

/// What `experiment.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    schema_version: u32,
    /// When the folder was made, RFC 3339 in UTC.
    pub(crate) created_at: String,
    /// The commit that was checked out where it was made, if there was one.
    #[serde(default)]
    pub(crate) git_revision: Option<String>,
    /// The plan.
    pub(crate) plan: Plan,
    /// How far each run of the plan came, in the order of [`Plan::runs`].
    pub(crate) runs: Vec<RunState>,
}

/// An experiment's folder that this process alone works on.
#[derive(Debug)]
pub(crate) struct ExperimentFolder {
    path: PathBuf,
    state: State,
    lock: File,
}

impl State {
    fn new(plan: Plan) -> Self {
        let runs = vec![RunState::default(); plan.runs.len()];
        let git_revision = git::revision(Path::new("."));
        Self { schema_version: SCHEMA_VERSION, created_at: now(), git_revision, plan, runs }
    }

    /// Reads the state of the experiment in `folder`, or makes one for a run that a tool has made there by
    /// itself.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        if is_one_run(folder) {
            return Ok(Self::of_run(&read_document(folder)?));
        }
        let path = folder.join(STATE);
        let state: Self = read_json(&path, SCHEMA_VERSION).map_err(|error| {
            let file = folder.join(FILE);
            anyhow!("{error}; `run-suite run {}` runs the experiment again", file.display())
        })?;
        let cells = state.plan.cells.len();
        ensure!(
            state.runs.len() == state.plan.runs.len()
                && state.plan.runs.iter().all(|run| run.cell < cells),
            "failed to understand {}: its runs and its plan disagree",
            path.display()
        );
        Ok(state)
    }

    fn of_run(document: &RunDocument) -> Self {
        let created_at = document.started_at.clone();
        let (plan, runs) = (Plan::of_run(document), vec![RunState::default()]);
        Self { schema_version: SCHEMA_VERSION, created_at, git_revision: None, plan, runs }
    }

    /// The judgement of the run at `index`, whose files these are.
    pub(crate) fn judge(&self, index: usize, files: &RunFiles) -> Judgement {
        judge_run(files, &self.plan, &self.runs[index])
    }

    /// The files of the run at `index` of the experiment in `folder`.
    pub(crate) fn files(&self, index: usize, folder: &Path) -> RunFiles {
        RunFiles::read(folder, &self.plan, self.plan.runs[index], &self.runs[index].run_ids)
    }

    /// Keeps the runs that came to their end, and sets the others back to pending.
    fn reset_unfinished(&mut self, folder: &Path) {
        for index in 0..self.runs.len() {
            if matches!(self.runs[index].status, RunStatus::NotNeeded | RunStatus::GateFailed) {
                continue;
            }
            let files = self.files(index, folder);
            let Judgement { status, problem } = self.judge(index, &files);
            if status == RunStatus::Unreadable {
                let label = self.plan.run_label(self.plan.runs[index]);
                let problem = problem.as_deref().unwrap_or_default();
                tracing::warn!("{label}: {problem}; it is run again");
            }
            let run = &mut self.runs[index];
            *run = if status.is_ended() {
                RunState { status, problem, run_ids: files.run_ids(), ..run.clone() }
            } else {
                RunState::default()
            };
        }
    }
}

impl ExperimentFolder {
    /// Makes a folder for the experiment below `parent`, by its name and the time.
    pub(crate) fn create(parent: &Path, text: &str, plan: Plan) -> Result<Self> {
        let name = format!("{}-{}", plan.name, timestamp());
        let path = create_unique(parent, &name)?;
        Self::fill(path, text, plan)
    }

    /// Makes the folder `path` for the experiment.
    pub(crate) fn create_at(path: PathBuf, text: &str, plan: Plan) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("failed to create {}", path.display()))?;
        Self::fill(path, text, plan)
    }

    fn fill(path: PathBuf, text: &str, plan: Plan) -> Result<Self> {
        // No other process knows the folder yet.
        let lock = lock(&path, &Shutdown::without_signals())?;
        let file = path.join(FILE);
        create_new(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("failed to write {}", file.display()))?;
        let folder = Self { path, state: State::new(plan), lock };
        folder.save()?;
        Ok(folder)
    }

    /// Opens the folder of an earlier experiment, to run the rest of it.
    pub(crate) fn open(path: &Path, shutdown: &Shutdown) -> Result<Self> {
        // Read before the lock, so that a folder of something else gets no lock file.
        let state = State::load(path)?;
        ensure!(
            !state.plan.is_one_run,
            "failed to resume {}: it is one run of {}, and no experiment",
            path.display(),
            state.plan.tool
        );
        ensure!(
            state.schema_version == SCHEMA_VERSION,
            "failed to resume {}: an earlier run-suite planned it; `run-suite run {}` runs the \
             experiment again",
            path.display(),
            path.join(FILE).display()
        );
        let lock = lock(path, shutdown)?;
        let mut state = State::load(path)?;
        state.reset_unfinished(path);
        let folder = Self { path: path.to_path_buf(), state, lock };
        folder.save()?;
        Ok(folder)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The experiment's name.
    pub(crate) fn name(&self) -> &str {
        &self.state.plan.name
    }

    /// The folder's lock. A tool holds it, too, so the folder stays locked until the tool has ended.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    /// How far the experiment came.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Prepares the place of the run at `index`, whose tool makes its folder, and marks it as running.
    pub(crate) fn begin(&mut self, index: usize) -> Result<()> {
        let run_dir = self.path.join(self.state.plan.run_folder(self.state.plan.runs[index]));
        let parent = run_dir.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent)
            .with_context(|| format!("failed to create {}", parent.display()))?;
        let is_folder = parent.symlink_metadata().is_ok_and(|found| found.is_dir());
        ensure!(
            is_folder,
            "failed to write to {}, which is a symbolic link; remove it",
            parent.display()
        );
        set_aside(&run_dir)?;
        set_aside(&log_path(&run_dir))?;
        self.state.runs[index] =
            RunState { status: RunStatus::Running, started_at: Some(now()), ..RunState::default() };
        self.save()
    }

    /// Records the end of the run at `index`.
    pub(crate) fn end(
        &mut self,
        index: usize,
        exit_code: Option<i32>,
        judgement: Judgement,
        failed_gate: Option<EarlyFailure>,
    ) -> Result<()> {
        let run_ids = self.state.files(index, &self.path).run_ids();
        let run = &mut self.state.runs[index];
        *run = RunState {
            status: judgement.status,
            exit_code,
            started_at: run.started_at.take(),
            ended_at: Some(now()),
            problem: judgement.problem,
            run_ids,
            failed_gate,
        };
        self.save()
    }

    /// Records that the runs from `index` on need not be made.
    pub(crate) fn leave_rest(&mut self, index: usize) -> Result<()> {
        for run in &mut self.state.runs[index..] {
            if run.status == RunStatus::Pending {
                run.status = RunStatus::NotNeeded;
            }
        }
        self.save()
    }

    /// Replaces the state file as a whole: a crash leaves the old one or the new one.
    fn save(&self) -> Result<()> {
        let path = self.path.join(STATE);
        let saved = replace_file(&path, |file| {
            let mut text = serde_json::to_vec_pretty(&self.state)?;
            text.push(b'\n');
            file.write_all(&text)
        });
        saved.with_context(|| format!("failed to write {}", path.display()))
    }
}

/// The experiments in `folder`: itself, or the folders right below it. A run that a tool has made by
/// itself counts as one if `folder` is its own.
pub(crate) fn experiments_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if is_experiment(folder) || is_one_run(folder) {
        return Ok(vec![folder.to_path_buf()]);
    }
    let failed = || format!("failed to read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if is_experiment(&path) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("{} has no {STATE}: give the folder that `run-suite run` printed", folder.display());
    }
    Ok(found)
}

/// Whether it is the folder of an experiment, readable or not.
pub(crate) fn is_experiment(folder: &Path) -> bool {
    let is_there = |name: &str| match folder.join(name).symlink_metadata() {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    };
    is_there(STATE) || is_there(FILE)
}

/// Whether it is the folder of a run and not that of an experiment.
fn is_one_run(folder: &Path) -> bool {
    !is_experiment(folder) && folder.join(file_names::DOCUMENT).is_file()
}

/// The log of a run: the standard error of its tool.
pub(crate) fn log_path(run_dir: &Path) -> PathBuf {
    run_dir.with_extension("log")
}

/// Creates a folder below `parent`: `name`, or `name-2` and so on if that exists.
pub(crate) fn create_unique(parent: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| {
        format!("failed to create {}: use another --results-dir", parent.display())
    })?;
    for attempt in 1..1000 {
        let name = if attempt == 1 { name.to_owned() } else { format!("{name}-{attempt}") };
        let path = parent.join(name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("failed to create {}: use another --results-dir", path.display())
                });
            }
        }
    }
    bail!("failed to find a free name for {name} in {}", parent.display())
}

/// The time as part of a folder's name: `20261121-083000`, UTC.
pub(crate) fn timestamp() -> String {
    now().trim_end_matches('Z').replace(['-', ':'], "").replace('T', "-")
}

fn now() -> String {
    rfc3339(SystemTime::now())
}

/// Locks an experiment's folder. The lock file names the process, but the kernel's lock counts: it ends
/// with the last process that has it, however that ends.
fn lock(folder: &Path, shutdown: &Shutdown) -> Result<File> {
    let path = folder.join(LOCK);
    let failed = || format!("failed to lock {}", path.display());
    let mut file = open_lock(&path).with_context(failed)?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
            Err(TryLockError::WouldBlock) => {
                if shutdown.is_requested() {
                    return Err(Interrupted("another run-suite worked on the folder").into());
                }
                let pid = holder(&path);
                let pid = pid.as_str();
                ensure!(
                    !is_run_suite(pid) && Instant::now() < deadline,
                    "failed to lock {}: run-suite (process {pid}) or a tool that it started works \
                     on it; wait for its end, or end it",
                    folder.display()
                );
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
    file.set_len(0).with_context(failed)?;
    write!(file, "{}", std::process::id()).with_context(failed)?;
    Ok(file)
}

/// The process in the lock file.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    // It may be anything: no more than a number is read.
    if let Ok(file) = open_lock(path) {
        let _ = file.take(10).read_to_string(&mut text);
    }
    text.trim().to_owned()
}

/// Whether the process that wrote the lock file is still there. If not, a tool that it started holds
/// the lock, and is about to end.
fn is_run_suite(pid: &str) -> bool {
    let same_binary = || {
        let other = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        Some(other == std::env::current_exe().ok()?)
    };
    pid.parse::<u32>().is_ok() && same_binary().unwrap_or(false)
}

/// Renames the files of an earlier attempt at a run.
pub(crate) fn set_aside(path: &Path) -> Result<()> {
    let taken = |path: &Path| path.symlink_metadata().is_ok();
    if !taken(path) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut attempt = 1;
    let mut aside = path.with_file_name(format!("{name}.aside-{attempt}"));
    while taken(&aside) {
        attempt += 1;
        aside = path.with_file_name(format!("{name}.aside-{attempt}"));
    }
    fs::rename(path, &aside)
        .with_context(|| format!("failed to rename {} to {}", path.display(), aside.display()))
}
