//! The tool as a user runs it, on `DynamoDB` embedded in the test and on `MySQL` of this
//! machine.

use bench_services::embedded::dynamodb::serve_in_background;
use bench_services::local::{Service, StackOptions};
use bench_testing::tool::{Place, Said};
use mysql_async::prelude::Queryable as _;

/// Runs the tool with none of the caller's settings but these. Whatever it asks is answered with
/// yes, though by nobody at a terminal.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> Said {
    let place = Place::new(env!("CARGO_BIN_EXE_table-reset"));
    let mut command = place.command("");
    command.envs(environment.iter().copied()).args(arguments);
    Said::of_input(command, "y\n")
}

fn aws(endpoint_url: &str) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint_url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
    ]
}

#[test]
fn tables_of_dynamodb_are_created_emptied_and_deleted() {
    let server = serve_in_background().expect("it serves");
    let environment = aws(server.endpoint_url());
    round(&environment, "dynamodb");
}

#[test]
fn tables_of_mysql_are_created_emptied_and_deleted() {
    let options = StackOptions::of([Service::Mysql]);
    let Some(stack) = bench_testing::local("resetting tables of MySQL", &options) else { return };
    let url = stack.variable("MYSQL_URL");
    let environment = [("MYSQL_URL", url)];
    round(&environment, "mysql");
    foreign(url, &environment);
}

fn round(environment: &[(&str, &str)], system: &str) {
    let said = run(environment, &[system]);
    assert_eq!(said.code, 0, "nothing is deleted, so nothing is asked: {said:?}");
    for table in ["benchmark_kafka", "benchmark_kinesis"] {
        assert!(said.stdout.contains(table), "{said:?}");
    }
    assert_eq!(said.stdout.matches("  created\n").count(), 2, "{said:?}");

    let said = run(environment, &[system, "--table", "benchmark_kafka"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("delete and create anew"), "it says what it would do: {said:?}");
    assert!(said.stderr.contains("--yes: ") && said.stderr.contains("--dry-run"), "{said:?}");

    let said = run(environment, &[system, "--dry-run", "--action", "delete", "--output", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let json = said.json();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["tables"][0]["step"], "delete");
    assert_eq!(json["tables"][1]["existed"], true);

    let said = run(environment, &[system, "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.stdout.matches("deleted and created anew").count(), 2, "{said:?}");

    let said = run(environment, &[system, "--action", "create", "--table", "benchmark_kafka"]);
    assert!(said.code == 0 && said.stdout.ends_with("unchanged\n"), "{said:?}");

    let said = run(environment, &[system, "--yes", "--action", "delete", "--output", "csv"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("benchmark_kafka,true,0,\"deleted\""), "{said:?}");
    let said = run(environment, &[system, "--action", "delete"]);
    assert!(said.code == 0 && said.stdout.matches("unchanged").count() == 2, "{said:?}");
}

/// Tables of others are refused, also beside the benchmark's own.
fn foreign(url: &str, environment: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let count = |statement: &str| {
        let (url, statement) = (url.to_owned(), statement.to_owned());
        runtime.as_ref().expect("a runtime").block_on(async move {
            let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
            connection.query_drop(statement).await.expect("done");
            let count: Option<u64> =
                connection.query_first("SELECT COUNT(*) FROM orders").await.expect("counted");
            count
        })
    };
    assert_eq!(count("CREATE OR REPLACE TABLE orders (id INT) AS SELECT 17 AS id"), Some(1));
    let table = ["--table", "orders", "--table", "benchmark_kafka"];
    let said = run(environment, &[&["mysql", "--yes"][..], &table].concat());
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("'orders'") && said.stderr.contains("--force"), "{said:?}");
    assert_eq!((said.stdout.as_str(), count("DO 0")), ("", Some(1)), "nothing was done");
    let said = run(environment, &["mysql", "--dry-run", "--table", "orders"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stdout.contains("refuse"), "{said:?}");
    let said =
        run(environment, &["mysql", "--yes", "--force", "--action", "delete", "--table", "orders"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn without_a_service_the_options_are_named() {
    for (arguments, remedy) in [
        (vec!["dynamodb"], "--region"),
        (vec!["mysql"], "MYSQL_URL"),
        (vec![], "<SYSTEM>"),
        (vec!["mysql", "--mysql-url", "mysql://alice:hush@db"], "names no database"),
        (vec!["mysql", "--mysql-url", "mysql://alice:hush@db/x", "--write-units", "5"], "capacity"),
        (vec!["dynamodb", "--region", "x", "--table", "a"], "3 to 255"),
    ] {
        let said = run(&[], &arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(remedy), "{arguments:?}: {said:?}");
        assert!(!said.stderr.contains("hush"), "{said:?}");
    }
}

#[test]
fn a_service_that_is_not_there_fails_without_its_password() {
    let url = "mysql://alice:hush@127.0.0.1:1/bench";
    let said = run(&[("MYSQL_URL", url)], &["-vvv", "mysql", "--timeout", "1s"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("127.0.0.1:1/bench"), "{said:?}");
    assert!(!said.stderr.contains("hush"), "{said:?}");
    let said = run(&aws("http://127.0.0.1:1"), &["dynamodb", "--timeout", "1s"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr.contains("127.0.0.1:1") || said.stderr.contains("--endpoint-url"),
        "{said:?}"
    );
    assert!(!said.stderr.contains("hush"), "{said:?}");
}
