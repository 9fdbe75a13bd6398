//! Tables on real servers: the embedded S3, and versitygw where this machine has it.

use std::time::Duration;

use bench_aws::{AwsArgs, SdkConfig};
use bench_core::counts::Counts;
use bench_delta::{Access, DeltaError, Lake, PathStyle, S3Place, lake};
use bench_testing::S3;
use deltalake::kernel::{DataType, PrimitiveType, StructField};
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{Error, ObjectStoreExt as _, PutMode};
use deltalake::operations::create::CreateBuilder;
use embedded_s3::{Fault, Requests};
use futures_util::StreamExt as _;

use crate::race::race;

const WRITE: Access = Access::Write { create_bucket: false };
const TIMEOUT: Duration = Duration::from_secs(20);

fn place(bucket: &str, prefix: &str) -> S3Place {
    S3Place { bucket: bucket.to_owned(), prefix: prefix.to_owned(), style: PathStyle::Auto }
}

fn sdk(url: &str, access_key: &str, secret_key: &str) -> SdkConfig {
    let args = AwsArgs::new(None, None, None, TIMEOUT);
    args.embedded_config_with(url, access_key, secret_key)
}

fn sdk_of(server: &S3) -> SdkConfig {
    sdk(server.endpoint_url(), server.access_key(), server.secret_key())
}

/// A lake on a server, and its counts.
fn lake_on(server: &S3, prefix: &str) -> (Lake, Counts) {
    let counts = Counts::default();
    let lake = Lake::s3(&place(server.bucket(), prefix), &sdk_of(server), &counts);
    (lake.expect("a lake"), counts)
}

