//! The network in front of the services, for faults: a proxy per node.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_services::local::{Service, Stack};
use bench_services::proxy::Proxy;

/// The variable that tells a tool where Kafka is.
const KAFKA_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// A proxy before each broker of a Kafka cluster.
#[derive(Debug)]
pub(crate) struct Network {
    /// That of `kafka-1` first.
    proxies: Vec<Proxy>,
}

impl Network {
    /// Opens the ports, which the brokers advertise. They lead nowhere before they are connected.
    pub(crate) fn new(brokers: u32) -> Result<Self> {
        let proxies = (0..brokers).map(|_| Proxy::listen()).collect::<Result<_, _>>();
        Ok(Self { proxies: proxies.context("failed to start a proxy")? })
    }

    /// One for each broker.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.proxies.iter().map(Proxy::port).collect()
    }

    /// Leads to the brokers of a stack that was started with these ports, as fast as they are.
    pub(crate) fn connect(&self, stack: &Stack) {
        for (proxy, broker) in self.proxies.iter().zip(stack.kafka_behind_proxies()) {
            proxy.set_target(broker);
            proxy.set_latency(Duration::ZERO);
            proxy.set_bandwidth(None);
        }
    }

    /// The environment of a tool, with the addresses of the proxies instead of the servers'.
    pub(super) fn redirect(&self, mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
        let address = |proxy: &Proxy| format!("{}:{}", Ipv4Addr::LOCALHOST, proxy.port());
        let addresses = self.proxies.iter().map(address).collect::<Vec<_>>().join(",");
        environment.retain(|(name, _)| name != KAFKA_VARIABLE);
        environment.push((KAFKA_VARIABLE.to_owned(), addresses));
        environment
    }

    /// The warning in the results of a run whose connections go through it.
    pub(super) fn warning(&self) -> String {
        "the tool reaches Kafka through a proxy, which adds up to 0.1 ms".to_owned()
    }

    /// The proxy before a node.
    pub(super) fn before(&self, node: &str) -> Option<&Proxy> {
        let number: usize = node.strip_prefix(&format!("{}-", Service::Kafka))?.parse().ok()?;
        self.proxies.get(number.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_redirected_to_proxies() {
        let network = Network::new(2).expect("proxies");
        let ports = network.ports();
        let before =
            ["KAFKA_BOOTSTRAP_SERVERS", "MYSQL_URL"].map(|name| (name.to_owned(), "x".to_owned()));
        let servers = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
        assert_eq!(
            network.redirect(before.to_vec()),
            [before[1].clone(), ("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers)]
        );
        assert_eq!(network.before("kafka-2").map(Proxy::port), Some(ports[1]));
        assert!(network.before("kafka-3").is_none() && network.before("kafka-0").is_none());
    }
}
