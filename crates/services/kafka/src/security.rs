//! Certificates, users, and the files by which clients use them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use bench_stack::{NodeContext, StackError, secret};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::config::properties;
use super::listener::Listener;
use super::nodes::servers;

/// The one user, known to all mechanisms.
const USER: &str = "bench";

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// The certificate of the authority, which clients trust.
const AUTHORITY: &str = "kafka-ca.pem";

/// Key and certificates of the brokers.
const SERVER: &str = "kafka-server.pem";

/// Creates an authority, whose key is not kept, and the certificate that all brokers share.
pub(super) fn write_certificates(secrets_dir: &Path) -> Result<(), StackError> {
    let (authority, server) = certificates().map_err(|error| StackError::Failed {
        attempted: "create certificates for the TLS listeners",
        source: error.into(),
    })?;
    secret::write(&secrets_dir.join(AUTHORITY), &authority)?;
    secret::write(&secrets_dir.join(SERVER), &server)
}

fn certificates() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "stream-benchmark local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let server = params.signed_by(&key, &issuer)?;
    let server = [key.serialize_pem(), server.pem(), authority.pem()].concat();
    Ok((authority.pem(), server))
}

/// A broker's settings for TLS and passwords.
pub(super) fn settings(node: &NodeContext<'_>, password: &str) -> Vec<(String, String)> {
    let file = |name: &str| node.secrets_dir().join(name).display().to_string();
    let mut settings = vec![
        ("ssl.keystore.type".to_owned(), "PEM".to_owned()),
        ("ssl.keystore.location".to_owned(), file(SERVER)),
        ("ssl.truststore.type".to_owned(), "PEM".to_owned()),
        ("ssl.truststore.location".to_owned(), file(AUTHORITY)),
        ("sasl.enabled.mechanisms".to_owned(), MECHANISMS.join(",")),
    ];
    let package = "org.apache.kafka.common.security";
    for listener in [Listener::SaslTls, Listener::SaslPlain] {
        for mechanism in MECHANISMS {
            let login = match mechanism {
                "PLAIN" => {
                    format!("{package}.plain.PlainLoginModule required user_{USER}=\"{password}\";")
                }
                _ => format!("{package}.scram.ScramLoginModule required;"),
            };
            // A broker does not start if one of these is missing.
            let listener = listener.name().to_lowercase();
            let mechanism = mechanism.to_lowercase();
            let key = format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
            settings.push((key, login));
        }
    }
    settings
}

/// Arguments for Kafka's storage tool, one per line, that create the user for SCRAM.
pub(super) fn users(password: &str) -> String {
    let mut text = String::new();
    for scram in MECHANISMS.iter().filter(|mechanism| mechanism.starts_with("SCRAM")) {
        let _ = writeln!(text, "--add-scram\n{scram}=[name={USER},password={password}]");
    }
    text
}

/// Writes a file of client properties for each secured listener and mechanism.
pub(super) fn write_clients_files(
    nodes: &[NodeContext<'_>],
    password: &str,
) -> Result<(), StackError> {
    let Some(first) = nodes.first() else { return Ok(()) };
    let authority = first.secrets_dir().join(AUTHORITY).display().to_string();
    let write = |name: &str, listener: Listener, protocol: &str, mechanism: Option<&str>| {
        let mut settings = BTreeMap::new();
        let mut set = |key: &str, value: &str| settings.insert(key.to_owned(), value.to_owned());
        set("bootstrap.servers", &servers(nodes, listener));
        set("security.protocol", protocol);
        if protocol.ends_with("SSL") {
            set("ssl.ca.location", &authority);
        }
        if let Some(mechanism) = mechanism {
            set("sasl.mechanism", mechanism);
            set("sasl.username", USER);
            set("sasl.password", password);
        }
        let file = first.stack_dir().join(format!("kafka-{name}.properties"));
        secret::write(&file, &properties(&settings))
    };
    write("tls", Listener::Tls, "SSL", None)?;
    for mechanism in MECHANISMS {
        let name = format!("sasl-{}", mechanism.to_lowercase());
        write(&name, Listener::SaslTls, "SASL_SSL", Some(mechanism))?;
    }
    // Without TLS, to measure what TLS costs.
    write("sasl-no-tls", Listener::SaslPlain, "SASL_PLAINTEXT", Some("SCRAM-SHA-512"))
}
