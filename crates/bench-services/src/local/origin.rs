//! Whether a service that a tool talks to is one of a local stack.

use std::path::Path;

use bench_core::results::{ServiceInfo, ServiceOrigin};

use super::server::sites;
use super::stack::VARIABLE;
use super::{Service, record};

/// The local service that `addresses` belong to: `host:port` or URLs, separated by commas. It is
/// looked for in the stack that the environment variable `BENCH_STACK` names; nothing if there is
/// none, or if one address is not of this stack.
#[must_use]
pub fn origin_of(service: &str, addresses: &str) -> Option<ServiceInfo> {
    let dir = std::env::var_os(VARIABLE)?;
    find(Path::new(&dir), service.parse().ok()?, addresses)
}

fn find(dir: &Path, service: Service, addresses: &str) -> Option<ServiceInfo> {
    let record = record::read(dir).ok()?;
    let nodes = sites(dir, &record, service);
    let is_ours = |port: u16| {
        let is_proxy =
            service == Service::Kafka && record.options.kafka_proxy_ports.contains(&port);
        is_proxy || nodes.iter().any(|site| site.node.ports.values().any(|&ours| ours == port))
    };
    let addresses: Vec<&str> = addresses.split(',').map(host_and_port).collect();
    let all_ours = addresses.iter().all(|address| {
        let (host, port) = address.rsplit_once(':').unwrap_or_default();
        matches!(host, "127.0.0.1" | "localhost") && port.parse().is_ok_and(is_ours)
    });
    all_ours.then(|| ServiceInfo {
        name: service.to_string(),
        origin: ServiceOrigin::Local,
        address: addresses.join(","),
        version: nodes.first().map(|site| site.node.parts.version.clone()).unwrap_or_default(),
    })
}

/// An address without scheme, user, password and path.
fn host_and_port(address: &str) -> &str {
    let rest = address.trim();
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}
