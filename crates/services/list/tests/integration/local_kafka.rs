//! Kafka on this machine: real brokers, through the real client.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench_services::SERVICES;
use bench_stack::{Cache, MEMBER_VARIABLE, ProcessState, Stack, StackError, StackOptions};
use bench_testing::{alone, local, skip};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};

/// Thousands of times what is needed.
const WAIT: Duration = Duration::from_mins(1);

/// The variable by which [`driver`] knows that it is meant, and the folder of its stack.
const DRIVER: &str = "BENCH_TEST_DRIVER_DIR";

#[test]
fn messages_pass_every_listener() {
    let test = "messages through every listener";
    let Some(kafka) = local(test, &StackOptions::of(["kafka"])) else { return };
    produce(&client(kafka.bootstrap_servers()), "plaintext", "plaintext");
    assert_eq!(consume(&client(kafka.bootstrap_servers()), "plaintext", 1), ["plaintext"]);
    let names = ["tls", "sasl-plain", "sasl-scram-sha-256", "sasl-scram-sha-512", "sasl-no-tls"];
    for name in names {
        let secured = client_of_file(&client_file(&kafka, name));
        produce(&secured, name, name);
        assert_eq!(consume(&secured, name, 1), [name]);
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let test = "refusing a wrong password";
    let Some(kafka) = local(test, &StackOptions::of(["kafka"])) else { return };
    for name in ["sasl-plain", "sasl-scram-sha-256", "sasl-scram-sha-512", "sasl-no-tls"] {
        let mut config = client_of_file(&client_file(&kafka, name));
        assert!(metadata(&config).is_ok(), "{name}");
        config.set("sasl.password", "wrong");
        assert!(metadata(&config).is_err(), "{name}");
    }
    let mut config = client_of_file(&client_file(&kafka, "tls"));
    config.remove("ssl.ca.location");
    assert!(metadata(&config).is_err(), "an unknown authority");
}

#[test]
fn secrets_reach_no_record_log_or_command_line() {
    let test = "looking for secrets";
    let Some(kafka) = local(test, &StackOptions::of(["kafka"])) else { return };
    let file = client_file(&kafka, "sasl-plain");
    let settings = fs::read_to_string(&file).expect("client properties");
    let password = settings.lines().find_map(|line| line.strip_prefix("sasl.password="));
    let password = password.expect("a password");
    assert!(password.len() >= 32);
    let dir = kafka.stack().dir();
    let node = kafka.stack().nodes().remove(0);
    let command_line = format!("/proc/{}/cmdline", node.pid.expect("it runs"));
    for public in [dir.join("stack.json"), node.log, command_line.into()] {
        let shown = fs::read(&public).expect("readable");
        assert!(!String::from_utf8_lossy(&shown).contains(password), "{}", public.display());
    }
    for private in [file, dir.join("secrets"), dir.join("config"), dir.join("stack.json")] {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&private).expect("there"));
        assert_eq!(mode & 0o077, 0, "{}", private.display());
    }
}

#[test]
fn broker_survives_kill_freeze_and_restart() {
    let test = "killing and freezing a broker";
    let Some(other) = local(test, &StackOptions::of(["kafka"])) else { return };
    let Some(mut kafka) = alone(test, &StackOptions::of(["kafka"])) else { return };
    let config = client(kafka.bootstrap_servers());
    let stack = kafka.stack_mut();
    produce(&config, "t", "before");
    stack.kill("kafka-1").expect("killed");
    assert_eq!(state(stack), ProcessState::Ended);
    assert!(metadata(&config).is_err());
    let error = stack.freeze("kafka").expect_err("nothing to freeze").to_string();
    assert_eq!(error, "failed to freeze kafka-1: it has ended");
    stack.start("kafka-1", &mut |_| ()).expect("started");
    produce(&config, "t", "killed");

    stack.freeze("kafka").expect("frozen");
    assert_eq!(state(stack), ProcessState::Frozen);
    assert!(metadata(&config).is_err());
    stack.thaw("kafka").expect("thawed");
    assert_eq!(state(stack), ProcessState::Running);
    produce(&config, "t", "thawed");

    stack.stop("kafka").expect("stopped");
    assert_eq!(state(stack), ProcessState::Ended);
    // What another process does to the stack counts.
    let mut again = Stack::open(SERVICES, stack.dir()).expect("the stack");
    again.start("kafka-1", &mut |_| ()).expect("started");
    stack.freeze("kafka-1").expect("frozen");
    // As a driver heals it between two runs.
    let cache = Cache::from_environment().expect("a cache");
    let healed =
        Stack::up(SERVICES, stack.dir(), &cache, &StackOptions::of(["kafka"]), &mut |_| ());
    assert_eq!(state(&healed.expect("healed")), ProcessState::Running);
    assert_eq!(consume(&config, "t", 3), ["before", "killed", "thawed"]);
    let error = stack.kill("kafka-2").expect_err("no such node").to_string();
    assert_eq!(error, "the stack has no node 'kafka-2'; it has kafka-1");

    let dir = stack.dir().to_owned();
    assert!(cache.stacks().contains(&dir));
    stack.down(&mut |_| ()).expect("down");
    stack.down(&mut |_| ()).expect("which it is already");
    assert_gone(&dir);
    assert!(dir.join("logs/kafka-1.log").is_file());
    assert!(!cache.stacks().contains(&dir));
    let error = Stack::open(SERVICES, &dir).expect_err("no stack").to_string();
    assert!(error.contains("services up"), "{error}");
    assert_eq!(state(other.stack()), ProcessState::Running);
    assert!(metadata(&client(other.bootstrap_servers())).is_ok());
}

