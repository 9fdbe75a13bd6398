//! Translates properties of the Java client to librdkafka's, and gives remedies for those that only
//! Java has. Covers all names of `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig`, and
//! others often found in the same files.

use super::Setting;

/// Properties that librdkafka has under another name, with the same values.
const SAME: [(&str, &str); 2] =
    [("fetch.max.wait.ms", "fetch.wait.max.ms"), ("max.request.size", "message.max.bytes")];

/// Assignors by their Java classes.
const ASSIGNORS: [(&str, &str); 3] = [
    ("org.apache.kafka.clients.consumer.RangeAssignor", "range"),
    ("org.apache.kafka.clients.consumer.RoundRobinAssignor", "roundrobin"),
    ("org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "cooperative-sticky"),
];

const NO_METRICS: &str = "remove it: the tools collect their own metrics";
const NO_LOGIN_CLASS: &str = "remove it: use sasl.username and sasl.password to log in";
const NO_OAUTH: &str = "remove it: OAUTHBEARER is not built in";
const NO_SCHEMAS: &str = "remove it: the tools send and receive bytes, without schemas";
const NO_TLS_CHOICE: &str = "remove it: OpenSSL offers TLS 1.2 and 1.3";
const NO_JAVA_TLS: &str = "remove it: TLS is provided by OpenSSL";
const NO_KERBEROS: &str = "remove it: Kerberos is not built in";
const NO_PREFIX: &str = "use the property without the prefix";
const NO_SHARE: &str = "remove it: share groups are not supported";
const LEVEL: &str = "use compression.level";

/// Properties of the Java client that librdkafka does not have, each with a remedy. A name that
/// ends or starts with a dot is a prefix or suffix. The first match counts.
const JAVA_ONLY: [(&str, &str); 70] = [
    ("auto.include.jmx.reporter", NO_METRICS),
    ("auto.register.schemas", NO_SCHEMAS),
    ("avro.", NO_SCHEMAS),
    ("basic.auth.", NO_SCHEMAS),
    ("bearer.auth.", NO_SCHEMAS),
    ("bootstrap.controllers", "use bootstrap.servers"),
    ("compression.gzip.level", LEVEL),
    ("compression.lz4.level", LEVEL),
    ("compression.zstd.level", LEVEL),
    ("config.providers", "remove it, and replace ${...} with the values"),
    ("config.providers.", "remove it, and replace ${...} with the values"),
    ("confluent.", "remove it"),
    ("default.api.timeout.ms", "remove it, and set --timeout"),
    ("exclude.internal.topics", "remove it: the tools read the given topic"),
    ("interceptor.classes", "remove it: interceptors are Java classes"),
    ("internal.auto.downgrade.txn.commit", "remove it"),
    ("internal.leave.group.on.close", "remove it: consumers always leave their group"),
    ("internal.throw.on.fetch.stable.offset.unsupported", "remove it"),
    ("json.", NO_SCHEMAS),
    ("latest.", NO_SCHEMAS),
    ("log4j.", "remove it, and set -v"),
    ("max.block.ms", "remove it: the tools wait for room in the queue"),
    ("max.poll.records", "remove it: the tools take all messages that have arrived"),
    ("metadata.max.idle.ms", "remove it"),
    ("metric.reporters", NO_METRICS),
    ("metrics.", NO_METRICS),
    ("partitioner.", "remove it, or use partitioner and sticky.partitioning.linger.ms"),
    ("protobuf.", NO_SCHEMAS),
    ("sasl.client.callback.handler.class", NO_LOGIN_CLASS),
    ("sasl.server.callback.handler.class", "remove it: it is a broker property"),
    ("sasl.kerberos.ticket.", NO_KERBEROS),
    ("sasl.login.", NO_LOGIN_CLASS),
    ("sasl.oauthbearer.assertion.template.file", NO_OAUTH),
    ("sasl.oauthbearer.clock.skew.seconds", NO_OAUTH),
    ("sasl.oauthbearer.expected.", NO_OAUTH),
    ("sasl.oauthbearer.header.urlencode", NO_OAUTH),
    ("sasl.oauthbearer.iat.validation.enabled", NO_OAUTH),
    ("sasl.oauthbearer.jti.validation.enabled", NO_OAUTH),
    ("sasl.oauthbearer.jwks.", NO_OAUTH),
    ("sasl.oauthbearer.jwt.", NO_OAUTH),
    ("sasl.oauthbearer.scope.claim.name", NO_OAUTH),
    ("sasl.oauthbearer.sub.claim.name", NO_OAUTH),
    ("schema.", NO_SCHEMAS),
    ("security.providers", NO_JAVA_TLS),
    ("share.", NO_SHARE),
    ("socket.connection.setup.timeout.max.ms", "use socket.connection.setup.timeout.ms"),
    ("specific.", NO_SCHEMAS),
    ("ssl.allow.", NO_JAVA_TLS),
    ("ssl.enabled.protocols", NO_TLS_CHOICE),
    ("ssl.engine.factory.class", NO_JAVA_TLS),
    ("ssl.keymanager.algorithm", NO_JAVA_TLS),
    ("ssl.protocol", NO_TLS_CHOICE),
    ("ssl.provider", NO_JAVA_TLS),
    ("ssl.secure.random.implementation", NO_JAVA_TLS),
    ("ssl.trustmanager.algorithm", NO_JAVA_TLS),
    ("transaction.two.phase.commit.enable", "remove it: the tools end their transactions"),
    ("use.latest.version", NO_SCHEMAS),
    ("use.schema.id", NO_SCHEMAS),
    ("zookeeper.", "remove it, and use bootstrap.servers"),
    (".subject.name.strategy", NO_SCHEMAS),
    (".serializer", "remove it: the tools send bytes"),
    (".deserializer", "remove it: the tools receive bytes"),
    (".serializer.encoding", "remove it: the tools send bytes"),
    (".deserializer.encoding", "remove it: the tools receive bytes"),
    ("admin.", NO_PREFIX),
    ("consumer.", NO_PREFIX),
    ("kafka.", NO_PREFIX),
    ("listener.name.", "remove it: it is a broker property"),
    ("producer.", NO_PREFIX),
    ("spring.", NO_PREFIX),
];

/// The store types among a group of settings, which decide how the other settings are translated.
#[derive(Default)]
pub(super) struct StoreTypes {
    key: Option<String>,
    trust: Option<String>,
}

impl StoreTypes {
    pub(super) fn of(settings: &[Setting]) -> Self {
        let kind = |name: &str| {
            let setting = settings.iter().rfind(|setting| setting.name == name);
            setting.map(|setting| setting.value.to_uppercase())
        };
        Self { key: kind("ssl.keystore.type"), trust: kind("ssl.truststore.type") }
    }
}

/// The translation of a Java client property.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Translated {
    /// Keep the property: it is librdkafka's, or the same in both.
    Same,
    /// Set these properties; none if a default has the same effect.
    To(Vec<(&'static str, String)>),
    /// There is no equivalent; holds the remedy.
    Refused(String),
    /// librdkafka does not support the value; holds the reason and the remedy.
    Invalid(String),
}

pub(super) fn translate(name: &str, value: &str, stores: &StoreTypes) -> Translated {
    if let Some((_, known)) = SAME.iter().find(|(java, _)| *java == name) {
        return to(known, value);
    }
    if name.starts_with("ssl.truststore.") {
        return trust_store(name, value, stores);
    }
    if name.starts_with("ssl.keystore.") {
        return key_store(name, value, stores);
    }
    if let Some(translated) = of_value(name, value) {
        return translated;
    }
    let matches = |pattern: &str| {
        name == pattern
            || (pattern.ends_with('.') && name.starts_with(pattern))
            || (pattern.starts_with('.') && name.ends_with(pattern))
    };
    match JAVA_ONLY.iter().find(|(pattern, _)| matches(pattern)) {
        Some((_, remedy)) => refused(*remedy),
        None => Translated::Same,
    }
}

fn to(name: &'static str, value: impl Into<String>) -> Translated {
    Translated::To(vec![(name, value.into())])
}

fn refused(remedy: impl Into<String>) -> Translated {
    Translated::Refused(remedy.into())
}

fn invalid(reason: impl Into<String>) -> Translated {
    Translated::Invalid(reason.into())
}

/// Translates properties whose values differ between Java and librdkafka.
fn of_value(name: &str, value: &str) -> Option<Translated> {
    Some(match (name, value) {
        // librdkafka accepts any number, and brokers then reject every message.
        ("acks" | "request.required.acks", acks)
            if acks.parse().is_ok_and(|number: i32| !(-1..=1).contains(&number)) =>
        {
            invalid("brokers do not support this value; use 0, 1 or all")
        }
        ("auto.offset.reset", "none") => to("auto.offset.reset", "error"),
        ("auto.offset.reset", other) if other.starts_with("by_duration") => {
            invalid("librdkafka has no reset by time; use earliest or latest")
        }
        ("batch.size", "0") => to("batch.size", "1"),
        ("buffer.memory", bytes) => match bytes.parse::<u64>() {
            Ok(bytes) => to("queue.buffering.max.kbytes", (bytes / 1024).max(1).to_string()),
            Err(_) => invalid("it is not a number of bytes; use a number"),
        },
        ("client.dns.lookup", "default") => to("client.dns.lookup", "use_all_dns_ips"),
        ("connections.max.idle.ms", "-1") => to("connections.max.idle.ms", "0"),
        ("isolation.level", level) if level != level.to_lowercase() => {
            to("isolation.level", level.to_lowercase())
        }
        ("partition.assignment.strategy", classes) => assignors(classes),
        ("partitioner.class", class) if class.ends_with(".DefaultPartitioner") => {
            to("partitioner", "murmur2_random")
        }
        ("partitioner.class", _) => refused(
            "use partitioner=murmur2_random, which assigns keys as Java's default does, or remove \
             it",
        ),
        ("receive.buffer.bytes", bytes) => to("socket.receive.buffer.bytes", or_system(bytes)),
        ("send.buffer.bytes", bytes) => to("socket.send.buffer.bytes", or_system(bytes)),
        ("ssl.cipher.suites", names) if names.contains("TLS_") || names.contains("SSL_") => {
            invalid("Java's cipher names differ; use names from `openssl ciphers -v`, or remove it")
        }
        ("ssl.endpoint.identification.algorithm", "") => {
            to("ssl.endpoint.identification.algorithm", "none")
        }
        _ => return None,
    })
}

/// Converts a socket buffer size: for the system's default, Java uses -1 and librdkafka 0.
fn or_system(bytes: &str) -> &str {
    if bytes == "-1" { "0" } else { bytes }
}

fn assignors(classes: &str) -> Translated {
    let mut names = Vec::new();
    for class in classes.split(',').map(str::trim).filter(|class| !class.is_empty()) {
        match ASSIGNORS.iter().find(|(java, known)| *java == class || *known == class) {
            Some((_, known)) => names.push(*known),
            None => {
                return invalid(
                    "other assignors are Java classes; use range, roundrobin or cooperative-sticky",
                );
            }
        }
    }
    if names.contains(&"cooperative-sticky") && names.len() > 1 {
        return invalid(
            "cooperative-sticky cannot be combined with others; use it alone, or use \
             range,roundrobin",
        );
    }
    to("partition.assignment.strategy", names.join(","))
}

fn trust_store(name: &str, value: &str, stores: &StoreTypes) -> Translated {
    let is_pem = stores.trust.as_deref() == Some("PEM");
    match name {
        "ssl.truststore.certificates" => to("ssl.ca.pem", value),
        "ssl.truststore.location" if is_pem => to("ssl.ca.location", value),
        "ssl.truststore.type" if is_pem => Translated::To(Vec::new()),
        "ssl.truststore.type" => refused("remove it: ssl.ca.location is always a PEM file"),
        "ssl.truststore.location" => refused(format!(
            "use ssl.ca.location with a PEM file: convert it with `keytool -list -rfc -keystore {} \
             > ca.pem`",
            file_name(value)
        )),
        _ => refused("remove it: ssl.ca.location takes a PEM file, which needs no password"),
    }
}

fn key_store(name: &str, value: &str, stores: &StoreTypes) -> Translated {
    let kind = stores.key.as_deref();
    let is_pem = kind == Some("PEM");
    let is_jks = kind == Some("JKS") || (kind.is_none() && has_ending(value, "jks"));
    match name {
        // One file holds both.
        "ssl.keystore.location" if is_pem => Translated::To(vec![
            ("ssl.certificate.location", value.to_owned()),
            ("ssl.key.location", value.to_owned()),
        ]),
        "ssl.keystore.location" if is_jks => invalid(format!(
            "only Java reads JKS files; use a PKCS#12 file (convert it with `keytool \
             -importkeystore -srckeystore {} -destkeystore client.p12 -deststoretype PKCS12`), or \
             PEM files with ssl.certificate.location and ssl.key.location",
            file_name(value)
        )),
        "ssl.keystore.password" if is_pem => {
            refused("remove it, or use ssl.key.password for the key: a PEM file has no password")
        }
        "ssl.keystore.certificate.chain" => to("ssl.certificate.pem", value),
        "ssl.keystore.key" => to("ssl.key.pem", value),
        "ssl.keystore.type" => match kind {
            Some("PEM" | "PKCS12") => Translated::To(Vec::new()),
            _ => invalid("only Java reads such files; use PKCS12 or PEM"),
        },
        // For PKCS#12, librdkafka has the same properties.
        _ => Translated::Same,
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case(ending))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of `JavaProperties`: the names of Kafka 4.3.1's three classes.
    const JAVA_NAMES: &str = include_str!("java-properties.txt");

    fn alone(name: &str, value: &str) -> Translated {
        translate(name, value, &StoreTypes::default())
    }

    fn with_stores(name: &str, value: &str, kind: &str) -> Translated {
        let kind = Some(kind.to_owned());
        translate(name, value, &StoreTypes { key: kind.clone(), trust: kind })
    }

    #[test]
    fn every_java_property_is_known_translated_or_refused() {
        let mut unknown = Vec::new();
        for name in JAVA_NAMES.lines().filter(|name| *name != super::super::jaas::JAAS) {
            match alone(name, "1") {
                Translated::Same => {
                    let mut config = super::super::KafkaConfig::new();
                    config.set(name, "no value of anything");
                    let error = config.validate().err().map(|error| error.to_string());
                    if error.is_some_and(|error| error.contains("not a librdkafka property")) {
                        unknown.push(name);
                    }
                }
                Translated::To(names) => assert!(!names.is_empty(), "{name}"),
                Translated::Refused(remedy) => {
                    let is_named = ["use", "remove", "write"].iter().any(|w| remedy.starts_with(w));
                    assert!(is_named, "{name}: {remedy}");
                }
                Translated::Invalid(reason) => {
                    assert!(reason.contains("; use "), "{name}: {reason}");
                }
            }
        }
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn librdkafka_properties_are_never_taken_for_java() {
        for name in super::super::KNOWN_NAMES.lines() {
            let translated = alone(name, "range");
            let is_kept = matches!(translated, Translated::Same | Translated::To(_));
            assert!(is_kept, "{name}: {translated:?}");
        }
    }

    #[test]
    fn java_properties_become_their_equivalents() {
        for (name, value, known, expected) in [
            ("fetch.max.wait.ms", "7", "fetch.wait.max.ms", "7"),
            ("max.request.size", "5000", "message.max.bytes", "5000"),
            ("buffer.memory", "33554432", "queue.buffering.max.kbytes", "32768"),
            ("buffer.memory", "1", "queue.buffering.max.kbytes", "1"),
            ("receive.buffer.bytes", "-1", "socket.receive.buffer.bytes", "0"),
            ("receive.buffer.bytes", "65536", "socket.receive.buffer.bytes", "65536"),
            ("send.buffer.bytes", "131072", "socket.send.buffer.bytes", "131072"),
            ("client.dns.lookup", "default", "client.dns.lookup", "use_all_dns_ips"),
            ("auto.offset.reset", "none", "auto.offset.reset", "error"),
            ("batch.size", "0", "batch.size", "1"),
            ("connections.max.idle.ms", "-1", "connections.max.idle.ms", "0"),
            ("ssl.endpoint.identification.algorithm", "", SSL_NAMES, "none"),
            (
                "partitioner.class",
                "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
                "partitioner",
                "murmur2_random",
            ),
            (
                "partition.assignment.strategy",
                "org.apache.kafka.clients.consumer.RoundRobinAssignor, \
                 org.apache.kafka.clients.consumer.RangeAssignor",
                "partition.assignment.strategy",
                "roundrobin,range",
            ),
        ] {
            assert_eq!(alone(name, value), to(known, expected), "{name}");
        }
        assert_eq!(alone("linger.ms", "5"), Translated::Same);
        assert_eq!(alone("ssl.cipher.suites", "ECDHE-RSA-AES256-SHA"), Translated::Same);
    }

    const SSL_NAMES: &str = "ssl.endpoint.identification.algorithm";

    /// The reason why a property is refused.
    fn problem(translated: Translated) -> String {
        match translated {
            Translated::Refused(problem) | Translated::Invalid(problem) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn java_only_properties_are_refused_with_a_remedy() {
        for (name, value, expected) in [
            ("schema.registry.url", "http://r", "remove it"),
            ("basic.auth.user.info", "u:hush", "remove it"),
            ("key.serializer", "x.StringSerializer", "remove it"),
            ("value.deserializer", "x.StringDeserializer", "remove it"),
            ("interceptor.classes", "x.Interceptor", "remove it"),
            ("default.api.timeout.ms", "1", "--timeout"),
            ("max.block.ms", "1", "remove it"),
            ("partitioner.class", "x.RoundRobinPartitioner", "partitioner=murmur2_random"),
            ("partition.assignment.strategy", "x.StickyAssignor", "cooperative-sticky"),
            ("partition.assignment.strategy", "range,cooperative-sticky", "alone"),
            ("acks", "2", "0, 1 or all"),
            ("auto.offset.reset", "by_duration:PT1H", "earliest or latest"),
            ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384", "openssl ciphers"),
            ("sasl.login.callback.handler.class", "x", "sasl.username"),
            ("compression.zstd.level", "3", "compression.level"),
            ("spring.kafka.bootstrap-servers", "a:1", "without the prefix"),
        ] {
            let remedy = problem(alone(name, value));
            assert!(remedy.contains(expected) && !remedy.contains("hush"), "{name}: {remedy}");
        }
    }

    #[test]
    fn pem_stores_are_translated_and_others_explained() {
        let pem = |name, value| with_stores(name, value, "PEM");
        assert_eq!(pem("ssl.truststore.location", "/ca.pem"), to("ssl.ca.location", "/ca.pem"));
        assert_eq!(pem("ssl.truststore.certificates", "CERT"), to("ssl.ca.pem", "CERT"));
        assert_eq!(pem("ssl.keystore.certificate.chain", "C"), to("ssl.certificate.pem", "C"));
        assert_eq!(pem("ssl.keystore.key", "K"), to("ssl.key.pem", "K"));
        let both = ["ssl.certificate.location", "ssl.key.location"];
        let both = both.map(|name| (name, "/k.pem".to_owned()));
        assert_eq!(pem("ssl.keystore.location", "/k.pem"), Translated::To(both.into()));
        for name in ["ssl.keystore.type", "ssl.truststore.type"] {
            assert_eq!(pem(name, "PEM"), Translated::To(Vec::new()));
        }
        let p12 = |name, value| with_stores(name, value, "PKCS12");
        assert_eq!(p12("ssl.keystore.location", "/k.p12"), Translated::Same);
        assert_eq!(p12("ssl.keystore.password", "hush"), Translated::Same);
        assert_eq!(p12("ssl.keystore.type", "PKCS12"), Translated::To(Vec::new()));
        for (name, value, kind, expected) in [
            ("ssl.truststore.location", "/x/t.jks", "JKS", "-keystore t.jks > ca.pem"),
            ("ssl.truststore.location", "/x/t.p12", "PKCS12", "ssl.ca.location"),
            ("ssl.truststore.password", "hush", "JKS", "needs no password"),
            ("ssl.truststore.password", "hush", "PEM", "needs no password"),
            ("ssl.truststore.type", "JKS", "JKS", "remove it"),
            ("ssl.keystore.location", "/x/k.ks", "JKS", "-deststoretype PKCS12"),
            ("ssl.keystore.password", "hush", "PEM", "ssl.key.password"),
            ("ssl.keystore.type", "JKS", "JKS", "PKCS12"),
        ] {
            let remedy = problem(with_stores(name, value, kind));
            assert!(remedy.contains(expected) && !remedy.contains("hush"), "{name}: {remedy}");
        }
        let remedy = problem(alone("ssl.keystore.location", "client.JKS"));
        assert!(remedy.contains("PKCS12"), "{remedy}");
        assert_eq!(alone("ssl.keystore.location", "client.p12"), Translated::Same);
    }
}
