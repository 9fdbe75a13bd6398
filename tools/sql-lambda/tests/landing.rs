//! From a stream into `MariaDB`, with the real function and a real server.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bench_core::clock::{BootId, ClockOrigin};
use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
use bench_core::message::{RunId, decode};
use bench_proxy::Proxy;
use bench_service_kinesis::stand_in::KinesisLimits;
use bench_service_lambda::{FunctionConfig, MappingConfig, MappingSettings};
use bench_stack::StackOptions;
use embedded_kinesis::{KinesisServer, serve_in_background};
use local_lambda::{MappingReport, run_with};
use mysql_async::prelude::Queryable as _;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_mins(1);

const STREAM: &str = "s";

#[test]
fn every_record_lands_once_and_is_confirmed() {
    let test = "landing in MySQL";
    let Some(server) = bench_testing::local(test, &StackOptions::of(["mysql"])) else {
        return;
    };
    let url = server.variable("MYSQL_URL");
    let (report, messages) = land("once", url, url, |_| ());
    assert_eq!(report.counts.records_done, 1_010);
    assert_eq!(messages.len(), 1_010, "each once, the last ones included");
    let confirmed = query(url, "SELECT SUM(row_count) FROM `once_confirmed`");
    assert_eq!(confirmed.first().map(|value| number(value)), Some(1_010));
}

#[test]
fn connections_that_are_lost_lose_no_record() {
    let test = "losing connections to MySQL";
    let Some(server) = bench_testing::local(test, &StackOptions::of(["mysql"])) else {
        return;
    };
    let url = server.variable("MYSQL_URL");
    let (login, rest) = url.split_once('@').expect("a login");
    let (address, database) = rest.split_once('/').expect("a database");
    let proxy = Proxy::listen().expect("a port");
    proxy.set_target(address.parse::<SocketAddr>().expect("an address"));
    let by_proxy = format!("{login}@127.0.0.1:{}/{database}", proxy.port());
    // Slow enough for the connections to be met at work.
    proxy.set_bandwidth(Some(100_000));
    let resets = Cell::new(0);
    let (report, mut messages) = land("lossy", url, &by_proxy, |rows| {
        if rows > 250 * resets.get() {
            proxy.reset();
            resets.set(resets.get() + 1);
        }
    });
    assert!((3..=5).contains(&resets.get()), "lost {} times", resets.get());
    assert_eq!(report.counts.records_done, 1_010, "{report:?}");
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), 1_010, "all of them, some perhaps twice");
}

/// Lands 1,010 messages in a new table that the function reaches by `function_url`. `disturb` is
/// called again and again with the number of rows.
fn land(
    table: &str,
    url: &str,
    function_url: &str,
    disturb: impl Fn(usize),
) -> (MappingReport, Vec<Vec<u8>>) {
    let limits = KinesisLimits { enforce_writes: false, ..KinesisLimits::default() };
    let server = serve_in_background(&limits).expect("a stream service");
    let sdk = sdk_config(&server);
    let run = RunId::random();
    block_on(fill(&sdk, run, 1_010));

    let state = tempfile::tempdir().expect("a folder");
    let mut function = FunctionConfig::new("sql-lambda", env!("CARGO_BIN_EXE_sql-lambda"));
    let mut set = |name: &str, value: &str| function.environment.insert(name.into(), value.into());
    set("MYSQL_URL", function_url);
    set("TABLE_NAME", table);
    set("BENCH_CREATE_TABLE", "on");
    set("BENCH_ROWS_PER_REQUEST", "20");
    let config = MappingConfig {
        stream: STREAM.to_owned(),
        function,
        settings: MappingSettings::default(),
        state_dir: state.path().to_owned(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mapping = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || block_on(run_with(&config, &sdk, &stop)).expect("runs"))
    };

    let started = Instant::now();
    let distinct = format!("SELECT COUNT(DISTINCT sequence) FROM `{table}`");
    loop {
        let rows = query(url, &distinct).first().map_or(0, |value| number(value));
        if rows == 1_010 {
            break;
        }
        disturb(rows);
        let log = || std::fs::read_to_string(state.path().join("function.log")).unwrap_or_default();
        assert!(started.elapsed() < PATIENCE, "only {rows} rows; the function said:\n{}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last invocation has yet to say that it has done its work.
    std::thread::sleep(Duration::from_millis(500));
    stop.store(true, Ordering::Relaxed);
    let report = mapping.join().expect("no panic");

    let messages = query(url, &format!("SELECT message FROM `{table}`"));
    for message in &messages {
        assert_eq!(decode(message).expect("a message, byte for byte").run, run);
    }
    let log = std::fs::read_to_string(state.path().join("function.log")).expect("a log");
    let password = url.split([':', '@']).nth(2).expect("a password");
    assert!(!log.contains(password), "a password in the log:\n{log}");
    (report, messages)
}

async fn fill(sdk: &SdkConfig, run: RunId, messages: u64) {
    let client = aws_sdk_kinesis::Client::new(sdk);
    client.create_stream().stream_name(STREAM).shard_count(2).send().await.expect("created");
    let status = || async {
        let answer = client.describe_stream_summary().stream_name(STREAM).send().await;
        let answer = answer.expect("described");
        answer.stream_description_summary().expect("a summary").stream_status().clone()
    };
    while status().await.as_str() != "ACTIVE" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let origin = ClockOrigin { boot: BootId::current(), wall_offset_ns: 0 };
    let writer = HeaderWriter::new(run, 0, origin);
    let entry = |sequence: u64| {
        let mut message = vec![3; HEADER_BYTES + 60];
        writer.seal(&mut message, sequence, 1, 2);
        let entry = PutRecordsRequestEntry::builder().partition_key(sequence.to_string());
        entry.data(Blob::new(message)).build().expect("complete")
    };
    let entries: Vec<_> = (0..messages).map(entry).collect();
    for chunk in entries.chunks(500) {
        let put = client.put_records().stream_name(STREAM).set_records(Some(chunk.to_vec()));
        assert_eq!(put.send().await.expect("accepted").failed_record_count(), Some(0));
    }
}

/// The first column; nothing as long as there is no table.
fn query(url: &str, sql: &str) -> Vec<Vec<u8>> {
    block_on(async {
        let options = mysql_async::Opts::from_url(url).expect("an address");
        let mut connection = mysql_async::Conn::new(options).await.expect("a connection");
        let rows: Result<Vec<mysql_async::Value>, _> = connection.query(sql).await;
        connection.disconnect().await.expect("disconnected");
        let bytes = |value| match value {
            mysql_async::Value::Bytes(bytes) => bytes,
            other => panic!("{other:?} is no text"),
        };
        rows.unwrap_or_default().into_iter().map(bytes).collect()
    })
}

fn number(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).parse().expect("a number")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn sdk_config(server: &KinesisServer) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(server.endpoint_url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}