async fn objects(lake: &Lake) -> Vec<String> {
    let listed = lake.store().list(None);
    listed.map(|object| object.expect("listed").location.to_string()).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_checked_and_left_as_it_was() {
    for server in S3::each("checking a place on S3") {
        let (lake, _) = lake_on(&server, "checked/table");
        for access in [Access::Read, WRITE, WRITE] {
            let place = place(server.bucket(), "checked/table");
            let checked = lake::prepare_s3(&place, &sdk_of(&server), access).await;
            checked.unwrap_or_else(|error| panic!("{server:?}: {error}"));
        }
        assert_eq!(objects(&lake).await, Vec::<String>::new(), "{server:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_bucket_and_wrong_keys_are_told_apart() {
    for server in S3::each("a wrong bucket and wrong keys") {
        let good = sdk_of(&server);
        let missing = place("no-such-bucket", "table");
        for access in [Access::Read, WRITE] {
            let error = lake::prepare_s3(&missing, &good, access).await.expect_err("is missing");
            assert!(matches!(error, DeltaError::NoBucket { .. }), "{server:?}: {error}");
        }
        let there = place(server.bucket(), "table");
        let wrong_secret = sdk(server.endpoint_url(), server.access_key(), "WRONGSECRET");
        let wrong_key = sdk(server.endpoint_url(), "WRONGKEY", "WRONGSECRET");
        // versitygw says it in words of its own.
        let key_codes = ["InvalidAccessKeyId", "XAdminUserNotFound"];
        for (sdk, codes) in
            [(wrong_secret, &["SignatureDoesNotMatch"][..]), (wrong_key, &key_codes)]
        {
            let has_code = |error: &str| codes.iter().any(|code| error.contains(code));
            let error = lake::prepare_s3(&there, &sdk, WRITE).await.expect_err("is refused");
            let error = error.to_string();
            let remedy = "check the access key, its secret and --region";
            assert!(has_code(&error) && error.ends_with(remedy), "{server:?}: {error}");
            let lake = Lake::s3(&there, &sdk, &Counts::default()).expect("nothing is asked yet");
            let read = lake.store().get(&Path::from("x")).await.expect_err("is refused");
            let error = DeltaError::store("read x", &read).to_string();
            assert!(has_code(&error), "{server:?}: {error}");
            assert!(!error.contains("WRONG") && !error.contains('\n'), "{server:?}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_created_when_that_is_asked_for() {
    for server in S3::each("creating a bucket") {
        let (new, sdk) = (place("made-by-a-test", "table"), sdk_of(&server));
        let access = Access::Write { create_bucket: true };
        for time in ["first", "again"] {
            let prepared = lake::prepare_s3(&new, &sdk, access).await;
            prepared.unwrap_or_else(|error| panic!("{time}: {server:?}: {error}"));
        }
        let lake = Lake::s3(&new, &sdk, &Counts::default()).expect("a lake");
        lake.store().put(&Path::from("x"), "x".into()).await.expect("written");
        lake.store().delete(&Path::from("x")).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_writers_of_one_object_one_wins() {
    for server in S3::each("eight writers of one object") {
        let (lake, counts) = lake_on(&server, "race");
        race(&lake, 100).await;
        let counted = counts.read();
        assert_eq!(counted["put_requests"], 800 + counted["requests_retried"], "{server:?}");
        assert_eq!(counted["get_requests"], 100, "{server:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delta_rs_works_on_the_same_store_and_is_counted() {
    for server in S3::each("delta-rs on our store") {
        for prefix in ["table", "deep/er/table", "a b", "50%"] {
            let (lake, counts) = lake_on(&server, prefix);
            let binary = DataType::Primitive(PrimitiveType::Binary);
            CreateBuilder::new()
                .with_log_store(lake.log_store())
                .with_columns([StructField::new("value", binary, false)])
                .await
                .unwrap_or_else(|error| panic!("{server:?}: {prefix}: {error}"));
            let first = Path::from("_delta_log/00000000000000000000.json");
            lake.store().get(&first).await.expect("an entry");
            let before = counts.read();
            assert!(before["put_requests"] > 0, "{server:?}: {before:?}");
            let mut table = deltalake::DeltaTable::new(lake.log_store());
            table.load().await.expect("it loads");
            assert_eq!(table.version(), Some(0), "{server:?}: {prefix}");
            let after = counts.read();
            let requests = |counts: &std::collections::BTreeMap<String, u64>| {
                counts["get_requests"] + counts["list_requests"]
            };
            assert!(requests(&after) > requests(&before), "{server:?}: {after:?}");
            assert_eq!(lake.uri(), format!("s3://{}/{prefix}", server.bucket()));
        }
    }
}

/// What [`Lake`] says of creates whose answer is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_may_have_succeeded_though_it_says_otherwise() {
    let server = S3::embedded();
    let (lake, counts) = lake_on(&server, "lost");
    for (fault, is_repeated) in [
        (Fault::ForwardThenAnswer(503), true),
        (Fault::ForwardThenAnswer(412), false),
        (Fault::ForwardThenDrop, true),
    ] {
        let path = Path::from(format!("{fault:?}"));
        let before = counts.read()["requests_retried"];
        let matching = Requests::matching("PUT", path.as_ref()).times(1);
        let injected = server.faults().inject(matching, fault);
        let put = lake.store().put_opts(&path, "mine".into(), PutMode::Create.into()).await;
        let error = put.expect_err("its answer was lost");
        assert_eq!(injected.struck(), 1);
        assert!(matches!(error, Error::AlreadyExists { .. }), "{fault:?}: {error}");
        let retried = counts.read()["requests_retried"] - before;
        assert_eq!(retried, u64::from(is_repeated), "{fault:?}");
        let there = lake.store().get(&path).await.expect("it was stored");
        assert_eq!(there.bytes().await.expect("whole"), "mine", "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_passes_is_retried_and_counted() {
    let server = S3::embedded();
    let (lake, counts) = lake_on(&server, "trouble");
    let path = Path::from("x");
    for (method, fault) in [
        ("PUT", Fault::Answer(503)),
        ("PUT", Fault::Drop),
        ("GET", Fault::Answer(500)),
        ("GET", Fault::Drop),
    ] {
        let before = counts.read()["requests_retried"];
        let matching = Requests::matching(method, "trouble/x").times(2);
        let injected = server.faults().inject(matching, fault);
        lake.store().put(&path, "x".into()).await.expect("written");
        let read = lake.store().get(&path).await.expect("found").bytes().await.expect("read");
        assert_eq!(read, "x");
        assert_eq!(injected.struck(), 2, "{method} {fault:?}");
        assert_eq!(counts.read()["requests_retried"] - before, 2, "{method} {fault:?}");
    }
}
