//! The command line, mainly mistakes in it.

use bench_testing::tool::Sandbox;

use crate::TOOL;

/// The options that `run-suite` sets, and those that its experiments sweep.
const DRIVEN_OPTIONS: [&str; 18] = [
    "bucket",
    "commit",
    "commit-interval",
    "compression",
    "duration",
    "endpoint-url",
    "follow",
    "in-flight",
    "lake-path",
    "messages",
    "partition-by",
    "poll-interval",
    "producers",
    "rate",
    "record-size",
    "s3-backend",
    "target-file-size",
    "warm-up",
];

#[test]
fn invalid_options_name_option_and_remedy() {
    for (args, option, remedy) in [
        ("--lake-paht t", "--lake-paht", "'--lake-path'"),
        ("--s3-backend gcs --lake-path t", "--s3-backend", "s3, minio"),
        ("--s3-backend minio", "--s3-backend: ", "--bucket"),
        ("--lake-path gs://b/t", "--lake-path: ", "s3://"),
        ("--lake-path s3:///t", "--lake-path: ", "3 to 63"),
        ("--lake-path s3:/bucket/t", "--lake-path: ", "s3://"),
        ("--lake-path file:///t%2Fu", "--lake-path: ", "file:///srv/table"),
        ("--lake-path ~nobody/t", "--lake-path: ", "./~NAME"),
        ("--lake-path t --results-dir in_the_way", "--results-dir: ", "choose another folder"),
        ("--create-bucket", "--create-bucket: ", "s3://"),
        ("--create-bucket --lake-path t", "--create-bucket: ", "s3://"),
        ("-n 0", "--messages: ", "at least 1"),
        ("--rate 0", "--rate", "leave the option out"),
        ("--seconds-to-stream 0", "--duration: ", "30s"),
        ("-r 39", "--record-size: ", "the smallest size is 40 bytes"),
        ("-r 200kB --target-file-size 64KiB", "--record-size: ", "--target-file-size"),
        ("-p 0", "--producers", "1..=1000"),
        ("--commit-interval 0s", "--commit-interval: ", "from 1ms to 3600s"),
        ("--commit-interval 1s --autocommit-duration-ms 5", "--autocommit-duration-ms", "--help"),
        ("--autocommit-duration-ms 0", "--autocommit-duration-ms", "1..="),
        ("--commit maybe", "--commit", "direct, std"),
        ("--commit std --checkpoint-every 5", "--checkpoint-every: ", "--commit direct"),
        ("--commit std --log-retention 1h", "--log-retention: ", "--commit direct"),
        ("--log-retention 1s", "--log-retention: ", "at least 10s"),
        ("--partition-by year", "--partition-by", "producer, date, hour"),
        ("--compression gzip", "--compression", "none, snappy, lz4, zstd"),
        ("--target-file-size 1kB", "--target-file-size: ", "from 64KiB to 1GiB"),
        ("--target-file-size 2GiB", "--target-file-size: ", "from 64KiB to 1GiB"),
        ("--rows-per-group 1", "--rows-per-group", "1000..="),
        ("--uploads 0", "--uploads", "1..=64"),
        ("--in-flight 0", "--in-flight", "1..="),
        ("--poll-interval 0s", "--poll-interval: ", "from 100µs to 60s"),
        ("--read-ahead 1kB", "--read-ahead: ", "at least 1MiB"),
        ("--interval 1ms", "--interval: ", "at least 10ms"),
        ("--results-dir in_the_way", "--results-dir: ", "choose another folder"),
        ("maintain --lake-path t", "--optimize", "--vacuum"),
        ("maintain --optimize", "--lake-path: ", "set one"),
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
fn generated_options_are_complete() {
    let output = Sandbox::new(TOOL).run("--generate options");
    assert_eq!(output.code, 0, "{output:?}");
    let told: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(told["tool"], "delta-producer");
    let options = told["options"].as_array().expect("a list");
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
        "Examples:\n  delta-producer --rate 10k/s ",
        "--seconds-to-stream",
        "--autocommit-duration-ms",
        "Exit codes: 0 good; 1 failed; 2 bad usage; 3 the run is INVALID",
    ] {
        assert!(help.stdout.contains(needle), "{needle}: {help:?}");
    }
    for hidden in ["run-dir", "num_records", "lake_path", "embedded-s3"] {
        assert!(!help.stdout.contains(hidden), "{hidden}: {help:?}");
    }
    for what in ["bash", "zsh", "fish", "man"] {
        let output = sandbox.run(&format!("--generate {what}"));
        assert!(output.code == 0 && output.stdout.contains("delta-producer"), "{what}: {output:?}");
    }
    let version = format!("delta-producer {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(sandbox.run("--version").stdout, version);
    assert_eq!(sandbox.entries(), [""; 0]);
}

#[test]
fn too_many_producers_are_refused_without_traces() {
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
