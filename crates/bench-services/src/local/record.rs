//! The record of a stack, by which whoever comes later knows what it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::folder::{RECORD, RECORD_NEW};
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
    /// Puts it into the stack's folder, in place of the one before, all at once.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LocalError> {
        let path = dir.join(RECORD);
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|source| LocalError::Record { path: path.clone(), source })?;
        let new = dir.join(RECORD_NEW);
        secret::write(&new, &text)?;
        fs::rename(&new, &path).map_err(LocalError::file("write", &path))
    }
}

/// Whether there is a stack in `dir`.
pub(super) fn is_stack(dir: &Path) -> bool {
    dir.join(RECORD).is_file()
}

/// The record of the stack in `dir`, whatever it says about itself.
pub(super) fn read(dir: &Path) -> Result<Record, LocalError> {
    let path = dir.join(RECORD);
    let text = fs::read_to_string(&path).map_err(LocalError::file("read", &path))?;
    let nonsense = |source| LocalError::Record { path: path.clone(), source };
    let record: Record = serde_json::from_str(&text).map_err(nonsense)?;
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
        Service::Connect | Service::Mysql | Service::S3 => vec![service.to_string()],
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
    let kafka = if old.services.contains(&Service::Kafka) { old } else { new };
    let s3 = if old.services.contains(&Service::S3) { old } else { new };
    Ok(StackOptions {
        services: old.services.union(&new.services).copied().collect(),
        brokers: kafka.brokers,
        kafka_settings: kafka.kafka_settings.clone(),
        kafka_proxy_ports: kafka.kafka_proxy_ports.clone(),
        s3_server: s3.s3_server,
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
