//! The embedded S3 through the real clients: Delta Lake's, and Amazon's. This program is both the
//! tests and, started again by them, the service; so it has a `main` of its own.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use bench_services::embedded::s3::{
    Fault, Requests, S3Server, serve_in_background, serve_unsoundly_in_background,
};
use bench_services::embedded::{EmbeddedS3, run_if_requested};
use bench_services::local::{S3Server as Server, Service, StackOptions};
use bench_testing::S3;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt,
    PutMode, PutOptions, PutPayload, RetryConfig,
};
use rustix::process::{Pid, test_kill_process};

/// Makes this program start the service, say its process id, and end when its input does.
const HOLD: &str = "__hold-s3";

/// How many write at once in a race.
const WRITERS: usize = 8;

/// How often they race.
const ROUNDS: usize = 200;

const TIMEOUT: Duration = Duration::from_secs(30);

const TESTS: [(&str, fn()); 17] = [
    ("deltas_client_reads_what_it_has_written", deltas_client_reads_what_it_has_written),
    ("deltas_client_lists_in_pages", deltas_client_lists_in_pages),
    ("deltas_client_uploads_in_parts", deltas_client_uploads_in_parts),
    ("amazons_client_reads_what_it_has_written", amazons_client_reads_what_it_has_written),
    ("amazons_client_uploads_in_parts", amazons_client_uploads_in_parts),
    ("what_arrives_damaged_is_not_kept", what_arrives_damaged_is_not_kept),
    ("what_cannot_be_kept_is_refused", what_cannot_be_kept_is_refused),
    ("strangers_are_kept_out", strangers_are_kept_out),
    ("each_race_to_create_has_one_winner", each_race_to_create_has_one_winner),
    ("each_race_to_replace_has_one_winner", each_race_to_replace_has_one_winner),
    ("without_turns_there_are_several_winners", without_turns_there_are_several_winners),
    ("nobody_sees_half_an_object", nobody_sees_half_an_object),
    ("a_stuck_upload_holds_nobody_up", a_stuck_upload_holds_nobody_up),
    ("faults_are_injected", faults_are_injected),
    ("a_broken_connection_leaves_what_was_done", a_broken_connection_leaves_what_was_done),
    ("a_stack_keeps_its_objects", a_stack_keeps_its_objects),
    ("nothing_is_left_behind", nothing_is_left_behind),
];

fn main() -> ExitCode {
    if let Some(code) = run_if_requested() {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some(HOLD) {
        return hold_service();
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            test();
            say(&format!("test {name} ... ok"));
        }
    }
    ExitCode::SUCCESS
}

fn deltas_client_reads_what_it_has_written() {
    let server = serve_in_background().expect("starts");
    let store = store(&server);
    block_on(async {
        let key = Key::from("table/_delta_log/00000000000000000000.json");
        let missing = store.get(&key).await.expect_err("not there yet");
        assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
        let put = store.put(&key, "0123456789".into()).await.expect("put");
        let got = store.get(&key).await.expect("got");
        assert_eq!((got.meta.size, &got.meta.e_tag), (10, &put.e_tag));
        assert_eq!(got.bytes().await.expect("read"), "0123456789");
        let head = store.head(&key).await.expect("is there");
        assert_eq!((head.size, &head.e_tag), (10, &put.e_tag));
        let age = head.last_modified.signed_duration_since(std::time::SystemTime::now().into());
        assert!(age.num_seconds().abs() < 60, "{age}");

        let part = async |range: GetRange| {
            let options = GetOptions { range: Some(range), ..GetOptions::default() };
            let got = store.get_opts(&key, options).await?;
            let range = got.range.clone();
            Ok::<_, StoreError>((range, got.bytes().await?))
        };
        assert_eq!(part(GetRange::Bounded(2..5)).await.expect("got"), (2..5, "234".into()));
        assert_eq!(part(GetRange::Offset(8)).await.expect("got"), (8..10, "89".into()));
        assert_eq!(part(GetRange::Suffix(3)).await.expect("got"), (7..10, "789".into()));
        part(GetRange::Offset(10)).await.expect_err("there is nothing after the end");

        let large = bytes::Bytes::from((0..3_000_000_u32).map(low_byte).collect::<Vec<u8>>());
        let other = Key::from("table/date=2026-01-02/ü %.parquet");
        store.put(&other, large.clone().into()).await.expect("put");
        assert!(store.get(&other).await.expect("got").bytes().await.expect("read") == large);
        let some = store.get_range(&other, 1_000_000..2_500_000).await.expect("got");
        assert!(some == large[1_000_000..2_500_000]);

        let copy = Key::from("copy");
        store.copy(&other, &copy).await.expect("copied");
        assert!(store.get(&copy).await.expect("got").bytes().await.expect("read") == large);
        store.put(&copy, PutPayload::new()).await.expect("replaced by nothing");
        assert_eq!(store.head(&copy).await.expect("is there").size, 0);
        store.delete(&copy).await.expect("deleted");
        store.delete(&copy).await.expect("that it has gone is no error");
        assert!(matches!(store.head(&copy).await, Err(StoreError::NotFound { .. })));
    });
}

