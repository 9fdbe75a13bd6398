//! The built-in experiments of `run-suite quick`: what a first run shows in a minute and a half.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_core::results::ServiceOrigin;

use crate::planned;
use crate::run::folder::{ExperimentFolder, create_unique, timestamp};

/// What an experiment needs beside its tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A service that AWS has, of which there is an embedded one.
    Aws,
    /// A database server, too, of which there is no embedded one.
    Mysql,
}

/// Each with the name of its folder, which keeps them in order.
const EXPERIMENTS: [(&str, Needs, &str); 6] = [
    ("1-throughput", Needs::Nothing, include_str!("../../../../experiments/quick/throughput.toml")),
    ("2-latency", Needs::Nothing, include_str!("../../../../experiments/quick/latency.toml")),
    ("3-sweep", Needs::Nothing, include_str!("../../../../experiments/quick/sweep.toml")),
    (
        "4-kinesis-dynamodb",
        Needs::Aws,
        include_str!("../../../../experiments/quick/kinesis-dynamodb.toml"),
    ),
    (
        "5-kinesis-mysql",
        Needs::Mysql,
        include_str!("../../../../experiments/quick/kinesis-mysql.toml"),
    ),
    ("6-delta", Needs::Aws, include_str!("../../../../experiments/quick/delta.toml")),
];

/// The programs that serve as `MySQL`, and where they lie when they are not in everybody's `PATH`.
const MYSQL_PROGRAMS: [&str; 2] = ["mariadbd", "mysqld"];
const MYSQL_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// The built-in experiments, ready to be run.
pub(crate) struct Quick {
    /// The folder that all of theirs lie in.
    pub(crate) parent: PathBuf,
    pub(crate) folders: Vec<ExperimentFolder>,
    /// What is left out, and what to do about it; a sentence each.
    pub(crate) left_out: Vec<String>,
}

/// Makes the folders of the built-in experiments, all in one new folder below `results_dir`. They run
/// on `services`, if it is given.
pub(crate) fn create(results_dir: &Path, services: Option<ServiceOrigin>) -> Result<Quick> {
    let mut plans = Vec::new();
    let mut left_out = Vec::new();
    for (name, needs, text) in EXPERIMENTS {
        if let Some(reason) = reason_to_leave_out(needs, services) {
            left_out.push(format!("{name} is left out: {reason}"));
            continue;
        }
        let planned = planned(text.to_owned(), services);
        plans.push((
            name,
            planned.with_context(|| format!("failed to plan the quick test {name}"))?,
        ));
    }
    let parent = create_unique(results_dir, &format!("quick-{}", timestamp()))?;
    let folders = plans
        .into_iter()
        .map(|(name, (text, plan))| ExperimentFolder::create_at(parent.join(name), &text, plan));
    let folders = folders.collect::<Result<_>>()?;
    Ok(Quick { parent, folders, left_out })
}

fn reason_to_leave_out(needs: Needs, services: Option<ServiceOrigin>) -> Option<&'static str> {
    match needs {
        Needs::Aws | Needs::Mysql if services == Some(ServiceOrigin::External) => {
            Some("it would spend money in your AWS account; `run-suite run` does that when told to")
        }
        Needs::Mysql if !has_mysql() => Some(
            "no MariaDB or MySQL is installed; the packages mariadb-server-core and \
             mariadb-client-core (Debian, Ubuntu) are enough, and start no service",
        ),
        Needs::Nothing | Needs::Aws | Needs::Mysql => None,
    }
}

/// Whether this machine has a database server. One could be fetched, but not in a quick test.
fn has_mysql() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs = env::split_paths(&path).chain(MYSQL_DIRS.iter().map(PathBuf::from));
    let is_there = |dir: PathBuf| MYSQL_PROGRAMS.iter().any(|name| dir.join(name).is_file());
    env::var_os("BENCH_MARIADBD").is_some() || dirs.any(is_there)
}
