//! The network in front of the services, for faults: a proxy per node that can have one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench_proxy::Proxy;
use bench_services::SERVICES;
use bench_stack::{Service, Stack, StackOptions};

/// Proxies in front of the nodes of a stack.
#[derive(Debug)]
pub(crate) struct Network {
    /// By service: each node with its proxy.
    proxies: Vec<(&'static str, Vec<(String, Proxy)>)>,
}

impl Network {
    /// Opens the ports, which the nodes advertise. They lead nowhere before they are connected.
    pub(super) fn new(options: &StackOptions) -> Result<Self> {
        let mut proxies = Vec::new();
        for (service, nodes) in SERVICES.proxied_nodes(options) {
            let listen = |node| Ok::<_, anyhow::Error>((node, Proxy::listen()?));
            let nodes = nodes.into_iter().map(listen).collect::<Result<_>>();
            proxies.push((service, nodes.context("failed to start a proxy")?));
        }
        Ok(Self { proxies })
    }

    /// The options of a stack behind the proxies.
    pub(super) fn behind(&self, mut options: StackOptions) -> StackOptions {
        for (service, nodes) in &self.proxies {
            let ports = nodes.iter().map(|(_, proxy)| proxy.port()).collect();
            options = options.with_proxies(service, ports);
        }
        options
    }

    /// Leads to the nodes of a stack that was started behind it, without disturbance.
    pub(super) fn connect(&self, stack: &Stack) -> Result<()> {
        self.lead_to(stack.behind_proxies(), &stack.environment())
    }

    fn lead_to(
        &self,
        nodes: Vec<(String, SocketAddr)>,
        environment: &[(String, String)],
    ) -> Result<()> {
        for (node, address) in nodes {
            if let Some(proxy) = self.before(&node) {
                // Otherwise faults would have no effect, and results would claim one.
                ensure!(
                    environment.iter().any(|(_, value)| names_port(value, proxy.port())),
                    "no variable leads to the proxy of {node}: its service must name it"
                );
                proxy.set_target(address);
                proxy.set_latency(Duration::ZERO);
                proxy.set_bandwidth(None);
            }
        }
        Ok(())
    }

    /// The warning in the results of a run whose connections go through it.
    pub(super) fn warning(&self) -> String {
        let services = self.proxies.iter().filter_map(|(service, _)| SERVICES.get(service));
        let titles: Vec<&str> = services.map(Service::title).collect();
        let titles = titles.join(" and ");
        format!("the tool reaches {titles} through a proxy, which adds up to 0.1 ms")
    }

    /// The proxy in front of a node.
    pub(super) fn before(&self, node: &str) -> Option<&Proxy> {
        let mut nodes = self.proxies.iter().flat_map(|(_, nodes)| nodes);
        nodes.find(|(name, _)| name == node).map(|(_, proxy)| proxy)
    }
}

/// Whether a text contains an address with this port, such as one in a list of brokers.
fn names_port(text: &str, port: u16) -> bool {
    let mut ports = text.split(':').skip(1).map(|rest| {
        rest.split_once(|c: char| !c.is_ascii_digit()).map_or(rest, |(digits, _)| digits)
    });
    ports.any(|digits| digits.parse() == Ok(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_lists_and_urls() {
        for (text, found) in [
            ("127.0.0.1:9092,127.0.0.1:1234", true),
            ("mysql://u:p@127.0.0.1:1234/bench", true),
            ("127.0.0.1:12345", false),
            ("1234", false),
        ] {
            assert_eq!(names_port(text, 1234), found, "{text}");
        }
    }

    #[test]
    fn nodes_have_proxies_of_their_own() {
        let options = StackOptions::of(["mysql"]).with("kafka", "brokers", 2);
        let network = Network::new(&options).expect("proxies");
        let port = |node| network.before(node).map(Proxy::port);
        let ports = [port("kafka-1"), port("kafka-2")].map(|port| port.expect("a proxy"));
        assert_ne!(ports[0], ports[1]);
        assert!(port("kafka-3").is_none() && port("mysql").is_none());
        let options = network.behind(options);
        assert_eq!(options.get("kafka").map(|kafka| kafka.proxies.clone()), Some(ports.to_vec()));
        assert!(network.warning().contains("reaches Kafka through"), "{}", network.warning());
    }

    #[test]
    fn services_must_lead_their_clients_to_their_proxies() {
        let network = Network::new(&StackOptions::of(["kafka"])).expect("proxies");
        let proxy = network.before("kafka-1").map(Proxy::port).expect("a proxy");
        let nodes = || vec![("kafka-1".to_owned(), SocketAddr::from(([127, 0, 0, 1], 9)))];
        let names = |port: u16| [("SERVERS".to_owned(), format!("127.0.0.1:{port}"))];
        network.lead_to(nodes(), &names(proxy)).expect("named");
        let error = network.lead_to(nodes(), &names(9)).expect_err("the node itself is named");
        assert!(error.to_string().contains("the proxy of kafka-1"), "{error}");
    }
}
