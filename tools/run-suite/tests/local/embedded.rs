//! Embedded services that outlive one tool, and a function that is fed from them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use bench_service_dynamodb::stand_in::KIND;
use bench_stack::{Cache, StackOptions};
use bench_stand_in::PROTOCOL;
use bench_testing::tool::until;

use crate::sandbox::{Sandbox, text_of};

/// The environment of a shell that uses the stack.
fn environment(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let run_suite = sandbox.command("");
    let output = Command::new("sh")
        .args(["-c", "eval \"$(\"$0\" services env --dir stack)\" && env"])
        .arg(run_suite.get_program())
        .current_dir(sandbox.path("work"))
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn credentials(environment: &BTreeMap<String, String>) -> Credentials {
    let [key, secret] =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| environment[name].clone());
    Credentials::new(key, secret, None, None, "the stack")
}

fn kinesis(environment: &BTreeMap<String, String>) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .endpoint_url(&environment["AWS_ENDPOINT_URL_KINESIS"])
        .region(aws_sdk_kinesis::config::Region::new(environment["AWS_REGION"].clone()))
        .credentials_provider(credentials(environment));
    aws_sdk_kinesis::Client::from_conf(config.build())
}

fn dynamodb(environment: &BTreeMap<String, String>) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&environment["AWS_ENDPOINT_URL_DYNAMODB"])
        .region(Region::new(environment["AWS_REGION"].clone()))
        .credentials_provider(credentials(environment));
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn embedded_services_outlive_tools() {
    let options = StackOptions::of(["kinesis", "dynamodb"]);
    let Some(sandbox) = Sandbox::with("embedded services", &options, &[]) else { return };
    let listed = sandbox.succeed("services up kinesis dynamodb --dir stack --kinesis-limits none");
    assert!(listed.contains("ferrokinesis") && listed.contains("dynoxide"), "{listed}");
    let environment = environment(&sandbox);
    assert!(environment["BENCH_STACK"].ends_with("stack"));
    block_on(async {
        let kinesis = kinesis(&environment);
        kinesis.create_stream().stream_name("s").shard_count(1).send().await.expect("created");
        let listed = kinesis.list_streams().send().await.expect("listed");
        assert_eq!(listed.stream_names, ["s"]);
        let tables = dynamodb(&environment).list_tables().send().await.expect("listed");
        assert!(tables.table_names().is_empty());
    });
    sandbox.succeed("services up kinesis --dir stack --kinesis-limits none");
    let other = sandbox.run("services up kinesis --dir stack");
    assert_eq!(other.status.code(), Some(2), "{}", text_of(&other));
    assert!(text_of(&other).contains("other limits"), "{}", text_of(&other));
    sandbox.succeed("services down --dir stack");
    sandbox.assert_clean();
}

#[test]
fn embedded_s3_needs_no_installation() {
    let options = StackOptions::of([]).with("s3", "server", "embedded");
    let Some(sandbox) = Sandbox::with("an embedded S3", &options, &[]) else { return };
    let listed = sandbox.succeed("services up s3 --dir stack --s3-server embedded");
    assert!(listed.contains("s3s 0.14.1, no fsync"), "{listed}");
    let environment = environment(&sandbox);
    assert_eq!(environment["BENCH_S3_BUCKET"], "bench");
    assert!(environment["AWS_ENDPOINT_URL_S3"].starts_with("http://127.0.0.1:"));
    sandbox.succeed("services down --dir stack");
    sandbox.assert_clean();
}

#[test]
fn machines_without_go_get_the_embedded_s3() {
    let options = StackOptions::of(["s3"]);
    let test = "an S3 server without Go";
    let Some(sandbox) = Sandbox::with(test, &options, &[]) else { return };
    // These are searched as well as `PATH`.
    let dirs = ["/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(Path::new);
    let programs = ["go", "minio", "versitygw"];
    if dirs.iter().any(|dir| programs.iter().any(|program| dir.join(program).exists())) {
        bench_testing::skip(test, "Go or an S3 server is installed on this machine");
        return;
    }
    let without = |arguments: &str| {
        let mut command = sandbox.command(arguments);
        command.env("PATH", sandbox.path("home")).env(Cache::VARIABLE, sandbox.path("work/cache"));
        let output = command.env_remove("BENCH_VERSITYGW").env_remove("BENCH_MINIO").output();
        output.expect("run-suite starts")
    };
    let output = without("services up s3 --dir stack");
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("s3s 0.14.1"), "{}", text_of(&output));
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warned.contains("a stand-in") && warned.contains("Go"), "{warned}");
    without("services down --dir stack");
    let asked_for = without("services up s3 --dir stack --s3-server versitygw");
    assert_eq!(asked_for.status.code(), Some(1), "{}", text_of(&asked_for));
    assert!(text_of(&asked_for).contains("install Go"), "{}", text_of(&asked_for));
    sandbox.assert_clean();
}