#[test]
fn three_brokers_survive_the_loss_of_one() {
    let test = "three brokers";
    let Some(mut kafka) = alone(test, &StackOptions::of([]).with("kafka", "brokers", 3)) else {
        return;
    };
    let mut config = client(kafka.bootstrap_servers());
    config.set("acks", "all");
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    let stack = kafka.stack_mut();
    let names: Vec<String> = stack.nodes().into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["kafka-1", "kafka-2", "kafka-3"]);
    assert_eq!(metadata(&config).expect("an answer").brokers().len(), 3);
    produce(&config, "t", "all there");
    let found = metadata(&config).expect("an answer");
    let topic = found.topics().iter().find(|topic| topic.name() == "t").expect("the topic");
    assert_eq!(topic.partitions()[0].replicas().len(), 3);
    let error = stack.kill("kafka").expect_err("which one?").to_string();
    assert!(error.ends_with("it has kafka-1, kafka-2, kafka-3"), "{error}");
    stack.kill("kafka-2").expect("killed");
    produce(&config, "t", "one less");
    stack.start("kafka-2", &mut |_| ()).expect("started");
    assert_eq!(consume(&config, "t", 2), ["all there", "one less"]);
    let cache = Cache::from_environment().expect("a cache");
    let error = Stack::up(SERVICES, stack.dir(), &cache, &StackOptions::of(["kafka"]), &mut |_| ());
    let error = error.expect_err("another shape");
    assert!(error.is_usage() && error.to_string().contains("has 3 broker(s), not 1"), "{error}");
    let dir = stack.dir().to_owned();
    stack.down(&mut |_| ()).expect("down");
    assert_gone(&dir);
}

#[test]
fn failed_start_shows_the_log_and_cleans_up() {
    let test = "a failed start";
    let cache = Cache::from_environment().expect("a cache");
    // One is noticed when the storage is initialised, the other when the broker starts.
    let settings = [
        ("num.partitions", "none", "Invalid value none for configuration num.partitions"),
        ("authorizer.class.name", "no.such.Class", "no.such.Class"),
    ];
    for (key, value, words) in settings {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("stack");
        let options = StackOptions::of([]).with("kafka", key, value);
        match Stack::up(SERVICES, &dir, &cache, &options, &mut |_| ()).expect_err("fails") {
            error if error.is_missing() => return skip(test, &error.to_string()),
            error @ (StackError::Command { .. } | StackError::Unhealthy { .. }) => {
                let error = error.to_string();
                assert!(error.contains(words) && error.contains("kafka-1"), "{error}");
                assert!(error.lines().count() <= 17, "{error}");
            }
            error => panic!("{error}"),
        }
        assert_gone(&dir);
        assert!(!cache.stacks().contains(&dir));
    }
}

