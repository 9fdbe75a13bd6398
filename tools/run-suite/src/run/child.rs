//! One run of a tool as a process of its own, from its start to its end.
//!
//! The tool gets a process group of its own: a terminal's Ctrl-C reaches only run-suite, which passes
//! it on once. On Linux it also gets SIGTERM when run-suite is killed: run-suite starts itself as
//! [`EXEC`], which asks the kernel for that and then becomes the tool.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_record::{ServiceOrigin, protocol};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::early_failure::EarlyFailure;
use crate::host::tool_process::ToolProcess;

/// The hidden first argument with which run-suite starts a tool: `__exec PARENT-PID TOOL ARGUMENT...`
pub(crate) const EXEC: &str = "__exec";

/// Time between SIGINT and SIGKILL for a tool to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Interval between looks at the process; rare enough to cost the run nothing.
const POLL: Duration = Duration::from_millis(100);

/// What to start.
#[derive(Debug)]
pub(crate) struct Invocation<'a> {
    /// The binary.
    pub(crate) executable: &'a Path,
    /// Its arguments.
    pub(crate) arguments: &'a [OsString],
    /// The services that it uses.
    pub(crate) services: ServiceOrigin,
    /// Variables that tell it where they are.
    pub(crate) environment: Vec<(String, String)>,
    /// Its working directory, if not that of run-suite.
    pub(crate) current_dir: Option<&'a Path>,
    /// Where its standard output goes, if anywhere.
    pub(crate) output: Option<File>,
    /// Where its standard error goes.
    pub(crate) log: File,
    /// The lock that it holds open, with its children.
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
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cause {
    /// The tool itself.
    Tool,
    /// The time limit.
    TimeLimit,
    /// An interruption of run-suite.
    Interruption,
    /// A gate that it failed.
    Gate(EarlyFailure),
}

/// Runs a tool to its end, for at most `limit` and [`GRACE`]. Calls `should_end`, until that has a cause,
/// and `tick` with the time since the start, every [`POLL`].
pub(crate) fn run(
    invocation: Invocation<'_>,
    process: &ToolProcess,
    limit: Duration,
    mut should_end: impl FnMut(Duration) -> Option<Cause>,
    mut tick: impl FnMut(Duration),
) -> Result<Ended> {
    let executable = invocation.executable.display().to_string();
    let mut child = spawn(invocation).with_context(|| format!("failed to start {executable}"))?;
    process.start(pid(&child));
    let result = watch_over(&mut child, process, limit, &mut should_end, &mut tick);
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
    should_end: &mut impl FnMut(Duration) -> Option<Cause>,
    tick: &mut impl FnMut(Duration),
) -> io::Result<Ended> {
    let started = Instant::now();
    let mut ending: Option<(Cause, Instant)> = None;
    loop {
        if let Some(status) = process.try_wait(child)? {
            let cause = ending.map_or(Cause::Tool, |(cause, _)| cause);
            return Ok(Ended { status, cause });
        }
        match ending.take() {
            None => {
                let elapsed = started.elapsed();
                let is_late = elapsed >= limit;
                let cause = should_end(elapsed).or(is_late.then_some(Cause::TimeLimit));
                ending = cause.map(|cause| ask_to_end(child, process, cause));
            }
            Some((cause, asked)) if asked.elapsed() >= GRACE => {
                process.end();
                kill(child);
                return Ok(Ended { status: child.wait()?, cause });
            }
            asked => ending = asked,
        }
        tick(started.elapsed());
        thread::sleep(POLL);
    }
}

fn spawn(invocation: Invocation<'_>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // An experiment on embedded services does not mean a stack that the user has started.
    if invocation.services == ServiceOrigin::Embedded {
        command.env_remove(protocol::STACK_VARIABLE);
    }
    command
        .arg(EXEC)
        .arg(std::process::id().to_string())
        .arg(invocation.executable)
        .args(invocation.arguments)
        .envs(invocation.environment)
        .env(protocol::SERVICES_VARIABLE, invocation.services.to_string())
        .stdin(Stdio::null())
        .stdout(invocation.output.map_or_else(Stdio::null, Stdio::from))
        .stderr(invocation.log)
        .process_group(0);
    if let Some(dir) = invocation.current_dir {
        command.current_dir(dir);
    }
    // Other programs that start at the same time must not inherit it.
    let inherited = invocation.lock.try_clone()?;
    fcntl_setfd(&inherited, FdFlags::empty())?;
    command.spawn()
}

/// Becomes a tool. `arguments` are those after [`EXEC`]. Returns only after a failure.
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

/// Makes the kernel send SIGTERM to this process when its parent dies, also after the coming exec.
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

/// Other systems cannot do this: there the tool outlives a killed run-suite.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_parent: i32) -> Result<()> {
    Ok(())
}

/// Sends SIGINT. That only fails if the process has just ended, which the next look shows.
fn ask_to_end(child: &Child, process: &ToolProcess, cause: Cause) -> (Cause, Instant) {
    let _ = kill_process(pid(child), Signal::INT);
    process.ask_to_end(pid(child));
    (cause, Instant::now())
}

/// Kills the tool with all that it has started. The process has not been waited for, so its id is
/// still its own.
fn kill(child: &mut Child) {
    let _ = kill_process_group(pid(child), Signal::KILL);
    let _ = child.kill();
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
