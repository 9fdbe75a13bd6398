//! One run of a tool as a process of its own, from its start to its end.
//!
//! The tool gets a process group of its own: a terminal's Ctrl-C reaches run-suite alone, which
//! passes it on once. On Linux it gets SIGTERM, too, when run-suite dies without a word: run-suite
//! starts itself as [`EXEC`], which asks the kernel for that and then becomes the tool.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_core::results::ServiceOrigin;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The hidden first argument by which run-suite starts a tool: `__exec PARENT-PID TOOL ARGUMENT...`
pub(crate) const EXEC: &str = "__exec";

/// The variable by which tools take the services that stand in the environment for run-suite's own.
const STACK_VARIABLE: &str = "BENCH_STACK";

/// What a tool has between SIGINT and SIGKILL to end in good order.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How often the process is looked after; rare enough to cost the run nothing.
const POLL: Duration = Duration::from_millis(100);

/// What to start.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    /// The binary.
    pub(crate) executable: &'a Path,
    /// Its arguments.
    pub(crate) arguments: &'a [OsString],
    /// Which services it is to use.
    pub(crate) services: ServiceOrigin,
    /// Where it finds them, as variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it runs, if not where run-suite does.
    pub(crate) current_dir: Option<&'a Path>,
    /// Where its standard output goes, if anywhere.
    pub(crate) output: Option<File>,
    /// Where its standard error goes.
    pub(crate) log: File,
    /// What it is to hold open, and its children with it.
    pub(crate) lock: &'a File,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status of the tool.
    pub(crate) status: ExitStatus,
    /// Who ended it.
    pub(crate) cause: Cause,
}

/// Who ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The tool itself.
    Tool,
    /// The time limit.
    TimeLimit,
    /// An interruption of run-suite.
    Interruption,
}

/// A run's process as another thread sees it, which may signal it as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct ToolProcess {
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
enum Life {
    #[default]
    NotStarted,
    Running(Pid),
    /// It has been asked to end.
    Ending(Pid),
    Gone,
}

