//! The built-in experiments of `run-suite quick`: a first look in a minute and a half.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use bench_cli::UsageError;
use bench_record::ServiceOrigin;
use bench_services::SERVICES;
use bench_stack::{Service, programs};

use super::experiment_plan::Plan;
use super::planning::plan_on;

/// A built-in experiment.
struct QuickExperiment {
    /// The name of its folder, which keeps them in order.
    name: &'static str,
    /// The packages whose binaries it runs.
    packages: &'static [&'static str],
    /// The packages that it needs on embedded services only.
    stand_ins: &'static [&'static str],
    /// Whether it would cost money on external services.
    is_billed: bool,
    text: &'static str,
}

const EXPERIMENTS: &[QuickExperiment] = &[
    QuickExperiment {
        name: "1-throughput",
        packages: &["kafka-prodcon"],
        stand_ins: &["embedded-kafka"],
        is_billed: false,
        text: include_str!("../../../../experiments/quick/throughput.toml"),
    },
    QuickExperiment {
        name: "2-latency",
        packages: &["kafka-prodcon"],
        stand_ins: &["embedded-kafka"],
        is_billed: false,
        text: include_str!("../../../../experiments/quick/latency.toml"),
    },
    QuickExperiment {
        name: "3-sweep",
        packages: &["kafka-prodcon"],
        stand_ins: &["embedded-kafka"],
        is_billed: false,
        text: include_str!("../../../../experiments/quick/sweep.toml"),
    },
    QuickExperiment {
        name: "4-kinesis-dynamodb",
        packages: &[
            "kin-producer",
            "kin-db-consumer",
            "kin-lambda",
            "embedded-kinesis",
            "embedded-dynamodb",
            "local-lambda",
        ],
        stand_ins: &[],
        is_billed: true,
        text: include_str!("../../../../experiments/quick/kinesis-dynamodb.toml"),
    },
    QuickExperiment {
        name: "5-kinesis-mysql",
        packages: &[
            "kin-producer",
            "kin-sql-consumer",
            "sql-lambda",
            "embedded-kinesis",
            "local-lambda",
        ],
        stand_ins: &[],
        is_billed: true,
        text: include_str!("../../../../experiments/quick/kinesis-mysql.toml"),
    },
    QuickExperiment {
        name: "6-delta",
        packages: &["delta-producer"],
        stand_ins: &["embedded-s3"],
        is_billed: true,
        text: include_str!("../../../../experiments/quick/delta.toml"),
    },
];

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
    for &QuickExperiment { name, packages, stand_ins, is_billed, text } in EXPERIMENTS {
        let is_embedded = services.unwrap_or(ServiceOrigin::Embedded) == ServiceOrigin::Embedded;
        let stand_ins = if is_embedded { stand_ins } else { &[] };
        let packages = packages.iter().chain(stand_ins).copied();
        let lacking: Vec<&str> =
            packages.filter(|name| programs::find_own(name).is_err()).collect();
        if !lacking.is_empty() {
            unbuilt.push(name);
            missing.extend(lacking);
            continue;
        }
        if is_billed && services == Some(ServiceOrigin::External) {
            left_out.push(format!(
                "{name} is left out: it would spend money in your account; use `run-suite run` for \
                 that"
            ));
            continue;
        }
        let planned = plan_on(text.to_owned(), services, false);
        let (text, plan) =
            planned.with_context(|| format!("failed to plan the quick test {name}"))?;
        if let Some(missing) = not_installed(&plan) {
            left_out.push(format!("{name} is left out: {missing}"));
            continue;
        }
        plans.push((name, text, plan));
    }
    let build = || {
        let packages: Vec<String> = missing.iter().map(|name| format!("-p {name}")).collect();
        format!("build their tools with `cargo build --release {}`", packages.join(" "))
    };
    if plans.is_empty() && !unbuilt.is_empty() {
        return Err(UsageError::new("quick", "none of its tests can run yet", build()).into());
    }
    if !unbuilt.is_empty() {
        left_out.push(format!("left out: {}; {}", unbuilt.join(", "), build()));
    }
    Ok(Quick { plans, left_out })
}

/// What is missing for the services of a plan to start without a long download.
fn not_installed(plan: &Plan) -> Option<String> {
    let services = plan.stack.iter().flat_map(|stack| &stack.services);
    services.filter_map(|name| SERVICES.get(name)).find_map(Service::not_installed)
}
