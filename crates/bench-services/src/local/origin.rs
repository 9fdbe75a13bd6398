//! Whether a service that a tool talks to is one of a local stack.

use std::path::Path;

use bench_core::results::{ServiceInfo, ServiceOrigin};

use super::server::sites;
use super::stack::VARIABLE;
use super::{Service, record, s3};

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
        origin: match service {
            // What stands in for them is not what they are, whoever has made it.
            Service::Kinesis | Service::Dynamodb => ServiceOrigin::Embedded,
            Service::S3 if nodes.iter().any(|site| s3::is_embedded(site.node)) => {
                ServiceOrigin::Embedded
            }
            _ => ServiceOrigin::Local,
        },
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

#[cfg(test)]
mod tests {
    use super::super::StackOptions;
    use super::super::record::tests::sample;
    use super::*;

    #[test]
    fn only_all_addresses_of_the_stack_are_local() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path();
        assert_eq!(find(dir, Service::Kafka, "127.0.0.1:20001"), None);
        let mut record = sample();
        record.options.kafka_proxy_ports = vec![9_000];
        record.nodes[0].ports.insert("PROXIED".to_owned(), 20_100);
        record.write(dir).expect("written");
        let found = find(dir, Service::Kafka, "127.0.0.1:20001, localhost:9000").expect("found");
        assert_eq!(found.origin, ServiceOrigin::Local);
        assert_eq!(found.name, "kafka");
        assert_eq!(found.version, "Apache Kafka 4.3.1");
        assert_eq!(found.address, "127.0.0.1:20001,localhost:9000");
        for other in ["127.0.0.1:1", "10.0.0.1:20001", "127.0.0.1:20001,b:20001", "", "20001"] {
            assert_eq!(find(dir, Service::Kafka, other), None, "{other}");
        }
        assert_eq!(find(dir, Service::Mysql, "127.0.0.1:20001"), None);
    }

    #[test]
    fn what_stands_in_for_a_service_is_called_embedded() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut record = sample();
        record.options = StackOptions::of([Service::Kinesis]);
        let node = &mut record.nodes[0];
        node.name = "kinesis".to_owned();
        node.service = Service::Kinesis;
        node.ports = [("client".to_owned(), 20_001)].into();
        record.write(dir.path()).expect("written");
        let found = find(dir.path(), Service::Kinesis, "http://127.0.0.1:20001").expect("found");
        assert_eq!(found.origin, ServiceOrigin::Embedded);
        assert_eq!(found.address, "127.0.0.1:20001");
    }

    #[test]
    fn an_s3_server_is_called_what_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut record = sample();
        record.options = StackOptions::of([Service::S3]);
        let node = &mut record.nodes[0];
        node.name = "s3".to_owned();
        node.service = Service::S3;
        node.ports = [("client".to_owned(), 20_001), ("console".to_owned(), 20_002)].into();
        for (server, origin) in
            [("versitygw", ServiceOrigin::Local), ("embedded", ServiceOrigin::Embedded)]
        {
            record.nodes[0].parts.more = [("server".to_owned(), server.to_owned())].into();
            record.write(dir.path()).expect("written");
            let found = find(dir.path(), Service::S3, "http://127.0.0.1:20001").expect("found");
            assert_eq!(found.origin, origin);
        }
    }

    #[test]
    fn passwords_are_left_out_of_addresses() {
        assert_eq!(host_and_port("mysql://me:p@ss@127.0.0.1:3306/bench"), "127.0.0.1:3306");
        assert_eq!(host_and_port(" http://127.0.0.1:8083?x=a@b:1 "), "127.0.0.1:8083");
    }
}
