//! Unusable locations: one error each, in bounded time, leaving nothing behind.

use std::time::{Duration, Instant};

use bench_testing::tool::{Place, Said};

use crate::TOOL;
use crate::tables::S3;

/// Far more than any test takes, and far less than waiting forever.
const BOUND: Duration = Duration::from_mins(1);

/// Asserts that the tool failed with this code and one line containing these words.
fn assert_refused(said: &Said, code: i32, needles: &[&str]) {
    assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    for needle in needles {
        assert!(said.stderr.contains(needle), "{needle}: {said:?}");
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
        let (place, started) = (Place::new(TOOL), Instant::now());
        let mut command = s3.command(&place, args);
        command.envs(variable);
        assert_refused(&Said::of(command), code, needles);
        assert!(started.elapsed() < BOUND, "{args}");
        assert_eq!(place.entries(), [""; 0], "{args}");
    }
}

#[test]
fn unusable_folders_are_reported() {
    let place = Place::new(TOOL);
    place.write("file", "");
    let said = place.run("--lake-path file -n 10");
    assert_refused(&said, 2, &["is a file", "--lake-path"]);
    let said = place.run("--lake-path /proc/nowhere -n 10");
    assert_refused(&said, 1, &["/proc/nowhere", "--lake-path"]);
    assert_eq!(place.entries(), ["file"]);
}

#[test]
fn foreign_tables_are_left_alone() {
    let place = Place::new(TOOL);
    let log = place.path().join("t/_delta_log");
    std::fs::create_dir_all(&log).expect("a folder");
    let schema = r#"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}"#;
    let entry = format!(
        "{{\"protocol\":{{\"minReaderVersion\":1,\"minWriterVersion\":2}}}}\n{{\"metaData\":{{\"id\":\"x\",\
         \"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\"schemaString\":\"{schema}\",\
         \"partitionColumns\":[],\"configuration\":{{}}}}}}\n"
    );
    std::fs::write(log.join("00000000000000000000.json"), entry).expect("written");
    let said = place.run("--lake-path t -n 10");
    assert_refused(&said, 2, &["t", "value"]);
    assert_eq!(place.entries(), ["t"]);
    let entries = std::fs::read_dir(&log).expect("a folder").count();
    assert_eq!(entries, 1, "nothing was committed");
}
