//! TLS and logins, by the properties files of the local stack.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::Place;

use crate::{TOOL, unused_name};

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
fn every_secured_way_in_leads_to_the_same_messages() {
    let Some(kafka) = stack("TLS and logins") else { return };
    for name in FILES {
        let place = Place::new(TOOL);
        let properties = file(&kafka, name);
        let args =
            format!("-n 500 --topic {} --properties {}", unused_name(), properties.display());
        let said = place.run(&args);
        assert_eq!(said.code, 0, "{name}: {said:?}");
        assert!(said.stdout.contains("500 acked, 500 received, 0 lost"), "{name}: {said:?}");
        if name != "kafka-tls" {
            let text = std::fs::read_to_string(place.run_folder("results").join("run.json"));
            let text = text.expect("a document") + &said.stdout + &said.stderr;
            assert!(!text.contains(&password(&properties)), "{name}");
        }
    }
}

#[test]
fn a_wrong_password_is_refused_in_one_line_at_once_and_not_shown() {
    let Some(kafka) = stack("wrong passwords") else { return };
    for name in FILES.into_iter().filter(|name| *name != "kafka-tls") {
        let place = Place::new(TOOL);
        let properties = std::fs::read_to_string(file(&kafka, name)).expect("a properties file");
        let right = password(&file(&kafka, name));
        let path = place.path().join("client.properties");
        std::fs::write(&path, properties.replace(&right, "hunter2")).expect("written");
        let started = Instant::now();
        let said = place.run("-n 500 --properties client.properties --timeout 30s");
        assert!(started.elapsed() < Duration::from_secs(15), "{name}: not before the time-out");
        assert_eq!((said.code, said.stderr.lines().count()), (1, 1), "{name}: {said:?}");
        assert!(said.stderr.contains("refused the connection"), "{name}: {said:?}");
        assert!(!said.stderr.contains("hunter2"), "{name}: {said:?}");
        assert_eq!(place.entries(), ["client.properties"]);
    }
}

/// The file of a secured way in, with some of its lines replaced by others.
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
        // The first character by its octal number, the backslash doubled for the file.
        let octal = format!("\\\\{:o}{}", right.as_bytes()[0], &right[1..]);
        for login in [
            format!("required username='{username}' password='{right}';"),
            format!("REQUIRED /* who */ username=\"{username}\"\\\n  password='{octal}' ;"),
        ] {
            let jaas = format!(
                "sasl.jaas.config=org.apache.kafka.common.security.{class}LoginModule {login}"
            );
            let place = Place::new(TOOL);
            let replaced = ["sasl.username", "sasl.password"];
            place.write("client.properties", &rewritten(&properties, &replaced, &jaas));
            let said = place
                .run(&format!("-n 100 --topic {} --properties client.properties", unused_name()));
            assert_eq!(said.code, 0, "{name}: {said:?}");
            assert!(said.stdout.contains("100 acked, 100 received, 0 lost"), "{said:?}");
        }
    }
}

#[test]
fn stores_in_pem_are_those_of_java() {
    let Some(kafka) = stack("stores in PEM") else { return };
    let properties = file(&kafka, "kafka-tls");
    let authority = value(&properties, "ssl.ca.location");
    let certificate = std::fs::read_to_string(&authority).expect("a PEM file");
    let inline = certificate.trim_end().replace('\n', "\\n");
    for store in [
        format!("ssl.truststore.location={authority}\nssl.truststore.type=PEM"),
        format!("ssl.truststore.type=PEM\nssl.truststore.certificates={inline}"),
    ] {
        let place = Place::new(TOOL);
        place.write("client.properties", &rewritten(&properties, &["ssl.ca.location"], &store));
        let args = format!("-n 100 --topic {} --properties client.properties", unused_name());
        let said = place.run(&args);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

/// The servers that a properties file names.
fn servers(file: &Path) -> String {
    value(file, "bootstrap.servers").replace("\\:", ":")
}

#[test]
fn connections_that_do_not_fit_name_the_setting_that_does() {
    let Some(kafka) = stack("connections that do not fit") else { return };
    let (tls, login) = (file(&kafka, "kafka-tls"), file(&kafka, "kafka-sasl-no-tls"));
    let plain = kafka.bootstrap_servers().to_owned();
    let elsewhere = servers(&tls).replace("127.0.0.1", "[::ffff:127.0.0.1]");
    let authority = std::fs::read_to_string(&tls).expect("a properties file");
    let authority = authority.lines().find(|line| line.starts_with("ssl.ca.location"));
    let authority = authority.expect("an authority");
    for (servers, setting, told) in [
        (servers(&tls), "", "set security.protocol=SSL or SASL_SSL"),
        (servers(&login), "", "set security.protocol=SASL_SSL or SASL_PLAINTEXT"),
        (plain, "security.protocol=SSL", "set security.protocol=PLAINTEXT or SASL_PLAINTEXT"),
        (servers(&tls), "security.protocol=SSL", "set ssl.ca.location"),
        (elsewhere, authority, "its certificate is for another host name"),
    ] {
        let place = Place::new(TOOL);
        let protocol = if setting == authority { "security.protocol=SSL" } else { "" };
        place.write("client.properties", &format!("{setting}\n{protocol}\n"));
        let args = format!(
            "print --topic t --timeout 3s --properties client.properties --bootstrap-servers {servers}"
        );
        let said = place.run(&args);
        assert_eq!((said.code, said.stderr.lines().count()), (1, 1), "{told}: {said:?}");
        assert!(said.stderr.contains(told), "{told}: {said:?}");
        for own in ["Local:", "Broker:", "ipv4#", "in state", "://", "error:0A"] {
            assert!(!said.stderr.contains(own), "{own}: {said:?}");
        }
    }
}