fn deltas_client_lists_in_pages() {
    // More than a page of 1,000 has.
    const COUNT: usize = 1_100;
    let server = serve_in_background().expect("starts");
    let store = Arc::new(store(&server));
    let key = |number: usize| Key::from(format!("t/_delta_log/{number:020}.json"));
    block_on(async {
        let put = |number: usize| {
            let store = Arc::clone(&store);
            async move { store.put(&key(number), "{}".into()).await }
        };
        futures_util::stream::iter((0..COUNT).map(put))
            .buffer_unordered(16)
            .try_collect::<Vec<_>>()
            .await
            .expect("put");
        store.put(&Key::from("t/part-0.parquet"), "x".into()).await.expect("put");
        store.put(&Key::from("tt"), "x".into()).await.expect("put");

        let log = Key::from("t/_delta_log");
        let listed: Vec<_> = store.list(Some(&log)).try_collect().await.expect("listed");
        let names: Vec<Key> = listed.iter().map(|object| object.location.clone()).collect();
        assert_eq!(names, (0..COUNT).map(key).collect::<Vec<_>>(), "all, and in their order");
        let head = store.head(&key(0)).await.expect("is there");
        assert_eq!((listed[0].size, &listed[0].e_tag), (2, &head.e_tag));

        let after = store.list_with_offset(Some(&log), &key(COUNT - 3));
        let after: Vec<_> = after.try_collect().await.expect("listed");
        assert_eq!(after.len(), 2);
        assert_eq!(after[0].location, key(COUNT - 2));

        let top = store.list_with_delimiter(Some(&Key::from("t"))).await.expect("listed");
        assert_eq!(top.common_prefixes, [log.clone()]);
        assert_eq!(top.objects.len(), 1);
        let everything = store.list_with_delimiter(None).await.expect("listed");
        assert_eq!(everything.common_prefixes, [Key::from("t")]);
        assert_eq!(everything.objects[0].location, Key::from("tt"));

        let locations = store.list(Some(&log)).map_ok(|object| object.location).boxed();
        let deleted: Vec<_> = store.delete_stream(locations).try_collect().await.expect("deleted");
        assert_eq!(deleted.len(), COUNT);
        let top = store.list_with_delimiter(Some(&Key::from("t"))).await.expect("listed");
        assert_eq!(top.common_prefixes, [], "empty folders do not show");
    });
}

fn deltas_client_uploads_in_parts() {
    const PART_BYTES: usize = 5 << 20;
    let server = serve_in_background().expect("starts");
    let store = store(&server);
    block_on(async {
        let key = Key::from("t/large.parquet");
        let mut upload = store.put_multipart(&key).await.expect("begun");
        for part in [vec![1; PART_BYTES], vec![2; PART_BYTES], vec![3; 7]] {
            upload.put_part(part.into()).await.expect("sent");
        }
        assert!(matches!(store.head(&key).await, Err(StoreError::NotFound { .. })));
        upload.complete().await.expect("completed");
        let size = u64::try_from(2 * PART_BYTES + 7).expect("fits");
        assert_eq!(store.head(&key).await.expect("is there").size, size);
        let seam = u64::try_from(PART_BYTES).expect("fits");
        let around = store.get_range(&key, seam - 1..seam + 1).await.expect("got");
        assert_eq!(around[..], [1, 2]);
        let mut upload = store.put_multipart(&Key::from("t/other")).await.expect("begun");
        upload.put_part(vec![1; 7].into()).await.expect("sent");
        upload.abort().await.expect("given up");
        upload.complete().await.expect_err("it has been given up");
    });
}

