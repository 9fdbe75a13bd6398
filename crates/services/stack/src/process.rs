//! Processes that outlive the program that started them, and are found again.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench_core::system::{ending, shortened_lines};
use bench_record::files::tail;
use rustix::fs::OFlags;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process, kill_process_group, test_kill_process, waitpid,
};
use serde::{Deserialize, Serialize};

use crate::error::StackError;
use crate::interruption;

/// The variable by which a stack's processes are recognised, even those started just before their
/// starter was killed. Its value is the stack's folder.
pub const MEMBER_VARIABLE: &str = "BENCH_STACK_MEMBER";

/// Lines of a log that are shown when something went wrong.
const SHOWN_LINES: usize = 15;

/// Limit of the shown part; long stack traces stay in the log.
const SHOWN_BYTES: u64 = 16 << 10;

/// Interval between polls of a process's state.
const POLL: Duration = Duration::from_millis(5);

/// Polls in a row that must see no process of a stack before it counts as having none.
const QUIET_LOOKS: u32 = 3;

/// Time that a signal which cannot be refused may take.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its file.
    pub program: PathBuf,
    /// Its arguments, which other users can see.
    pub args: Vec<String>,
    /// Added to this process's environment.
    pub env: Vec<(String, String)>,
    /// The folder that it runs in.
    pub current_dir: PathBuf,
    /// The file to which standard output and error are appended.
    pub log: PathBuf,
}

impl Launch {
    /// Starts a server of the stack in `stack_dir`, which continues when this process ends.
    pub(crate) fn spawn(&self, purpose: &str, stack_dir: &Path) -> Result<Process, StackError> {
        let mut command = self.command(stack_dir)?;
        // In a process group of its own, a Ctrl-C at the terminal does not reach it.
        let child =
            command.process_group(0).spawn().map_err(|source| self.failed(purpose, source))?;
        Process::of(child.id()).map_err(|source| self.failed(purpose, source))
    }

    /// Runs a program to its end, which must be a success. If it takes longer than `timeout`, or
    /// the user interrupts, it is killed with all its children.
    pub fn run(
        &self,
        purpose: &str,
        stack_dir: &Path,
        timeout: Duration,
    ) -> Result<(), StackError> {
        let mut command = self.command(stack_dir)?;
        interruption::check()?;
        let child = command.process_group(0).spawn();
        let mut child = child.map_err(|source| self.failed(purpose, source))?;
        let kill = |child: &mut Child| {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.kill();
            let _ = child.wait();
        };
        let deadline = Instant::now() + timeout;
        let how = loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => break format!("{} ended with {}", self.name(), ending(status)),
                Ok(None) if interruption::is_requested() => {
                    kill(&mut child);
                    return Err(StackError::Interrupted);
                }
                Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
                Ok(None) => {
                    kill(&mut child);
                    break format!("{} did not end within {timeout:?}", self.name());
                }
                Err(source) => return Err(self.failed(purpose, source)),
            }
        };
        Err(StackError::Command {
            purpose: purpose.to_owned(),
            how,
            last_lines: last_lines(&self.log),
            log: self.log.clone(),
        })
    }

    fn command(&self, stack_dir: &Path) -> Result<Command, StackError> {
        // Avoids writing to a file that another user put in its place.
        let wary = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let log = OpenOptions::new().create(true).append(true).custom_flags(wary).open(&self.log);
        let log = log.map_err(StackError::file("write", &self.log))?;
        let errors = log.try_clone().map_err(StackError::file("write", &self.log))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .env(MEMBER_VARIABLE, stack_dir)
            .current_dir(&self.current_dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        Ok(command)
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn failed(&self, purpose: &str, source: io::Error) -> StackError {
        StackError::Spawn { purpose: purpose.to_owned(), program: self.program.clone(), source }
    }
}

/// The end of a log: what a server printed before it gave up.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = tail(log, SHOWN_BYTES).unwrap_or_default();
    // Java's stack traces would push out the errors that they belong to.
    let is_trace = |line: &str| line.starts_with("\tat ") || line.starts_with("\t... ");
    let says = |line: &&str| !line.trim().is_empty() && !is_trace(line);
    let lines: Vec<&str> = text.lines().filter(says).collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    shortened_lines(&last).into_owned()
}

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It was stopped by a signal and can be continued.
    Frozen,
    /// It has ended, or was never started.
    Ended,
}

impl std::fmt::Display for ProcessState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
        })
    }
}

/// One process, leader of its own group. Identified by its start time too, since ids are reused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Its start, in ticks of the system's clock since boot.
    started_ticks: u64,
    boot_id: String,
}

