//! The tool as a user runs it, with `DynamoDB` embedded in the test and `MySQL` on this machine.

use bench_stack::StackOptions;
use bench_testing::Silent;
use bench_testing::tool::{Sandbox, ToolOutput};
use embedded_dynamodb::serve_in_background;
use mysql_async::prelude::Queryable as _;

/// Runs the tool with only these of the caller's settings. Questions are answered with yes on
/// standard input, which is not a terminal.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> ToolOutput {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_table-reset"));
    let mut command = sandbox.command("");
    command.envs(environment.iter().copied()).args(arguments);
    ToolOutput::of_input(command, "y\n")
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
fn dynamodb_tables_are_created_emptied_deleted() {
    let server = serve_in_background().expect("a server");
    let environment = aws(server.endpoint_url());
    round(&environment, "dynamodb");
}

#[test]
fn mysql_tables_are_created_emptied_deleted() {
    let options = StackOptions::of(["mysql"]);
    let Some(stack) = bench_testing::local("resetting tables of MySQL", &options) else { return };
    let url = stack.variable("MYSQL_URL");
    let environment = [("MYSQL_URL", url)];
    round(&environment, "mysql");
    foreign(url, &environment);
    obstacles(url, &environment);
    halves(url, &environment);
    names_in_another_case(url, &environment);
    other_columns(url, &environment);
    without_tls(url);
}

/// A table with other columns is refused with the differences, and stays.
fn other_columns(url: &str, environment: &[(&str, &str)]) {
    statement(url, "CREATE TABLE theirs (run INT NOT NULL, who INT NOT NULL, message MEDIUMBLOB)");
    let arguments = ["mysql", "--yes", "--action", "create", "--table", "theirs"];
    let output = run(environment, &arguments);
    assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{output:?}");
    for part in [
        "'theirs' is not a landing table",
        "its column 'run' has type int",
        "it has no column 'sequence'",
        "it has an additional column 'who' that requires a value",
        "use another --table",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
    // No table was created next to it.
    statement(url, "CREATE TABLE theirs_confirmed (id INT)");
    statement(url, "DROP TABLE theirs, theirs_confirmed");
}

fn without_tls(url: &str) {
    let url = format!("{url}?require_ssl=true");
    let output = run(&[("MYSQL_URL", &url)], &["mysql", "--yes"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("requires TLS, but the server does not offer it"), "{output:?}");
    assert!(output.stderr.contains("remove require_ssl from MYSQL_URL"), "{output:?}");
}

fn statement(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
        connection.query_drop(statement).await.expect("done");
    });
}

fn round(environment: &[(&str, &str)], system: &str) {
    let output = run(environment, &[system]);
    assert_eq!(output.code, 0, "nothing is deleted, so nothing is asked: {output:?}");
    for table in ["benchmark_kafka", "benchmark_kinesis"] {
        assert!(output.stdout.contains(table), "{output:?}");
    }
    assert_eq!(output.stdout.matches("  created\n").count(), 2, "{output:?}");

    let output = run(environment, &[system, "--table", "benchmark_kafka"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("delete and recreate"), "the plan is shown: {output:?}");
    assert!(output.stderr.contains("--yes: ") && output.stderr.contains("--dry-run"), "{output:?}");

    let output = run(environment, &[system, "--dry-run", "--action", "delete", "--output", "json"]);
    assert_eq!(output.code, 0, "{output:?}");
    let json = output.json();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["tables"][0]["step"], "delete");
    assert_eq!(json["tables"][1]["existed"], true);

    let output = run(environment, &[system, "--yes"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout.matches("deleted and recreated").count(), 2, "{output:?}");

    let output = run(environment, &[system, "--action", "create", "--table", "benchmark_kafka"]);
    assert!(output.code == 0 && output.stdout.ends_with("unchanged\n"), "{output:?}");

    let output = run(environment, &[system, "--yes", "--action", "delete", "--output", "csv"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("benchmark_kafka,true,0,deleted\n"), "{output:?}");
    let output = run(environment, &[system, "--action", "delete"]);
    assert!(output.code == 0 && output.stdout.matches("unchanged").count() == 2, "{output:?}");
}

/// Runs statements in order; returns the first column of the last result.
fn query(url: &str, statements: &[&str]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
        let mut rows = Vec::new();
        for statement in statements {
            let answer: Vec<mysql_async::Row> =
                connection.query(*statement).await.expect(statement);
            rows = answer;
        }
        rows.iter().map(|row| row.get(0).expect("a text")).collect()
    })
}