#[test]
fn functions_land_streams_in_tables() {
    let options = StackOptions::of(["kin-lambda"]);
    let Some(sandbox) = Sandbox::with("kin-lambda", &options, &["kin-lambda"]) else { return };
    let up = "services up kin-lambda --dir stack --set kin-lambda.stream=s \
              --set kin-lambda.table=rows --set kin-lambda.batch-size=7";
    let listed = sandbox.succeed(up);
    for name in ["kinesis", "dynamodb", "kin-lambda", "stream s"] {
        assert!(listed.contains(name), "{listed}");
    }
    let environment = environment(&sandbox);
    let (kinesis, dynamodb) = (kinesis(&environment), dynamodb(&environment));
    block_on(async {
        kinesis.create_stream().stream_name("s").shard_count(2).send().await.expect("created");
        for (number, wanted) in [(1, 1), (2, 2)] {
            put(&kinesis, number).await;
            wait_for_rows(&dynamodb, wanted).await;
            if number == 1 {
                // Feeding continues after the first record.
                sandbox.succeed("services status --dir stack");
                let mapping = sandbox.path("work").join("stack/data/kin-lambda/mapping.json");
                let report = fs::read_to_string(mapping).expect("a report");
                let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
                assert_eq!(report["settings"]["batch-size"], 7, "{report}");
            }
        }
    });
    let logs = sandbox.succeed("services logs kin-lambda --dir stack");
    assert!(logs.contains("reading"), "{logs}");
    sandbox.succeed("services down --dir stack");
    sandbox.assert_clean();
}

/// Puts a record once the stream accepts it.
async fn put(kinesis: &aws_sdk_kinesis::Client, number: u32) {
    let deadline = Instant::now() + Duration::from_mins(1);
    let put = || {
        let put = kinesis.put_record().stream_name("s").partition_key(number.to_string());
        put.data(Blob::new(format!("record {number}"))).send()
    };
    while let Err(error) = put().await {
        assert!(Instant::now() < deadline, "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the table exists and has this number of rows.
async fn wait_for_rows(dynamodb: &aws_sdk_dynamodb::Client, wanted: usize) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let found = dynamodb.scan().table_name("rows").send().await;
        let rows = found.map_or(0, |found| {
            found.items().iter().filter(|item| item.contains_key("message")).count()
        });
        if rows == wanted {
            return;
        }
        assert!(rows < wanted && Instant::now() < deadline, "{rows} rows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn missing_programs_are_named_and_the_rest_starts() {
    let options = StackOptions::of(["kinesis"]);
    let Some(sandbox) = Sandbox::with("a missing server", &options, &[]) else { return };
    let mysql = program(&sandbox, "mariadbd", "echo no such library >&2; exit 127");
    let run = |arguments: &str| {
        sandbox.command(arguments).env("BENCH_MARIADBD", &mysql).output().expect("run-suite starts")
    };
    let output = run("services up kinesis,mysql --dir stack");
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(text_of(&output).contains("mysql is left out: "), "{}", text_of(&output));
    assert!(text_of(&output).contains("no such library"), "{}", text_of(&output));
    assert!(sandbox.succeed("services status --dir stack").contains("kinesis"));
    let output = run("services up mysql --dir other");
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(!sandbox.path("work").join("other").exists());
    sandbox.succeed("services down --dir stack");
    sandbox.assert_clean();
}

/// A script stands in for Java: this tests how it is found, started and checked.
#[test]
fn installed_dynamodb_local_is_used() {
    let options = StackOptions::of(["kinesis"]);
    let Some(sandbox) = Sandbox::with("DynamoDB Local", &options, &[]) else { return };
    let stand_in = KIND.find_program().expect("built");
    let stand_in = stand_in.display();
    let script = format!(
        "case \"$*\" in\n\
         '-XX:-UsePerfData -version') echo 'openjdk version \"17.0.1\"' >&2;;\n\
         *'DynamoDBLocal.jar -version') echo 'Version: 9.8.7';;\n\
         *'-jar '*'/DynamoDBLocal.jar -inMemory '*)\n\
         while [ \"$1\" != -port ]; do shift; done\n\
         exec '{stand_in}' {PROTOCOL} \"{{\\\"port\\\":$2}}\";;\n\
         *) echo \"java was told $*\" >&2; exit 1;;\nesac"
    );
    let java = program(&sandbox, "bin/java", &script);
    let java_home = java.ancestors().nth(2).expect("above bin");
    let home = sandbox.path("work").join("dynamodb_local");
    fs::create_dir_all(&home).expect("created");
    let up = |arguments: &str, named: &Path| {
        let mut command = sandbox.command(arguments);
        command.env("JAVA_HOME", java_home).env("DYNAMODB_LOCAL_HOME", named);
        command.output().expect("run-suite starts")
    };
    let output = up("services up dynamodb --dir stack", &home);
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("holds no DynamoDBLocal.jar"), "{}", text_of(&output));

    fs::write(home.join("DynamoDBLocal.jar"), "").expect("written");
    let output = up("services up dynamodb --dir stack", &home);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    assert!(text_of(&output).contains("DynamoDB Local 9.8.7"), "{}", text_of(&output));
    let tables = dynamodb(&environment(&sandbox)).list_tables();
    assert!(block_on(tables.send()).expect("listed").table_names().is_empty());
    sandbox.succeed("services down --dir stack");
    // The option takes precedence over the environment.
    let output =
        up("services up dynamodb --dir stack --dynamodb-local dynamodb_local", Path::new("/"));
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    sandbox.succeed("services down --dir stack");
    until("all processes have ended", || sandbox.processes().is_empty());
    sandbox.assert_clean();
}

/// Writes a program into a folder of its own.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    let path = sandbox.path("work").join("programs").join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    path
}