impl Process {
    fn of(pid: u32) -> io::Result<Self> {
        let stat = Stat::of(pid)?;
        Ok(Self { pid, started_ticks: stat.started_ticks, boot_id: boot_id()? })
    }

    pub(crate) fn state(&self) -> ProcessState {
        let same_boot = boot_id().is_ok_and(|boot_id| boot_id == self.boot_id);
        let Some(stat) = Stat::of(self.pid).ok().filter(|_| same_boot) else {
            return ProcessState::Ended;
        };
        match stat.state {
            _ if stat.started_ticks != self.started_ticks => ProcessState::Ended,
            // Its first thread has ended; the others still hold its ports and files.
            'Z' if stat.threads > 1 => ProcessState::Running,
            'Z' | 'X' => {
                // Ours to reap if we started it; otherwise this fails, and init reaps it.
                let _ = self.raw().map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
                ProcessState::Ended
            }
            'T' => ProcessState::Frozen,
            _ => ProcessState::Running,
        }
    }

    /// Sends SIGSTOP and waits until the process has stopped; returns whether it has.
    pub(crate) fn freeze(&self) -> bool {
        self.signal(Signal::STOP);
        self.wait_for(Instant::now() + SIGNAL_TIMEOUT, |state| state == ProcessState::Frozen)
    }

    /// Sends SIGCONT and waits until the process continues; returns whether it does.
    pub(crate) fn thaw(&self) -> bool {
        self.signal(Signal::CONT);
        self.wait_for(Instant::now() + SIGNAL_TIMEOUT, |state| state == ProcessState::Running)
    }

    /// Sends SIGKILL and waits until the process has ended; returns whether it has.
    pub(crate) fn kill(&self) -> bool {
        self.signal(Signal::KILL);
        self.wait(Instant::now() + SIGNAL_TIMEOUT)
    }

