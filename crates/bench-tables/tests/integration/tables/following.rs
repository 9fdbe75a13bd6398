//! Readers that follow while rows arrive.

use std::time::Duration;

use bench_core::clock::Clock as _;
use bench_core::transport::Receive as _;
use bench_tables::{Row, Selection, Until};
use mysql_async::prelude::Queryable as _;

use super::backend::{Backend, Found, Messages, PATIENCE_NS, runtime};

#[test]
fn readers_follow_concurrent_writers() {
    for backend in Backend::all("following rows in MySQL") {
        backend.create("followed");
        let messages = Messages::new(1, 3_000, 200);
        let mut reading =
            backend.read("followed", Selection::Run(messages.run), Until::Distinct(3_000));
        let mut found = Found::new();
        std::thread::scope(|scope| {
            for half in [0, 1] {
                let (messages, backend) = (&messages, &backend);
                scope.spawn(move || {
                    runtime().block_on(async {
                        let mut writer = backend.writer("followed", None).await;
                        for rows in messages.rows().chunks(150).skip(half).step_by(2) {
                            let written = writer.write(rows).await.expect("written");
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            writer.confirm(&written).await.expect("confirmed");
                        }
                    });
                });
            }
            let deadline_ns = reading.clock.now_ns() + PATIENCE_NS;
            while !reading.receiver.at_end() {
                assert!(reading.clock.now_ns() < deadline_ns, "{} found", found.len());
                reading.some(&mut found);
            }
        });
        messages.assert_found_once(&found);
        assert_eq!(reading.count("rows_unconfirmed"), 0, "{}", backend.name());
    }
}

#[test]
fn unconfirmed_rows_land_when_seen() {
    for backend in Backend::all("unconfirmed rows in MySQL") {
        backend.create("unconfirmed");
        let mut reading = backend.read(
            "unconfirmed",
            Selection::Run(Messages::new(1, 1, 50).run),
            Until::Distinct(20),
        );
        assert!(reading.receiver.is_behind(), "it has not polled yet");
        let mut found = Found::new();
        reading.until(false, &mut found);
        let messages = Messages::new(1, 20, 50);
        runtime().block_on(async {
            let mut writer = backend.writer("unconfirmed", None).await;
            writer.write(&messages.rows()).await.expect("written");
        });
        reading.until(true, &mut found);
        assert!(found.is_empty(), "rows wait for their confirmation");
        found.extend(reading.read_to_end());
        assert!(!reading.receiver.is_behind());
        messages.assert_found_once(&found);
        assert_eq!(reading.count("rows_unconfirmed"), 20, "{}", backend.name());
    }
}

#[test]
fn rows_of_open_transactions_are_read_after_commit() {
    let Some(backend) = Backend::mysql("following open transactions") else { return };
    let Backend::Mysql { stack, .. } = &backend else { panic!("expected MySQL") };
    backend.create("open");
    let messages = Messages::new(1, 20, 100);
    let mut reading = backend.read("open", Selection::Run(messages.run), Until::Distinct(20));
    let rows = messages.rows();
    let mut found = Found::new();
    let runtime = runtime();
    let mut early = runtime.block_on(async {
        let url = stack.variable("MYSQL_URL");
        let mut early = mysql_async::Conn::from_url(url).await.expect("connected");
        early.query_drop("START TRANSACTION").await.expect("begun");
        for row in &rows[..10] {
            early.exec_drop(INSERT, values(&messages, row)).await.expect("inserted");
        }
        let mut writer = backend.writer("open", None).await;
        let written = writer.write(&rows[10..]).await.expect("written");
        writer.confirm(&written).await.expect("confirmed");
        early
    });
    let deadline_ns = reading.clock.now_ns() + PATIENCE_NS;
    while found.len() < 10 {
        assert!(reading.clock.now_ns() < deadline_ns, "{} found", found.len());
        reading.some(&mut found);
    }
    assert!(rows[10..].iter().all(|row| found.contains_key(row.message)), "the later ones");
    runtime.block_on(early.query_drop("COMMIT")).expect("committed");
    found.extend(reading.read_to_end());
    messages.assert_found_once(&found);
}

const INSERT: &str = "INSERT INTO open (run, producer, sequence, key_, message, partition_, \
                      received_ns, boot, wall_offset_ns, arrived_ms, batch, part) \
                      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)";

fn values(messages: &Messages, row: &Row<'_>) -> Vec<mysql_async::Value> {
    vec![
        messages.run.to_string().into(),
        row.producer.into(),
        row.sequence.into(),
        row.key.into(),
        row.message.into(),
        row.partition.into(),
        row.received.instant_ns.into(),
        row.received.origin.boot.to_hash().into(),
        row.received.origin.wall_offset_ns.into(),
        row.arrived_wall_ms.into(),
    ]
}
