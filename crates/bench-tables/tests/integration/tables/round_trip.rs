//! Rows written are read back, in both systems.

use bench_tables::{Row, Selection, Until};

use super::backend::{Backend, Messages, landed, runtime};

#[test]
fn rows_round_trip_over_several_pages() {
    for backend in Backend::all("reading rows back from MySQL") {
        backend.create("round_trip");
        // 12 MB: in DynamoDB most buckets are smaller than a page, in MySQL there are several
        // pages.
        let messages = Messages::new(1, 3_003, 4_000);
        let others = Messages::new(2, 10, 100);
        runtime().block_on(async {
            let mut writer = backend.writer("round_trip", None).await;
            for messages in [&messages, &others] {
                let rows = messages.rows();
                let written = writer.write(&rows).await.expect("written");
                assert_eq!(landed(&written), (0..rows.len()).collect::<Vec<_>>());
                assert!(written.failed.is_empty() && written.retried == 0, "{written:?}");
                writer.confirm(&written).await.expect("confirmed");
            }
        });
        let mut reading = backend.read("round_trip", Selection::Run(messages.run), Until::End);
        messages.assert_found_once(&reading.read_to_end());
        assert_eq!(reading.count("rows_unconfirmed"), 0, "{}", backend.name());
        let mut reading = backend.read("round_trip", Selection::All, Until::End);
        assert_eq!(reading.read_to_end().len(), 3_013, "{}", backend.name());
    }
}

#[test]
fn buckets_are_read_page_by_page() {
    // 60 items of 390 KB: a page of DynamoDB holds two.
    let backend = Backend::dynamodb();
    backend.create("large");
    let messages = Messages::new(1, 160, 390 << 10);
    runtime().block_on(async {
        let mut writer = backend.writer("large", None).await;
        let written = writer.write(&messages.rows()).await.expect("written");
        writer.confirm(&written).await.expect("confirmed");
    });
    let mut reading = backend.read("large", Selection::Run(messages.run), Until::End);
    messages.assert_found_once(&reading.read_to_end());
}

#[test]
fn equal_rows_are_stored_separately() {
    for backend in Backend::all("equal rows in MySQL") {
        backend.create("equal");
        let messages = Messages::new(1, 1, 50);
        let rows = [messages.rows()[0]; 60];
        runtime().block_on(async {
            let mut writer = backend.writer("equal", None).await;
            assert_eq!(landed(&writer.write(&rows).await.expect("written")).len(), 60);
        });
        let mut reading = backend.read("equal", Selection::Run(messages.run), Until::End);
        let found = reading.read_to_end();
        assert_eq!(found.len(), 1);
        assert!(found.values().all(|rows| rows.len() == 60), "{}", backend.name());
        assert_eq!(reading.count("rows_unconfirmed"), 60, "not confirmed");
    }
}

#[test]
fn foreign_messages_land() {
    for backend in Backend::all("other messages in MySQL") {
        backend.create("raw");
        let messages = Messages::new(1, 40, 50);
        let rows: Vec<_> =
            messages.rows().into_iter().map(|row| Row { run: None, ..row }).collect();
        runtime().block_on(async {
            let mut writer = backend.writer("raw", None).await;
            let written = writer.write(&rows).await.expect("written");
            assert_eq!(landed(&written).len(), 40);
            writer.confirm(&written).await.expect("confirmed");
        });
        let mut reading = backend.read("raw", Selection::Run(messages.run), Until::End);
        assert!(reading.read_to_end().is_empty(), "{}", backend.name());
        let mut reading = backend.read("raw", Selection::All, Until::End);
        messages.assert_found_once(&reading.read_to_end());
    }
}

#[test]
fn oversized_messages_fail_alone() {
    for backend in Backend::all("large messages in MySQL") {
        backend.create("too_large");
        let mut messages = Messages::new(1, 3, 1_000);
        messages.all[1] = vec![1; 16 << 20];
        let written = runtime().block_on(async {
            let mut writer = backend.writer("too_large", None).await;
            writer.write(&messages.rows()).await.expect("written")
        });
        assert_eq!(landed(&written), [0, 2], "{}", backend.name());
        let [(1, reason)] = &written.failed[..] else { panic!("{:?}", written.failed) };
        assert!(reason.contains("exceeds the") && reason.contains("send smaller"), "{reason}");
    }
}

#[test]
fn largest_accepted_message_lands() {
    let backend = Backend::dynamodb();
    backend.create("largest");
    let messages = Messages::new(1, 25, bench_tables::dynamodb::ROW_BYTES_MAX - 3);
    runtime().block_on(async {
        let mut writer = backend.writer("largest", None).await;
        let written = writer.write(&messages.rows()).await.expect("written");
        assert_eq!(landed(&written).len(), 25, "{:?}", written.failed);
    });
}