    /// Sends SIGTERM, and SIGCONT so that a stopped process can act on it.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Waits until the process has ended; returns whether it has.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |state| state == ProcessState::Ended)
    }

    /// The same, giving up early once `has_enough` is true.
    pub(crate) fn wait_unless(&self, deadline: Instant, has_enough: impl Fn() -> bool) -> bool {
        loop {
            if self.state() == ProcessState::Ended {
                return true;
            }
            if has_enough() || Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    fn wait_for(&self, deadline: Instant, is_wanted: impl Fn(ProcessState) -> bool) -> bool {
        loop {
            let state = self.state();
            if is_wanted(state) {
                return true;
            }
            // An ended process never changes again.
            if state == ProcessState::Ended || Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    fn signal(&self, signal: Signal) {
        if self.state() == ProcessState::Ended {
            return;
        }
        if let Some(pid) = self.raw() {
            // It may end at this moment, which is fine.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn raw(&self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }
}

/// Kills all remaining processes of the stack in `stack_dir`, recorded or not.
pub(crate) fn kill_members(stack_dir: &Path) {
    let mark =
        [MEMBER_VARIABLE.as_bytes(), b"=", stack_dir.as_os_str().as_encoded_bytes()].concat();
    let deadline = Instant::now() + SIGNAL_TIMEOUT;
    // One that is about to exec or fork is overlooked at first.
    let mut quiet = 0;
    while quiet < QUIET_LOOKS && Instant::now() < deadline {
        let members = members(&mark);
        quiet = if members.is_empty() { quiet + 1 } else { 0 };
        for pid in members {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(POLL);
    }
}

fn members(mark: &[u8]) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter(|&pid| pid != rustix::process::getpid() && is_member(pid, mark))
        .collect()
}

fn is_member(pid: Pid, mark: &[u8]) -> bool {
    // Unreadable for processes of other users, and empty for those that have ended.
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok()
        && environment.is_ok_and(|all| all.split(|&byte| byte == 0).any(|entry| entry == mark))
}

struct Stat {
    state: char,
    threads: u32,
    started_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name before the last parenthesis can contain anything.
        let fields: Vec<&str> = match text.rsplit_once(')') {
            Some((_, fields)) => fields.split_whitespace().collect(),
            None => Vec::new(),
        };
        let state = fields.first().and_then(|state| state.chars().next());
        let threads = fields.get(17).and_then(|threads| threads.parse().ok());
        let started_ticks = fields.get(19).and_then(|ticks| ticks.parse().ok());
        match (state, threads, started_ticks) {
            (Some(state), Some(threads), Some(started_ticks)) => {
                Ok(Self { state, threads, started_ticks })
            }
            _ => Err(io::Error::other(format!("/proc/{pid}/stat has an unexpected form"))),
        }
    }
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::interruption::interruptible;

    fn shell(dir: &Path, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("GREETING".to_owned(), "good morning".to_owned())],
            current_dir: dir.to_owned(),
            log: dir.join("log"),
        }
    }

    #[test]
    fn a_process_is_frozen_thawed_and_killed() {
        let dir = tempfile::tempdir().expect("a folder");
        let process =
            shell(dir.path(), "exec sleep 60").spawn("a test", dir.path()).expect("starts");
        assert_eq!(process.state(), ProcessState::Running);
        assert!(process.freeze());
        assert_eq!(process.state(), ProcessState::Frozen);
        assert!(process.thaw());
        assert_eq!(process.state(), ProcessState::Running);
        assert!(process.kill());
        assert_eq!(process.state(), ProcessState::Ended);
        assert!(Stat::of(process.pid).is_err(), "nothing is left for somebody else to reap");
        assert!(process.kill() && !process.freeze(), "which is nothing to fail on");
    }

    #[test]
    fn reused_process_ids_are_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let process =
            shell(dir.path(), "exec sleep 60").spawn("a test", dir.path()).expect("starts");
        let earlier = Process { started_ticks: process.started_ticks - 1, ..process.clone() };
        let before_boot = Process { boot_id: "another".to_owned(), ..process.clone() };
        for other in [earlier, before_boot] {
            assert_eq!(other.state(), ProcessState::Ended);
            assert!(other.kill(), "it has gone");
            assert_eq!(process.state(), ProcessState::Running);
        }
        assert!(process.kill());
    }

    #[test]
    fn unrecorded_members_are_killed() {
        let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [ours, theirs] = [ours.path(), theirs.path()];
        let member = shell(ours, "exec sleep 60").spawn("a test", ours).expect("starts");
        let other = shell(theirs, "exec sleep 60").spawn("a test", theirs).expect("starts");
        kill_members(ours);
        assert!(member.wait(Instant::now() + SIGNAL_TIMEOUT));
        assert_eq!(other.state(), ProcessState::Running);
        assert!(other.kill());
    }

    #[test]
    fn failed_program_is_quoted() {
        let dir = tempfile::tempdir().expect("a folder");
        let run =
            |script: &str, timeout| shell(dir.path(), script).run("greet", dir.path(), timeout);
        run("echo $GREETING", SIGNAL_TIMEOUT).expect("ends well");
        let error = run("echo no such thing >&2; exit 3", SIGNAL_TIMEOUT).expect_err("fails");
        let error = error.to_string();
        assert!(error.starts_with("failed to greet: sh ended with exit code 3"), "{error}");
        assert!(error.ends_with("good morning\nno such thing"), "{error}");
        let error = run("exec sleep 60", Duration::from_millis(50)).expect_err("is too slow");
        assert!(error.to_string().contains("did not end within 50ms"), "{error}");
        let flag = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let error = interruptible(&flag, || {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Once the child of the program runs.
                    while !dir.path().join("child").exists() {
                        std::thread::sleep(POLL);
                    }
                    flag.store(true, Ordering::Relaxed);
                });
                run("sleep 600 & echo $! > new; mv new child; wait", Duration::from_mins(10))
            })
        });
        assert!(matches!(error, Err(StackError::Interrupted)), "{error:?}");
        assert!(started.elapsed() < Duration::from_mins(1));
        let child = fs::read_to_string(dir.path().join("child")).expect("its id");
        let child: u32 = child.trim().parse().expect("an id");
        let deadline = Instant::now() + SIGNAL_TIMEOUT;
        while Stat::of(child).is_ok_and(|stat| stat.state != 'Z') && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        assert!(Stat::of(child).is_ok_and(|stat| stat.state == 'Z') || Stat::of(child).is_err());
        let missing = Launch { program: "/no/such".into(), ..shell(dir.path(), "") };
        let error = missing.spawn("kafka-1", dir.path()).expect_err("no program");
        assert_eq!(error.to_string(), "failed to start /no/such for kafka-1");
    }

    #[test]
    fn last_lines_skip_stack_traces() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = dir.path().join("log");
        assert_eq!(last_lines(&log), "");
        let trace = "\tat some.Class\n".repeat(100) + "\t... 7 more\n\n";
        let text = format!("{}\nERROR bad \u{fffd}\n{trace}", "x".repeat(100_000));
        fs::write(&log, text).expect("written");
        let said = last_lines(&log);
        assert!(said.ends_with("x\nERROR bad \u{fffd}"), "{said}");
        assert!(said.len() as u64 <= SHOWN_BYTES);
        fs::write(&log, "line\n".repeat(100)).expect("written");
        assert_eq!(last_lines(&log).lines().count(), SHOWN_LINES);
    }
}