fn amazons_client_reads_what_it_has_written() {
    let server = serve_in_background().expect("starts");
    let client = client(&server);
    block_on(async {
        client.head_bucket().bucket(server.bucket()).send().await.expect("is there");
        let missing = client.head_bucket().bucket("other").send().await.expect_err("is not");
        assert_eq!(missing.raw_response().expect("an answer").status().as_u16(), 404);
        let put = client.put_object().bucket("other").key("k").body("x".as_bytes().to_vec().into());
        assert_code(put.send().await, "NoSuchBucket");
        client.create_bucket().bucket("other").send().await.expect("created");
        assert_code(client.create_bucket().bucket("other").send().await, "BucketAlreadyOwnedByYou");
        let buckets = client.list_buckets().send().await.expect("listed");
        let names: Vec<_> = buckets.buckets().iter().filter_map(|bucket| bucket.name()).collect();
        assert_eq!(names, ["bench", "other"]);

        let put = |key: &str| {
            let put = client.put_object().bucket("other").key(key);
            put.body(ByteStream::from_static(b"hello"))
        };
        let e_tag = put("a/b").send().await.expect("put").e_tag.expect("a tag");
        let get = || client.get_object().bucket("other").key("a/b");
        let got = get().send().await.expect("got");
        assert_eq!(got.e_tag(), Some(e_tag.as_str()));
        assert_eq!(got.body.collect().await.expect("read").into_bytes(), "hello");
        get().if_match(&e_tag).send().await.expect("it is that one");
        assert_code(get().if_match("\"other\"").send().await, "PreconditionFailed");
        let known = get().if_none_match(&e_tag).send().await.expect_err("it is known");
        assert_eq!(known.raw_response().expect("an answer").status().as_u16(), 304);
        assert_code(client.get_object().bucket("other").key("a").send().await, "NoSuchKey");
        assert_code(client.delete_bucket().bucket("other").send().await, "BucketNotEmpty");

        put("c").send().await.expect("put");
        let listed = client.list_objects().bucket("other").max_keys(1).send().await;
        let listed = listed.expect("listed");
        assert_eq!(listed.is_truncated(), Some(true));
        let next = listed.next_marker().expect("there is more");
        let listed = client.list_objects().bucket("other").marker(next).send().await;
        assert_eq!(listed.expect("listed").contents()[0].key(), Some("c"));

        let object = |key: &str| ObjectIdentifier::builder().key(key).build().expect("complete");
        let these = Delete::builder().objects(object("a/b")).objects(object("c"));
        let these = these.objects(object("never/there")).build().expect("complete");
        let deleted = client.delete_objects().bucket("other").delete(these).send().await;
        assert_eq!(deleted.expect("deleted").deleted().len(), 3);
        client.delete_bucket().bucket("other").send().await.expect("deleted");
    });
}

fn amazons_client_uploads_in_parts() {
    let server = serve_in_background().expect("starts");
    let client = client(&server);
    let bucket = server.bucket();
    block_on(async {
        let begin = async |key: &str| {
            let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await;
            begun.expect("begun").upload_id.expect("an id")
        };
        let part = async |key: &str, id: &str, number: i32, bytes: Vec<u8>| {
            let part = client.upload_part().bucket(bucket).key(key).upload_id(id);
            let sent = part.part_number(number).body(bytes.into()).send().await.expect("sent");
            let part =
                CompletedPart::builder().part_number(number).e_tag(sent.e_tag.expect("a tag"));
            part.build()
        };
        let complete = |key: &str, id: &str, parts: Vec<CompletedPart>| {
            let upload = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
            let complete = client.complete_multipart_upload().bucket(bucket).key(key);
            complete.upload_id(id).multipart_upload(upload)
        };
        let id = begin("k").await;
        let one = part("k", &id, 1, vec![1; 5 << 20]).await;
        let two = part("k", &id, 2, vec![2; 100]).await;
        assert_code(complete("other", &id, vec![one.clone()]).send().await, "NoSuchUpload");
        assert_code(complete("k", "../k", vec![one.clone()]).send().await, "NoSuchUpload");
        let swapped = vec![two.clone(), one.clone()];
        assert_code(complete("k", &id, swapped).send().await, "InvalidPartOrder");
        let stale = CompletedPart::builder().part_number(1).e_tag("\"1-2\"").build();
        assert_code(complete("k", &id, vec![stale]).send().await, "InvalidPart");
        let both = || vec![one.clone(), two.clone()];
        complete("k", &id, both()).if_none_match("*").send().await.expect("completed");

        let id = begin("k").await;
        let small = vec![part("k", &id, 1, vec![3; 7]).await, part("k", &id, 2, vec![4; 7]).await];
        assert_code(complete("k", &id, small.clone()).send().await, "EntityTooSmall");
        let last = complete("k", &id, small[..1].to_vec()).if_none_match("*").send().await;
        assert_code(last, "PreconditionFailed");
        let whole = client.head_object().bucket(bucket).key("k").send().await.expect("is there");
        assert_eq!(whole.content_length(), Some((5 << 20) + 100), "the first one stays");
    });
}

