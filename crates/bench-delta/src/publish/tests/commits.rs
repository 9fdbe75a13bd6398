//! Commits among other writers, and on a failing store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use deltalake::logstore::object_store::ObjectStore;

use super::checkpoints::publish_one_by_one;
use super::faulty::{Fault, Faulty};
use super::*;

/// A table in memory whose store fails on request.
fn faulty_rig(config: &PublishConfig) -> (Rig, Faulty) {
    let store = Faulty::new();
    let inner: Arc<dyn ObjectStore> = Arc::new(store.clone());
    let rig = Rig::new(|_| Lake::over(inner));
    rig.create(config).expect("a table");
    (rig, store)
}

fn is_commit(method: &str, path: &str) -> bool {
    method == "PUT" && path.starts_with("_delta_log/") && path.ends_with("json")
}

fn is_data(method: &str, path: &str) -> bool {
    method == "PUT" && path.ends_with("parquet") && !path.starts_with('_')
}

/// A script that fails the first requests of a kind.
fn first(
    times: u32,
    fault: Fault,
    is_kind: fn(&str, &str) -> bool,
) -> impl FnMut(&str, &str) -> Option<Fault> + Send {
    let left = AtomicU32::new(times);
    move |method, path| {
        let is_next =
            || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        (is_kind(method, path) && is_next().is_ok()).then_some(fault)
    }
}

/// Eight publishers to one table: each acknowledged row is there once, in order.
pub(super) fn race(rig: &Rig, config: &PublishConfig) {
    const EACH: u32 = 400;
    rig.create(config).expect("a table");
    std::thread::scope(|scope| {
        let publish = |producer| {
            let config = PublishConfig { producer, ..config.clone() };
            let messages = messages(u32::from(producer) * EACH..(u32::from(producer) + 1) * EACH);
            scope.spawn(move || {
                let mut sending = Sending::new(rig.connect(config));
                for part in messages.chunks(20) {
                    sending.submit(part).expect("still writing");
                    sending.poll_for(3_000_000).expect("still writing");
                }
                let sent = sending.end();
                assert!(sent.all_acked(EACH as usize), "{:?}", sent.error);
            })
        };
        let publishers: Vec<_> = (0..8).map(publish).collect();
        for publisher in publishers {
            publisher.join().expect("no panic");
        }
    });
    let mut rows: BTreeMap<i32, Vec<Row>> = BTreeMap::new();
    rig.rows().into_iter().for_each(|row| rows.entry(row.producer).or_default().push(row));
    for producer in 0..8_u32 {
        let number = i32::try_from(producer).expect("it fits");
        let sent = messages(producer * EACH..(producer + 1) * EACH);
        assert_eq!(rows.remove(&number), Some(expected(number, &sent)), "producer {producer}");
    }
    assert_eq!(rig.count("commits"), rig.versions().len() as u64 - 1);
}

#[test]
fn racing_publishers_in_a_folder_commit_once() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Rig::in_folder(folder.path());
        race(&rig, &PublishConfig { commit, ..config() });
    }
}

#[test]
fn commits_with_lost_responses_are_stored_once() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let config = PublishConfig { commit, ..config() };
        let (rig, store) = faulty_rig(&config);
        store.script(first(1, Fault::LostAnswer, is_commit));
        let messages = messages(0..100);
        assert!(rig.publish(config, &messages).all_acked(100), "{commit:?}");
        assert_eq!(rig.rows(), expected(3, &messages));
        assert_eq!((rig.count("commits_recovered"), rig.count("commit_conflicts")), (1, 0));
    }
}

#[test]
fn transient_failures_are_retried() {
    let kinds = [is_data as fn(&str, &str) -> bool, is_commit];
    for (commit, kind, fault) in kinds
        .map(|kind| (CommitPath::Direct, kind, Fault::Error))
        .into_iter()
        .chain([(CommitPath::Std, is_commit as fn(&str, &str) -> bool, Fault::Error)])
        .chain([(CommitPath::Direct, is_commit as fn(&str, &str) -> bool, Fault::Conflict)])
    {
        let config = PublishConfig { commit, ..config() };
        let (rig, store) = faulty_rig(&config);
        store.script(first(4, fault, kind));
        let messages = messages(0..100);
        assert!(rig.publish(config, &messages).all_acked(100), "{commit:?} {fault:?}");
        assert_eq!(rig.rows(), expected(3, &messages));
    }
}

