//! A tool as a user runs it: in a folder of its own, with none of the caller's settings.
//!
//! ```no_run
//! # let program = "";
//! use bench_testing::tool::Sandbox;
//!
//! // In a test: env!("CARGO_BIN_EXE_kin-producer").
//! let sandbox = Sandbox::new(program);
//! let output = sandbox.run("-n 900");
//! assert_eq!(output.code, 0, "{output:?}");
//! let document = sandbox.document("results");
//! ```

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bench_record::{RunDocument, file_names};
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub use rustix::process::Signal;

/// How long anything here may take: many times what it does take.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The caller's variables that a tool keeps. Any other may tell it what to do, such as which server
/// of some system to use.
const KEPT: [&str; 8] =
    ["HOME", "JAVA_HOME", "LANG", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "USER"];

/// A folder for one test, in which the tool runs.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: TempDir,
}

impl Sandbox {
    /// An empty folder for `program`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { program: program.into(), folder }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }

    /// What is in the folder, by name.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        names(self.path())
    }

    /// The tool. `args` are separated by blanks.
    #[must_use]
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|kept| Some((kept, std::env::var_os(kept)?))));
        // No credentials but those that a test gives.
        for file in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            command.env(file, "/dev/null");
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.current_dir(self.path()).args(args.split_whitespace());
        command
    }

    /// Runs the tool to its end within the limits of a shell, as in `ulimit -n 100`.
    #[must_use]
    pub fn run_limited(&self, limit: &str, args: &str) -> ToolOutput {
        let tool = self.command(args);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{limit} && exec \"$0\" \"$@\""));
        shell.arg(tool.get_program()).args(tool.get_args()).current_dir(self.path());
        for (name, value) in tool.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        ToolOutput::of(shell)
    }

    /// Runs the tool to its end. `args` are separated by blanks.
    #[must_use]
    pub fn run(&self, args: &str) -> ToolOutput {
        ToolOutput::of(self.command(args))
    }

    /// The folder of the only run below `results`.
    #[must_use]
    pub fn run_folder(&self, results: &str) -> PathBuf {
        let results = self.path().join(results);
        match &names(&results)[..] {
            [run] => results.join(run),
            other => panic!("not one run: {other:?}"),
        }
    }

    /// The document of the only run below `results`.
    #[must_use]
    pub fn document(&self, results: &str) -> RunDocument {
        let text = std::fs::read(self.run_folder(results).join(file_names::DOCUMENT));
        serde_json::from_slice(&text.expect("a document")).expect("of the schema")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("text")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

/// What a tool said and how it ended.
pub struct ToolOutput {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl ToolOutput {
    /// Runs `command` to its end.
    #[must_use]
    pub fn of(command: Command) -> Self {
        Self::of_input(command, "")
    }

    /// Runs `command`, which gets `input` on its standard input, to its end.
    #[must_use]
    pub fn of_input(command: Command, input: impl Into<Vec<u8>>) -> Self {
        let output = output(command, input);
        Self {
            code: output.status.code().expect("it exits by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// What it wrote to its standard output, which is to be JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl fmt::Debug for ToolOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n--- out\n{}--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The same as [`ToolOutput::of_input`] for a tool that may write anything. One that hangs is killed.
#[must_use]
pub fn output(command: Command, input: impl Into<Vec<u8>>) -> Output {
    let mut command = assert_cmd::Command::from_std(command);
    command.write_stdin(input).timeout(PATIENCE).output().expect("it runs")
}

/// A tool at work, killed when the test fails.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts `command`.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("it starts"))
    }

    /// Its standard input, which stays open until it has ended.
    #[must_use]
    pub fn stdin(&mut self) -> &mut ChildStdin {
        self.0.stdin.as_mut().expect("piped")
    }

    /// Asks for an early end.
    pub fn interrupt(&self) {
        self.send(Signal::INT);
    }

    /// Sends a signal.
    pub fn send(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("sent");
    }

    /// Waits for the end. What the tool says is little enough for its pipes to hold.
    #[must_use]
    pub fn end(mut self) -> ToolOutput {
        until("the tool has ended", || self.0.try_wait().expect("a child").is_some());
        let code = self.0.wait().expect("a child").code().unwrap_or(-1);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.0.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        self.0.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        ToolOutput { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something holds; `what` says what.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
