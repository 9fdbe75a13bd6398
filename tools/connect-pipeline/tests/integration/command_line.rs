//! The command line, mainly mistakes in it.

use bench_testing::Silent;
use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;

#[test]
fn mistakes_name_option_and_remedy() {
    let url = "--connect-url http://127.0.0.1:1";
    for (args, option, remedy) in [
        ("", "--connect-url: no pipeline is set", "--source and --sink"),
        ("--source a", "--connect-url: no pipeline is set", "CONNECT_URL"),
        ("--source a --sink a", "--sink: is also the source", "the file at the other end"),
        ("--source a --sink b --keep-connectors", "--keep-connectors: ", "add --connect-url"),
        ("--source a --sink b --format binary", "--format: ", "remove it"),
        ("--source a --sink b --format raw", "--format: ", "remove it"),
        ("--source a --sink b --key uniform:3", "--key: ", "remove it"),
        ("--source a --sink b -r 100", "--record-size: ", "the smallest size is 217 bytes"),
        ("--source a --sink b --interval 1ms", "--interval: ", "at least 10ms"),
        ("--connect-url localhost:8083", "--connect-url: ", "http://127.0.0.1:8083"),
        ("--connect-url http://u:secret@h:1", "--connect-url: ", "use an address without one"),
        ("--connect-url http://127.0.0.1:95566", "--connect-url: ", "from 1 to 65535"),
        ("--connect-url http://::1:8083", "--connect-url: ", "[::1]:8083"),
        (&format!("{url} --timeout 0s"), "--timeout: ", "such as 30s"),
        (&format!("{url} --source-batch 0"), "--source-batch", "1.."),
    ] {
        let sandbox = Sandbox::new(TOOL);
        let output = sandbox.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        for needle in ["error: ", option, remedy] {
            assert!(output.stderr.contains(needle), "{args}: {output:?}");
        }
        assert!(!output.stderr.contains("secret"), "{output:?}");
        assert!(sandbox.entries().is_empty(), "{args}: {:?}", sandbox.entries());
    }
}

#[test]
fn embedded_workers_are_refused() {
    let sandbox = Sandbox::new(TOOL);
    let mut command = sandbox.command("--rate 10");
    command.env("BENCH_SERVICES", "embedded").env("CONNECT_URL", "http://127.0.0.1:1");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 2, "{output:?}");
    for needle in ["no embedded Kafka Connect", "\"local\""] {
        assert!(output.stderr.contains(needle), "{output:?}");
    }
}

#[test]
fn unreachable_workers_are_named() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--connect-url http://127.0.0.1:1 --rate 10 --timeout 5s");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("at http://127.0.0.1:1: "), "{output:?}");
    assert!(output.stderr.contains("check that a worker listens at --connect-url"), "{output:?}");
    assert!(sandbox.entries().is_empty());
}

#[test]
fn interrupts_end_connecting_at_once() {
    let sandbox = Sandbox::new(TOOL);
    let silent = Silent::new();
    let args = format!("--connect-url {} --timeout 1h", silent.url());
    let output = silent.interrupt(sandbox.command(&args));
    assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
    let told = "interrupted while connecting to Kafka Connect\n";
    assert!(output.stderr.ends_with(told), "{output:?}");
    assert!(sandbox.entries().is_empty());
}

#[test]
fn generated_options_list_defaults() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("--generate options");
    assert_eq!(output.code, 0, "{output:?}");
    let described: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let options = described["options"].as_array().expect("a list");
    let default = |name: &str| {
        let option = options.iter().find(|option| option["name"] == name);
        option.unwrap_or_else(|| panic!("no {name}"))["default"].clone()
    };
    // This option tells run-suite that a run needs Kafka Connect.
    assert_eq!(default("connect-url"), serde_json::Value::Null);
    assert_eq!((default("format"), default("record-size")), ("json".into(), "300".into()));
    assert_eq!(default("topic"), "connect-test");
}