/// Anything that is not a plain table of ours is refused before any table is changed, and stays as
/// it was.
fn obstacles(url: &str, environment: &[(&str, &str)]) {
    const MARKED: &str = "COMMENT='stream-benchmark: landed messages'";
    let kinds = "SELECT CONCAT(TABLE_NAME, ' ', TABLE_TYPE, ' ', COALESCE(CREATE_OPTIONS, '')) \
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
    let marked = |columns: &str, rest: &str| format!("CREATE TABLE t ({columns}) {MARKED} {rest}");
    let plain = marked("id INT", "");
    let view = "CREATE VIEW t AS SELECT * FROM base";
    let trigger = "CREATE TRIGGER watch BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1";
    let key = "CREATE TABLE other (id INT, FOREIGN KEY (id) REFERENCES t (id))";
    // The statements, the expected reason, and whether --force overcomes it.
    let cases: [(&[&str], &str, bool); 8] = [
        (&["CREATE TABLE base (id INT)", view], "'t' is a view", false),
        (&["CREATE SEQUENCE t"], "'t' is a sequence", false),
        (&[&marked("id INT PRIMARY KEY", ""), key], "'t' is referenced by a foreign key", false),
        (
            &[&plain, "CREATE VIEW t_confirmed AS SELECT * FROM t"],
            "'t_confirmed', which is a view",
            false,
        ),
        (&[&plain, "CREATE TABLE t_confirmed (id INT)"], "'t' was not created by this", true),
        (&[&plain, trigger], "'t' has the trigger 'watch'", true),
        (&[&marked("id INT", "PARTITION BY HASH (id) PARTITIONS 2")], "'t' is partitioned", true),
        (&[&marked("id INT", "WITH SYSTEM VERSIONING")], "'t' keeps the history", true),
    ];
    let clean: &[&str] = &[
        "DROP VIEW IF EXISTS t, t_confirmed",
        "DROP SEQUENCE IF EXISTS t",
        "DROP TABLE IF EXISTS other, t, t_confirmed, base",
    ];
    for (made, told, yields) in cases {
        let before = query(url, &[clean, made, &[kinds]].concat());
        for action in ["recreate", "delete"] {
            for force in [&[][..], &["--force"]] {
                if yields && !force.is_empty() {
                    continue;
                }
                let line =
                    ["mysql", "--yes", "--table", "mine", "--table", "t", "--action", action];
                let output = run(environment, &[&line[..], force].concat());
                assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{told}: {output:?}");
                assert!(output.stderr.contains(told), "{told}: {output:?}");
                assert_eq!(output.stderr.contains("--force"), yields, "{told}: {output:?}");
                assert_eq!(query(url, &[kinds]), before, "{told}: nothing was done");
            }
        }
        if yields {
            let output = run(environment, &["mysql", "--yes", "--force", "--table", "t"]);
            assert_eq!(output.code, 0, "{told}: {output:?}");
            assert!(output.stdout.contains("deleted and recreated"), "{told}: {output:?}");
            let after = query(url, &[kinds]);
            assert!(after.contains(&"t BASE TABLE ".to_owned()), "{told}: {after:?}");
            assert!(after.contains(&"t_confirmed BASE TABLE ".to_owned()), "{told}: {after:?}");
            assert_eq!(query(url, &["SHOW TRIGGERS"]), [""; 0], "{told}");
        }
    }
    let view = query(url, &[clean, &["CREATE TABLE base (id INT)", view, kinds]].concat());
    let output = run(environment, &["mysql", "--table", "t", "--action", "create"]);
    assert_eq!(output.code, 2, "a view is not a table: {output:?}");
    assert_eq!(query(url, &[kinds]), view);
    query(url, clean);
}

