//! The local MariaDB, S3 server and Connect worker, each used through its own protocol.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use bench_services::local::{Cache, LocalError, S3Server, Service, Stack, StackOptions};
use mysql_async::prelude::Queryable;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

/// The tests' HTTP client, to which every answer is an answer.
fn http() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    config.build().into()
}

struct S3Client {
    bucket: Bucket,
    credentials: Credentials,
    agent: ureq::Agent,
}

impl S3Client {
    fn new(environment: &BTreeMap<String, String>) -> Self {
        let of = |name: &str| environment[name].clone();
        let endpoint = of("AWS_ENDPOINT_URL_S3").parse().expect("a URL");
        let names = (of("BENCH_S3_BUCKET"), of("AWS_REGION"));
        let bucket = Bucket::new(endpoint, UrlStyle::Path, names.0, names.1).expect("a bucket");
        let credentials = Credentials::new(of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"));
        Self { bucket, credentials, agent: http() }
    }

    /// The status of a PUT.
    fn put(&self, key: &str, body: &str, condition: Option<(&str, &str)>) -> u16 {
        let url = self.bucket.put_object(Some(&self.credentials), key).sign(VALID);
        let request = self.agent.put(url.as_str());
        let request = condition
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        request.send(body).expect("an answer").status().as_u16()
    }

    fn get(&self, key: &str) -> (u16, String) {
        let url = self.bucket.get_object(Some(&self.credentials), key).sign(VALID);
        let mut answer = self.agent.get(url.as_str()).call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }
}

/// How long a signature is valid.
const VALID: Duration = Duration::from_mins(5);

/// How many writers race for each key.
const WRITERS: usize = 8;

const ROUNDS: usize = 25;

/// Each round one key, which exactly one writer may create, and whose body is then that writer's.
fn race(environment: &BTreeMap<String, String>) {
    let start = Barrier::new(WRITERS);
    let won: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let start = &start;
                scope.spawn(move || {
                    let client = S3Client::new(environment);
                    let put = |round| {
                        start.wait();
                        let body = writer.to_string();
                        client.put(&format!("race/{round}"), &body, Some(("if-none-match", "*")))
                    };
                    (0..ROUNDS).map(put).collect()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    let client = S3Client::new(environment);
    for round in 0..ROUNDS {
        let winners: Vec<usize> = (0..WRITERS).filter(|&w| won[w][round] == 200).collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert!(
            won.iter().all(|statuses| matches!(statuses[round], 200 | 409 | 412)),
            "round {round}"
        );
        assert_eq!(client.get(&format!("race/{round}")), (200, winners[0].to_string()));
    }
}

fn s3_is_sound(test: &str, server: S3Server, version: &str) {
    let options = StackOptions { s3_server: Some(server), ..StackOptions::of([Service::S3]) };
    let Some(stack) = TestStack::up(test, &options) else { return };
    let environment = stack.environment();
    let client = S3Client::new(&environment);
    assert_eq!(client.put("folder/a", "hello", None), 200);
    assert_eq!(client.get("folder/a"), (200, "hello".to_owned()));
    assert_eq!(client.get("folder/b").0, 404);
    let wrong = Credentials::new(environment["AWS_ACCESS_KEY_ID"].clone(), "another secret");
    let stranger = S3Client { credentials: wrong, ..S3Client::new(&environment) };
    assert_eq!(stranger.get("folder/a").0, 403);
    race(&environment);
    let nodes = stack.stack.nodes();
    assert!(nodes[0].version.starts_with(version), "{}", nodes[0].version);
    assert!(nodes[0].version.contains(", "), "{}", nodes[0].version);
}

#[test]
fn versitygw_has_one_winner_in_each_race() {
    s3_is_sound("versitygw", S3Server::Versitygw, "versitygw ");
}

#[test]
fn minio_has_one_winner_in_each_race() {
    s3_is_sound("minio", S3Server::Minio, "MinIO ");
}

/// Runs statements on a connection of its own; the last one's rows.
fn query(url: &str, statements: &[&str]) -> Result<Vec<(u64, String)>, mysql_async::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let options = mysql_async::Opts::from_url(url).expect("MYSQL_URL is one");
        let mut connection = mysql_async::Conn::new(options).await?;
        let (last, first) = statements.split_last().expect("a statement");
        for statement in first {
            connection.query_drop(*statement).await?;
        }
        let rows = connection.query(*last).await?;
        connection.disconnect().await?;
        Ok(rows)
    })
}

#[test]
fn mysql_keeps_its_rows_through_a_kill() {
    let options = StackOptions::of([Service::Mysql]);
    let Some(mut stack) = TestStack::up("MariaDB", &options) else { return };
    let url = stack.environment()["MYSQL_URL"].clone();
    let rows = query(
        &url,
        &[
            "CREATE TABLE message (id BIGINT PRIMARY KEY, text VARCHAR(100))",
            "INSERT INTO message VALUES (1, 'one'), (2, 'two')",
            "SELECT id, text FROM message ORDER BY id",
        ],
    );
    assert_eq!(rows.expect("rows"), [(1, "one".to_owned()), (2, "two".to_owned())]);
    let flush = query(&url, &["SELECT @@innodb_flush_log_at_trx_commit, @@version"]);
    let (flush, version) = flush.expect("settings").remove(0);
    assert_eq!(flush, 1);
    let node = &stack.stack.nodes()[0];
    let named = node.version.split([' ', ',']).nth(1).expect("a version");
    assert!(version.starts_with(named), "{} is {version}", node.version);
    assert!(node.version.ends_with(", innodb_flush_log_at_trx_commit=1"));

    let with = |user_and_password: &str| {
        let address = &stack.stack.nodes()[0].address;
        query(&format!("mysql://{user_and_password}@{address}/bench"), &["SELECT 1, 'x'"])
    };
    for stranger in ["bench:wrong", "bench", "root"] {
        let error = with(stranger).expect_err("refused").to_string();
        assert!(error.contains("Access denied"), "{stranger}: {error}");
    }

    stack.stack.kill("mysql").expect("killed");
    assert!(query(&url, &["SELECT 1, 'x'"]).is_err());
    stack.stack.start("mysql", &mut |_| ()).expect("started again");
    let rows = query(&url, &["SELECT id, text FROM message WHERE id = 2"]);
    assert_eq!(rows.expect("the row is still there"), [(2, "two".to_owned())]);
}

struct TestStack {
    stack: Stack,
    _dir: tempfile::TempDir,
}

impl TestStack {
    fn up(test: &str, options: &StackOptions) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::from_environment().expect("a cache");
        match Stack::up(dir.path(), &cache, options, &mut |said| eprintln!("{said}")) {
            Ok(stack) => Some(Self { stack, _dir: dir }),
            Err(error @ LocalError::Missing { .. }) => {
                eprintln!("skipped: {test}: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.stack.environment().into_iter().collect()
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        self.stack.down(&mut |_| ()).expect("down");
    }
}