fn what_arrives_damaged_is_not_kept() {
    let server = serve_in_background().expect("starts");
    let client = client(&server);
    block_on(async {
        let put = || {
            let put = client.put_object().bucket(server.bucket()).key("k");
            put.body(ByteStream::from_static(b"hello"))
        };
        // Digests of something else.
        assert_code(put().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await, "BadDigest");
        assert_code(put().checksum_crc32("AAAAAA==").send().await, "BadDigest");
        assert_code(put().checksum_crc32_c("AAAAAA==").send().await, "BadDigest");
        let nothing = client.get_object().bucket(server.bucket()).key("k").send().await;
        assert_code(nothing, "NoSuchKey");
        put().content_md5("XUFAKrxLKna5cZ2REBfFkg==").send().await.expect("the right one");
    });
}

fn what_cannot_be_kept_is_refused() {
    let server = serve_in_background().expect("starts");
    let client = client(&server);
    block_on(async {
        let put = |key: &str| {
            let put = client.put_object().bucket(server.bucket()).key(key);
            put.body(ByteStream::from_static(b"hello"))
        };
        assert_code(put("k").metadata("a", "b").send().await, "NotImplemented");
        let long = "x".repeat(256);
        for key in ["a//b", "a/../../b", "./a", "a/", &long] {
            assert_code(put(key).send().await, "InvalidArgument");
            let get = client.get_object().bucket(server.bucket()).key(key).send().await;
            assert_code(get, "NoSuchKey");
        }
        // As long as a key may be, and longer than a name of a file.
        let deep = ["y".repeat(250), "y".repeat(250), "y".repeat(250), "y".repeat(250)].join("/");
        put(&deep).send().await.expect("put");
        put("a").send().await.expect("put");
        assert_code(put("a/b").send().await, "InvalidRequest");
        assert_code(put(&"y".repeat(250)).send().await, "InvalidRequest");
    });
}

fn strangers_are_kept_out() {
    let server = serve_in_background().expect("starts");
    let other = serve_in_background().expect("starts");
    assert_ne!(server.access_key(), other.access_key(), "keys are made anew");
    block_on(async {
        let get = |access: &str, secret: &str| {
            let client = client_of(server.endpoint_url(), access, secret);
            async move { client.list_objects_v2().bucket("bench").send().await }
        };
        get(server.access_key(), server.secret_key()).await.expect("has the keys");
        assert_code(get(server.access_key(), "guess").await, "SignatureDoesNotMatch");
        assert_code(get(other.access_key(), other.secret_key()).await, "InvalidAccessKeyId");
    });
    let anonymous = ureq::get(format!("{}/bench/", server.endpoint_url())).call();
    assert!(matches!(anonymous, Err(ureq::Error::StatusCode(403))), "{anonymous:?}");
}

fn each_race_to_create_has_one_winner() {
    let server = serve_in_background().expect("starts");
    let races = block_on(races_to_create(&server, ROUNDS));
    assert_eq!(races, vec![1; ROUNDS]);
    // The same with Amazon's client, whose connections are its own.
    let client = client(&server);
    let race = |round: usize| {
        let client = client.clone();
        race(move |_| {
            let put = client.put_object().bucket("bench").key(format!("amazon/{round}"));
            let put = put.if_none_match("*").body(ByteStream::from_static(b"mine"));
            async move { won(put.send().await) }
        })
    };
    block_on(async {
        for round in 0..ROUNDS {
            assert_eq!(race(round).await, 1, "round {round}");
        }
    });
}

