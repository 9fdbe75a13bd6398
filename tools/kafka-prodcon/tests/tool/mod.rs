//! What all tests of the tool need: running it as a user would, in a folder of its own, and reading
//! what it leaves behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use bench_core::results::{RunDocument, RunFolder, ServiceOrigin};
use tempfile::TempDir;

/// What names a table's service.
const TABLE_ENVIRONMENT: [&str; 6] = [
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_PROFILE",
    "AWS_REGION",
    "MYSQL_URL",
];

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

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The tool with none of the caller's settings. `args` are separated by blanks.
    pub(crate) fn command(&self, args: &str) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kafka-prodcon"));
        for (variable, _) in bench_kafka::config::ENVIRONMENT {
            command.env_remove(variable);
        }
        for variable in TABLE_ENVIRONMENT {
            command.env_remove(variable);
        }
        command.env_remove(ServiceOrigin::VARIABLE).env_remove("BENCH_STACK");
        command.env_remove("RUST_LOG").current_dir(self.path());
        command.args(args.split_whitespace());
        command
    }

    /// The same, ended when it hangs: nothing here takes a minute.
    pub(crate) fn tool(&self, args: &str) -> Command {
        let mut command = Command::from_std(self.command(args));
        command.timeout(Duration::from_mins(1));
        command
    }

    pub(crate) fn run(&self, args: &str) -> Said {
        outcome(&mut self.tool(args))
    }

    /// What is in the folder, by name.
    pub(crate) fn entries(&self) -> Vec<String> {
        names(self.path())
    }

    /// The folder of the only run below `results`.
    pub(crate) fn run_folder(&self, results: &str) -> PathBuf {
        let results = self.path().join(results);
        match &names(&results)[..] {
            [run] => results.join(run),
            other => panic!("not one run: {other:?}"),
        }
    }

    /// The document of the only run below `results`.
    pub(crate) fn document(&self, results: &str) -> RunDocument {
        let text = std::fs::read(self.run_folder(results).join(RunFolder::DOCUMENT));
        serde_json::from_slice(&text.expect("a document")).expect("of the schema")
    }
}

pub(crate) fn outcome(command: &mut Command) -> Said {
    let output = command.output().expect("it runs");
    Said {
        code: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
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
