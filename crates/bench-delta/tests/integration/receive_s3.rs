//! Following tables on S3, with and without faults.

use std::time::{Duration, Instant};

use crate::table::{Table, all, config, on_s3};
use bench_core::counts::Counts;
use bench_delta::maintenance::{optimize, vacuum};
use bench_delta::receive::{FollowConfig, TableStart};
use bench_testing::S3;
use deltalake::kernel::PrimitiveType;
use deltalake::parquet::file::properties::WriterProperties;
use embedded_s3::{Fault, Requests};

/// A table with the columns `key` and `value` below this prefix.
fn create(s3: &S3, prefix: &str) -> Table {
    let counts = Counts::default();
    let table = Table::at(on_s3(s3, prefix, &counts), counts, None);
    table.make(&[("key", PrimitiveType::Binary), ("value", PrimitiveType::Binary)], &[]);
    table
}

#[test]
fn tables_on_s3_are_followed_from_every_start() {
    for s3 in S3::each("tables_on_s3_are_followed_from_every_start") {
        let mut table = create(&s3, "follow/starts");
        let mut following = table.follow(TableStart::Beginning);
        for first in (0..200).step_by(10) {
            table.append(first..first + 10);
        }
        following.receive(200);
        assert_eq!(following.numbers(), all(0..200), "{s3:?}");
        table.checkpoint();
        table.append(200..210);
        assert_eq!(table.clean_up(), 20);
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..210), "{s3:?}");
        assert_eq!(table.numbers_from(TableStart::Version(21)), all(200..210), "{s3:?}");
        let mut at_end = table.follow(TableStart::End);
        table.append(210..220);
        at_end.receive(10);
        assert_eq!(at_end.numbers(), all(210..220), "{s3:?}");
        following.receive(220);
        let error = table.try_follow(&config(TableStart::Version(3))).err().expect("gone");
        assert!(error.to_string().contains("versions 3 to 19 of s3://"), "{error}");

        let large = WriterProperties::builder()
            .set_max_row_group_row_count(Some(1_000))
            .set_dictionary_enabled(false)
            .build();
        let version = table.append_as(1_000..50_000, &large);
        let held =
            FollowConfig { read_ahead_bytes: 128 << 10, ..config(TableStart::Version(version)) };
        let mut little = table.try_follow(&held).expect("connected");
        little.receive_to_the_end();
        assert_eq!(little.numbers(), all(1_000..50_000), "{s3:?}");
    }
}

#[test]
fn maintenance_on_s3_does_not_disturb_followers() {
    for s3 in S3::each("maintenance_on_s3_does_not_disturb_followers") {
        let mut table = create(&s3, "follow/kept");
        let mut following = table.follow(TableStart::Beginning);
        for round in 0..3 {
            for first in (round * 100..(round + 1) * 100).step_by(10) {
                table.append(first..first + 10);
            }
            following.receive(usize::try_from((round + 1) * 100).expect("small"));
            let done = table.runtime.block_on(optimize(&table.lake, 1 << 20)).expect("compacted");
            assert_eq!(done.files_added, 1, "{s3:?}");
            let gone = vacuum(&table.lake, Duration::ZERO, false);
            let gone = table.runtime.block_on(gone).expect("vacuumed").files;
            assert!(gone.len() as u64 >= done.files_removed, "{s3:?}: {gone:?}");
        }
        following.receive_to_the_end();
        assert_eq!(following.numbers(), all(0..300), "{s3:?}");
        assert_eq!(table.numbers_from(TableStart::Beginning), all(0..300), "{s3:?}");
    }
}

