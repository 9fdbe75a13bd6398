//! Descriptions of servers and tables, and unreachable servers.

use std::time::Duration;

use aws_sdk_dynamodb::types::{StreamSpecification, StreamViewType};
use bench_core::clock::Clock as _;
use bench_core::clock::SystemClock;
use bench_core::transport::Receive as _;
use bench_tables::dynamodb::{Billing, DynamodbAdmin};
use bench_tables::mysql::{MysqlAdmin, MysqlUrl, MysqlWriter};
use bench_tables::{Obstacle, Selection, TableInfo, Until, WriterOptions};

use super::backend::{Backend, Messages, config, runtime};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The description of a table, and its runs.
fn described(backend: &Backend, table: &str) -> Option<TableInfo> {
    runtime().block_on(async {
        match backend {
            Backend::Dynamodb { config, .. } => {
                DynamodbAdmin::new(config).describe(table).await.expect("described")
            }
            Backend::Mysql { url, .. } => {
                let mut admin = MysqlAdmin::connect(url, TIMEOUT).await.expect("connected");
                admin.describe(table).await.expect("described")
            }
        }
    })
}

#[test]
fn tables_are_described_with_mark_and_runs() {
    for backend in Backend::all("describing tables of MySQL") {
        assert_eq!(described(&backend, "nothing_here"), None);
        backend.create("described");
        let info = described(&backend, "described").expect("there");
        assert!(info.is_marked && info.is_usable && info.rows == Some(0), "{info:?}");
        let (one, two) = (Messages::new(0, 2, 50), Messages::new(0xAB, 3, 50));
        let mut runs = runtime().block_on(async {
            let mut writer = backend.writer("described", None).await;
            writer.write(&one.rows()).await.expect("written");
            writer.write(&two.rows()).await.expect("written");
            match &backend {
                Backend::Dynamodb { config, .. } => {
                    DynamodbAdmin::new(config).runs("described").await
                }
                Backend::Mysql { url, .. } => {
                    let mut admin = MysqlAdmin::connect(url, TIMEOUT).await.expect("connected");
                    admin.runs("described").await
                }
            }
            .expect("listed")
        });
        runs.sort_unstable();
        assert_eq!(runs, [one.run, two.run], "{}", backend.name());
        assert!(described(&backend, "described").expect("there").rows >= Some(5));
    }
}

#[test]
fn dynamodb_protection_and_streams_are_obstacles() {
    let backend = Backend::dynamodb();
    let Backend::Dynamodb { config, .. } = &backend else { panic!("expected DynamoDB") };
    backend.create("bound");
    let client = aws_sdk_dynamodb::Client::new(config);
    let obstacle = || described(&backend, "bound").expect("there").obstacle;
    assert_eq!(obstacle(), None);
    let protect = |is_protected| {
        let update = client.update_table().table_name("bound");
        let update = update.deletion_protection_enabled(is_protected).send();
        runtime().block_on(update).expect("changed");
    };
    protect(true);
    assert_eq!(obstacle(), Some(Obstacle::Undeletable("is protected from deletion".to_owned())));
    let error = runtime().block_on(DynamodbAdmin::new(config).delete("bound"));
    assert!(error.is_err() && described(&backend, "bound").is_some());
    protect(false);
    let stream = StreamSpecification::builder().stream_enabled(true);
    let stream = stream.stream_view_type(StreamViewType::KeysOnly).build().expect("complete");
    let update = client.update_table().table_name("bound").stream_specification(stream).send();
    runtime().block_on(update).expect("changed");
    assert_eq!(obstacle(), Some(Obstacle::Irreplaceable("has a stream of its changes".to_owned())));
    runtime().block_on(DynamodbAdmin::new(config).delete("bound")).expect("deleted");
    assert_eq!(described(&backend, "bound"), None);
}

