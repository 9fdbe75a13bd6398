//! What faults act on: the local services, and the network before them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench_services::local::{Service, Stack};
use bench_services::proxy::Proxy;

use crate::file::fault::{Fault, need_network};

/// The variable by which a tool learns where Kafka is.
const KAFKA_VARIABLE: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// What stands in the results of a run whose connections go through proxies.
const PROXIED: &str = "the tool reaches Kafka through a proxy, which adds up to 0.1 ms";

/// The services that run-suite has started on this machine for a run; none for a run that uses
/// others.
#[derive(Debug, Default)]
pub(crate) struct Site<'a> {
    /// The servers.
    pub(crate) stack: Option<&'a mut Stack>,
    /// The proxies before them, when there are network faults.
    pub(crate) network: Option<&'a Network>,
}

impl Site<'_> {
    /// Refuses faults on what is not there.
    pub(crate) fn check(&self, faults: &[Fault]) -> Result<()> {
        for fault in faults.iter().filter(|fault| fault.deed.needs_local()) {
            self.nodes(&fault.target).with_context(|| format!("[[fault]] {fault}"))?;
        }
        if need_network(faults) && self.network.is_none() {
            bail!("[[fault]] `network`: there is no proxy before the services");
        }
        Ok(())
    }

    /// The environment by which a tool finds the services, or the proxies before them.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.redirected(self.stack.as_ref().map(|stack| stack.environment()).unwrap_or_default())
    }

    fn redirected(&self, mut environment: Vec<(String, String)>) -> Vec<(String, String)> {
        if let Some(network) = self.network {
            environment.retain(|(name, _)| name != KAFKA_VARIABLE);
            environment.push((KAFKA_VARIABLE.to_owned(), network.bootstrap_servers()));
        }
        environment
    }

    /// What the reader of a run's figures must know about them.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.network.iter().map(|_| PROXIED.to_owned()).collect()
    }

    /// The nodes that a target names: itself, or all of a service.
    pub(crate) fn nodes(&self, target: &str) -> Result<Vec<String>> {
        let Some(stack) = &self.stack else { bail!("no local services are running") };
        let nodes = stack.nodes();
        let named: Vec<String> = nodes
            .iter()
            .filter(|node| node.name == target || node.service.to_string() == target)
            .map(|node| node.name.clone())
            .collect();
        if named.is_empty() {
            let known: Vec<String> = nodes.into_iter().map(|node| node.name).collect();
            bail!("the local services have no node `{target}`; they are {}", known.join(", "));
        }
        Ok(named)
    }

    /// Does something to each node that a target names, one after the other.
    pub(crate) fn each_node(
        &mut self,
        target: &str,
        act: impl Fn(&mut Stack, &str) -> Result<()>,
    ) -> Result<()> {
        let nodes = self.nodes(target)?;
        let stack = self.stack.as_mut().context("no local services are running")?;
        nodes.iter().try_for_each(|node| act(stack, node))
    }

    /// Does something to each proxy before the nodes that a target names.
    pub(crate) fn each_proxy(&self, target: &str, act: impl Fn(&Proxy)) -> Result<()> {
        let network = self.network.context("there is no proxy before the services")?;
        for node in self.nodes(target)? {
            network.before(&node).into_iter().for_each(&act);
        }
        Ok(())
    }
}

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

    /// Where the tool finds Kafka.
    fn bootstrap_servers(&self) -> String {
        let address = |proxy: &Proxy| format!("{}:{}", Ipv4Addr::LOCALHOST, proxy.port());
        self.proxies.iter().map(address).collect::<Vec<_>>().join(",")
    }

    fn before(&self, node: &str) -> Option<&Proxy> {
        let number: usize = node.strip_prefix(&format!("{}-", Service::Kafka))?.parse().ok()?;
        self.proxies.get(number.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_is_led_to_the_proxies() {
        let network = Network::new(2).expect("proxies");
        let ports = network.ports();
        let site = Site { stack: None, network: Some(&network) };
        let before =
            ["KAFKA_BOOTSTRAP_SERVERS", "MYSQL_URL"].map(|name| (name.to_owned(), "x".to_owned()));
        let servers = format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1]);
        assert_eq!(
            site.redirected(before.to_vec()),
            [before[1].clone(), ("KAFKA_BOOTSTRAP_SERVERS".to_owned(), servers)]
        );
        assert_eq!(site.warnings().len(), 1);
        assert_eq!(network.before("kafka-2").map(Proxy::port), Some(ports[1]));
        assert!(network.before("kafka-3").is_none() && network.before("kafka-0").is_none());
    }

    #[test]
    fn without_services_there_is_nothing_to_break() {
        let site = Site::default();
        let error = site.nodes("kafka-1").expect_err("none").to_string();
        assert_eq!(error, "no local services are running");
        assert!(site.redirected(Vec::new()).is_empty() && site.warnings().is_empty());
    }
}
