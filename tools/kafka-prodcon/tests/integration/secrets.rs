//! Credentials never appear in outputs, logs or result files.

use std::path::Path;

use bench_record::Status;
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;

const SECRET: &str = "hunter2";

const LOGIN: &str = "--config security.protocol=SASL_PLAINTEXT --config sasl.mechanism=PLAIN \
                     --config sasl.username=alice --config sasl.password=hunter2";

fn assert_silent(output: &ToolOutput, sandbox: &Sandbox) {
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains(SECRET), "{output:?}");
    }
    for name in sandbox.entries() {
        if name != "client.properties" {
            assert_not_in_files(&sandbox.path().join(name));
        }
    }
}

fn assert_not_in_files(path: &Path) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            assert_not_in_files(&entry.expect("an entry").path());
        }
    } else {
        let bytes = std::fs::read(path).expect("a file");
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "in {}", path.display());
    }
}

#[test]
fn unused_passwords_are_recorded_as_stars() {
    let sandbox = Sandbox::new(TOOL);
    // Enables all of the client library's logs.
    let output =
        sandbox.run("-n 500 --config sasl.password=hunter2 --config debug=all -vvv --output json");
    assert_eq!(output.code, 0, "{:?}", output.stdout);
    assert!(output.stderr.contains(r#""sasl.password": "***""#), "logged without its value");
    assert_silent(&output, &sandbox);
    let document = sandbox.document("results");
    assert_eq!(document.status, Status::Complete);
    assert_eq!(document.options["config"]["sasl.password"], "***");
}

#[test]
fn failed_logins_hide_the_password() {
    for verbosity in ["", "-vv"] {
        let sandbox = Sandbox::new(TOOL);
        let args = format!("--bootstrap-servers 127.0.0.1:1 --timeout 500ms {LOGIN} {verbosity}");
        let output = sandbox.run(&args);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("127.0.0.1:1"), "{output:?}");
        assert_eq!(output.stderr.contains("alice"), verbosity == "-vv", "{output:?}");
        assert_silent(&output, &sandbox);
    }
}

#[test]
fn environment_and_properties_secrets_stay_hidden() {
    let sandbox = Sandbox::new(TOOL);
    let mut tool = sandbox.command("--bootstrap-servers 127.0.0.1:1 --timeout 500ms -vv");
    tool.env("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT").env("KAFKA_SASL_MECHANISM", "PLAIN");
    tool.env("KAFKA_SASL_USERNAME", "alice").env("KAFKA_SASL_PASSWORD", SECRET);
    let output = ToolOutput::of(tool);
    assert_eq!(output.code, 1, "{output:?}");
    assert_silent(&output, &sandbox);

    let properties = "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
                      required username=\"alice\" password=\"hunter2\";\n\
                      security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
                      ssl.key.password=hunter2\n";
    std::fs::write(sandbox.path().join("client.properties"), properties).expect("written");
    let args = "--bootstrap-servers 127.0.0.1:1 --timeout 500ms -vv --properties client.properties";
    let output = sandbox.run(args);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("alice"), "the login was read: {output:?}");
    assert_silent(&output, &sandbox);
}

#[test]
fn mistyped_password_settings_stay_hidden() {
    for args in [
        "--config sasl.password:hunter2",
        "--config sasl.pasword=hunter2",
        "--config =hunter2",
        "--config ssl.key.pem=hunter2 --config security.protocol=SSL",
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output =
            sandbox.run(&format!("{args} -vv --bootstrap-servers 127.0.0.1:1 --timeout 500ms"));
        assert!([1, 2].contains(&output.code), "{output:?}");
        assert_silent(&output, &sandbox);
    }
}
