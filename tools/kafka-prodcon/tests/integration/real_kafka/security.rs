//! TLS and logins with the properties files of the local stack.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::Sandbox;

use super::{TOOL, unused_name};

const FILES: [&str; 5] = [
    "kafka-tls",
    "kafka-sasl-plain",
    "kafka-sasl-scram-sha-256",
    "kafka-sasl-scram-sha-512",
    "kafka-sasl-no-tls",
];

fn stack(test: &str) -> Option<TestStack> {
    bench_testing::local(test, &StackOptions::of(["kafka"]))
}

fn file(kafka: &TestStack, name: &str) -> PathBuf {
    kafka.stack().dir().join(format!("{name}.properties"))
}

fn password(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("a properties file");
    let password = text.lines().find_map(|line| line.strip_prefix("sasl.password="));
    password.expect("a password").to_owned()
}

#[test]
fn every_secured_listener_works() {
    let Some(kafka) = stack("TLS and logins") else { return };
    for name in FILES {
        let sandbox = Sandbox::new(TOOL);
        let properties = file(&kafka, name);
        let args =
            format!("-n 500 --topic {} --properties {}", unused_name(), properties.display());
        let output = sandbox.run(&args);
        assert_eq!(output.code, 0, "{name}: {output:?}");
        assert!(output.stdout.contains("500 acked, 500 received, 0 lost"), "{name}: {output:?}");
        if name != "kafka-tls" {
            let text = std::fs::read_to_string(sandbox.run_folder("results").join("run.json"));
            let text = text.expect("a document") + &output.stdout + &output.stderr;
            assert!(!text.contains(&password(&properties)), "{name}");
        }
    }
}

#[test]
fn wrong_passwords_fail_at_once_without_being_shown() {
    let Some(kafka) = stack("wrong passwords") else { return };
    for name in FILES.into_iter().filter(|name| *name != "kafka-tls") {
        let sandbox = Sandbox::new(TOOL);
        let properties = std::fs::read_to_string(file(&kafka, name)).expect("a properties file");
        let right = password(&file(&kafka, name));
        let path = sandbox.path().join("client.properties");
        std::fs::write(&path, properties.replace(&right, "hunter2")).expect("written");
        let started = Instant::now();
        let output = sandbox.run("-n 500 --properties client.properties --timeout 30s");
        assert!(started.elapsed() < Duration::from_secs(15), "{name}: only after the timeout");
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{name}: {output:?}");
        assert!(output.stderr.contains("refused the connection"), "{name}: {output:?}");
        assert!(!output.stderr.contains("hunter2"), "{name}: {output:?}");
        assert_eq!(sandbox.entries(), ["client.properties"]);
    }
}

/// A properties file with some of its lines replaced by others.
fn rewritten(properties: &Path, replaced: &[&str], lines: &str) -> String {
    let text = std::fs::read_to_string(properties).expect("a properties file");
    let is_kept = |line: &&str| !replaced.iter().any(|name| line.starts_with(name));
    let kept: Vec<&str> = text.lines().filter(is_kept).collect();
    format!("{}\n{lines}\n", kept.join("\n"))
}

fn value(properties: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(properties).expect("a properties file");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.expect("the property").to_owned()
}

#[test]
fn logins_are_read_as_java_reads_them() {
    let Some(kafka) = stack("logins in Java's form") else { return };
    for (name, class) in
        [("kafka-sasl-plain", "plain.Plain"), ("kafka-sasl-scram-sha-512", "scram.Scram")]
    {
        let properties = file(&kafka, name);
        let (username, right) = (value(&properties, "sasl.username"), password(&properties));
        // The first character as an octal escape, with the backslash doubled for the file.
        let octal = format!("\\\\{:o}{}", right.as_bytes()[0], &right[1..]);
        for login in [
            format!("required username='{username}' password='{right}';"),
            format!("REQUIRED /* who */ username=\"{username}\"\\\n  password='{octal}' ;"),
        ] {
            let jaas = format!(
                "sasl.jaas.config=org.apache.kafka.common.security.{class}LoginModule {login}"
            );
            let sandbox = Sandbox::new(TOOL);
            let replaced = ["sasl.username", "sasl.password"];
            sandbox.write("client.properties", &rewritten(&properties, &replaced, &jaas));
            let output = sandbox
                .run(&format!("-n 100 --topic {} --properties client.properties", unused_name()));
            assert_eq!(output.code, 0, "{name}: {output:?}");
            assert!(output.stdout.contains("100 acked, 100 received, 0 lost"), "{output:?}");
        }
    }
}

#[test]
fn pem_stores_of_java_are_supported() {
    let Some(kafka) = stack("stores in PEM") else { return };
    let properties = file(&kafka, "kafka-tls");
    let authority = value(&properties, "ssl.ca.location");
    let certificate = std::fs::read_to_string(&authority).expect("a PEM file");
    let inline = certificate.trim_end().replace('\n', "\\n");
    for store in [
        format!("ssl.truststore.location={authority}\nssl.truststore.type=PEM"),
        format!("ssl.truststore.type=PEM\nssl.truststore.certificates={inline}"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        sandbox.write("client.properties", &rewritten(&properties, &["ssl.ca.location"], &store));
        let args = format!("-n 100 --topic {} --properties client.properties", unused_name());
        let output = sandbox.run(&args);
        assert_eq!(output.code, 0, "{output:?}");
    }
}

/// The servers in a properties file.
fn servers(file: &Path) -> String {
    value(file, "bootstrap.servers").replace("\\:", ":")
}

#[test]
fn mismatched_connections_name_the_right_setting() {
    let Some(kafka) = stack("connections that do not fit") else { return };
    let (tls, login) = (file(&kafka, "kafka-tls"), file(&kafka, "kafka-sasl-no-tls"));
    let plain = kafka.bootstrap_servers().to_owned();
    let elsewhere = servers(&tls).replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let authority = std::fs::read_to_string(&tls).expect("a properties file");
    let authority = authority.lines().find(|line| line.starts_with("ssl.ca.location"));
    let authority = authority.expect("an authority");
    for (servers, setting, expected) in [
        (servers(&tls), "", "set security.protocol=SSL or SASL_SSL"),
        (servers(&login), "", "set security.protocol=SASL_SSL or SASL_PLAINTEXT"),
        (plain, "security.protocol=SSL", "set security.protocol=PLAINTEXT or SASL_PLAINTEXT"),
        (servers(&tls), "security.protocol=SSL", "set ssl.ca.location"),
        (elsewhere, authority, "its certificate is for another host name"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let protocol = if setting == authority { "security.protocol=SSL" } else { "" };
        sandbox.write("client.properties", &format!("{setting}\n{protocol}\n"));
        let args = format!(
            "print --topic t --timeout 3s --properties client.properties --bootstrap-servers {servers}"
        );
        let output = sandbox.run(&args);
        assert_eq!((output.code, output.stderr.lines().count()), (1, 1), "{expected}: {output:?}");
        assert!(output.stderr.contains(expected), "{expected}: {output:?}");
        for own in ["Local:", "Broker:", "ipv4#", "in state", "://", "error:0A"] {
            assert!(!output.stderr.contains(own), "{own}: {output:?}");
        }
    }
}