impl ToolProcess {
    /// Whether the process has gone, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.lock(), Life::Ending(_) | Life::Gone)
    }

    /// Waits until something changes, `time` at most.
    pub(crate) fn wait(&self, time: Duration) {
        let life = self.lock();
        if matches!(*life, Life::NotStarted | Life::Running(_)) {
            // Which of the two it was is for the caller to find out.
            let _ = self.changed.wait_timeout(life, time);
        }
    }

    /// Sends a signal to the process itself, not to what it has started.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match *self.lock() {
            Life::Running(pid) | Life::Ending(pid) => Ok(kill_process(pid, signal)?),
            Life::NotStarted | Life::Gone => Err(io::Error::other("there is no process")),
        }
    }

    /// Asks whether the process has ended; from then on its id may be another's.
    fn try_wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let mut life = self.lock();
        let status = child.try_wait()?;
        if status.is_some() {
            *life = Life::Gone;
            self.changed.notify_all();
        }
        Ok(status)
    }

    /// Notes that there is no process, or none that may be signalled any more.
    pub(crate) fn end(&self) {
        self.set(Life::Gone);
    }

    fn set(&self, life: Life) {
        *self.lock() = life;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        // It is whole after every assignment.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a tool to its end, at most `limit` and [`GRACE`] long. `interrupted` is asked, and `tick`
/// told the time since the start, every now and then.
pub(crate) fn run(
    invocation: Invocation<'_>,
    process: &ToolProcess,
    limit: Duration,
    interrupted: impl Fn() -> bool,
    mut tick: impl FnMut(Duration),
) -> Result<Ended> {
    let executable = invocation.executable.display().to_string();
    let mut child = spawn(invocation).with_context(|| format!("failed to start {executable}"))?;
    process.set(Life::Running(pid(&child)));
    let result = watch_over(&mut child, process, limit, interrupted, &mut tick);
    process.end();
    if result.is_err() {
        kill(&mut child);
    }
    result.with_context(|| format!("failed to watch {executable} (process {})", child.id()))
}

fn watch_over(
    child: &mut Child,
    process: &ToolProcess,
    limit: Duration,
    interrupted: impl Fn() -> bool,
    tick: &mut impl FnMut(Duration),
) -> io::Result<Ended> {
    let started = Instant::now();
    let mut ending: Option<(Cause, Instant)> = None;
    loop {
        if let Some(status) = process.try_wait(child)? {
            let cause = ending.map_or(Cause::Tool, |(cause, _)| cause);
            return Ok(Ended { status, cause });
        }
        match ending {
            None if interrupted() => ending = Some(ask_to_end(child, process, Cause::Interruption)),
            None if started.elapsed() >= limit => {
                ending = Some(ask_to_end(child, process, Cause::TimeLimit));
            }
            Some((cause, asked)) if asked.elapsed() >= GRACE => {
                process.end();
                kill(child);
                return Ok(Ended { status: child.wait()?, cause });
            }
            _ => {}
        }
        tick(started.elapsed());
        thread::sleep(POLL);
    }
}

fn spawn(invocation: Invocation<'_>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // A stack that the user has started by hand is none that an experiment means.
    if invocation.services == ServiceOrigin::Embedded {
        command.env_remove(STACK_VARIABLE);
    }
    command
        .arg(EXEC)
        .arg(std::process::id().to_string())
        .arg(invocation.executable)
        .args(invocation.arguments)
        .envs(invocation.environment)
        .env(ServiceOrigin::VARIABLE, invocation.services.to_string())
        .stdin(Stdio::null())
        .stdout(invocation.output.map_or_else(Stdio::null, Stdio::from))
        .stderr(invocation.log)
        .process_group(0);
    if let Some(dir) = invocation.current_dir {
        command.current_dir(dir);
    }
    // Other programs may be started at the same time, and are not to inherit it.
    let inherited = invocation.lock.try_clone()?;
    fcntl_setfd(&inherited, FdFlags::empty())?;
    command.spawn()
}

/// Becomes a tool. `arguments` are those after [`EXEC`]; returns only when that failed.
pub(crate) fn exec(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Error {
    let parent = arguments.next().and_then(|parent| parent.to_str()?.parse().ok());
    let (Some(parent), Some(tool)) = (parent, arguments.next()) else {
        return anyhow::anyhow!("`{EXEC}` is for run-suite's own use");
    };
    if let Err(error) = end_with_parent(parent) {
        return error;
    }
    let error = Command::new(&tool).args(arguments).exec();
    let tool: &OsStr = &tool;
    anyhow::Error::new(error).context(format!("failed to start {}", tool.display()))
}

/// Has the kernel send SIGTERM to this process when its parent dies. The request outlives the
/// coming exec.
#[cfg(target_os = "linux")]
fn end_with_parent(parent: i32) -> Result<()> {
    use rustix::process::{getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(io::Error::from)
        .context("failed to tie the tool to run-suite")?;
    // It may have died before the request.
    anyhow::ensure!(
        getppid().map(Pid::as_raw_nonzero) == std::num::NonZeroI32::new(parent),
        "run-suite has ended"
    );
    Ok(())
}

/// Other systems have no such request: there a killed run-suite leaves the run to its own end.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_parent: i32) -> Result<()> {
    Ok(())
}

/// Sends SIGINT. That can only fail when the process has just ended, which the next look shows.
fn ask_to_end(child: &Child, process: &ToolProcess, cause: Cause) -> (Cause, Instant) {
    let _ = kill_process(pid(child), Signal::INT);
    process.set(Life::Ending(pid(child)));
    (cause, Instant::now())
}

/// Kills the tool with all that it has started. The process has not been waited for, so that its id
/// is its own still.
fn kill(child: &mut Child) {
    let _ = kill_process_group(pid(child), Signal::KILL);
    let _ = child.kill();
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
