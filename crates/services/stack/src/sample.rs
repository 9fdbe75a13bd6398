//! Invented services for the tests of this crate.

use bench_record::ServiceOrigin;

use crate::cache::{Cache, Progress};
use crate::error::StackError;
use crate::options::{ServiceOptions, StackOptions};
use crate::process::Launch;
use crate::record::{Node, Parts, Record};
use crate::registry::Registry;
use crate::service::{Embedded, NodeContext, Service, ServiceOption};

pub(crate) const PLAIN: &str = "plain";
pub(crate) const TOP: &str = "top";

/// `plain` with one to three nodes, and `top`, which needs it.
pub(crate) const SERVICES: Registry = Registry::new(&[&Invented(TOP), &Invented(PLAIN)]);

struct Invented(&'static str);

const OPTIONS: &[ServiceOption] = &[ServiceOption {
    key: "nodes",
    flag: Some("nodes"),
    value_name: "N",
    help: "Number of nodes",
    default: "1",
    check: |value| match value {
        "1" | "2" | "3" => Ok(()),
        _ => Err(format!("must be 1 to 3, not {value}")),
    },
}];

impl Service for Invented {
    fn name(&self) -> &'static str {
        self.0
    }

    fn title(&self) -> &'static str {
        "Invented"
    }

    fn needs(&self) -> &'static [&'static str] {
        if self.0 == TOP { &[PLAIN] } else { &[] }
    }

    fn embedded(&self) -> Embedded {
        Embedded::No
    }

    fn options(&self) -> &'static [ServiceOption] {
        if self.0 == PLAIN { OPTIONS } else { &[] }
    }

    fn claims(&self, key: &str) -> bool {
        self.0 == PLAIN && key == "nodes"
    }

    fn tool_options(&self) -> &'static [&'static str] {
        &["server"]
    }

    fn node_names(&self, options: &ServiceOptions) -> Vec<String> {
        let count: u32 = options.get("nodes").and_then(|n| n.parse().ok()).unwrap_or(1);
        match self.0 {
            PLAIN => (1..=count).map(|number| format!("plain-{number}")).collect(),
            name => vec![name.to_owned()],
        }
    }

    fn possible_node_names(&self) -> Vec<String> {
        self.node_names(&ServiceOptions {
            settings: [("nodes".into(), "3".into())].into(),
            proxies: Vec::new(),
        })
    }

    fn bears_process_faults(&self) -> bool {
        true
    }

    fn proxied_port(&self) -> Option<&'static str> {
        (self.0 == PLAIN).then_some("client")
    }

    fn fetch(
        &self,
        _cache: &Cache,
        _options: &ServiceOptions,
        _progress: &mut Progress<'_>,
    ) -> Result<Parts, StackError> {
        Ok(parts())
    }

    fn ports(&self, _options: &ServiceOptions) -> Vec<&'static str> {
        vec!["client"]
    }

    fn launch(&self, node: &NodeContext<'_>) -> Result<Launch, StackError> {
        Ok(node.launch(vec!["600".to_owned()]))
    }

    fn check(&self, _node: &NodeContext<'_>) -> Result<(), String> {
        Ok(())
    }

    fn address(&self, node: &NodeContext<'_>) -> String {
        format!("127.0.0.1:{}", node.port("client"))
    }
}

fn parts() -> Parts {
    Parts::new("Plain 4.3.1".to_owned(), ServiceOrigin::Local, "/bin/sleep".into())
}

/// A stack of `plain` with one node, whose port is 20001.
pub(crate) fn sample() -> Record {
    let node = Node {
        name: "plain-1".to_owned(),
        service: PLAIN.to_owned(),
        parts: parts(),
        ports: [("client".to_owned(), 20_001)].into(),
        is_prepared: true,
        process: None,
    };
    let cache = Cache::at("/cache".as_ref()).expect("a path");
    let mut record = Record::new(&cache, StackOptions::of([PLAIN])).expect("random");
    record.id = "id".to_owned();
    record.nodes.push(node);
    record
}
