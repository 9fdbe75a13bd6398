//! What is refused before anything is created, and what run-suite is told.

use bench_testing::tool::Sandbox;

use crate::TOOL;

#[test]
fn bad_usage_is_one_sentence_that_names_the_option() {
    let sandbox = Sandbox::new(TOOL);
    for (args, option) in [
        ("--rate 10/s", "--bootstrap-servers"),
        ("--brokers 127.0.0.1:1 --spark-home /nonexistent", "--spark-home"),
        ("--brokers 127.0.0.1:1 --trigger soon", "--trigger"),
        ("--brokers 127.0.0.1:1 --sink none --output-topic o", "--output-topic"),
        ("--brokers 127.0.0.1:1 --sink none --trigger real-time", "--trigger"),
        ("--brokers 127.0.0.1:1 --kill-driver 5s --kill-driver 5s", "--kill-driver"),
        ("--brokers 127.0.0.1:1 --format json", "--format"),
        ("--brokers 127.0.0.1:1 --minutes 1 -n 5", "--minutes"),
        ("--brokers 127.0.0.1:99999", "--bootstrap-servers"),
        ("--brokers 127.0.0.1:1 --partitions 0", "--partitions"),
    ] {
        let output = sandbox.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: ") && first.contains(option), "{args}: {first}");
        assert!(!sandbox.path().join("results").exists(), "{args}");
    }
}

#[test]
fn run_suite_learns_what_the_tool_needs() {
    let output = Sandbox::new(TOOL).run("--generate options");
    let options: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let services: Vec<_> = options["services"].as_array().expect("services").iter().collect();
    let names: Vec<_> = services.iter().map(|service| service["name"].as_str()).collect();
    assert_eq!(names, [Some("kafka"), Some("spark")]);
}
