//! What Delta Lake's client does with it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use embedded_s3::serve_in_background;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt,
    PutPayload,
};

use crate::{block_on, store};

#[test]
fn deltas_client_reads_its_writes() {
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
        let age = SystemTime::from(head.last_modified).elapsed().expect("it is in the past");
        assert!(age < Duration::from_mins(1), "{age:?}");

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

#[test]
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
        assert_eq!(top.common_prefixes, [Key::from("t/_delta_log")]);
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

#[test]
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

fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}
