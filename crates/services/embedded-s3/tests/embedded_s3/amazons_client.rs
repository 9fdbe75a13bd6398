//! What Amazon's client does with it.

use std::fmt::Debug;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use embedded_s3::serve_in_background;

use crate::{block_on, client, client_of};

#[test]
fn amazons_client_reads_its_writes() {
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

#[test]
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

#[test]
fn damaged_uploads_are_refused() {
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

#[test]
fn unsupported_writes_are_refused() {
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

#[test]
fn unsigned_requests_are_refused() {
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

/// Fails unless S3 refused with this code.
fn assert_code<T: Debug, E: ProvideErrorMetadata + Debug>(result: Result<T, E>, code: &str) {
    let error = result.expect_err("refused");
    assert_eq!(error.code(), Some(code), "{error:?}");
}
