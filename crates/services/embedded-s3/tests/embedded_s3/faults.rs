//! What goes wrong on purpose.

use std::time::{Duration, Instant};

use embedded_s3::{Fault, Requests, serve_in_background};
use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
};

use crate::{block_on, create, store, store_with};

#[test]
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

#[test]
fn broken_connection_keeps_the_write() {
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