#[test]
fn unwritable_messages_fail_and_stay_invisible() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let config = PublishConfig { commit, give_up_ns: 200_000_000, ..config() };
        let (rig, store) = faulty_rig(&config);
        store.script(|method, path| is_data(method, path).then_some(Fault::Error));
        let mut sending = Sending::new(rig.connect(config));
        let messages = messages(0..20);
        sending.submit(&messages[..10]).expect("still writing");
        sending.wait().expect("still writing");
        store.script(|_, _| None);
        sending.submit(&messages[10..]).expect("still writing");
        let sent = sending.end();
        let (kind, _, failure) = sent.only_failure();
        assert_eq!(kind, FailureKind::NotWritten);
        assert!(matches!(failure, transport::Failure::Aborted(_)));
        let mut deliveries = sent.completions.values();
        assert!(deliveries.by_ref().take(10).all(|end| *end == Delivery::Failed(failure)));
        assert!(deliveries.all(|end| end.is_acknowledged()));
        let text = sent.publisher.explain(failure);
        assert!(text.contains("data file") && text.contains("memory:"), "{text}");
        assert_eq!(rig.rows(), expected(3, &messages)[10..]);
    }
}

#[test]
fn unresolved_commits_fail_in_doubt() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let config = PublishConfig { commit, give_up_ns: 200_000_000, ..config() };
        let (rig, store) = faulty_rig(&config);
        store.script(|method, path| is_commit(method, path).then_some(Fault::Error));
        let mut sending = Sending::new(rig.connect(config));
        let messages = messages(0..20);
        sending.submit(&messages[..10]).expect("still writing");
        sending.wait().expect("still writing");
        assert_eq!((rig.count("data_files"), rig.rows()), (1, vec![]), "nothing is visible");
        store.script(|_, _| None);
        sending.submit(&messages[10..]).expect("still writing");
        let sent = sending.end();
        let (kind, _, failure) = sent.only_failure();
        assert_eq!(kind, FailureKind::InDoubt);
        assert!(!matches!(failure, transport::Failure::Aborted(_)));
        assert!(sent.publisher.explain(failure).contains("may be in the table"), "{commit:?}");
        assert_eq!(rig.rows(), expected(3, &messages)[10..]);
    }
}

#[test]
fn late_commits_are_found_after_giving_up() {
    let config = PublishConfig { give_up_ns: 1, ..config() };
    let (rig, store) = faulty_rig(&config);
    store.script(first(1, Fault::Late(Duration::from_millis(1_500)), is_commit));
    let messages = messages(0..10);
    assert!(rig.publish(config, &messages).all_acked(10));
    assert_eq!((rig.rows(), rig.count("commits_recovered")), (expected(3, &messages), 1));
}

#[test]
fn late_commits_do_not_duplicate_the_next() {
    let config = PublishConfig { give_up_ns: 1, ..config() };
    let (rig, store) = faulty_rig(&config);
    store.script(first(1, Fault::Late(Duration::from_secs(5)), is_commit));
    let mut sending = Sending::new(rig.connect(config));
    let messages = messages(0..20);
    sending.submit(&messages[..10]).expect("still writing");
    sending.wait().expect("still writing");
    sending.submit(&messages[10..]).expect("still writing");
    let sent = sending.end();
    let (kind, is_unanswered, failure) = sent.only_failure();
    assert_eq!((kind, is_unanswered), (FailureKind::InDoubt, true));
    assert!(matches!(failure, transport::Failure::Unanswered(_)));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(rig.rows(), expected(3, &messages)[10..]);
}

