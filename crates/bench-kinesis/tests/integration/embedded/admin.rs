//! Creates and changes streams on an embedded Kinesis.

use std::time::Duration;

use super::stream::{READY, STREAM, Service};
use bench_kinesis::KinesisError;
use bench_kinesis::admin::{self, Capacity, RECORD_BYTES_DEFAULT, StreamOutcome};

#[test]
fn streams_are_created_described_and_deleted() {
    let service = Service::start(false);
    let client = &service.client;
    service.runtime.block_on(async {
        let missing = admin::describe(client, STREAM).await.expect_err("is not there");
        assert!(matches!(missing, KinesisError::NoStream { .. }), "{missing}");
        let shards = Capacity::Shards(2);
        let outcome = admin::ensure(client, STREAM, shards, READY).await.expect("created");
        assert_eq!(outcome, StreamOutcome::Created);
        let found = admin::describe(client, STREAM).await.expect("is there");
        assert_eq!(
            (found.status.as_str(), found.open_shards, found.on_demand),
            ("ACTIVE", 2, false)
        );
        assert_eq!(found.record_bytes_max, RECORD_BYTES_DEFAULT);
        assert!(found.arn.ends_with(":stream/s"), "{}", found.arn);
        assert!(admin::is_marked(client, STREAM).await.expect("tags"));
        let again = admin::ensure(client, STREAM, shards, READY).await.expect("is there");
        assert_eq!(again, StreamOutcome::Unchanged);
        admin::delete(client, STREAM, READY).await.expect("deleted");
        let gone = admin::describe(client, STREAM).await.expect_err("is gone");
        assert!(matches!(gone, KinesisError::NoStream { .. }), "{gone}");
    });
}

#[test]
fn resharding_takes_several_steps() {
    let (service, _) = Service::with_stream(false, 1);
    let client = &service.client;
    service.runtime.block_on(async {
        for (from, to) in [(1, 5), (5, 2)] {
            let wanted = Capacity::Shards(to);
            let outcome = admin::ensure(client, STREAM, wanted, READY).await.expect("resharded");
            assert_eq!(outcome, StreamOutcome::Resharded { from });
            let open = admin::open_shards(client, STREAM).await.expect("shards");
            assert_eq!(open.len(), to as usize);
            assert_eq!(open[0].first_hash_key, 0);
            assert_eq!(open.last().map(|shard| shard.last_hash_key), Some(u128::MAX));
            assert!(open.windows(2).all(|two| two[0].last_hash_key + 1 == two[1].first_hash_key));
        }
    });
}

#[test]
fn splits_and_merges_record_parents() {
    let (service, shards) = Service::with_stream(false, 1);
    let client = &service.client;
    service.runtime.block_on(async {
        let first = shards[0].id.clone();
        admin::split(client, STREAM, &first, 1 << 127, READY).await.expect("split");
        let halves = admin::open_shards(client, STREAM).await.expect("shards");
        assert!(halves.iter().all(|half| half.parent.as_ref() == Some(&first)), "{halves:?}");
        let [low, high] = &halves[..] else { panic!("{halves:?}") };
        admin::merge(client, STREAM, &low.id, &high.id, READY).await.expect("merged");
        let all = admin::list_shards(client, STREAM).await.expect("shards");
        let open: Vec<_> = all.iter().filter(|shard| shard.is_open()).collect();
        let [child] = open[..] else { panic!("{all:?}") };
        assert_eq!(
            (child.parent.as_ref(), child.adjacent_parent.as_ref(), all.len()),
            (Some(&low.id), Some(&high.id), 4)
        );
    });
}

#[test]
fn streams_not_ready_in_time_are_an_error() {
    let service = Service::start(false);
    let created = admin::create(&service.client, STREAM, Capacity::Shards(1), Duration::ZERO);
    let error = service.runtime.block_on(created).expect_err("takes a moment");
    let text = error.to_string();
    assert!(text.contains("'s' is still CREATING") && text.contains("--ready-timeout"), "{text}");
}
