//! Tables on a service that answers as told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderValue, Response};
use bench_aws::{AwsArgs, SdkConfig};
use bench_core::counts::Counts;
use bench_delta::{Access, DeltaError, Lake, PathStyle, S3Location, lake};
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::logstore::object_store::path::Path;

use super::stand_in::{Asked, StandIn, empty_list, refusal, status};

const WRITE: Access = Access::Write { create_bucket: false };

/// Far more than any test needs, and far less than waiting forever.
const BOUND: Duration = Duration::from_mins(1);

fn location() -> S3Location {
    S3Location { bucket: "lake".to_owned(), prefix: "a/b".to_owned(), style: PathStyle::Auto }
}

fn sdk(url: &str, timeout: Duration) -> SdkConfig {
    AwsArgs::new(None, None, None, timeout).embedded_config_with(url, "AKID", "TOPSECRET")
}

/// The error of a broken service, which arrives in bounded time and contains no secret.
async fn problem(service: &StandIn, access: Access) -> DeltaError {
    let since = Instant::now();
    let sdk = sdk(&service.url, Duration::from_secs(2));
    let error = lake::prepare_s3(&location(), &sdk, access).await.expect_err("something is wrong");
    assert!(since.elapsed() < BOUND, "{error}");
    let text = error.to_string();
    assert!(!text.contains("SECRET") && !text.contains("AKID") && !text.contains('\n'), "{text}");
    error
}