#[test]
fn views_are_not_treated_as_tables() {
    use mysql_async::prelude::Queryable as _;
    let Some(backend) = Backend::mysql("views of MySQL") else { return };
    let Backend::Mysql { stack, url } = &backend else { panic!("expected MySQL") };
    runtime().block_on(async {
        let address = stack.variable("MYSQL_URL");
        let mut connection = mysql_async::Conn::from_url(address).await.expect("connected");
        let sql = "CREATE OR REPLACE VIEW seen AS SELECT 1 AS one";
        connection.query_drop(sql).await.expect("created");
        let mut admin = MysqlAdmin::connect(url, TIMEOUT).await.expect("connected");
        let error = admin.create("seen").await.expect_err("a view").to_string();
        assert!(error.contains("'seen' is a view"), "{error}");
        let error = admin.delete("seen").await.expect_err("still there").to_string();
        assert!(error.contains("'seen'"), "{error}");
        let info = admin.describe("seen").await.expect("described").expect("there");
        assert_eq!(info.obstacle, Some(Obstacle::NotATable("is a view".to_owned())));
        assert_eq!((info.rows, info.is_marked), (None, false));
    });
}

#[test]
fn foreign_tables_have_no_mark() {
    use mysql_async::prelude::Queryable as _;
    if let Some(backend) = Backend::mysql("unmarked tables of MySQL") {
        let Backend::Mysql { stack, .. } = &backend else { panic!("expected MySQL") };
        runtime().block_on(async {
            let url = stack.variable("MYSQL_URL");
            let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
            let sql = "CREATE OR REPLACE TABLE orders (id INT) COMMENT 'the stream-benchmark?'";
            connection.query_drop(sql).await.expect("created");
        });
        assert!(!described(&backend, "orders").expect("there").is_marked);
    }
}

#[test]
fn provisioned_tables_can_be_created() {
    let backend = Backend::dynamodb();
    let Backend::Dynamodb { config, .. } = &backend else { panic!("expected DynamoDB") };
    let billing = Billing::Provisioned { read_units: 5, write_units: 7 };
    runtime().block_on(DynamodbAdmin::new(config).create("provisioned", billing)).expect("made");
    assert!(described(&backend, "provisioned").expect("there").is_usable);
}

#[test]
fn server_reports_its_flush_setting() {
    let Some(Backend::Mysql { url, .. }) = Backend::mysql("the settings of MySQL") else { return };
    let server = runtime().block_on(url.server(TIMEOUT)).expect("told");
    assert_eq!(server.flush_log_at_commit, "1");
    assert!(server.packet_max_bytes >= 1 << 20, "{server:?}");
    assert!(url.service_info(&server).version.contains("innodb_flush_log_at_trx_commit=1"));
}

#[test]
fn wrong_passwords_fail_fast_and_stay_hidden() {
    let Some(backend) = Backend::mysql("wrong passwords of MySQL") else { return };
    let Backend::Mysql { stack, .. } = &backend else { panic!("expected MySQL") };
    let (_, rest) = stack.variable("MYSQL_URL").rsplit_once('@').expect("a user");
    let url = MysqlUrl::parse(&format!("mysql://bench:hush-hush@{rest}")).expect("an address");
    let options = WriterOptions::mysql();
    let writer = MysqlWriter::connect(&url, "t", options, SystemClock::new());
    let error = runtime().block_on(writer).expect_err("refused").to_string();
    assert!(error.contains("MYSQL_URL") && error.contains("Access denied"), "{error}");
    assert!(!error.contains("hush"), "{error}");
    let (clock, counts) = (SystemClock::new(), bench_core::counts::Counts::default());
    let (all, end) = (Selection::All, Until::End);
    let receiver = bench_tables::TableReceiver::mysql(&url, "t", all, end, clock, &counts);
    let mut receiver = receiver.expect("not connected yet");
    let until_ns = clock.now_ns() + 10_000_000_000;
    let error = receiver.receive(until_ns, |_| panic!("a row")).expect_err("refused").to_string();
    assert!(error.contains("Access denied") && !error.contains("hush"), "{error}");
}

#[test]
fn unreachable_servers_are_named() {
    let options = WriterOptions { retry_for: Duration::from_secs(1), ..WriterOptions::mysql() };
    let url = MysqlUrl::parse("mysql://bench:hush@127.0.0.1:1/bench").expect("an address");
    let writer = MysqlWriter::connect(&url, "t", options, SystemClock::new());
    let error = runtime().block_on(writer).expect_err("nothing there").to_string();
    assert!(error.contains("127.0.0.1:1/bench") && !error.contains("hush"), "{error}");
    let admin = DynamodbAdmin::new(&config("http://127.0.0.1:1"));
    let error = runtime().block_on(admin.describe("some-table")).expect_err("nothing there");
    assert!(error.to_string().contains("--endpoint-url"), "{error}");
}
