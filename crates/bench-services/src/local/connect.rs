//! A Kafka Connect worker in standalone mode, without connectors: these are added by REST.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::process::Launch;
use super::server::{Notice, Parts, Server, Site};
use super::{Cache, LocalError, Service, StackOptions, http, kafka};

/// What a worker is told that is the same in all stacks.
const SETTINGS: [(&str, &str); 7] = [
    // The connectors of the class path, found without reading every class of it.
    ("plugin.discovery", "service_load"),
    ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("key.converter.schemas.enable", "true"),
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "true"),
    // A worker that is killed reads little twice.
    ("offset.flush.interval.ms", "500"),
    ("rest.advertised.host.name", "127.0.0.1"),
];

/// A Kafka Connect worker.
pub(super) struct Connect;

impl Server for Connect {
    fn fetch(
        &self,
        cache: &Cache,
        options: &StackOptions,
        notice: &mut Notice<'_>,
    ) -> Result<Parts, LocalError> {
        let kafka = kafka::Kafka.fetch(cache, options, notice)?;
        let version = kafka.version.replacen("Apache Kafka", "Kafka Connect", 1);
        Ok(Parts { version, ..kafka })
    }

    fn ports(&self, _options: &StackOptions) -> Vec<&'static str> {
        vec!["rest"]
    }

    fn prepare(&self, nodes: &[Site<'_>]) -> Result<(), LocalError> {
        for node in nodes {
            let write = |path: PathBuf, text: &str| {
                fs::write(&path, text).map_err(LocalError::file("write", &path))
            };
            write(worker_properties(node), &kafka::properties(&settings(node)))?;
            write(kafka::logging_properties(node), kafka::LOGGING)?;
        }
        Ok(())
    }

    fn launch(&self, node: &Site<'_>) -> Result<Launch, LocalError> {
        let options = ["-Xmx256m", "-XX:+UseG1GC", "-Djava.awt.headless=true"];
        let main = "org.apache.kafka.connect.cli.ConnectStandalone".to_owned();
        let worker = worker_properties(node).display().to_string();
        Ok(kafka::java(node, &options, &[main, worker]))
    }

    fn check(&self, node: &Site<'_>) -> Result<(), String> {
        http::answers(node.port("rest"), "/connectors", 200)
    }

    fn address(&self, node: &Site<'_>) -> String {
        format!("http://127.0.0.1:{}", node.port("rest"))
    }

    fn environment(&self, nodes: &[Site<'_>]) -> Vec<(String, String)> {
        let url = nodes.first().map(|node| ("CONNECT_URL".to_owned(), self.address(node)));
        url.into_iter().collect()
    }
}

fn settings(node: &Site<'_>) -> BTreeMap<String, String> {
    let brokers: Vec<String> =
        node.nodes_of(Service::Kafka).iter().map(|broker| kafka::Kafka.address(broker)).collect();
    let offsets = node.data_dir().join("offsets");
    let own = [
        ("bootstrap.servers", brokers.join(",")),
        ("listeners", Connect.address(node)),
        ("offset.storage.file.filename", offsets.display().to_string()),
    ];
    let all = SETTINGS.map(|(key, value)| (key, value.to_owned())).into_iter().chain(own);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn worker_properties(node: &Site<'_>) -> PathBuf {
    node.config_dir().join("worker.properties")
}
