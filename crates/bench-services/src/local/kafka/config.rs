//! What a broker is told about itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::StackOptions;
use super::super::server::Site;
use super::{cluster, number, security};

/// The ways into a broker, all of them on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Listener {
    /// For clients, and among the brokers.
    Plaintext,
    /// Among the controllers.
    Controller,
    /// TLS, without passwords.
    Tls,
    /// Passwords over TLS.
    SaslTls,
    /// Passwords in the clear.
    SaslPlain,
    /// For clients that come through a proxy, to which it sends them back.
    Proxied,
}

impl Listener {
    /// Those of each broker.
    pub(in super::super) fn of(options: &StackOptions) -> Vec<Self> {
        let mut all =
            vec![Self::Plaintext, Self::Controller, Self::Tls, Self::SaslTls, Self::SaslPlain];
        if !options.kafka_proxy_ports.is_empty() {
            all.push(Self::Proxied);
        }
        all
    }

    /// Its name in Kafka's configuration.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Controller => "CONTROLLER",
            Self::Tls => "TLS",
            Self::SaslTls => "SASLTLS",
            Self::SaslPlain => "SASLPLAIN",
            Self::Proxied => "PROXIED",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Controller | Self::Proxied => "PLAINTEXT",
            Self::Tls => "SSL",
            Self::SaslTls => "SASL_SSL",
            Self::SaslPlain => "SASL_PLAINTEXT",
        }
    }
}

/// The text of a broker's `server.properties`. Holds `password`.
pub(super) fn server_properties(node: &Site<'_>, password: &str) -> String {
    let options = &node.record.options;
    let mut settings = BTreeMap::new();
    let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
    set("node.id", number(node).to_string());
    set("process.roles", "broker,controller".to_owned());
    set("log.dirs", node.data_dir().display().to_string());
    for (key, value) in listeners(node) {
        set(key, value);
    }
    for (key, value) in replication(options.brokers) {
        set(key, value.to_string());
    }
    for (key, value) in security::settings(node, password) {
        set(&key, value);
    }
    for (key, value) in QUICK {
        set(key, value.to_owned());
    }
    for (key, value) in &options.kafka_settings {
        set(key.trim(), value.clone());
    }
    properties(&settings)
}

/// A small machine waits for none of this, and a broker that dies is missed soon.
const QUICK: [(&str, &str); 4] = [
    ("broker.heartbeat.interval.ms", "500"),
    ("broker.session.timeout.ms", "3000"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
];

fn listeners(node: &Site<'_>) -> [(&'static str, String); 6] {
    let options = &node.record.options;
    let all = Listener::of(options);
    let joined = |each: &dyn Fn(Listener) -> String| {
        all.iter().map(|&listener| each(listener)).collect::<Vec<_>>().join(",")
    };
    let at = |listener: Listener, port: u16| format!("{}://127.0.0.1:{port}", listener.name());
    let clients = all.iter().filter(|&&listener| listener != Listener::Controller);
    let advertised = clients.map(|&listener| {
        let index = number(node).saturating_sub(1) as usize;
        let proxy = options.kafka_proxy_ports.get(index).copied();
        let proxy = proxy.filter(|_| listener == Listener::Proxied);
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

/// Three replicas of which two must be there, where there are three brokers.
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

/// Settings in the form that Java reads, and librdkafka's users too.
pub(in super::super) fn properties(settings: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in settings {
        let _ = writeln!(text, "{}={}", escaped(key), escaped(value));
    }
    text
}

/// Java takes a backslash for an escape and reads the rest as Latin-1.
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