#[test]
fn table_changes_by_others_stop_the_writer() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let config = PublishConfig { commit, ..config() };
        let (rig, _) = faulty_rig(&config);
        let mut sending = Sending::new(rig.connect(config));
        sending.submit(&messages(0..10)).expect("still writing");
        sending.wait().expect("still writing");
        let first = rig.read(&commit_uri_from_version(Some(0))).expect("an entry");
        let first = String::from_utf8(first).expect("text");
        let metadata = first.lines().find(|line| line.contains("metaData")).expect("one");
        let changed = metadata.replace("bench_messages", "other_messages");
        let path = commit_uri_from_version(Some(2));
        rig.runtime.block_on(rig.lake.store().put(&path, changed.into())).expect("put");
        sending.submit(&messages(10..20)).expect("still writing");
        let sent = sending.end();
        let (kind, is_unanswered, failure) = sent.only_failure();
        assert_eq!((kind, is_unanswered), (FailureKind::NotCommitted, false));
        assert!(matches!(failure, transport::Failure::Aborted(_)));
        assert!(sent.publisher.explain(failure).contains("start again"), "{commit:?}");
        assert_eq!(rig.rows().len(), 10);
        let mut publisher = sent.publisher;
        let stopped = publisher.poll(0, &mut Vec::new()).expect_err("the writer has stopped");
        assert!(stopped.message.contains("hanged"), "{}", stopped.message);
    }
}

#[test]
fn changed_tables_suggest_a_working_remedy() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let config = PublishConfig { commit, ..config() };
        for (from, to, can_start_again) in [
            ("bench_messages", "other_messages", true),
            (r#"\"name\":\"value\""#, r#"\"name\":\"Value\""#, false),
        ] {
            let (rig, _) = faulty_rig(&config);
            let mut sending = Sending::new(rig.connect(config.clone()));
            let first = rig.read(&commit_uri_from_version(Some(0))).expect("an entry");
            let first = String::from_utf8(first).expect("text");
            let metadata = first.lines().find(|line| line.contains("metaData")).expect("one");
            let changed = metadata.replace(from, to);
            assert_ne!(changed, metadata);
            let path = commit_uri_from_version(Some(1));
            rig.runtime.block_on(rig.lake.store().put(&path, changed.into())).expect("put");
            sending.submit(&messages(0..10)).expect("still writing");
            let sent = sending.end();
            let (kind, _, failure) = sent.only_failure();
            assert_eq!(kind, FailureKind::NotCommitted);
            let text = sent.publisher.explain(failure);
            assert_eq!(text.contains("start again"), can_start_again, "{commit:?}: {text}");
            assert_eq!(text.contains("--lake-path"), !can_start_again, "{commit:?}: {text}");
            assert_eq!(rig.create(&config).is_ok(), can_start_again, "{commit:?}");
        }
    }
}

#[test]
fn missing_write_permission_stops_the_writer() {
    let (rig, store) = faulty_rig(&config());
    store.script(|method, path| is_data(method, path).then_some(Fault::Forbidden));
    let sent = rig.publish(config(), &messages(0..10));
    assert_eq!(sent.only_failure().0, FailureKind::NotWritten);
    let mut publisher = sent.publisher;
    assert!(publisher.poll(0, &mut Vec::new()).is_err());
}

#[test]
fn slow_commits_grow_the_next_and_bound_buffers() {
    let config = PublishConfig { file_bytes_max: 100, uploads_max: 3, ..config() };
    let (rig, store) = faulty_rig(&config);
    store.script(first(1, Fault::Late(Duration::from_millis(500)), is_commit));
    let mut publisher = rig.connect(config);
    let mut batch = Batch::default();
    for token in 0..50 {
        batch.push(token, |_| false, |bytes, _| bytes.extend_from_slice(&[7; 60]));
    }
    publisher.submit(&mut batch).expect("still writing");
    assert_eq!(batch.len(), 50 - 4, "three batches under way and an open one, of a message each");
    let mut sending = Sending::new(publisher);
    sending.next = 50;
    while !batch.is_empty() {
        sending.publisher.submit(&mut batch).expect("still writing");
        sending.poll_for(1_000_000).expect("still writing");
    }
    assert!(sending.end().all_acked(50));
    assert_eq!(rig.count("data_files"), 50);
    assert!(rig.count("commits") <= 49, "two batches have waited for the first commit");
}

