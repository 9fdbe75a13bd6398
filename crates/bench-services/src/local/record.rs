//! The record of a stack, by which whoever comes later knows what it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bench_core::system::read_file;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::folder::RECORD;
use super::process::{Process, ProcessState};
use super::server::{Parts, server};
use super::{Cache, LocalError, Service, StackOptions, secret};

/// What `stack.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Tells stacks apart that one folder has one after the other.
    pub(super) id: String,
    /// The cache folder.
    pub(super) cache: PathBuf,
    pub(super) options: StackOptions,
    pub(super) nodes: Vec<Node>,
}

/// One server process of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) service: Service,
    pub(super) parts: Parts,
    pub(super) ports: BTreeMap<String, u16>,
    /// Whether its configuration and data are there.
    pub(super) is_prepared: bool,
    /// The process that was started last. It may have ended.
    pub(super) process: Option<Process>,
}

impl Node {
    pub(super) fn state(&self) -> ProcessState {
        self.process.as_ref().map_or(ProcessState::Ended, Process::state)
    }
}

impl Record {
    /// Writes it into the stack's folder, in place of the one before, in one step.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LocalError> {
        let path = dir.join(RECORD);
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|source| LocalError::Record { path: path.clone(), source })?;
        secret::write(&path, &text)
    }
}

/// Whether there is a stack in `dir`.
pub(super) fn is_stack(dir: &Path) -> bool {
    dir.join(RECORD).is_file()
}

/// The record of the stack in `dir`, whatever it says about itself.
pub(super) fn read(dir: &Path) -> Result<Record, LocalError> {
    let path = dir.join(RECORD);
    let text = read_file(&path).map_err(LocalError::file("read", &path))?;
    let nonsense = |source| LocalError::Record { path: path.clone(), source };
    let record: Record = serde_json::from_slice(&text).map_err(nonsense)?;
    let known = |service| node_names(service, &record.options);
    for node in &record.nodes {
        let wanted = server(node.service).ports(&record.options);
        let has_ports = wanted.iter().all(|&port| node.ports.contains_key(port));
        if !has_ports || !known(node.service).contains(&node.name) {
            let error = format!("node '{}' is not what it should be", node.name);
            return Err(nonsense(serde_json::Error::custom(error)));
        }
    }
    Ok(record)
}

/// What the nodes of a service are called.
pub(super) fn node_names(service: Service, options: &StackOptions) -> Vec<String> {
    match service {
        Service::Kafka => (1..=options.brokers).map(|number| format!("kafka-{number}")).collect(),
        _ => vec![service.to_string()],
    }
}

/// What a stack with the options `old` becomes when it is to have those of `new` as well.
pub(super) fn merged(
    dir: &Path,
    old: &StackOptions,
    new: &StackOptions,
) -> Result<StackOptions, LocalError> {
    let both = |service| old.services.contains(&service) && new.services.contains(&service);
    let differs = |difference: String| LocalError::Different { dir: dir.to_owned(), difference };
    if both(Service::Kafka) {
        if old.brokers != new.brokers {
            return Err(differs(format!("has {} broker(s), not {}", old.brokers, new.brokers)));
        }
        if old.kafka_settings != new.kafka_settings {
            return Err(differs("has other Kafka settings".to_owned()));
        }
        if old.kafka_proxy_ports != new.kafka_proxy_ports {
            return Err(differs("has Kafka behind other proxies, or none".to_owned()));
        }
    }
    if both(Service::S3) && new.s3_server.is_some() && old.s3_server != new.s3_server {
        return Err(differs("has another S3 server".to_owned()));
    }
    if both(Service::Kinesis) && old.kinesis_limits != new.kinesis_limits {
        return Err(differs("has Kinesis with other limits".to_owned()));
    }
    if both(Service::Dynamodb)
        && new.dynamodb_local.is_some()
        && old.dynamodb_local != new.dynamodb_local
    {
        return Err(differs("has another DynamoDB".to_owned()));
    }
    let lambdas = [
        (Service::KinLambda, old.kin_lambda == new.kin_lambda),
        (Service::SqlLambda, old.sql_lambda == new.sql_lambda),
    ];
    for (service, is_same) in lambdas {
        if both(service) && !is_same {
            return Err(differs(format!("has {service} with other settings")));
        }
    }
    let of = |service| if old.services.contains(&service) { old } else { new };
    Ok(StackOptions {
        services: old.services.union(&new.services).copied().collect(),
        brokers: of(Service::Kafka).brokers,
        kafka_settings: of(Service::Kafka).kafka_settings.clone(),
        kafka_proxy_ports: of(Service::Kafka).kafka_proxy_ports.clone(),
        s3_server: of(Service::S3).s3_server,
        kinesis_limits: of(Service::Kinesis).kinesis_limits.clone(),
        dynamodb_local: of(Service::Dynamodb).dynamodb_local.clone(),
        kin_lambda: of(Service::KinLambda).kin_lambda.clone(),
        sql_lambda: of(Service::SqlLambda).sql_lambda.clone(),
        embedded_program: new.embedded_program.clone().or_else(|| old.embedded_program.clone()),
    })
}

