use bench_core::counts::Counts;
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Tool {
    #[command(flatten)]
    lake: LakeArgs,
}

fn parse(line: &str) -> LakeArgs {
    let line = std::iter::once("tool").chain(line.split_whitespace());
    Tool::try_parse_from(line).expect("a command line").lake
}

fn environment(bucket: Option<&str>) -> Environment {
    Environment { bucket: bucket.map(str::to_owned), has_endpoint: false, asks_embedded: false }
}

/// The location set by a command line, as a folder or as bucket, prefix and style, or the error.
fn location_of(line: &str, environment: &Environment, table: Option<&str>) -> String {
    match parse(line).location_in(environment, table) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(LakeLocation::Folder(folder))) => format!("folder {}", folder.display()),
        Ok(Some(LakeLocation::S3(location))) => format!("{} {:?}", location.uri(), location.style),
        Err(error) => format!("error {error}"),
    }
}

#[test]
fn options_and_environment_set_the_location() {
    for (line, of_environment, expected) in [
        ("", None, "nothing"),
        ("", Some("env-bucket"), "s3://env-bucket/run-1 Auto"),
        ("--bucket own", Some("env-bucket"), "s3://own/run-1 Auto"),
        ("--bucket own --s3-backend minio", None, "s3://own/run-1 Always"),
        ("--bucket own --s3-backend s3", None, "s3://own/run-1 Auto"),
        ("--s3-backend minio", Some("env-bucket"), "s3://env-bucket/run-1 Always"),
        ("--endpoint-url http://h", Some("env-bucket"), "s3://env-bucket/run-1 Auto"),
        ("--lake-path s3://own/a/b", None, "s3://own/a/b Auto"),
        ("--lake_path s3a://own/a/b/", Some("env-bucket"), "s3://own/a/b Auto"),
        ("--lake-path S3://own//a", None, "s3://own/a Auto"),
        ("--lake-path s3://own/a --bucket own", None, "s3://own/a Auto"),
        ("--lake-path s3://own/a --s3-backend minio", None, "s3://own/a Always"),
        ("--lake-path s3://own/a --s3_backend minio --path-style=never", None, "s3://own/a Never"),
        ("--lake-path s3://own/a --path-style", None, "s3://own/a Always"),
        ("--lake-path s3://own/a --path-style=auto", None, "s3://own/a Auto"),
        ("--lake-path s3://own/a@b", None, "s3://own/a@b Auto"),
        ("--lake-path file:///srv/a%20b", Some("env-bucket"), "folder /srv/a b"),
        ("--lake-path file://localhost/srv/a", None, "folder /srv/a"),
        ("--lake-path /srv/a", Some("env-bucket"), "folder /srv/a"),
        ("--lake-path ./a", None, "folder ./a"),
        ("--lake-path ../a", None, "folder ../a"),
        ("--lake-path a/b", None, "folder a/b"),
        ("--lake-path a/b", Some("env-bucket"), "folder a/b"),
        ("--lake-path a/b --bucket own", None, "s3://own/a/b Auto"),
        ("--lake-path a/b --bucket own", Some("env-bucket"), "s3://own/a/b Auto"),
        ("--lake-path a/b/ --s3-backend s3", Some("env-bucket"), "s3://env-bucket/a/b Auto"),
        ("--lake-path a --s3-backend minio", Some("env-bucket"), "s3://env-bucket/a Always"),
        ("--lake-path a --region r", Some("env-bucket"), "s3://env-bucket/a Auto"),
    ] {
        let named = location_of(line, &environment(of_environment), Some("run-1"));
        assert_eq!(named, expected, "{line} {of_environment:?}");
    }
}

#[test]
fn invalid_options_are_named() {
    for (line, of_environment, expected) in [
        ("--s3-backend s3", None, "--s3-backend: needs a bucket, but none is set"),
        ("--endpoint-url http://h", None, "--endpoint-url: needs a bucket, but none is set"),
        ("--region r", None, "--region: needs a bucket, but none is set"),
        ("--profile p", None, "--profile: needs a bucket, but none is set"),
        ("--path-style", None, "--path-style: needs a bucket, but none is set"),
        ("--bucket B_", None, "--bucket: is not a valid bucket name"),
        ("--bucket k:s@bucket", None, "--bucket: is not a valid bucket name"),
        ("", Some("no"), "BENCH_S3_BUCKET: is not a valid bucket name"),
        ("--lake-path=", None, "--lake-path: is empty"),
        ("--lake-path s3://", None, "--lake-path: is not a valid bucket name"),
        ("--lake-path s3://own", None, "--lake-path: contains a bucket but no table"),
        ("--lake-path s3://own/", None, "--lake-path: contains a bucket but no table"),
        ("--lake-path s3://own/a//b", None, "--lake-path: has parts that are empty"),
        ("--lake-path s3://own/a/../b", None, "--lake-path: has parts that are empty"),
        ("--lake-path s3://own/a --bucket other", None, "--bucket: differs from the bucket"),
        ("--lake-path gs://own/a", None, "--lake-path: is neither on S3 nor a folder"),
        ("--lake-path file://host/a", None, "--lake-path: is not a valid folder URL"),
        ("--lake-path file:///a --bucket own", None, "--bucket: applies to S3"),
        ("--lake-path /a --bucket own", None, "--bucket: applies to S3"),
        ("--lake-path ./a --s3-backend s3", Some("env-bucket"), "--s3-backend: applies to S3"),
        ("--lake-path /a --endpoint-url http://h", None, "--endpoint-url: applies to S3"),
        ("--lake-path /a --path-style", None, "--path-style: applies to S3"),
        ("--lake-path a --s3-backend s3", None, "--s3-backend: needs a bucket, but none is set"),
        ("--lake-path a --region r", None, "--region: needs a bucket, but none is set"),
    ] {
        let named = location_of(line, &environment(of_environment), Some("run-1"));
        let expected = format!("error {expected}");
        assert!(named.starts_with(&expected), "{line} {of_environment:?}: {named}");
    }
}

