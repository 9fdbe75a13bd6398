//! The built-in experiments of `run-suite quick`: a first look in a minute and a half.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bench_cli::UsageError;
use bench_core::results::ServiceOrigin;
use bench_core::system::{find_program, path_dirs};

use super::experiment_plan::Plan;
use super::planning::plan_on;
use super::tool;

/// A built-in experiment.
struct QuickExperiment {
    /// The name of its folder, which keeps them in order.
    name: &'static str,
    /// The packages whose binaries it runs.
    packages: &'static [&'static str],
    needs: Needs,
    text: &'static str,
}

/// What an experiment needs beside its tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A service of AWS, which costs money unless it is embedded.
    Aws,
    /// A service of AWS, and a database server, which is never embedded.
    AwsAndMysql,
}

const EXPERIMENTS: [QuickExperiment; 6] = [
    QuickExperiment {
        name: "1-throughput",
        packages: &["kafka-prodcon"],
        needs: Needs::Nothing,
        text: include_str!("../../../../experiments/quick/throughput.toml"),
    },
    QuickExperiment {
        name: "2-latency",
        packages: &["kafka-prodcon"],
        needs: Needs::Nothing,
        text: include_str!("../../../../experiments/quick/latency.toml"),
    },
    QuickExperiment {
        name: "3-sweep",
        packages: &["kafka-prodcon"],
        needs: Needs::Nothing,
        text: include_str!("../../../../experiments/quick/sweep.toml"),
    },
    QuickExperiment {
        name: "4-kinesis-dynamodb",
        packages: &["kin-producer", "kin-db-consumer", "kin-lambda"],
        needs: Needs::Aws,
        text: include_str!("../../../../experiments/quick/kinesis-dynamodb.toml"),
    },
    QuickExperiment {
        name: "5-kinesis-mysql",
        packages: &["kin-producer", "kin-sql-consumer", "sql-lambda"],
        needs: Needs::AwsAndMysql,
        text: include_str!("../../../../experiments/quick/kinesis-mysql.toml"),
    },
    QuickExperiment {
        name: "6-delta",
        packages: &["delta-producer"],
        needs: Needs::Aws,
        text: include_str!("../../../../experiments/quick/delta.toml"),
    },
];

/// The programs of a `MySQL` server, and their folders outside of `PATH`.
const MYSQL_PROGRAMS: [&str; 2] = ["mariadbd", "mysqld"];
const MYSQL_DIRS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// The built-in experiments that can run here.
pub(crate) struct Quick {
    /// The name of each folder, the text of its experiment file, and the plan.
    pub(crate) plans: Vec<(&'static str, String, Plan)>,
    /// The experiments that are left out, with remedies; a sentence each.
    pub(crate) left_out: Vec<String>,
}

/// Plans the built-in experiments whose tools have been built, on `services` if it is given.
pub(crate) fn plan(services: Option<ServiceOrigin>) -> Result<Quick> {
    let mut plans = Vec::new();
    let mut left_out = Vec::new();
    let (mut unbuilt, mut missing) = (Vec::new(), BTreeSet::new());
    for QuickExperiment { name, packages, needs, text } in EXPERIMENTS {
        let lacking: Vec<&str> =
            packages.iter().copied().filter(|package| tool::find(package).is_none()).collect();
        if !lacking.is_empty() {
            unbuilt.push(name);
            missing.extend(lacking);
            continue;
        }
        if let Some(reason) = reason_to_leave_out(needs, services) {
            left_out.push(format!("{name} is left out: {reason}"));
            continue;
        }
        let planned = plan_on(text.to_owned(), services);
        let (text, plan) =
            planned.with_context(|| format!("failed to plan the quick test {name}"))?;
        plans.push((name, text, plan));
    }
    let build = || {
        let packages: Vec<String> = missing.iter().map(|name| format!("-p {name}")).collect();
        format!("build their tools with `cargo build --release {}`", packages.join(" "))
    };
    if plans.is_empty() && !unbuilt.is_empty() {
        return Err(UsageError::new("quick", "none of its tools has been built", build()).into());
    }
    if !unbuilt.is_empty() {
        left_out.push(format!("left out: {}; {}", unbuilt.join(", "), build()));
    }
    Ok(Quick { plans, left_out })
}

fn reason_to_leave_out(needs: Needs, services: Option<ServiceOrigin>) -> Option<&'static str> {
    match needs {
        Needs::Aws | Needs::AwsAndMysql if services == Some(ServiceOrigin::External) => {
            Some("it would spend money in your AWS account; use `run-suite run` for that")
        }
        Needs::AwsAndMysql if !has_mysql() => Some(
            "no MariaDB or MySQL is installed; the packages mariadb-server-core and \
             mariadb-client-core (Debian, Ubuntu) are enough, and start no service",
        ),
        Needs::Nothing | Needs::Aws | Needs::AwsAndMysql => None,
    }
}

/// Whether this machine has a database server. One could be fetched, but not in a quick test.
fn has_mysql() -> bool {
    let dirs = || path_dirs().chain(MYSQL_DIRS.iter().map(PathBuf::from));
    std::env::var_os("BENCH_MARIADBD").is_some()
        || MYSQL_PROGRAMS.iter().any(|name| find_program(name, dirs()).is_some())
}
