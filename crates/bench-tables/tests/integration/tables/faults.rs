//! Writers on failing services.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bench_core::clock::SystemClock;
use bench_proxy::Proxy;
use bench_tables::dynamodb::DynamodbWriter;
use bench_tables::mysql::{MysqlUrl, MysqlWriter};
use bench_tables::{Selection, TableError, TableWriter, Until, WriterOptions};
use mysql_async::prelude::Queryable as _;

use super::backend::{Backend, Messages, config, landed, runtime};
use super::faulty::{Fault, FaultyDynamodb};

/// A writer to a `DynamoDB` table with these faults, and the table.
fn faulty(faults: &[Fault], options: WriterOptions) -> (Backend, FaultyDynamodb, TableWriter) {
    let backend = Backend::dynamodb();
    backend.create("faulty");
    let Backend::Dynamodb { server, .. } = &backend else { panic!("expected DynamoDB") };
    let front = FaultyDynamodb::of(server.endpoint_url());
    front.plan(faults.iter().copied());
    let config = config(&front.endpoint_url);
    let writer = DynamodbWriter::new(&config, "faulty", options, SystemClock::new());
    (backend, front, TableWriter::Dynamodb(writer.expect("a writer")))
}

#[test]
fn unprocessed_items_are_retried_and_counted() {
    // 25 rows, then the remaining 12, 6 and 3.
    let faults = [Fault::LeaveEveryOther; 3];
    let (backend, front, mut writer) = faulty(&faults, WriterOptions::dynamodb());
    let messages = Messages::new(1, 25, 100);
    let written = runtime().block_on(async {
        let written = writer.write(&messages.rows()).await.expect("written");
        writer.confirm(&written).await.expect("confirmed");
        written
    });
    assert_eq!(front.planned(), 0);
    assert_eq!(landed(&written), (0..25).collect::<Vec<_>>());
    assert_eq!((written.retried, written.failed.len()), (12 + 6 + 3, 0));
    let instants: std::collections::BTreeSet<_> =
        written.landed.iter().map(|(_, at)| at.instant_ns).collect();
    assert_eq!(instants.len(), 4, "each request confirmed its own rows");
    let mut reading = backend.read("faulty", Selection::Run(messages.run), Until::End);
    messages.assert_found_once(&reading.read_to_end());
    assert_eq!(reading.count("rows_unconfirmed"), 0);
}

#[test]
fn failed_requests_are_retried_without_duplicates() {
    for fault in [Fault::Throttle, Fault::Break, Fault::LoseAnswer] {
        let (backend, front, mut writer) = faulty(&[fault, fault], WriterOptions::dynamodb());
        let messages = Messages::new(1, 100, 100);
        let written = runtime().block_on(async {
            let written = writer.write(&messages.rows()).await.expect("written");
            writer.confirm(&written).await.expect("confirmed");
            written
        });
        assert_eq!(front.planned(), 0);
        assert_eq!((landed(&written).len(), written.retried), (100, 50), "{fault:?}");
        let mut reading = backend.read("faulty", Selection::Run(messages.run), Until::End);
        messages.assert_found_once(&reading.read_to_end());
    }
}

#[test]
fn unprocessed_rows_fail_after_the_time_limit() {
    let options =
        WriterOptions { retry_for: Duration::from_millis(300), ..WriterOptions::dynamodb() };
    let (_place, front, mut writer) = faulty(&[Fault::Throttle; 1_000], options);
    let messages = Messages::new(1, 2, 100);
    let written = runtime().block_on(writer.write(&messages.rows())).expect("an account");
    assert!(front.planned() < 1_000 && landed(&written).is_empty());
    assert_eq!(written.failed.len(), 2);
    assert!(written.failed[0].1.contains("lower the rate"), "{written:?}");
}

