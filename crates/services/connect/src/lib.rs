//! A Kafka Connect worker in standalone mode, without connectors: those are added by REST.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bench_service_kafka::{self as kafka, Kafka};
use bench_stack::{
    Cache, Embedded, Launch, NodeContext, Parts, Progress, Service, ServiceOptions, StackError,
    http,
};

/// Settings of a worker that are the same in all stacks.
const SETTINGS: [(&str, &str); 7] = [
    // Finds the connectors of the class path without reading every class.
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
#[derive(Debug)]
pub struct Connect;

impl Service for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn title(&self) -> &'static str {
        "Kafka Connect"
    }

    fn needs(&self) -> &'static [&'static str] {
        &[kafka::NAME]
    }

    fn is_default(&self) -> bool {
        true
    }

    fn embedded(&self) -> Embedded {
        Embedded::No
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["connect-url"]
    }

    fn bears_process_faults(&self) -> bool {
        true
    }

    fn fetch(
        &self,
        cache: &Cache,
        options: &ServiceOptions,
        progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        let kafka = Kafka.fetch(cache, options, progress)?;
        let version = kafka.version.replacen("Apache Kafka", "Kafka Connect", 1);
        Ok(Parts { version, ..kafka })
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec!["rest"]
    }

    fn prepare(&self, nodes: &[NodeContext<'_>]) -> Result<(), StackError> {
        for node in nodes {
            let write = |path: PathBuf, text: &str| {
                fs::write(&path, text).map_err(StackError::file("write", &path))
            };
            write(worker_properties(node), &kafka::properties(&settings(node)))?;
            write(kafka::logging_properties(node), kafka::LOGGING)?;
        }
        Ok(())
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        let options = ["-Xmx256m", "-XX:+UseG1GC", "-Djava.awt.headless=true"];
        let main = "org.apache.kafka.connect.cli.ConnectStandalone".to_owned();
        let worker = worker_properties(node).display().to_string();
        Ok(kafka::java(node, &options, &[main, worker]))
    }

    fn check(&self, node: &NodeContext<'_>) -> Result<(), String> {
        http::answers(node.port("rest"), "/connectors", 200)
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        format!("http://127.0.0.1:{}", node.port("rest"))
    }

    fn environment(&self, nodes: &[NodeContext<'_>]) -> Vec<(String, String)> {
        let url = nodes.first().map(|node| ("CONNECT_URL".to_owned(), self.address(node)));
        url.into_iter().collect()
    }
}

fn settings(node: &NodeContext<'_>) -> BTreeMap<String, String> {
    let brokers: Vec<String> =
        node.nodes_of(kafka::NAME).iter().map(|broker| Kafka.address(broker)).collect();
    let offsets = node.data_dir().join("offsets");
    let own = [
        ("bootstrap.servers", brokers.join(",")),
        ("listeners", Connect.address(node)),
        ("offset.storage.file.filename", offsets.display().to_string()),
    ];
    let all = SETTINGS.map(|(key, value)| (key, value.to_owned())).into_iter().chain(own);
    all.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn worker_properties(node: &NodeContext<'_>) -> PathBuf {
    node.config_dir().join("worker.properties")
}