fn each_race_to_replace_has_one_winner() {
    let server = serve_in_background().expect("starts");
    let client = client(&server);
    block_on(async {
        let put = client.put_object().bucket("bench").key("k").send().await.expect("put");
        let mut e_tag = put.e_tag.expect("a tag");
        for round in 0..ROUNDS {
            let (client_of_race, current) = (client.clone(), e_tag.clone());
            let winners = race(move |writer| {
                let put = client_of_race.put_object().bucket("bench").key("k").if_match(&current);
                let put = put.body(writer.to_string().into_bytes().into());
                async move { won(put.send().await) }
            });
            assert_eq!(winners.await, 1, "round {round}");
            let head = client.head_object().bucket("bench").key("k").send().await.expect("there");
            let next = head.e_tag.expect("a tag");
            assert_ne!(next, e_tag, "it has been replaced");
            e_tag = next;
        }
    });
}

/// What the tests above would say of a server that is not sound.
fn without_turns_there_are_several_winners() {
    let server = serve_unsoundly_in_background().expect("starts");
    // One after the other there is nothing to see.
    block_on(async {
        let store = store(&server);
        assert!(create(&store, "alone").await && !create(&store, "alone").await);
    });
    let races = block_on(races_to_create(&server, ROUNDS));
    assert!(races.iter().any(|&winners| winners > 1), "{races:?}");
}

/// The winners of each race.
async fn races_to_create(server: &S3Server, rounds: usize) -> Vec<usize> {
    let store = Arc::new(store(server));
    let mut winners = Vec::new();
    for round in 0..rounds {
        let store = Arc::clone(&store);
        let create = move |_| {
            let store = Arc::clone(&store);
            async move { create(&store, &format!("race/{round}")).await }
        };
        winners.push(race(create).await);
    }
    winners
}

/// How many of several have won who set out at once.
async fn race<F>(write: impl Fn(usize) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect();
    let mut winners = 0;
    for writer in writers {
        winners += usize::from(writer.await.expect("no panic"));
    }
    winners
}

/// Whether an object was created, and not there already.
async fn create(store: &AmazonS3, key: &str) -> bool {
    let options = PutOptions::from(PutMode::Create);
    match store.put_opts(&Key::from(key), "mine".into(), options).await {
        Ok(_) => true,
        Err(StoreError::AlreadyExists { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Whether a conditional write was the one that was carried out.
fn won<T, E: ProvideErrorMetadata + Debug>(result: Result<T, E>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if error.code() == Some("PreconditionFailed") => false,
        Err(error) => panic!("{error:?}"),
    }
}

fn nobody_sees_half_an_object() {
    const SIZE_BYTES: usize = 2 << 20;
    let server = serve_in_background().expect("starts");
    let store = Arc::new(store(&server));
    let key = Key::from("k");
    let is_over = Arc::new(AtomicBool::new(false));
    block_on(async {
        store.put(&key, vec![0; SIZE_BYTES].into()).await.expect("put");
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (store, key, is_over) = (Arc::clone(&store), key.clone(), Arc::clone(&is_over));
                tokio::spawn(async move {
                    let mut seen = std::collections::HashMap::new();
                    while !is_over.load(Ordering::Acquire) {
                        let got = store.get(&key).await.expect("always there");
                        let e_tag = got.meta.e_tag.clone().expect("a tag");
                        let bytes = got.bytes().await.expect("read");
                        assert_eq!(bytes.len(), SIZE_BYTES);
                        assert!(bytes.iter().all(|&byte| byte == bytes[0]), "parts of two objects");
                        let known = *seen.entry(e_tag).or_insert(bytes[0]);
                        assert_eq!(known, bytes[0], "a tag belongs to one object");
                    }
                    seen.len()
                })
            })
            .collect();
        for round in 1..=100 {
            store.put(&key, vec![round; SIZE_BYTES].into()).await.expect("put");
        }
        is_over.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.await.expect("no panic") > 1);
        }
    });
}

