//! Parsing of the command line, and errors for wrong options.

use bench_testing::tool::Sandbox;

use crate::TOOL;

/// The options that `run-suite` sets and its experiments sweep.
const DRIVEN_OPTIONS: [&str; 16] = [
    "aggregate",
    "batch-records",
    "create",
    "duration",
    "endpoint-url",
    "in-flight",
    "input",
    "linger",
    "messages",
    "partition-key-field",
    "producers",
    "put",
    "rate",
    "record-size",
    "shards",
    "stream",
];

#[test]
fn invalid_options_are_refused_with_a_remedy() {
    for (args, option, remedy) in [
        ("--strem s", "--strem", "'--stream'"),
        ("--stream no/name", "--stream", "letters, digits"),
        ("--shards 0", "--shards", "1.."),
        ("--shards 2 --on-demand", "--shards", "--on-demand"),
        ("--put all", "--put", "records, record"),
        ("--batch-records 501", "--batch-records", "1..=500"),
        ("--batch-size 11MiB", "--batch-size: ", "at most 10MiB"),
        ("--in-flight 0", "--in-flight", "1..=1000"),
        ("-p 0", "--producers", "1..=1000"),
        ("-n 0", "--messages: ", "at least 1"),
        ("-r 39", "--record-size: ", "the smallest size is 40 bytes"),
        ("-r 1100000", "--record-size: ", "use smaller messages"),
        ("-a 50", "--aggregate: ", "use a size from 100 to 1048576, or 0"),
        ("-a 2MiB", "--aggregate: ", "use a size from 100 to 1048576, or 0"),
        ("--partition-key-field Title", "--partition-key-field", "--input"),
        ("--interval 1ms", "--interval: ", "at least 10ms"),
        ("--results-dir in_the_way", "--results-dir: ", "choose another folder"),
        ("books merge --output x.json", "<CSV>", "--help"),
        ("books merge --output x.txt in_the_way", "--output: ", ".jsonl"),
        ("books generate -n 0 x.csv", "--messages: ", "use a number from 1"),
    ] {
        let sandbox = Sandbox::new(TOOL);
        sandbox.write("in_the_way", "");
        let output = sandbox.run(args);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args}: {output:?}");
        for needle in [option, remedy] {
            assert!(output.stderr.contains(needle), "{args}: {needle}: {output:?}");
        }
        assert_eq!(sandbox.entries(), ["in_the_way"], "{args}");
    }
}

#[test]
fn unusable_input_files_are_named() {
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("bad.jsonl", "{}\nno json\n");
    for (file, needle) in [("missing.csv", "missing.csv"), ("bad.jsonl", "line 2 of bad.jsonl")] {
        let output = sandbox.run(&format!("--input {file}"));
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
        assert!(output.stderr.contains("--input") && output.stderr.contains(needle), "{output:?}");
    }
    assert_eq!(sandbox.entries(), ["bad.jsonl"]);
}

#[test]
fn missing_partition_key_fields_are_refused() {
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("b.csv", "title,price\nDune,9\n");
    sandbox.write("t.txt", "no json\n");
    for (args, message) in [
        ("--input b.csv --partition-key-field author", "in the first record: price, title"),
        ("--input b.csv --partition-key-field Title", "in the first record: price, title"),
        ("--input t.txt --partition-key-field title", "are not JSON objects"),
    ] {
        let refused = sandbox.run(args);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{args}: {refused:?}");
        assert!(refused.stderr.contains("--partition-key-field: no record"), "{refused:?}");
        assert!(refused.stderr.contains(message), "{args}: {refused:?}");
    }
    assert_eq!(sandbox.entries(), ["b.csv", "t.txt"]);
}

#[test]
fn malformed_csv_is_refused_with_its_line() {
    for (text, line) in [
        ("a,b\n1,\"x\n2,y\n", 2),
        ("a,b\n1,x\n2,y\"z\"\n", 3),
        ("a,b\n\"1\\\"\",x\n", 2),
        ("a,b\r1,2\r", 1),
        ("a,b\n1,2\n3\n", 3),
    ] {
        for args in ["--input q.csv", "books merge --column a=a --output o.jsonl good.csv q.csv"] {
            let sandbox = Sandbox::new(TOOL);
            sandbox.write("q.csv", text);
            sandbox.write("good.csv", "a\n1\n");
            let output = sandbox.run(args);
            assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{text:?}: {output:?}");
            let needle = format!("line {line} of q.csv is not valid CSV: ");
            assert!(output.stderr.contains(&needle), "{text:?}: {output:?}");
            assert_eq!(sandbox.entries(), ["good.csv", "q.csv"], "{text:?}");
        }
    }
}

#[test]
fn generated_options_include_driven_ones() {
    let output = Sandbox::new(TOOL).run("--generate options");
    assert_eq!(output.code, 0, "{output:?}");
    let document: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(document["tool"], "kin-producer");
    let options = document["options"].as_array().expect("a list");
    for name in DRIVEN_OPTIONS {
        assert!(options.iter().any(|option| option["name"] == name), "{name}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let sandbox = Sandbox::new(TOOL);
    let help = sandbox.run("--help");
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{help:?}");
    for needle in [
        "Examples:\n  kin-producer -n 10000 -r 100 ",
        "-n 1250 -r 1600 -a 1043582",
        "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID",
        "[default: benchmark]",
        "default_partition_key",
    ] {
        assert!(help.stdout.contains(needle), "{needle}: {help:?}");
    }
    for hidden in ["run-dir", "num_records", "agg_size", "embedded-kinesis"] {
        assert!(!help.stdout.contains(hidden), "{hidden}: {help:?}");
    }
    assert_eq!(
        sandbox.run("--version").stdout,
        format!("kin-producer {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn producers_beyond_a_limit_are_refused_early() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run_limited("ulimit -n 200", "-p 100");
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    assert!(output.stderr.starts_with("error: --producers: 100 producers need "), "{output:?}");
    assert!(
        output.stderr.contains("ulimit -n") && output.stderr.contains("; use fewer"),
        "{output:?}"
    );
    assert_eq!(sandbox.entries(), <[&str; 0]>::default());
}
