//! The brokers of a cluster: how many, their names and addresses.

use bench_stack::{NodeContext, ServiceOptions};

use super::listener::Listener;

/// Its name as a service.
pub const NAME: &str = "kafka";

/// Most brokers of a local cluster.
pub(crate) const BROKERS_MAX: u32 = 5;

/// The key of the number of brokers among the options.
pub(crate) const BROKERS: &str = "brokers";

/// The number of brokers.
pub(crate) fn brokers(options: &ServiceOptions) -> u32 {
    options.get(BROKERS).and_then(|brokers| brokers.parse().ok()).unwrap_or(1)
}

/// The names of so many brokers.
pub(crate) fn node_names(brokers: u32) -> Vec<String> {
    (1..=brokers).map(|number| format!("{NAME}-{number}")).collect()
}

/// The addresses of one listener of each node, for clients.
pub(crate) fn servers(nodes: &[NodeContext<'_>], listener: Listener) -> String {
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port(listener.name())));
    addresses.collect::<Vec<_>>().join(",")
}

/// The number in `kafka-N`.
pub(crate) fn number(node: &NodeContext<'_>) -> u32 {
    let number = node.name().rsplit('-').next().and_then(|number| number.parse().ok());
    // The names were checked when the record was read.
    number.unwrap_or_default()
}

/// All nodes of the cluster that a node belongs to.
pub(crate) fn cluster<'a>(node: &NodeContext<'a>) -> Vec<NodeContext<'a>> {
    node.nodes_of(NAME)
}