/// Somebody begins to write an object and never goes on.
fn a_stuck_upload_holds_nobody_up() {
    let server = serve_in_background().expect("starts");
    let store = store(&server);
    let target = format!("{}/bench/k", server.endpoint_url());
    let url: url::Url = target.parse().expect("a URL");
    let bucket = rusty_s3::Bucket::new(
        server.endpoint_url().parse().expect("a URL"),
        rusty_s3::UrlStyle::Path,
        "bench",
        "us-east-1",
    );
    let bucket = bucket.expect("a bucket");
    let keys = rusty_s3::Credentials::new(server.access_key(), server.secret_key());
    let signed = rusty_s3::S3Action::sign(&bucket.put_object(Some(&keys), "k"), TIMEOUT);
    let mut stuck = std::net::TcpStream::connect(url.socket_addrs(|| None).expect("one")[0])
        .expect("connected");
    let target = &signed[url::Position::BeforePath..];
    write!(
        stuck,
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\nhalf",
        &url[url::Position::BeforeHost..url::Position::AfterPort]
    )
    .expect("sent");
    block_on(async {
        let key = Key::from("k");
        assert!(matches!(store.get(&key).await, Err(StoreError::NotFound { .. })));
        assert!(create(&store, "k").await);
        assert_eq!(store.get(&key).await.expect("got").bytes().await.expect("read"), "mine");
    });
    drop(stuck);
    block_on(async {
        let got = store.get(&Key::from("k")).await.expect("got");
        assert_eq!(got.bytes().await.expect("read"), "mine", "the half was thrown away");
    });
}

fn faults_are_injected() {
    let server = serve_in_background().expect("starts");
    let retrying = store(&server);
    let steadfast = store_with(&server, RetryConfig { max_retries: 0, ..RetryConfig::default() });
    let faults = server.faults();
    block_on(async {
        let busy =
            faults.inject(Requests::matching("PUT", "/bench/a b").times(2), Fault::Answer(503));
        let key = Key::from("a b");
        retrying.put(&key, "x".into()).await.expect("at the third attempt");
        assert_eq!(busy.struck(), 2);
        let third = faults.inject(Requests::matching("GET", "a b").every(3), Fault::Answer(500));
        for attempt in 1..=6 {
            let got = steadfast.get(&key).await;
            assert_eq!(got.is_err(), attempt % 3 == 0, "attempt {attempt}");
        }
        third.release();
        for _ in 0..6 {
            steadfast.get(&key).await.expect("that is over");
        }
        let _late = faults.inject(
            Requests::matching("HEAD", "").times(1),
            Fault::Delay(Duration::from_millis(200)),
        );
        let started = Instant::now();
        steadfast.head(&key).await.expect("it is there");
        assert!(started.elapsed() >= Duration::from_millis(200));

        let held = faults.inject(Requests::matching("PUT", "held"), Fault::Hold);
        let store = store(&server);
        let put = tokio::spawn(async move { store.put(&Key::from("held"), "x".into()).await });
        while held.struck() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let other = Key::from("held");
        assert!(matches!(steadfast.get(&other).await, Err(StoreError::NotFound { .. })));
        assert!(!put.is_finished());
        held.release();
        put.await.expect("no panic").expect("put");
        steadfast.get(&other).await.expect("it has been let go");
    });
}

fn a_broken_connection_leaves_what_was_done() {
    let server = serve_in_background().expect("starts");
    let store = store_with(&server, RetryConfig { max_retries: 0, ..RetryConfig::default() });
    let once = |fault| server.faults().inject(Requests::matching("PUT", "").times(1), fault);
    block_on(async {
        for (key, fault, is_done) in [
            ("nothing", Fault::Drop, false),
            ("done", Fault::ForwardThenDrop, true),
            ("denied", Fault::ForwardThenAnswer(412), true),
        ] {
            let injected = once(fault);
            let options = PutOptions::from(PutMode::Create);
            let error = store.put_opts(&Key::from(key), "x".into(), options).await;
            let error = error.expect_err("there was no answer, or a wrong one");
            let is_conflict = matches!(error, StoreError::AlreadyExists { .. });
            assert_eq!(is_conflict, fault == Fault::ForwardThenAnswer(412), "{error}");
            assert_eq!(injected.struck(), 1);
            assert_eq!(create(&store, key).await, !is_done, "{key}");
        }
    });
}

