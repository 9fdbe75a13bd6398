//! The local `MariaDB`, S3 server and Connect worker, each used through its own protocol.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bench_stack::StackOptions;
use mysql_async::prelude::Queryable;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde_json::json;

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

fn s3_is_sound(test: &str, server: &str, version: &str) {
    let options = StackOptions::of([]).with("s3", "server", server);
    let Some(stack) = bench_testing::alone(test, &options) else { return };
    let environment: BTreeMap<_, _> = stack.environment().iter().cloned().collect();
    let client = S3Client::new(&environment);
    assert_eq!(client.put("folder/a", "hello", None), 200);
    assert_eq!(client.get("folder/a"), (200, "hello".to_owned()));
    assert_eq!(client.get("folder/b").0, 404);
    let wrong = Credentials::new(environment["AWS_ACCESS_KEY_ID"].clone(), "another secret");
    let stranger = S3Client { credentials: wrong, ..S3Client::new(&environment) };
    assert_eq!(stranger.get("folder/a").0, 403);
    race(&environment);
    let nodes = stack.stack().nodes();
    assert!(nodes[0].version.starts_with(version), "{}", nodes[0].version);
    assert!(nodes[0].version.contains(", "), "{}", nodes[0].version);
}

#[test]
fn versitygw_has_one_winner_in_each_race() {
    s3_is_sound("versitygw", "versitygw", "versitygw ");
}

#[test]
fn minio_has_one_winner_in_each_race() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&path).any(|dir| dir.join("minio").is_file());
    if !is_installed && std::env::var_os("BENCH_MINIO").is_none() {
        // Building it takes minutes, and its licence is not everybody's: nothing requires it.
        let line = b"skipped: MinIO: there is no 'minio' in PATH, and BENCH_MINIO names none\n";
        std::io::stderr().write_all(line).expect("standard error");
        return;
    }
    s3_is_sound("minio", "minio", "MinIO ");
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
    let options = StackOptions::of(["mysql"]);
    let Some(mut stack) = bench_testing::alone("MariaDB", &options) else { return };
    let url = stack.variable("MYSQL_URL").to_owned();
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
    let node = &stack.stack().nodes()[0];
    let named = node.version.split([' ', ',']).nth(1).expect("a version");
    assert!(version.starts_with(named), "{} is {version}", node.version);
    assert!(node.version.ends_with(", innodb_flush_log_at_trx_commit=1"));

    let with = |user_and_password: &str| {
        let address = &stack.stack().nodes()[0].address;
        query(&format!("mysql://{user_and_password}@{address}/bench"), &["SELECT 1, 'x'"])
    };
    for stranger in ["bench:wrong", "bench", "root"] {
        let error = with(stranger).expect_err("refused").to_string();
        assert!(error.contains("Access denied"), "{stranger}: {error}");
    }

    stack.stack_mut().kill("mysql").expect("killed");
    assert!(query(&url, &["SELECT 1, 'x'"]).is_err());
    stack.stack_mut().start("mysql", &mut |_| ()).expect("started again");
    let rows = query(&url, &["SELECT id, text FROM message WHERE id = 2"]);
    assert_eq!(rows.expect("the row is still there"), [(2, "two".to_owned())]);
}