/// Ports that belong to a stack, whether its servers listen on them just now or not.
pub(super) fn ports_in_use(cache: &Cache, record: &Record) -> BTreeSet<u16> {
    let others: Vec<Record> = cache.stacks().iter().filter_map(|dir| read(dir).ok()).collect();
    let all = others.iter().chain([record]);
    all.flat_map(|record| {
        let proxies = record.options.kafka_proxy_ports.iter();
        record.nodes.iter().flat_map(|node| node.ports.values()).chain(proxies).copied()
    })
    .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::embedded::KinesisLimits;

    /// One broker, whose ports are 20001 and following.
    pub(in super::super) fn sample() -> Record {
        let options = StackOptions::kafka(1);
        let names = server(Service::Kafka).ports(&options);
        let node = Node {
            name: "kafka-1".to_owned(),
            service: Service::Kafka,
            parts: Parts {
                version: "Apache Kafka 4.3.1".to_owned(),
                program: "java".into(),
                more: BTreeMap::new(),
            },
            ports: names.into_iter().map(String::from).zip(20_001..).collect(),
            is_prepared: true,
            process: None,
        };
        Record { id: "id".to_owned(), cache: "cache".into(), options, nodes: vec![node] }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().expect("a folder");
        sample().write(dir.path()).expect("written");
        assert_eq!(read(dir.path()).expect("read"), sample());
    }

    #[test]
    fn a_record_that_was_tampered_with_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |record: &Record| {
            record.write(dir.path()).expect("written");
            let error = read(dir.path()).expect_err("refused");
            assert!(error.to_string().contains("no record of a stack"), "{error}");
        };
        let mut elsewhere = sample();
        elsewhere.nodes[0].name = "../../home".to_owned();
        refused(&elsewhere);
        let mut mute = sample();
        mute.nodes[0].ports.clear();
        refused(&mute);
        let mut none = sample();
        none.options.brokers = 0;
        refused(&none);
    }

    #[test]
    fn a_stack_grows_but_does_not_change() {
        let dir = Path::new("dir");
        let old = StackOptions::kafka(3);
        let more = StackOptions::of([Service::Mysql]);
        let both = merged(dir, &old, &more).expect("grows");
        assert_eq!(both.brokers, 3);
        assert_eq!(both.services, BTreeSet::from([Service::Kafka, Service::Mysql]));
        assert_eq!(merged(dir, &both, &old).expect("as it is"), both);
        assert_eq!(merged(dir, &more, &old).expect("the other way round").brokers, 3);
        let mut other = old.clone();
        other.kafka_settings.push(("num.partitions".to_owned(), "2".to_owned()));
        let kinesis = StackOptions::of([Service::Kinesis]);
        let unlimited = KinesisLimits { enforce_writes: false, ..KinesisLimits::default() };
        let both = merged(dir, &both, &kinesis).expect("grows");
        let unlimited = StackOptions { kinesis_limits: unlimited, ..kinesis };
        for other in [other, StackOptions::kafka(1), unlimited] {
            let error = merged(dir, &both, &other).expect_err("changes");
            assert!(error.is_usage() && error.to_string().contains("services down"), "{error}");
        }
    }
}
