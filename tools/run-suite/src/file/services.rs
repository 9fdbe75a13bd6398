//! The services that an experiment file can name.

use bench_services::local::{BROKERS_MAX, Service};

/// Their names.
pub(crate) fn names() -> [&'static str; 8] {
    ["kafka", "connect", "mysql", "s3", "kinesis", "dynamodb", "kin-lambda", "sql-lambda"]
}

/// Their names in words.
pub(super) fn listed() -> String {
    names().join(", ")
}

/// Refuses a name that no service has.
pub(super) fn refuse_unknown(name: &str) -> Result<(), String> {
    name.parse::<Service>().map(|_| ()).map_err(|_| format!("there is no service `{name}`"))
}

/// The service that has a setting of this name.
pub(super) fn with_setting(name: &str) -> Option<&'static str> {
    (name == "brokers").then_some("kafka")
}

/// What faults can be about: nodes, and whole services. Those of a network need a proxy.
pub(super) fn fault_targets(network: bool) -> Vec<String> {
    let mut targets: Vec<String> =
        (1..=BROKERS_MAX).map(|number| format!("kafka-{number}")).collect();
    targets.push("kafka".to_owned());
    if !network {
        targets.extend(["connect", "mysql", "s3"].map(str::to_owned));
    }
    targets
}
