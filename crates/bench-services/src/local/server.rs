//! What all kinds of servers have in common: the interface that each of them has one file for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{CONFIG, DATA, LOGS, SECRETS, TMP};
use super::lambda::Lambda;
use super::process::Launch;
use super::record::{Node, Record};
use super::{
    Cache, LocalError, Service, StackOptions, connect, dynamodb, kafka, kinesis, mysql, s3,
};

/// Told what takes a while, one sentence at a time.
pub(super) type Notice<'a> = dyn FnMut(&str) + 'a;

/// A kind of server. None of it keeps anything in memory: a stack is run by many processes, one
/// after the other.
pub(super) trait Server {
    /// Finds what the server is made of, or fetches it into the cache.
    fn fetch(
        &self,
        cache: &Cache,
        options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError>;

    /// The ports that each node wants, by names of its own.
    fn ports(&self, options: &StackOptions) -> Vec<&'static str>;

    /// Writes the configuration and initialises the data of all nodes. Their folders are there.
    fn prepare(&self, nodes: &[Site<'_>]) -> Result<(), LocalError>;

    /// How a node is started, the first time and again.
    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError>;

    /// Whether a node does its work; if not, what is wrong with it. Takes a second at most.
    fn check(&self, node: &Site<'_>) -> Result<(), String>;

    /// Where a node is reached, as its clients are told.
    fn address(&self, node: &Site<'_>) -> String;

    /// The environment variables by which clients find the service, which has at least one node.
    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)>;
}

/// The one that runs `service`.
pub(super) fn server(service: Service) -> &'static dyn Server {
    match service {
        Service::Kafka => &kafka::Kafka,
        Service::Connect => &connect::Connect,
        Service::Mysql => &mysql::Mysql,
        Service::S3 => &s3::S3,
        Service::Kinesis => &kinesis::Kinesis,
        Service::Dynamodb => &dynamodb::Dynamodb,
        Service::KinLambda => &Lambda(Service::KinLambda),
        Service::SqlLambda => &Lambda(Service::SqlLambda),
    }
}

/// What a server is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    /// Its name and version as results show them, with whatever else must be known of it.
    pub(super) version: String,
    /// What is run.
    pub(super) program: PathBuf,
    /// Whatever more a kind of server wants to remember, such as its class path. No secrets.
    pub(super) more: BTreeMap<String, String>,
}

impl Parts {
    /// One of the things in `more`; nothing if somebody took it out of the record.
    pub(super) fn get(&self, key: &str) -> &str {
        self.more.get(key).map_or("", String::as_str)
    }
}

/// One node, and the stack around it.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    /// The stack's folder.
    pub(super) dir: &'a Path,
    pub(super) record: &'a Record,
    pub(super) node: &'a Node,
}

impl<'a> Site<'a> {
    /// For its configuration. Kept when the stack goes down.
    pub(super) fn config_dir(&self) -> PathBuf {
        self.dir.join(CONFIG).join(&self.node.name)
    }

    /// For its data.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.join(DATA).join(&self.node.name)
    }

    /// For temporary files, shared with the other nodes.
    pub(super) fn tmp_dir(&self) -> PathBuf {
        self.dir.join(TMP)
    }

    /// For secrets, shared with the other nodes; they are to be readable by their owner only.
    pub(super) fn secrets_dir(&self) -> PathBuf {
        self.dir.join(SECRETS)
    }

    /// What it says. Kept when the stack goes down.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(LOGS).join(format!("{}.log", self.node.name))
    }

    /// One of the ports that its kind of server asked for.
    pub(super) fn port(&self, name: &str) -> u16 {
        // That none is missing was checked when the record was read.
        self.node.ports.get(name).copied().unwrap_or_default()
    }

    /// The nodes of a service of the same stack.
    pub(super) fn nodes_of(&self, service: Service) -> Vec<Site<'a>> {
        sites(self.dir, self.record, service)
    }
}

/// What tools need in their environment to find the services.
pub(super) fn environment(dir: &Path, record: &Record) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for service in Service::ALL {
        let nodes = sites(dir, record, service);
        if nodes.is_empty() {
            continue;
        }
        // The first word on something is the last: stand-ins take the keys of the S3 server.
        for (name, value) in server(service).environment(&nodes) {
            if all.iter().all(|(other, _)| *other != name) {
                all.push((name, value));
            }
        }
    }
    all
}

/// The nodes of a service.
pub(super) fn sites<'a>(dir: &'a Path, record: &'a Record, service: Service) -> Vec<Site<'a>> {
    let nodes = record.nodes.iter().filter(|node| node.service == service);
    nodes.map(|node| Site { dir, record, node }).collect()
}