/// A table and its table of confirmations belong together, whichever of them exists.
fn halves(url: &str, environment: &[(&str, &str)]) {
    let tables = "SHOW TABLES LIKE 'h%'";
    let both = ["h", "h_confirmed"];
    let create = ["mysql", "--table", "h", "--action", "create"];
    for missing in both {
        assert_eq!(run(environment, &create).code, 0);
        query(url, &[&format!("DROP TABLE {missing}")]);
        let output = run(environment, &create);
        assert!(output.code == 0 && output.stdout.ends_with("created\n"), "{output:?}");
        assert_eq!(query(url, &[tables]), both);
    }
    let output = run(environment, &["mysql", "--yes", "--table", "h_confirmed"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("holds another table's confirmations"), "{output:?}");
    query(url, &["DROP TABLE h"]);
    let output = run(environment, &["mysql", "--yes", "--table", "h", "--action", "delete"]);
    assert!(output.code == 0 && output.stdout.ends_with("deleted\n"), "{output:?}");
    assert_eq!(query(url, &[tables]), [""; 0]);
}

/// The tool treats names as case-sensitive where the server does.
fn names_in_another_case(url: &str, environment: &[(&str, &str)]) {
    let is_one = query(url, &["SELECT CAST(@@lower_case_table_names AS CHAR)"]) != ["0"];
    let create = |table: &str| ["mysql", "--table", table, "--action", "create"].map(str::to_owned);
    let run =
        |line: &[String]| run(environment, &line.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run(&create("cased")).code, 0);
    let output = run(&create("CASED"));
    assert_eq!(output.stdout.ends_with("unchanged\n"), is_one, "{output:?}");
    let line = ["mysql", "--yes", "--action", "delete", "--table", "CASED"].map(str::to_owned);
    let output = run(&line);
    assert!(output.code == 0 && output.stdout.ends_with("deleted\n"), "{output:?}");
    let left = query(url, &["SHOW TABLES LIKE 'cased'"]);
    assert_eq!(left.is_empty(), is_one, "{left:?}");
}

/// Foreign tables are refused, also next to the benchmark's own.
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
    let output = run(environment, &[&["mysql", "--yes"][..], &table].concat());
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("'orders'") && output.stderr.contains("--force"), "{output:?}");
    assert_eq!((output.stdout.as_str(), count("DO 0")), ("", Some(1)), "nothing was done");
    let output = run(environment, &["mysql", "--dry-run", "--table", "orders"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stdout.contains("refuse"), "{output:?}");
    let output =
        run(environment, &["mysql", "--yes", "--force", "--action", "delete", "--table", "orders"]);
    assert_eq!(output.code, 0, "{output:?}");
}

/// The tool, waiting up to an hour for an unresponsive service.
fn waiting(environment: &[(&str, &str)], arguments: &str) -> std::process::Command {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_table-reset"));
    let mut command = sandbox.command(&format!("{arguments} --timeout 1h"));
    command.current_dir(std::env::temp_dir()).envs(environment.iter().copied());
    command
}

#[test]
fn interrupts_end_connecting_at_once() {
    let silents = [Some(Silent::new()), Silent::with_ipv6()];
    for silent in silents.into_iter().flatten() {
        let output = silent.interrupt(waiting(&aws(&silent.url()), "dynamodb"));
        assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
        assert!(output.stderr.contains("nothing was changed"), "{output:?}");
        let url = format!("mysql://u:hush@{}/bench", silent.address());
        let output = silent.interrupt(waiting(&[("MYSQL_URL", &url)], "mysql"));
        assert_eq!((output.code, output.stdout.as_str()), (130, ""), "{output:?}");
        assert!(output.stderr.contains("nothing was changed"), "{output:?}");
    }
}