#[test]
fn missing_tables_fail_at_once() {
    for backend in Backend::all("missing tables in MySQL") {
        let messages = Messages::new(1, 1, 100);
        let began = Instant::now();
        let error = runtime().block_on(async {
            let mut writer = backend.writer("missing", None).await;
            writer.write(&messages.rows()).await.expect_err("no table")
        });
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(matches!(error, TableError::Missing { .. }), "{error}");
        let remedy = format!("table-reset {} --table missing", backend.name());
        assert!(error.to_string().contains(&remedy), "{error}");
    }
}

#[test]
fn killed_connections_lose_no_row() {
    let Some(backend) = Backend::mysql("killed connections to MySQL") else { return };
    let Backend::Mysql { stack, .. } = &backend else { panic!("expected MySQL") };
    backend.create("killed");
    let messages = Messages::new(1, 20_000, 300);
    let written = runtime().block_on(async {
        let mut writer = backend.writer("killed", None).await;
        let url = stack.variable("MYSQL_URL").to_owned();
        let killer = tokio::spawn(async move { kill_writers(&url).await });
        let written = writer.write(&messages.rows()).await.expect("written");
        writer.confirm(&written).await.expect("confirmed");
        assert!(killer.await.expect("no panic") > 0, "something was killed");
        written
    });
    assert_eq!(landed(&written).len(), 20_000);
    assert!(written.retried > 0, "some were written again");
    let mut reading = backend.read("killed", Selection::Run(messages.run), Until::End);
    let found = reading.read_to_end();
    assert_eq!(found.len(), 20_000);
    // At least once: rows committed without a response may be duplicated.
    let doubled = found.values().filter(|rows| rows.len() > 1).count() as u64;
    assert!(doubled <= written.retried, "{doubled} of {}", written.retried);
}

/// Kills writing connections several times; returns how many were killed.
async fn kill_writers(url: &str) -> u64 {
    let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
    let mut killed = 0;
    for _ in 0..200 {
        let sql = "SELECT ID FROM information_schema.PROCESSLIST \
                   WHERE ID <> CONNECTION_ID() AND INFO LIKE 'INSERT INTO `killed`%'";
        let ids: Vec<u64> = connection.query(sql).await.expect("listed");
        for id in ids {
            // It may have ended by now.
            killed += u64::from(connection.query_drop(format!("KILL {id}")).await.is_ok());
        }
        if killed >= 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    killed
}

#[test]
fn reset_connections_lose_no_row() {
    let Some(backend) = Backend::mysql("reset connections to MySQL") else { return };
    let Backend::Mysql { stack, .. } = &backend else { panic!("expected MySQL") };
    backend.create("reset");
    let proxy = Proxy::listen().expect("a proxy");
    let (head, rest) = stack.variable("MYSQL_URL").rsplit_once('@').expect("a user");
    let (target, database) = rest.split_once('/').expect("a database");
    proxy.set_target(target.parse().expect("an address"));
    let text = format!("{head}@127.0.0.1:{}/{database}", proxy.port());
    let url = MysqlUrl::parse(&text).expect("an address");
    let messages = Messages::new(1, 20_000, 300);
    let written = std::thread::scope(|scope| {
        let (connected, wait) = mpsc::channel();
        let proxy = &proxy;
        let resets = scope.spawn(move || {
            wait.recv().expect("the writer connects");
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(60));
                proxy.reset();
            }
        });
        let written = runtime().block_on(async {
            let options = WriterOptions::mysql();
            let writer = MysqlWriter::connect(&url, "reset", options, SystemClock::new()).await;
            let mut writer = writer.expect("a writer");
            connected.send(()).expect("someone waits");
            let mut all = (0, 0);
            for rows in messages.rows().chunks(2_000) {
                let written = writer.write(rows).await.expect("written");
                assert!(written.failed.is_empty());
                all = (all.0 + landed(&written).len(), all.1 + written.retried);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            all
        });
        resets.join().expect("reset");
        written
    });
    assert_eq!(written.0, 20_000);
    let mut reading = backend.read("reset", Selection::Run(messages.run), Until::End);
    assert_eq!(reading.read_to_end().len(), 20_000);
}
