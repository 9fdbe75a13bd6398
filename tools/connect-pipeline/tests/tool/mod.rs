//! What all tests of the tool need: running it as a user would, in a folder of its own, and reading
//! what it leaves behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use bench_core::results::{RunDocument, RunFolder, ServiceOrigin};
use tempfile::TempDir;

/// A folder for one test, in which the tool runs.
pub(crate) struct Place(TempDir);

/// What the tool said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Said {
    /// Runs `command` to its end; nothing here takes two minutes.
    pub(crate) fn of(command: std::process::Command) -> Self {
        let mut command = Command::from_std(command);
        let output = command.timeout(Duration::from_mins(2)).output().expect("it runs");
        Self {
            code: output.status.code().expect("it exits by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// The file of this name in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The tool with none of the caller's settings. `args` are separated by blanks.
    pub(crate) fn command(&self, args: &str) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_connect-pipeline"));
        for variable in ["CONNECT_URL", ServiceOrigin::VARIABLE, "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.current_dir(self.0.path()).args(args.split_whitespace());
        command
    }

    /// Runs the tool to its end.
    pub(crate) fn run(&self, args: &str) -> Said {
        Said::of(self.command(args))
    }

    /// What is in the folder, by name.
    pub(crate) fn entries(&self) -> Vec<String> {
        names(self.0.path())
    }

    /// The folder of the only run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let results = self.file("results");
        match &names(&results)[..] {
            [run] => results.join(run),
            other => panic!("not one run: {other:?}"),
        }
    }

    /// The document of the only run.
    pub(crate) fn document(&self) -> RunDocument {
        let text = std::fs::read(self.run_folder().join(RunFolder::DOCUMENT));
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