#[test]
fn idle_writers_resume_after_log_clean_up() {
    let config = config();
    let (rig, _) = faulty_rig(&config);
    let mut sleeper = Sending::new(rig.connect(PublishConfig { producer: 1, ..config.clone() }));
    let others = PublishConfig { checkpoint_every: Some(20), file_bytes_max: 1, ..config };
    publish_one_by_one(&rig, others, &messages(0..25));
    assert_eq!(rig.count("checkpoints"), 1, "of version 20");
    for version in 0..20 {
        let path = commit_uri_from_version(Some(version));
        rig.runtime.block_on(rig.lake.store().delete(&path)).expect("deleted");
    }
    std::thread::sleep(Duration::from_secs(6));
    let newest = |rig: &Rig| rig.create(&super::config()).expect("a table").version();
    let before = newest(&rig);
    sleeper.submit(&messages(0..5)).expect("still writing");
    assert!(sleeper.end().all_acked(5));
    assert_eq!(newest(&rig), before + 1);
    assert_eq!(rig.read(&commit_uri_from_version(Some(1))), None);
}

#[test]
fn damaged_logs_are_refused_on_open() {
    for (version, entry, said) in [
        (2, Some(&b""[..]), "version 2 of memory:/// has an unreadable log entry: it is"),
        (2, Some(&b"{}"[..]), "it contains no action"),
        (2, Some(&b"{\"add\":"[..]), "version 2 of memory:///"),
        (1, None, "version 1 is missing from the log of memory:///"),
        (0, None, "version 0 is missing"),
    ] {
        for commit in [CommitPath::Direct, CommitPath::Std] {
            let config = PublishConfig { commit, ..config() };
            let (rig, _) = faulty_rig(&config);
            let one_a_version = PublishConfig { file_bytes_max: 1, ..config.clone() };
            publish_one_by_one(&rig, one_a_version, &messages(0..3));
            let path = commit_uri_from_version(Some(version));
            match entry {
                Some(entry) => {
                    rig.runtime.block_on(rig.lake.store().put(&path, entry.into())).map(drop)
                }
                None => rig.runtime.block_on(rig.lake.store().delete(&path)),
            }
            .expect("it is damaged");
            let (counts, durations) = (&rig.counts, &rig.durations);
            let connected =
                DeltaPublisher::connect(&rig.lake, config, rig.clock, counts, durations);
            let error = connected.err().expect("no table").to_string();
            assert!(error.contains(said) && error.len() < 300, "{commit:?} {said}: {error}");
        }
    }
}

#[test]
fn damaged_entries_of_others_stop_the_writer() {
    for entry in [&b""[..], b"\n", b"{}", b"{\"add\":{\"path\""] {
        let (rig, _) = faulty_rig(&config());
        let mut sending = Sending::new(rig.connect(config()));
        sending.submit(&messages(0..10)).expect("still writing");
        sending.wait().expect("still writing");
        let path = commit_uri_from_version(Some(2));
        rig.runtime.block_on(rig.lake.store().put(&path, entry.into())).expect("put");
        sending.submit(&messages(10..20)).expect("still writing");
        let sent = sending.end();
        let (_, is_unanswered, failure) = sent.only_failure();
        let text = sent.publisher.explain(failure);
        assert!(
            text.contains("version 2 of memory:/// has an unreadable log entry"),
            "{entry:?}: {text}"
        );
        assert!(!is_unanswered);
    }
}

#[test]
fn truncated_logs_are_not_overwritten() {
    let (rig, _) = faulty_rig(&config());
    let one_a_version = PublishConfig { file_bytes_max: 1, ..config() };
    let mut sending = Sending::new(rig.connect(one_a_version));
    for message in messages(0..3) {
        sending.submit(&[message]).expect("still writing");
        sending.wait().expect("still writing");
    }
    for version in [2, 3] {
        let path = commit_uri_from_version(Some(version));
        rig.runtime.block_on(rig.lake.store().delete(&path)).expect("deleted");
    }
    std::thread::sleep(Duration::from_secs(6));
    sending.submit(&messages(3..4)).expect("still writing");
    let sent = sending.end();
    let text = sent.publisher.explain(sent.failures()[0]);
    assert!(text.contains("the log ends with version 1, but version 3 had been written"), "{text}");
    assert_eq!(rig.versions().len(), 2, "nothing has taken the place of what was confirmed");
}
