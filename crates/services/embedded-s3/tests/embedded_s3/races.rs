//! Several at once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use embedded_s3::{BackgroundS3, serve_in_background, serve_unsoundly_in_background};
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStoreExt};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::{Position, Url};

use crate::{block_on, client, create, store};

/// How many write at once in a race.
const WRITERS: usize = 8;

/// How often they race.
const ROUNDS: usize = 300;

#[test]
fn each_race_to_create_has_one_winner() {
    let server = serve_in_background().expect("starts");
    let races = block_on(races_to_create(&server, 0..ROUNDS));
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

#[test]
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
#[test]
fn unsound_writes_have_several_winners() {
    let server = serve_unsoundly_in_background().expect("starts");
    // One after the other there is nothing to see.
    block_on(async {
        let store = store(&server);
        assert!(create(&store, "alone").await && !create(&store, "alone").await);
    });
    // Some 5 of 200 races have several.
    let several = (0..30).find(|lot| {
        let rounds = lot * ROUNDS..(lot + 1) * ROUNDS;
        block_on(races_to_create(&server, rounds)).iter().any(|&winners| winners > 1)
    });
    assert!(several.is_some(), "the tests above would see nothing");
}

/// The winners of each race, for an object of its own.
async fn races_to_create(server: &BackgroundS3, rounds: Range<usize>) -> Vec<usize> {
    let store = Arc::new(store(server));
    let mut winners = Vec::new();
    for round in rounds {
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

/// Whether a conditional write was the one that was carried out.
fn won<T, E: ProvideErrorMetadata + Debug>(result: Result<T, E>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) if error.code() == Some("PreconditionFailed") => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
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
                    let mut seen = HashMap::new();
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
#[test]
fn stuck_upload_blocks_nobody() {
    let server = serve_in_background().expect("starts");
    let store = store(&server);
    let url: Url = server.endpoint_url().parse().expect("a URL");
    let bucket = Bucket::new(url.clone(), UrlStyle::Path, "bench", "us-east-1").expect("a bucket");
    let keys = Credentials::new(server.access_key(), server.secret_key());
    let signed = bucket.put_object(Some(&keys), "k").sign(Duration::from_mins(1));
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut stuck = TcpStream::connect(host).expect("connected");
    let target = &signed[Position::BeforePath..];
    let head = format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nhalf");
    stuck.write_all(head.as_bytes()).expect("sent");
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
