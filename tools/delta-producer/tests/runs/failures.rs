//! Unusable locations: one error each, in bounded time, leaving nothing behind.

use std::time::{Duration, Instant};

use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::tables::S3;

/// Far more than any test takes, and far less than waiting forever.
const BOUND: Duration = Duration::from_mins(1);

/// Asserts that the tool failed with this code and one line containing these words.
fn assert_refused(output: &ToolOutput, code: i32, needles: &[&str]) {
    assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    for needle in needles {
        assert!(output.stderr.contains(needle), "{needle}: {output:?}");
    }
}

#[test]
fn wrong_buckets_keys_and_addresses_are_reported() {
    let s3 = S3::start();
    let nobody = ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1");
    for (args, variable, code, needles) in [
        ("--lake-path s3://nowhere/t", None, 2, &["bucket 'nowhere'", "--create-bucket"][..]),
        ("", Some(("AWS_SECRET_ACCESS_KEY", "wrong")), 1, &["SignatureDoesNotMatch"]),
        ("", Some(("AWS_ACCESS_KEY_ID", "wrong")), 1, &["InvalidAccessKeyId"]),
        ("--timeout 1s", Some(nobody), 1, &["s3://bench/", "--endpoint-url"]),
    ] {
        let (sandbox, started) = (Sandbox::new(TOOL), Instant::now());
        let mut command = s3.command(&sandbox, args);
        command.envs(variable);
        assert_refused(&ToolOutput::of(command), code, needles);
        assert!(started.elapsed() < BOUND, "{args}");
        assert_eq!(sandbox.entries(), [""; 0], "{args}");
    }
}

#[test]
fn unusable_folders_are_reported() {
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("file", "");
    let output = sandbox.run("--lake-path file -n 10");
    assert_refused(&output, 2, &["is a file", "--lake-path"]);
    let output = sandbox.run("--lake-path /proc/nowhere -n 10");
    assert_refused(&output, 1, &["/proc/nowhere", "--lake-path"]);
    assert_eq!(sandbox.entries(), ["file"]);
}

#[test]
fn foreign_tables_are_left_alone() {
    let sandbox = Sandbox::new(TOOL);
    let log = sandbox.path().join("t/_delta_log");
    std::fs::create_dir_all(&log).expect("a folder");
    let schema = r#"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}"#;
    let entry = format!(
        "{{\"protocol\":{{\"minReaderVersion\":1,\"minWriterVersion\":2}}}}\n{{\"metaData\":{{\"id\":\"x\",\
         \"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\"schemaString\":\"{schema}\",\
         \"partitionColumns\":[],\"configuration\":{{}}}}}}\n"
    );
    std::fs::write(log.join("00000000000000000000.json"), entry).expect("written");
    let output = sandbox.run("--lake-path t -n 10");
    assert_refused(&output, 2, &["t", "value"]);
    assert_eq!(sandbox.entries(), ["t"]);
    let entries = std::fs::read_dir(&log).expect("a folder").count();
    assert_eq!(entries, 1, "nothing was committed");
}
