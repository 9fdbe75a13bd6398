//! The local MariaDB, S3 server and Connect worker, each used through its own protocol.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use bench_services::local::{Cache, LocalError, S3Server, Service, Stack, StackOptions};
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
        let request = condition.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
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