fn a_stack_keeps_its_objects() {
    let options =
        StackOptions { s3_server: Some(Server::Embedded), ..StackOptions::of([Service::S3]) };
    let mut stack = bench_testing::alone("an embedded S3", &options).expect("needs nothing");
    let found = S3::of_stack(&stack);
    assert_eq!(found.bucket(), "bench");
    let node = stack.stack().nodes().remove(0);
    assert_eq!(node.version, "s3s 0.14.1, no fsync");
    let arguments = std::fs::read(format!("/proc/{}/cmdline", node.pid.expect("it runs")));
    let arguments = String::from_utf8_lossy(&arguments.expect("readable")).into_owned();
    assert!(arguments.contains("embedded-s3"), "{arguments}");
    assert!(!arguments.contains(found.secret_key()) && !arguments.contains(found.access_key()));
    let client = client_of(found.endpoint_url(), found.access_key(), found.secret_key());
    block_on(async {
        let put = client.put_object().bucket("bench").key("a/b");
        put.body(ByteStream::from_static(b"hello")).send().await.expect("put");
    });
    let before = get_text(&client, "a/b");
    stack.stack_mut().kill("s3").expect("killed");
    stack.stack_mut().start("s3", &mut |_| ()).expect("on the same port");
    assert_eq!(get_text(&client, "a/b"), before, "content and tag");
    stack.stack_mut().freeze("s3").expect("frozen");
    stack.stack_mut().thaw("s3").expect("thawed");
    assert_eq!(get_text(&client, "a/b"), before);
}

/// An object's tag and content.
fn get_text(client: &aws_sdk_s3::Client, key: &str) -> (Option<String>, bytes::Bytes) {
    block_on(async {
        let got = client.get_object().bucket("bench").key(key).send().await.expect("got");
        (got.e_tag, got.body.collect().await.expect("read").into_bytes())
    })
}

fn nothing_is_left_behind() {
    for is_killed in [false, true] {
        let tmp = tempfile::tempdir().expect("a folder");
        let (mut parent, service) = holding_service(tmp.path());
        assert_eq!(count_in(tmp.path()), 1, "the objects are in a folder");
        if is_killed {
            parent.kill().expect("killed");
        }
        drop(parent.stdin.take());
        assert_eq!(parent.wait().expect("reaped").success(), !is_killed);
        let deadline = Instant::now() + TIMEOUT;
        // An orphan may stay as a zombie where nobody reaps it.
        while test_kill_process(service).is_ok() && !is_zombie(service) {
            assert!(Instant::now() < deadline, "the service outlives its parent");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(count_in(tmp.path()), 0, "killed: {is_killed}");
    }
}

/// Another process that has started the service, with its temporary folders in `tmp`.
fn holding_service(tmp: &Path) -> (Child, Pid) {
    let myself = std::env::current_exe().expect("this program");
    let mut command = Command::new(myself);
    command.arg(HOLD).env("TMPDIR", tmp).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut parent = command.spawn().expect("starts");
    let mut line = String::new();
    let stdout = parent.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let pid = line.trim().parse().ok().and_then(Pid::from_raw);
    (parent, pid.expect("a process id"))
}

fn hold_service() -> ExitCode {
    let service = EmbeddedS3::start().expect("starts");
    let client = client_of(service.endpoint_url(), service.access_key(), service.secret_key());
    block_on(async {
        let put = client.put_object().bucket(service.bucket()).key("a/b");
        put.body(ByteStream::from_static(b"hello")).send().await.expect("put");
    });
    assert_eq!(get_text(&client, "a/b").1, "hello");
    say(&service.pid().to_string());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

fn store(server: &S3Server) -> AmazonS3 {
    store_with(server, RetryConfig::default())
}

fn store_with(server: &S3Server, retry: RetryConfig) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint_url())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(server.bucket())
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
        .with_retry(retry)
        .build()
        .expect("a client")
}

fn client(server: &S3Server) -> aws_sdk_s3::Client {
    client_of(server.endpoint_url(), server.access_key(), server.secret_key())
}

fn client_of(url: &str, access_key: &str, secret_key: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// Fails unless S3 refused with this code.
fn assert_code<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, E>, code: &str) {
    let error = result.expect_err("refused");
    assert_eq!(error.code(), Some(code), "{error:?}");
}

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn count_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("a folder").count()
}

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}
