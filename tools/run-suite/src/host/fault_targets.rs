//! The targets of faults: local services, and the network in front of them.

use anyhow::{Context, Result, bail};
use bench_proxy::Proxy;
use bench_stack::Stack;

use super::network::Network;
use crate::file::fault::{Fault, need_network};

/// The services that run-suite has started for a run; none for a run that uses others.
#[derive(Debug, Default)]
pub(crate) struct FaultTargets<'a> {
    /// The servers.
    pub(crate) stack: Option<&'a mut Stack>,
    /// The proxies in front of them, if there are network faults.
    pub(crate) network: Option<&'a Network>,
}

impl FaultTargets<'_> {
    /// Refuses faults whose target is not there.
    pub(crate) fn check(&self, faults: &[Fault]) -> Result<()> {
        for fault in faults.iter().filter(|fault| fault.action.needs_local()) {
            self.nodes(&fault.target).with_context(|| format!("[[fault]] {fault}"))?;
        }
        if need_network(faults) && self.network.is_none() {
            bail!("[[fault]] `network`: there is no proxy in front of the services");
        }
        Ok(())
    }

    /// The environment in which a tool finds the services, or the proxies before them.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.stack.as_ref().map(|stack| stack.environment()).unwrap_or_default()
    }

    /// Warnings for the results of a run.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.network.iter().map(|network| network.warning()).collect()
    }

    /// The nodes of a target: itself, or all of a service.
    pub(crate) fn nodes(&self, target: &str) -> Result<Vec<String>> {
        let Some(stack) = &self.stack else { bail!("no local services are running") };
        let nodes = stack.nodes();
        let named: Vec<String> = nodes
            .iter()
            .filter(|node| node.name == target || node.service == target)
            .map(|node| node.name.clone())
            .collect();
        if named.is_empty() {
            let known: Vec<String> = nodes.into_iter().map(|node| node.name).collect();
            bail!("the local services have no node `{target}`; they are {}", known.join(", "));
        }
        Ok(named)
    }

    /// Applies `act` to each node of a target, one after the other.
    pub(crate) fn each_node(
        &mut self,
        target: &str,
        act: impl Fn(&mut Stack, &str) -> Result<()>,
    ) -> Result<()> {
        let nodes = self.nodes(target)?;
        let stack = self.stack.as_mut().context("no local services are running")?;
        nodes.iter().try_for_each(|node| act(stack, node))
    }

    /// Applies `act` to each proxy before the nodes of a target.
    pub(crate) fn each_proxy(&self, target: &str, act: impl Fn(&Proxy)) -> Result<()> {
        let network = self.network.context("there is no proxy in front of the services")?;
        for node in self.nodes(target)? {
            network.before(&node).into_iter().for_each(&act);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_without_services_are_refused() {
        let targets = FaultTargets::default();
        let error = targets.nodes("kafka-1").expect_err("none").to_string();
        assert_eq!(error, "no local services are running");
        assert!(targets.environment().is_empty() && targets.warnings().is_empty());
    }
}