/// Waits until a file has exactly these lines.
fn wait_for_lines(file: &Path, wanted: &[&str]) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let lines = || fs::read_to_string(file).unwrap_or_default();
    while lines().lines().ne(wanted.iter().copied()) {
        assert!(Instant::now() < deadline, "{wanted:?} did not come, but {:?}", lines());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn append(file: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(file);
    file.expect("the file opens").write_all(text.as_bytes()).expect("written");
}

#[test]
fn connect_copies_lines_from_file_to_file() {
    let options = StackOptions::of(["connect"]);
    let Some(mut stack) = bench_testing::alone("Kafka Connect", &options) else { return };
    let url = stack.variable("CONNECT_URL").to_owned();
    let agent = http();
    let get = |path: &str| -> serde_json::Value {
        let answer = agent.get(format!("{url}{path}")).call().expect("an answer");
        answer.into_body().read_json().expect("JSON")
    };
    assert_eq!(get("/connectors"), json!([]));
    let named = format!("Kafka Connect {}", get("/")["version"].as_str().expect("a version"));
    let nodes = stack.stack().nodes();
    let node = nodes.iter().find(|node| node.service == "connect").expect("a worker");
    assert_eq!((node.name.as_str(), &node.version, &node.address), ("connect", &named, &url));
    assert!(nodes.iter().any(|node| node.service == "kafka"), "it brings Kafka along");

    let files = tempfile::tempdir().expect("a folder");
    let (source, sink) = (files.path().join("test.txt"), files.path().join("test.sink.txt"));
    append(&source, "foo\nbar\n");
    let add = |name: &str, class: &str, more: serde_json::Value| {
        let mut config = json!({"connector.class": class, "tasks.max": "1"});
        let more = more.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(more);
        let answer = agent
            .post(format!("{url}/connectors"))
            .send_json(json!({"name": name, "config": config}))
            .expect("an answer");
        assert_eq!(answer.status(), 201, "{name}");
    };
    let class = |end: &str| format!("org.apache.kafka.connect.file.FileStream{end}Connector");
    add("lines-in", &class("Source"), json!({"file": source, "topic": "connect-test"}));
    add("lines-out", &class("Sink"), json!({"file": sink, "topics": "connect-test"}));
    wait_for_lines(&sink, &["foo", "bar"]);
    append(&source, "another\n");
    wait_for_lines(&sink, &["foo", "bar", "another"]);

    // A worker that ends in order knows where it was.
    stack.stack_mut().stop("connect").expect("stopped");
    append(&source, "meanwhile\n");
    stack.stack_mut().start("connect", &mut |_| ()).expect("started again");
    assert_eq!(get("/connectors"), json!([]), "connectors of a standalone worker go with it");
    add("lines-in", &class("Source"), json!({"file": source, "topic": "connect-test"}));
    add("lines-out", &class("Sink"), json!({"file": sink, "topics": "connect-test"}));
    wait_for_lines(&sink, &["foo", "bar", "another", "meanwhile"]);
}

#[test]
fn secrets_are_private_and_removed() {
    let options = StackOptions::of(["mysql", "s3"]);
    let Some(mut stack) = bench_testing::alone("secrets of servers", &options) else { return };
    let dir = stack.stack().dir().to_owned();
    let password = stack.variable("MYSQL_URL").split([':', '@']).nth(2).expect("a password");
    let secrets = [password, stack.variable("AWS_SECRET_ACCESS_KEY")].map(str::to_owned);
    let holds = |bytes: &[u8]| {
        secrets
            .iter()
            .any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    };
    let nodes = stack.stack().nodes();
    for node in &nodes {
        let pid = node.pid.expect("it runs");
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).expect("its arguments");
        assert!(!arguments.is_empty() && !holds(&arguments), "{}", node.name);
        assert!(!holds(&fs::read(&node.log).expect("its log")), "{}", node.name);
    }
    assert!(!holds(&fs::read(dir.join("stack.json")).expect("the record")));
    let kept = fs::read_dir(dir.join("secrets")).expect("a folder of secrets");
    let kept: Vec<_> = kept.map(|file| file.expect("a file").path()).collect();
    assert!(kept.iter().any(|file| holds(&fs::read(file).expect("readable"))));
    for file in &kept {
        let mode = fs::metadata(file).expect("is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }

    stack.stack_mut().down(&mut |_| ()).expect("down");
    for node in &nodes {
        let pid = node.pid.expect("it ran");
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{}", node.name);
        assert!(node.log.is_file(), "the log of {} is kept", node.name);
    }
    for gone in ["data", "secrets", "tmp", "stack.json"] {
        assert!(!dir.join(gone).exists(), "{gone}");
    }
}
