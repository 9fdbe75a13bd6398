//! Whether a service that a tool talks to is one of a local stack.

use std::path::Path;

use bench_record::ServiceInfo;

use crate::record;

/// The environment variable that names the folder of the stack that tools work with.
pub(crate) const VARIABLE: &str = "BENCH_STACK";

/// The service of a local stack that `addresses` belong to: `host:port` or URLs, separated by
/// commas. It is looked up in the stack that the environment variable `BENCH_STACK` names; `None`
/// without one, or if any of the addresses is not of this stack.
#[must_use]
pub fn origin_of(service: &str, addresses: &str) -> Option<ServiceInfo> {
    let dir = std::env::var_os(VARIABLE)?;
    find(Path::new(&dir), service, addresses)
}

fn find(dir: &Path, service: &str, addresses: &str) -> Option<ServiceInfo> {
    let record = record::read_unchecked(dir).ok()?;
    let proxies = &record.options.get(service)?.proxies;
    let nodes = || record.nodes.iter().filter(|node| node.service == service);
    let is_ours = |port: u16| {
        proxies.contains(&port) || nodes().any(|node| node.ports.values().any(|&own| own == port))
    };
    let addresses: Vec<&str> = addresses.split(',').map(host_and_port).collect();
    let all_ours = addresses.iter().all(|address| {
        let (host, port) = address.rsplit_once(':').unwrap_or_default();
        matches!(host, "127.0.0.1" | "localhost") && port.parse().is_ok_and(is_ours)
    });
    let parts = &nodes().next()?.parts;
    all_ours.then(|| ServiceInfo {
        name: service.to_owned(),
        origin: parts.origin,
        address: addresses.join(","),
        version: parts.version.clone(),
    })
}

/// An address without scheme, user, password and path.
fn host_and_port(address: &str) -> &str {
    let rest = address.trim();
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or_default();
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use bench_record::ServiceOrigin;

    use super::*;
    use crate::options::StackOptions;
    use crate::sample::{PLAIN, sample};

    #[test]
    fn all_addresses_must_belong_to_the_stack() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path();
        assert_eq!(find(dir, PLAIN, "127.0.0.1:20001"), None);
        let mut record = sample();
        record.options = StackOptions::of([PLAIN]).with_proxies(PLAIN, vec![9_000]);
        record.nodes[0].ports.insert("PROXIED".to_owned(), 20_100);
        record.write(dir).expect("written");
        let found = find(dir, PLAIN, "127.0.0.1:20001, localhost:9000").expect("found");
        assert_eq!(found.origin, ServiceOrigin::Local);
        assert_eq!(found.name, PLAIN);
        assert_eq!(found.version, "Plain 4.3.1");
        assert_eq!(found.address, "127.0.0.1:20001,localhost:9000");
        for other in ["127.0.0.1:1", "10.0.0.1:20001", "127.0.0.1:20001,b:20001", "", "20001"] {
            assert_eq!(find(dir, PLAIN, other), None, "{other}");
        }
        assert_eq!(find(dir, "other", "127.0.0.1:20001"), None);
    }

    #[test]
    fn stand_ins_are_called_embedded() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut record = sample();
        record.nodes[0].parts.origin = ServiceOrigin::Embedded;
        record.write(dir.path()).expect("written");
        let found = find(dir.path(), PLAIN, "http://127.0.0.1:20001").expect("found");
        assert_eq!(found.origin, ServiceOrigin::Embedded);
        assert_eq!(found.address, "127.0.0.1:20001");
    }

    #[test]
    fn passwords_are_left_out_of_addresses() {
        assert_eq!(host_and_port("db://me:p@ss@127.0.0.1:3306/bench"), "127.0.0.1:3306");
        assert_eq!(host_and_port(" http://127.0.0.1:8083?x=a@b:1 "), "127.0.0.1:8083");
    }
}