#[test]
fn bucket_without_table_is_refused() {
    for (line, of_environment) in [("--bucket own", None), ("", Some("env-bucket"))] {
        let named = location_of(line, &environment(of_environment), None);
        assert!(named.contains("add --lake-path NAME"), "{named}");
    }
    assert_eq!(location_of("", &environment(None), None), "nothing");
}

#[test]
fn endpoint_without_bucket_is_refused() {
    let has_endpoint = Environment { has_endpoint: true, ..environment(None) };
    let named = location_of("", &has_endpoint, Some("run-1"));
    assert!(
        named.starts_with("error AWS_ENDPOINT_URL_S3: needs a bucket, but none is set"),
        "{named}"
    );
    assert_eq!(location_of("--lake-path /a", &has_endpoint, None), "folder /a");
}

#[test]
fn embedded_s3_accepts_a_backend_kind() {
    let embedded = Environment { asks_embedded: true, ..environment(None) };
    assert_eq!(location_of("--s3-backend minio", &embedded, Some("run-1")), "nothing");
    assert_eq!(location_of("", &embedded, Some("run-1")), "nothing");
    assert_eq!(location_of("--bucket own", &embedded, Some("run-1")), "s3://own/run-1 Auto");
    assert!(location_of("--region r", &embedded, Some("run-1")).starts_with("error --region"));
}

#[test]
fn secrets_in_addresses_are_never_repeated() {
    for line in [
        "--lake-path s3://AKID:TOPSECRET@own/a",
        "--lake-path s3://TOPSECRET@own/a",
        "--lake-path s3a://AKID:TOP/SECRET@own/a",
        "--lake-path s3://own/a?secret_access_key=TOPSECRET",
        "--lake-path s3://own/a#TOPSECRET",
        "--lake-path https://AKID:TOPSECRET@h/own/a",
        "--lake-path file://AKID:TOPSECRET@h/a",
        "--lake-path s3://own/a --endpoint-url http://AKID:TOPSECRET@h:9000",
        "--bucket own --endpoint-url http://h:9000/?key=TOPSECRET",
    ] {
        let error = location_of(line, &environment(None), Some("run-1"));
        assert!(error.contains("do not belong there"), "{line}: {error}");
        assert!(!error.contains("TOP") && !error.contains("AKID"), "{error}");
        let shown = format!("{:?}", parse(line));
        assert!(!shown.contains("SECRET"), "{shown}");
    }
}

#[test]
fn minio_needs_both_keys_or_neither() {
    let keys = |line: &str, access: Option<&str>, secret: Option<&str>| {
        let found = parse(line).minio_keys([access, secret].map(|key| key.map(str::to_owned)));
        match found {
            Ok(None) => "none".to_owned(),
            Ok(Some(keys)) => {
                assert!(!format!("{keys:?}").contains("TOPSECRET"));
                format!("{} {}", keys.access_key_id(), keys.secret_access_key())
            }
            Err(error) => error.to_string(),
        }
    };
    let (access, secret) = (Some("me"), Some("TOPSECRET"));
    assert_eq!(keys("--s3-backend minio", access, secret), "me TOPSECRET");
    assert_eq!(keys("--s3-backend minio", None, None), "none");
    assert_eq!(keys("--s3-backend s3", access, secret), "none");
    assert_eq!(keys("", access, secret), "none");
    let missing = keys("--s3-backend minio", access, None);
    assert!(missing.starts_with("MINIO_S3_SECRET_ACCESS_KEY: is unset or empty"), "{missing}");
    let missing = keys("--s3-backend minio", None, secret);
    assert!(missing.starts_with("MINIO_S3_ACCESS_KEY: is unset or empty"), "{missing}");
    assert!(!missing.contains("TOPSECRET"));
}

#[test]
fn embedded_s3_keys_are_hidden() {
    let lake = parse("").embedded("http://127.0.0.1:1", ("AKID", "TOPSECRET"), "bench", "t");
    assert_eq!(lake.uri(), "s3://bench/t");
    assert!(!format!("{lake:?}").contains("TOPSECRET"));
    let lake = lake.connect(&Counts::default()).expect("a store");
    for shown in [format!("{lake:?}"), format!("{:?}", lake.store()), format!("{}", lake.store())] {
        assert!(!shown.contains("TOPSECRET"), "{shown}");
    }
}
