//! The configuration of a broker.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bench_stack::NodeContext;

use super::listener::Listener;
use super::nodes::{BROKERS, brokers, cluster, number};
use super::security;

/// The text of a broker's `server.properties`. Holds `password`.
pub(super) fn server_properties(node: &NodeContext<'_>, password: &str) -> String {
    let options = node.options();
    let mut settings = BTreeMap::new();
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
    set("node.id", number(node).to_string());
    set("process.roles", "broker,controller".to_owned());
    set("log.dirs", node.data_dir().display().to_string());
    for (key, value) in listeners(node) {
        set(key, value);
    }
    for (key, value) in replication(brokers(options)) {
        set(key, value.to_string());
    }
    for (key, value) in security::settings(node, password) {
        set(&key, value);
    }
    for (key, value) in QUICK {
        set(key, value.to_owned());
    }
    for (key, value) in options.settings.iter().filter(|(key, _)| *key != BROKERS) {
        set(key.trim(), value.clone());
    }
    properties(&settings)
}

/// Shorter waits and less memory for a small machine; a dead broker is noticed soon.
const QUICK: [(&str, &str); 4] = [
    ("broker.heartbeat.interval.ms", "500"),
    ("broker.session.timeout.ms", "3000"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
];

fn listeners(node: &NodeContext<'_>) -> [(&'static str, String); 6] {
    let all = Listener::of(node.options());
    let joined = |each: &dyn Fn(Listener) -> String| {
        all.iter().map(|&listener| each(listener)).collect::<Vec<_>>().join(",")
    };
    let at = |listener: Listener, port: u16| format!("{}://127.0.0.1:{port}", listener.name());
    let clients = all.iter().filter(|&&listener| listener != Listener::Controller);
    let advertised = clients.map(|&listener| {
        let proxy = node.proxy().filter(|_| listener == Listener::Proxied);
        at(listener, proxy.unwrap_or_else(|| node.port(listener.name())))
    });
    let voters = cluster(node).into_iter().map(|other| {
        format!("{}@127.0.0.1:{}", number(&other), other.port(Listener::Controller.name()))
    });
    [
        ("listeners", joined(&|listener| at(listener, node.port(listener.name())))),
        ("advertised.listeners", advertised.collect::<Vec<_>>().join(",")),
        (
            "listener.security.protocol.map",
            joined(&|listener| format!("{}:{}", listener.name(), listener.protocol())),
        ),
        ("inter.broker.listener.name", Listener::Plaintext.name().to_owned()),
        ("controller.listener.names", Listener::Controller.name().to_owned()),
        ("controller.quorum.voters", voters.collect::<Vec<_>>().join(",")),
    ]
}

/// Three replicas of which two must be in sync, where there are three brokers.
fn replication(brokers: u32) -> [(&'static str, u32); 7] {
    let replicas = brokers.min(3);
    let in_sync = replicas.div_ceil(2);
    [
        ("default.replication.factor", replicas),
        ("min.insync.replicas", in_sync),
        ("offsets.topic.replication.factor", replicas),
        ("share.coordinator.state.topic.min.isr", in_sync),
        ("share.coordinator.state.topic.replication.factor", replicas),
        ("transaction.state.log.min.isr", in_sync),
        ("transaction.state.log.replication.factor", replicas),
    ]
}

/// Settings as a properties file for Java and librdkafka.
#[must_use]
pub fn properties(settings: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{}={}", escaped(key), escaped(value));
    }
    text
}

/// Java treats a backslash as an escape and reads the rest as Latin-1.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            ' '..='~' => escaped.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_the_replicas_must_be_in_sync() {
        let in_sync = |brokers| {
            let settings = replication(brokers);
            let value = |key| settings.iter().find(|(name, _)| *name == key).expect("is set").1;
            (value("default.replication.factor"), value("min.insync.replicas"))
        };
        assert_eq!(in_sync(1), (1, 1));
        assert_eq!(in_sync(2), (2, 1));
        assert_eq!(in_sync(3), (3, 2));
        assert_eq!(in_sync(5), (3, 2));
    }

    #[test]
    fn paths_of_all_kinds_are_written_for_java() {
        assert_eq!(escaped("/tmp/a b\\c/ä😀"), "/tmp/a b\\\\c/\\u00e4\\ud83d\\ude00");
    }
}