/// Lists nothing, and answers other requests as told.
async fn service<F>(rest: F) -> StandIn
where
    F: Fn(&Asked<'_>) -> Response<Body> + Clone + Send + Sync + 'static,
{
    StandIn::start(move |asked| match asked.line {
        line if line.starts_with("GET") && line.contains("list-type=2") => empty_list(),
        _ => rest(asked),
    })
    .await
}

#[tokio::test]
async fn service_errors_name_the_remedy() {
    for (code, name, expected) in [
        (404, "NoSuchBucket", "bucket 'lake' does not exist; use another one with --bucket"),
        (403, "InvalidAccessKeyId", "(InvalidAccessKeyId); check the access key, its secret"),
        (403, "SignatureDoesNotMatch", "(SignatureDoesNotMatch); check the access key, its secret"),
        (403, "AccessDenied", "(AccessDenied); docs/aws.md has the policy"),
        (301, "PermanentRedirect", "bucket 'lake' is not in region us-east-1; add --region"),
        (400, "AuthorizationHeaderMalformed", "set its region with --region"),
    ] {
        let service = StandIn::start(move |_| refusal(code, name)).await;
        for access in [Access::Read, WRITE] {
            let error = problem(&service, access).await;
            assert!(error.to_string().contains(expected), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn bucket_region_is_passed_on() {
    for code in [301, 400] {
        let service = StandIn::start(move |_| {
            let mut answer = refusal(code, "AuthorizationHeaderMalformed");
            let region = HeaderValue::from_static("eu-west-1");
            answer.headers_mut().insert("x-amz-bucket-region", region);
            answer
        })
        .await;
        let error = problem(&service, Access::Read).await;
        assert!(error.to_string().ends_with("add --region eu-west-1"), "{error}");
        assert!(error.is_usage());
    }
}

#[tokio::test]
async fn silent_services_time_out() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let refused = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    // Connections wait there and are never accepted.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    for (url, expected) in [(refused, "check --endpoint-url"), (silent_url, "raise --timeout")] {
        let (since, sdk) = (Instant::now(), sdk(&url, Duration::from_secs(1)));
        let error =
            lake::prepare_s3(&location(), &sdk, WRITE).await.expect_err("no service responds");
        assert!(error.to_string().contains(expected), "{error}");
        let lake = Lake::s3(&location(), &sdk, &Counts::default()).expect("no request is sent yet");
        let read = lake.store().get(&Path::from("x")).await;
        let error = DeltaError::store("read x", &read.expect_err("no service responds"));
        assert!(since.elapsed() < BOUND, "{error}");
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
}

#[tokio::test]
async fn read_only_buckets_are_refused_for_writing() {
    let service = service(|_| refusal(403, "AccessDenied")).await;
    let sdk = sdk(&service.url, Duration::from_secs(2));
    lake::prepare_s3(&location(), &sdk, Access::Read).await.expect("it may be read");
    let error = problem(&service, WRITE).await.to_string();
    assert!(error.starts_with("failed to write to s3://lake/a/b: "), "{error}");
    assert!(error.contains("(AccessDenied)"), "{error}");
}

#[tokio::test]
async fn services_without_conditional_writes_are_refused() {
    for winners in [2, 8] {
        let puts = Arc::new(AtomicUsize::new(0));
        let service = service(move |asked| {
            let is_put = asked.line.starts_with("PUT");
            if is_put && puts.fetch_add(1, Ordering::Relaxed) >= winners {
                return refusal(412, "PreconditionFailed");
            }
            status(200)
        })
        .await;
        let error = problem(&service, WRITE).await;
        assert!(matches!(error, DeltaError::NoConditionalWrites { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("{winners} of 8 concurrent writers")),
            "{error}"
        );
        assert!(service.asked().last().expect("requests").starts_with("DELETE"));
    }
    let without = service(|_| refusal(501, "NotImplemented")).await;
    let error = problem(&without, WRITE).await;
    assert!(error.to_string().contains("does not support If-None-Match"), "{error}");
}

#[tokio::test]
async fn checking_a_service_changes_nothing() {
    let puts = Arc::new(AtomicUsize::new(0));
    let service = service(move |asked| {
        if !asked.line.starts_with("PUT") {
            return status(204);
        }
        assert_eq!(asked.headers["if-none-match"], "*");
        let code = if puts.fetch_add(1, Ordering::Relaxed) % 8 == 3 { 200 } else { 412 };
        status(code)
    })
    .await;
    let sdk = sdk(&service.url, Duration::from_secs(5));
    lake::prepare_s3(&location(), &sdk, WRITE).await.expect("all is well");
    let asked = service.asked();
    let of_probe: Vec<_> = asked.iter().filter(|line| !line.starts_with("GET")).collect();
    assert_eq!(of_probe.len(), 27, "{asked:?}");
    let name = |line: &str| line.split(['?', ' ']).nth(1).map(str::to_owned);
    for race in of_probe.chunks(9) {
        let names: Vec<_> = race.iter().filter_map(|line| name(line)).collect();
        assert!(names.iter().all(|name| name == &names[0]), "{names:?}");
        assert!(names[0].starts_with("/lake/a/b/_bench_probe_"), "{names:?}");
        assert!(race[8].starts_with("DELETE"), "{race:?}");
    }
}

#[tokio::test]
async fn bucket_is_created_only_on_request() {
    let puts = Arc::new(AtomicUsize::new(0));
    let service = StandIn::start(move |asked| {
        if asked.line.starts_with("GET") {
            return refusal(404, "NoSuchBucket");
        }
        let is_probe = asked.line.contains("_bench_probe_") && asked.line.starts_with("PUT");
        if is_probe && !puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(8) {
            return refusal(412, "PreconditionFailed");
        }
        status(200)
    })
    .await;
    for access in [Access::Read, WRITE] {
        let error = problem(&service, access).await;
        assert!(matches!(error, DeltaError::NoBucket { .. }) && error.is_usage(), "{error}");
    }
    let sdk = sdk(&service.url, Duration::from_secs(5));
    let access = Access::Write { create_bucket: true };
    lake::prepare_s3(&location(), &sdk, access).await.expect("created");
    let asked = service.asked();
    let is_creation = |line: &&String| line.starts_with("PUT /lake") && !line.contains("probe");
    assert_eq!(asked.iter().filter(is_creation).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn every_request_attempt_is_counted() {
    let service = StandIn::start(|asked| match (asked.number, asked.line) {
        (0 | 1, _) => refusal(503, "SlowDown"),
        (2, _) => {
            let mut answer = Response::new(Body::from("0123456789"));
            let date = HeaderValue::from_static("Sat, 01 Nov 2025 00:00:00 GMT");
            answer.headers_mut().insert("last-modified", date);
            answer.headers_mut().insert("etag", HeaderValue::from_static("\"x\""));
            answer
        }
        (_, line) if line.starts_with("GET") => refusal(404, "NoSuchKey"),
        _ => {
            let mut answer = status(200);
            answer.headers_mut().insert("etag", HeaderValue::from_static("\"x\""));
            answer
        }
    })
    .await;
    let counts = Counts::default();
    let sdk = sdk(&service.url, Duration::from_secs(10));
    let lake = Lake::s3(&location(), &sdk, &counts).expect("a lake");
    let path = Path::from("_delta_log/a b");
    let read = lake.store().get(&path).await.expect("found").bytes().await.expect("read");
    assert_eq!(read, "0123456789");
    assert_eq!(service.asked()[0], "GET /lake/a/b/_delta_log/a%20b");
    let counted = counts.read();
    assert_eq!((counted["get_requests"], counted["requests_retried"]), (3, 2), "{counted:?}");
    assert!(counted["bytes_read"] >= 10, "{counted:?}");
    lake.store().put(&path, "12345".into()).await.expect("written");
    lake.store().get(&path).await.expect_err("is missing");
    let counted = counts.read();
    assert_eq!((counted["put_requests"], counted["bytes_written"]), (1, 5), "{counted:?}");
    assert_eq!((counted["get_requests"], counted["requests_retried"]), (4, 2), "{counted:?}");
}

#[tokio::test]
async fn busy_services_fail_after_retries() {
    let service = StandIn::start(|_| refusal(503, "SlowDown")).await;
    let counts = Counts::default();
    let sdk = sdk(&service.url, Duration::from_secs(1));
    let lake = Lake::s3(&location(), &sdk, &counts).expect("a lake");
    let since = Instant::now();
    let error = lake.store().get(&Path::from("x")).await.expect_err("is busy");
    assert!(since.elapsed() < BOUND);
    let error = DeltaError::store("read x of s3://lake/a/b", &error).to_string();
    assert_eq!(error, "failed to read x of s3://lake/a/b: So said the service. (SlowDown)");
    let counted = counts.read();
    assert_eq!(counted["get_requests"], counted["requests_retried"] + 1, "{counted:?}");
    assert!(counted["requests_retried"] > 0, "{counted:?}");
}

/// A connection is opened on one runtime and used from others while the first stands still.
#[test]
fn connections_outlive_the_first_runtime() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().expect("a runtime")
    };
    let serving = tokio::runtime::Builder::new_multi_thread();
    let serving = { serving }.worker_threads(1).enable_all().build().expect("a runtime");
    let service = serving.block_on(StandIn::start(|_| refusal(404, "NoSuchKey")));
    let sdk = sdk(&service.url, Duration::from_secs(20));
    let lake = Lake::s3(&location(), &sdk, &Counts::default()).expect("a lake");
    let (first, second) = (runtime(), runtime());
    let since = Instant::now();
    for runtime in [&first, &second, &first, &second] {
        let read = runtime.block_on(lake.store().get(&Path::from("x")));
        read.expect_err("is missing");
    }
    drop(first);
    second.block_on(lake.store().get(&Path::from("x"))).expect_err("is missing");
    assert!(since.elapsed() < Duration::from_secs(10), "a connection stood still");
}