#[test]
fn invalid_addresses_are_refused_before_connecting() {
    for (url, remedy) in [
        ("127.0.0.1:8000", "write http://127.0.0.1:8000"),
        ("localhost:8000", "write http://localhost:8000"),
        ("http://127.0.0.1:99999", "from 1 to 65535"),
        ("http://:8000", "has no host"),
        ("ftp://127.0.0.1", "neither http nor https"),
        ("http://::1:8000", "in brackets"),
    ] {
        let output = run(&aws(url), &["dynamodb", "--yes"]);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{url}: {output:?}");
        assert!(output.stderr.contains("AWS_ENDPOINT_URL_DYNAMODB: "), "{url}: {output:?}");
        assert!(output.stderr.contains(remedy), "{url}: {output:?}");
    }
    for (url, remedy) in [
        ("mysql://u:hush@[::1/bench", "in brackets"),
        ("mysql://u:hush@::1:3306/bench", "in brackets"),
        ("mysql://u:hush@127.0.0.1:99999/bench", "from 1 to 65535"),
        ("mysql://u:hush@/bench", "has no host"),
        ("http://u:hush@127.0.0.1/bench", "mysql://"),
        ("mysql://u:hu/sh@127.0.0.1/bench", "write it as %2F"),
        ("mysql://u:hu#sh@127.0.0.1/bench", "write it as %23"),
    ] {
        let output = run(&[("MYSQL_URL", url)], &["mysql", "--yes"]);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{url}: {output:?}");
        assert!(
            output.stderr.contains(remedy) && !output.stderr.contains("hu"),
            "{url}: {output:?}"
        );
    }
    let no_region = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let output = run(&[&no_region[..], &[("AWS_PROFILE", "x")]].concat(), &["dynamodb", "--yes"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(output.stderr.contains("--region: no region is set"), "{output:?}");
}

#[test]
fn foreign_services_are_reported_in_one_sentence() {
    use std::io::{Read as _, Write as _};
    let page = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 27\r\n\
                Connection: close\r\n\r\n<html><p>nothing</p></html>";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).expect("set");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(page.as_bytes());
        }
    });
    let (web, tls) = (format!("http://{address}"), format!("https://{address}"));
    let closed = "http://127.0.0.1:1";
    for (url, reason, remedy) in [
        (web.as_str(), "the answer did not come from the service (status 404)", "--endpoint-url"),
        (tls.as_str(), "does not speak TLS", "http:// in --endpoint-url"),
        (closed, "connection refused", "--endpoint-url"),
    ] {
        let output = run(&aws(url), &["dynamodb", "--yes", "--timeout", "2s"]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{url}: {output:?}");
        assert!(
            output.stderr.contains(reason) && output.stderr.contains(remedy),
            "{url}: {output:?}"
        );
        assert!(
            !output.stderr.contains("html") && !output.stderr.contains("os error"),
            "{output:?}"
        );
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
    let mysql = [format!("mysql://u:hush@{address}/b"), "mysql://u:hush@127.0.0.1:1/b".to_owned()];
    for (url, reason) in mysql.iter().zip(["does not speak MySQL", "connection refused"]) {
        let output = run(&[("MYSQL_URL", url)], &["mysql", "--yes", "--timeout", "2s"]);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{url}: {output:?}");
        assert!(output.stderr.contains(reason), "{url}: {output:?}");
        assert!(
            output.stderr.contains("in MYSQL_URL") && !output.stderr.contains("hush"),
            "{output:?}"
        );
    }
}

#[test]
fn missing_services_name_the_options() {
    for (arguments, remedy) in [
        (vec!["dynamodb"], "--region"),
        (vec!["mysql"], "MYSQL_URL"),
        (vec![], "<SYSTEM>"),
        (vec!["mysql", "--mysql-url", "mysql://alice:hush@db"], "has no database"),
        (
            vec!["mysql", "--mysql-url", "mysql://alice:hush@db/x", "--write-units", "5"],
            "remove it",
        ),
        (vec!["dynamodb", "--region", "x", "--table", "a"], "3 to 255"),
    ] {
        let output = run(&[], &arguments);
        assert_eq!(output.code, 2, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(remedy), "{arguments:?}: {output:?}");
        assert!(!output.stderr.contains("hush"), "{output:?}");
    }
}

#[test]
fn unreachable_services_hide_the_password() {
    let url = "mysql://alice:hush@127.0.0.1:1/bench";
    let output = run(&[("MYSQL_URL", url)], &["-vvv", "mysql", "--timeout", "1s"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("127.0.0.1:1/bench"), "{output:?}");
    assert!(!output.stderr.contains("hush"), "{output:?}");
    let output = run(&aws("http://127.0.0.1:1"), &["dynamodb", "--timeout", "1s"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(
        output.stderr.contains("127.0.0.1:1") || output.stderr.contains("--endpoint-url"),
        "{output:?}"
    );
    assert!(!output.stderr.contains("hush"), "{output:?}");
}
