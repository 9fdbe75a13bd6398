//! What is written is read again, in either system.

use bench_tables::{Row, Selection, Until};

use super::place::{Messages, Place, landed, runtime};

#[test]
fn every_row_comes_back_byte_for_byte_from_more_than_a_page() {
    for place in Place::all("reading rows back from MySQL") {
        place.create("round_trip");
        // 12 MB: in DynamoDB most buckets have no page of their own, in MySQL there are several.
        let messages = Messages::new(1, 3_003, 4_000);
        let others = Messages::new(2, 10, 100);
        runtime().block_on(async {
            let mut writer = place.writer("round_trip", None).await;
            for messages in [&messages, &others] {
                let rows = messages.rows();
                let written = writer.write(&rows).await.expect("written");
                assert_eq!(landed(&written), (0..rows.len()).collect::<Vec<_>>());
                assert!(written.failed.is_empty() && written.retried == 0, "{written:?}");
                writer.confirm(&written).await.expect("confirmed");
            }
        });
        let mut reading = place.read("round_trip", Selection::Run(messages.run), Until::End);
        messages.assert_found_once(&reading.read_to_end());
        assert_eq!(reading.count("rows_unconfirmed"), 0, "{}", place.name());
        let mut reading = place.read("round_trip", Selection::All, Until::End);
        assert_eq!(reading.read_to_end().len(), 3_013, "{}", place.name());
    }
}

#[test]
fn pages_of_one_bucket_follow_each_other() {
    // 60 items of 390 KB: a page of DynamoDB holds two.
    let place = Place::dynamodb();
    place.create("large");
    let messages = Messages::new(1, 160, 390 << 10);
    runtime().block_on(async {
        let mut writer = place.writer("large", None).await;
        let written = writer.write(&messages.rows()).await.expect("written");
        writer.confirm(&written).await.expect("confirmed");
    });
    let mut reading = place.read("large", Selection::Run(messages.run), Until::End);
    messages.assert_found_once(&reading.read_to_end());
}

#[test]
fn equal_rows_are_rows_of_their_own() {
    for place in Place::all("equal rows in MySQL") {
        place.create("equal");
        let messages = Messages::new(1, 1, 50);
        let rows = [messages.rows()[0]; 60];
        runtime().block_on(async {
            let mut writer = place.writer("equal", None).await;
            assert_eq!(landed(&writer.write(&rows).await.expect("written")).len(), 60);
        });
        let mut reading = place.read("equal", Selection::Run(messages.run), Until::End);
        let found = reading.read_to_end();
        assert_eq!(found.len(), 1);
        assert!(found.values().all(|rows| rows.len() == 60), "{}", place.name());
        assert_eq!(reading.count("rows_unconfirmed"), 60, "nobody has confirmed them");
    }
}

#[test]
fn what_is_no_message_of_the_benchmark_lands_too() {
    for place in Place::all("other messages in MySQL") {
        place.create("raw");
        let messages = Messages::new(1, 40, 50);
        let rows: Vec<_> =
            messages.rows().into_iter().map(|row| Row { run: None, ..row }).collect();
        runtime().block_on(async {
            let mut writer = place.writer("raw", None).await;
            let written = writer.write(&rows).await.expect("written");
            assert_eq!(landed(&written).len(), 40);
            writer.confirm(&written).await.expect("confirmed");
        });
        let mut reading = place.read("raw", Selection::Run(messages.run), Until::End);
        assert!(reading.read_to_end().is_empty(), "{}", place.name());
        let mut reading = place.read("raw", Selection::All, Until::End);
        messages.assert_found_once(&reading.read_to_end());
    }
}

#[test]
fn a_message_that_is_too_large_fails_alone_and_says_why() {
    for place in Place::all("large messages in MySQL") {
        place.create("too_large");
        let mut messages = Messages::new(1, 3, 1_000);
        messages.all[1] = vec![1; 16 << 20];
        let written = runtime().block_on(async {
            let mut writer = place.writer("too_large", None).await;
            writer.write(&messages.rows()).await.expect("written")
        });
        assert_eq!(landed(&written), [0, 2], "{}", place.name());
        let [(1, reason)] = &written.failed[..] else { panic!("{:?}", written.failed) };
        assert!(reason.contains("larger than") && reason.contains("send smaller"), "{reason}");
    }
}

#[test]
fn the_largest_message_that_is_taken_is_taken() {
    let place = Place::dynamodb();
    place.create("largest");
    let messages = Messages::new(1, 25, bench_tables::dynamodb::ROW_BYTES_MAX - 3);
    runtime().block_on(async {
        let mut writer = place.writer("largest", None).await;
        let written = writer.write(&messages.rows()).await.expect("written");
        assert_eq!(landed(&written).len(), 25, "{:?}", written.failed);
    });
}