#[test]
fn stack_of_a_killed_driver_can_be_stopped() {
    let test = "a killed driver";
    // That it can be started at all, and need not be fetched by the driver.
    let Some(_kafka) = local(test, &StackOptions::of(["kafka"])) else { return };
    let cache = Cache::from_environment().expect("a cache");
    for moment in ["\"name\": \"kafka-1\"", "\"pid\":"] {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().canonicalize().expect("the folder");
        let mut driver = driver_in(&dir).stdout(Stdio::null()).spawn().expect("starts");
        let deadline = Instant::now() + WAIT;
        let record = || fs::read_to_string(dir.join("stack.json")).unwrap_or_default();
        while !record().contains(moment) {
            assert!(Instant::now() < deadline, "{moment} never comes");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Some while into what it does then.
        std::thread::sleep(Duration::from_millis(200));
        driver.kill().expect("killed");
        driver.wait().expect("reaped");
        assert!(!members(&dir).is_empty(), "{moment}: something runs on");
        assert!(cache.stacks().contains(&dir));
        Stack::open(SERVICES, &dir).expect("found").down(&mut |_| ()).expect("down");
        assert_gone(&dir);
        assert!(!cache.stacks().contains(&dir));
    }
}

#[test]
fn missing_programs_are_named_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("created");
    let program = |name: &str, script: &str| {
        let file = bin.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made executable");
    };
    let complaint = || {
        let output = driver_in(&folder.path().join("stack"))
            .env("PATH", &bin)
            .env("BENCH_CACHE_DIR", folder.path().join("cache"))
            .env_remove("JAVA_HOME")
            .env_remove("KAFKA_HOME")
            .env_remove("BENCH_KAFKA_CLASSPATH")
            .output()
            .expect("it runs");
        assert!(!folder.path().join("stack").exists(), "what was made is gone");
        String::from_utf8(output.stdout).expect("text")
    };
    let says = |words: &str| {
        let complaint = complaint();
        assert!(complaint.contains(words) && complaint.contains("missing: true"), "{complaint}");
    };
    says("found no 'java' in PATH or JAVA_HOME; install Java 17 or later");
    program("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
    says("is Java 11; install Java 17 or later");
    program("java", "echo 'openjdk version \"21.0.2\" 2024-01-16' >&2");
    says("there is no 'mvn' in PATH; install Maven");
    program("mvn", "echo '[ERROR] Unknown host'; exit 1");
    says("mvn ended with exit code 1; Maven needs the network or a mirror");
    says("[ERROR] Unknown host");
    let left = fs::read_dir(folder.path().join("cache")).expect("the cache").count();
    assert_eq!(left, 0, "what was half fetched is gone");
}

/// Not a test but the process that the tests above start: brings a stack up in the folder named.
#[test]
#[ignore = "is started by other tests"]
fn driver() {
    let Some(dir) = std::env::var_os(DRIVER) else { return };
    let cache = Cache::from_environment().expect("a cache");
    if let Err(error) =
        Stack::up(SERVICES, Path::new(&dir), &cache, &StackOptions::of(["kafka"]), &mut |_| ())
    {
        panic!("{error} (missing: {})", error.is_missing());
    }
}

fn driver_in(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "local_kafka::driver", "--ignored"]).env(DRIVER, dir);
    command
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

fn client_file(kafka: &bench_testing::TestStack, name: &str) -> PathBuf {
    kafka.stack().dir().join(format!("kafka-{name}.properties"))
}

fn client_of_file(file: &Path) -> ClientConfig {
    let mut config = ClientConfig::new();
    for line in fs::read_to_string(file).expect("the file").lines() {
        let (key, value) = line.split_once('=').expect("a setting");
        config.set(key, value);
    }
    config
}

fn metadata(config: &ClientConfig) -> Result<rdkafka::metadata::Metadata, KafkaError> {
    let consumer: BaseConsumer = config.create().expect("a client");
    consumer.fetch_metadata(None, Duration::from_secs(3))
}

fn produce(config: &ClientConfig, topic: &str, payload: &str) {
    let producer: BaseProducer = config.create().expect("a producer");
    producer.send(BaseRecord::<(), str>::to(topic).payload(payload)).expect("queued");
    producer.flush(WAIT).expect("acknowledged");
}

/// The first `count` messages of a topic of one partition.
fn consume(config: &ClientConfig, topic: &str, count: usize) -> Vec<String> {
    let mut config = config.clone();
    config.set("group.id", topic).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer.subscribe(&[topic]).expect("subscribed");
    let deadline = Instant::now() + WAIT;
    let mut payloads = Vec::new();
    while payloads.len() < count {
        assert!(Instant::now() < deadline, "only {payloads:?} in {topic}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let payload = message.payload_view::<str>().expect("a payload").expect("text");
            payloads.push(payload.to_owned());
        }
    }
    payloads
}

fn state(stack: &Stack) -> ProcessState {
    stack.nodes()[0].state
}

/// No process and no data, wherever it was broken off.
fn assert_gone(dir: &Path) {
    assert_eq!(members(dir), Vec::<String>::new());
    for name in ["stack.json", "stack.json.new", "data", "secrets", "tmp"] {
        assert!(!dir.join(name).exists(), "{name}");
    }
}

/// The command lines of the processes of a stack.
fn members(dir: &Path) -> Vec<String> {
    let mark = format!("{MEMBER_VARIABLE}={}", dir.display());
    let read = |path: PathBuf| {
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes
        .filter(|process| read(process.path().join("environ")).split('\0').any(|it| it == mark))
        .map(|process| read(process.path().join("cmdline")))
        .collect()
}
