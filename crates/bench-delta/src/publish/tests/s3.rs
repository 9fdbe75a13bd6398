//! The publisher against an S3 server, which is made to fail.

use bench_aws::AwsArgs;
use embedded_s3::{BackgroundS3, Fault, Requests, serve_in_background};

use super::commits::race;
use super::*;
use crate::{PathStyle, S3Place};

const LOG: &str = "/_delta_log/";
const DATA: &str = "/part-";

fn rig() -> (Rig, BackgroundS3) {
    let server = serve_in_background().expect("a server");
    let args = AwsArgs::new(None, None, None, Duration::from_secs(5));
    let (url, id, secret) = (server.endpoint_url(), server.access_key(), server.secret_key());
    let sdk = args.embedded_config_with(url, id, secret);
    let (bucket, prefix) = (server.bucket().to_owned(), "a/table".to_owned());
    let place = S3Place { bucket, prefix, style: PathStyle::Auto };
    let rig = Rig::new(|counts| Lake::s3(&place, &sdk, counts).expect("a place"));
    (rig, server)
}

/// A small file a message, so that there are many requests.
fn config() -> PublishConfig {
    PublishConfig { file_bytes_max: 1, ..super::config() }
}

#[test]
fn eight_publishers_race_and_nothing_is_lost_or_twice() {
    for commit in [CommitPath::Direct, CommitPath::Std] {
        let (rig, _server) = rig();
        let interval_ns = 50_000_000;
        race(&rig, &PublishConfig { commit, commit_interval_ns: interval_ns, ..super::config() });
        assert!(rig.count("commit_conflicts") > 0, "they have met");
    }
}

#[test]
fn commits_whose_answers_are_lost_are_in_the_table_once() {
    for fault in [
        Fault::ForwardThenDrop,
        Fault::ForwardThenAnswer(503),
        Fault::ForwardThenAnswer(500),
        Fault::ForwardThenAnswer(412),
        Fault::ForwardThenAnswer(409),
    ] {
        let (rig, server) = rig();
        rig.create(&config()).expect("a table");
        let injected = server.faults().inject(Requests::matching("PUT", LOG).every(2), fault);
        let messages = messages(0..20);
        assert!(rig.publish(config(), &messages).all_acked(20), "{fault:?}");
        injected.release();
        assert_eq!(rig.rows(), expected(3, &messages), "{fault:?}");
        assert!(injected.struck() > 0, "{fault:?}");
        assert!(rig.count("commits_recovered") > 0, "{fault:?}");
        assert_eq!(rig.count("commit_conflicts"), 0, "{fault:?}");
    }
}

#[test]
fn refusals_and_broken_connections_are_retried_and_counted() {
    for fault in [Fault::Answer(503), Fault::Answer(429), Fault::Drop] {
        let (rig, server) = rig();
        rig.create(&config()).expect("a table");
        let data = server.faults().inject(Requests::matching("PUT", DATA).every(3), fault);
        let log = server.faults().inject(Requests::matching("", LOG).every(3), fault);
        let messages = messages(0..30);
        assert!(rig.publish(config(), &messages).all_acked(30), "{fault:?}");
        data.release();
        log.release();
        assert_eq!(rig.rows(), expected(3, &messages), "{fault:?}");
        assert!(data.struck() > 0 && log.struck() > 0, "{fault:?}");
        assert!(rig.count("requests_retried") > 0, "{fault:?}");
    }
}

#[test]
fn a_slow_service_holds_nothing_up_for_good() {
    let (rig, server) = rig();
    rig.create(&config()).expect("a table");
    let slow = Fault::Delay(Duration::from_millis(200));
    let _slow = server.faults().inject(Requests::matching("PUT", "").every(2), slow);
    let messages = messages(0..40);
    assert!(rig.publish(config(), &messages).all_acked(40));
    assert_eq!(rig.rows(), expected(3, &messages));
}

#[test]
fn a_data_file_without_its_commit_is_invisible() {
    let (rig, server) = rig();
    rig.create(&config()).expect("a table");
    let held = server.faults().inject(Requests::matching("PUT", LOG), Fault::Hold);
    let mut sending = Sending::new(rig.connect(config()));
    sending.submit(&messages(0..1)).expect("the writer goes on");
    sending.poll_for(100_000_000).expect("the writer goes on");
    assert!(held.wait_for(1, Duration::from_mins(1)), "the commit is under way");
    assert_eq!((rig.count("data_files"), rig.rows()), (1, vec![]));
    held.release();
    assert!(sending.end().all_acked(1));
    assert_eq!(rig.rows(), expected(3, &messages(0..1)));
}

#[test]
fn checkpoints_are_written_to_s3_while_commits_go_on() {
    let (rig, _server) = rig();
    let config = PublishConfig { checkpoint_every: Some(5), ..config() };
    rig.create(&config).expect("a table");
    let messages = messages(0..40);
    assert!(rig.publish(config, &messages).all_acked(40));
    assert_eq!(rig.rows(), expected(3, &messages));
    assert_eq!(rig.count("checkpoints_failed"), 0);
    assert!(rig.count("checkpoints") > 0);
}

#[test]
fn messages_without_an_answer_are_told_from_refused_ones() {
    for (fault, is_unanswered) in
        [(Fault::Drop, true), (Fault::Hold, true), (Fault::Answer(503), false)]
    {
        let (rig, server) = rig();
        rig.create(&config()).expect("a table");
        let publisher = rig.connect(PublishConfig { give_up_ns: 8_000_000_000, ..config() });
        assert_eq!(publisher.outage(), None);
        let data = server.faults().inject(Requests::matching("PUT", DATA), fault);
        let mut sending = Sending::new(publisher);
        sending.submit(&messages(0..1)).expect("the writer goes on");
        sending.wait().expect("the writer goes on");
        if fault == Fault::Drop {
            let outage = sending.publisher.outage().expect("nothing comes back");
            assert!(outage.contains("s3://") && outage.contains("127.0.0.1:"), "{outage}");
        }
        data.release();
        sending.submit(&messages(1..2)).expect("the writer goes on");
        let sent = sending.end();
        assert_eq!(sent.publisher.outage(), None, "{fault:?}: it answers again");
        let [code] = sent.codes()[..] else { panic!("{fault:?}: {:?}", sent.codes()) };
        assert_eq!(sent.publisher.is_unanswered(code), is_unanswered, "{fault:?}");
        assert!(sent.publisher.is_aborted(code), "{fault:?}: the file was in no version");
        let text = sent.publisher.explain(code);
        assert!(text.contains("failed to write a data file of s3://"), "{fault:?}: {text}");
    }
}