#[test]
fn idle_polls_cost_one_request() {
    let s3 = S3::embedded();
    let mut table = create(&s3, "follow/idle");
    table.append(0..10);
    let slowly =
        FollowConfig { poll_interval: Duration::from_millis(100), ..config(TableStart::Beginning) };
    let mut following = table.try_follow(&slowly).expect("connected");
    following.receive_to_the_end();
    let (before, looks) = (table.counts.read(), following.count("log_polls_empty"));
    let until = Instant::now() + Duration::from_millis(2_500);
    following.receive_until(|_| Instant::now() > until);
    let after = table.counts.read();
    let looks = following.count("log_polls_empty") - looks;
    let gets = after["get_requests"] - before["get_requests"];
    assert!((2..=26).contains(&looks), "{looks} looks");
    // One may be in flight; within this time, the end of the log is checked once or twice.
    assert!((looks..=looks + 3).contains(&gets), "{gets} gets for {looks} looks");
    let lists = after["list_requests"] - before["list_requests"];
    assert!((1..=2).contains(&lists), "{lists} listings");
    for name in ["head_requests", "put_requests"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

#[test]
fn transient_faults_lose_and_repeat_nothing() {
    for (fault, every) in [
        (Fault::Answer(503), 3),
        (Fault::Answer(500), 4),
        (Fault::Drop, 3),
        (Fault::ForwardThenDrop, 5),
        (Fault::Delay(Duration::from_millis(100)), 4),
    ] {
        let s3 = S3::embedded();
        let mut table = create(&s3, "follow/trouble");
        for first in (0..300).step_by(10) {
            table.append(first..first + 10);
        }
        let fault = s3.faults().inject(Requests::matching("GET", "trouble").every(every), fault);
        let mut following = table.follow(TableStart::Beginning);
        following.receive_to_the_end();
        assert_eq!(following.numbers(), all(0..300), "{fault:?}");
        assert!(fault.struck() > 10, "{fault:?}");
    }
}

#[test]
fn denied_reads_are_retried_then_reported() {
    let s3 = S3::embedded();
    let mut table = create(&s3, "follow/denied");
    let mut following = table.follow(TableStart::Beginning);
    table.append(0..10);
    following.receive(10);
    // The entry at the end of the log: requests for those beyond it are dropped, not retried.
    let few = Requests::matching("GET", "000002.json").times(4);
    let denied = s3.faults().inject(few, Fault::Answer(403));
    following.receive_until(|_| denied.struck() == 4);
    table.append(10..20);
    following.receive(20);
    assert_eq!(following.count("reads_retried"), 4);
    let _ = s3.faults().inject(Requests::matching("GET", "000003.json"), Fault::Answer(403));
    let error = following.receive_to_the_error();
    assert!(
        error.contains("not allowed to read log entry 3 of s3://bench/follow/denied"),
        "{error}"
    );
    assert!(error.contains("s3:ListBucket"), "{error}");
    assert!(!error.contains(s3.access_key()) && !error.contains(s3.secret_key()), "{error}");
    assert_eq!(following.numbers(), all(0..20));
}

#[test]
fn denied_listings_are_reported_like_denied_reads() {
    let s3 = S3::embedded();
    let mut table = create(&s3, "follow/unlisted");
    let mut following = table.follow(TableStart::Beginning);
    table.append(0..10);
    following.receive(10);
    let _ = s3.faults().inject(Requests::matching("GET", "list-type=2"), Fault::Answer(403));
    let error = following.receive_to_the_error();
    let expected = "not allowed to list the log of s3://bench/follow/unlisted";
    assert!(error.contains(expected) && error.contains("s3:ListBucket"), "{error}");
}

#[test]
fn permanent_faults_are_reported_in_bounded_time() {
    let s3 = S3::embedded();
    let mut table = create(&s3, "follow/broken");
    table.append(0..10);
    table.append(10..20);
    let mut following = table.follow(TableStart::Version(1));
    following.receive_to_the_end();
    let _ = s3.faults().inject(Requests::matching("GET", "part-00003"), Fault::Answer(503));
    table.append(20..30);
    let error = following.receive_to_the_error();
    let message = "failed to read data file part-00003.parquet of s3://bench/follow/broken";
    assert!(error.contains(message), "{error}");
    assert_eq!(following.numbers(), all(0..20));
}
