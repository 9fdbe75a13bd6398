//! A home and a folder for temporary files for one test, which show what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bench_stack::{Cache, StackOptions};
use serde_json::Value;
use tempfile::TempDir;

/// One stack at a time: several on one machine would disturb each other's figures.
static MACHINE: Mutex<()> = Mutex::new(());

pub(crate) struct Sandbox {
    folder: TempDir,
    cache: PathBuf,
    _machine: MutexGuard<'static, ()>,
}

impl Sandbox {
    /// A sandbox for `test`, if this machine can run its services and kafka-prodcon is built.
    pub(crate) fn new(test: &str, options: &StackOptions) -> Option<Self> {
        Self::with(test, options, &["kafka-prodcon"])
    }

    /// The same for a test that uses other tools.
    pub(crate) fn with(test: &str, options: &StackOptions, tools: &[&str]) -> Option<Self> {
        let run_suite = Path::new(assert_cmd::cargo::cargo_bin!("run-suite"));
        for tool in tools {
            if !run_suite.with_file_name(tool).is_file() {
                // A test of one package does not build the binaries of another.
                bench_testing::skip(test, &format!("{tool} is not built (cargo build --release)"));
                return None;
            }
        }
        if !bench_testing::can_start(test, options) {
            return None;
        }
        let cache = Cache::from_environment().expect("a cache").dir().to_owned();
        let machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = Self { folder, cache, _machine: machine };
        for name in ["home", "tmp", "work"] {
            fs::create_dir(sandbox.path(name)).expect("created");
        }
        Some(sandbox)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `run-suite` in the folder `work`. Arguments are separated by blanks.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("run-suite"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.path("work"))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env(Cache::VARIABLE, &self.cache)
            .env_remove("RUST_LOG")
            .env_remove("KAFKA_BOOTSTRAP_SERVERS")
            .env_remove("DYNAMODB_LOCAL_HOME");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("run-suite starts")
    }

    /// Runs to the end, which must be a success, and returns the output.
    pub(crate) fn succeed(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", text_of(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path("work").join(name), text).expect("written");
    }

    /// The folder of the only experiment.
    pub(crate) fn experiment(&self) -> PathBuf {
        let results = self.path("work").join("results");
        let mut entries = fs::read_dir(results).expect("results");
        entries.next().expect("an experiment").expect("readable").path()
    }

    /// A file of the only experiment.
    pub(crate) fn json(&self, name: &str) -> Value {
        let text = fs::read(self.experiment().join(name)).expect("readable");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// The command lines of processes that belong to this sandbox: their arguments or their environment
    /// name it.
    pub(crate) fn processes(&self) -> Vec<String> {
        let here = self.folder.path().display().to_string();
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        let text = |path: PathBuf| {
            fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        entries
            .filter_map(|entry| {
                let line = text(entry.path().join("cmdline"))?;
                let environment = text(entry.path().join("environ"))?;
                (line.contains(&here) || environment.contains(&here)).then_some(line)
            })
            .map(|line| line.replace('\0', " "))
            .collect()
    }

    /// Checks that nothing runs any more, and that nothing is left outside of the working folder.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.processes(), Vec::<String>::new());
        for name in ["home", "tmp"] {
            let left: Vec<_> = fs::read_dir(self.path(name)).expect("readable").collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

pub(crate) fn text_of(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}
