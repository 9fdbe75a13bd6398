//! The tool as a user runs it, on `DynamoDB` embedded in the test and on `MySQL` of this
//! machine.

use bench_stack::StackOptions;
use bench_testing::Silent;
use bench_testing::tool::{Place, Said};
use embedded_dynamodb::serve_in_background;
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

/// A table of the name with other columns is named by them, and stays.
fn other_columns(url: &str, environment: &[(&str, &str)]) {
    statement(url, "CREATE TABLE theirs (run INT NOT NULL, who INT NOT NULL, message MEDIUMBLOB)");
    let arguments = ["mysql", "--yes", "--action", "create", "--table", "theirs"];
    let said = run(environment, &arguments);
    assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
    for part in [
        "'theirs' is not a landing table",
        "its column 'run' is int",
        "it has no column 'sequence'",
        "it has a column 'who', which must not be left out",
        "use another --table",
    ] {
        assert!(said.stderr.contains(part), "{part}: {said:?}");
    }
    // Nothing was created beside it.
    statement(url, "CREATE TABLE theirs_confirmed (id INT)");
    statement(url, "DROP TABLE theirs, theirs_confirmed");
}

fn without_tls(url: &str) {
    let url = format!("{url}?require_ssl=true");
    let said = run(&[("MYSQL_URL", &url)], &["mysql", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("requires TLS, and the server offers none"), "{said:?}");
    assert!(said.stderr.contains("take require_ssl out of MYSQL_URL"), "{said:?}");
}

fn statement(url: &str, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut connection = mysql_async::Conn::from_url(url).await.expect("connected");
        connection.query_drop(statement).await.expect("done");
    });
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

/// Runs statements one after the other; the first column of what the last one answers.
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

/// What is no plain table of ours is refused before anything is done to any table, and is what it
/// was afterwards.
fn obstacles(url: &str, environment: &[(&str, &str)]) {
    const MARKED: &str = "COMMENT='stream-benchmark: landed messages'";
    let kinds = "SELECT CONCAT(TABLE_NAME, ' ', TABLE_TYPE, ' ', COALESCE(CREATE_OPTIONS, '')) \
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
    let marked = |columns: &str, rest: &str| format!("CREATE TABLE t ({columns}) {MARKED} {rest}");
    let plain = marked("id INT", "");
    let view = "CREATE VIEW t AS SELECT * FROM base";
    let trigger = "CREATE TRIGGER watch BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1";
    let key = "CREATE TABLE other (id INT, FOREIGN KEY (id) REFERENCES t (id))";
    // What is made, what is told of it, and whether it yields to --force.
    let cases: [(&[&str], &str, bool); 8] = [
        (&["CREATE TABLE base (id INT)", view], "'t' is a view", false),
        (&["CREATE SEQUENCE t"], "'t' is a sequence", false),
        (&[&marked("id INT PRIMARY KEY", ""), key], "'t' is referred to by a foreign key", false),
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
                let said = run(environment, &[&line[..], force].concat());
                assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{told}: {said:?}");
                assert!(said.stderr.contains(told), "{told}: {said:?}");
                assert_eq!(said.stderr.contains("--force"), yields, "{told}: {said:?}");
                assert_eq!(query(url, &[kinds]), before, "{told}: nothing was done");
            }
        }
        if yields {
            let said = run(environment, &["mysql", "--yes", "--force", "--table", "t"]);
            assert_eq!(said.code, 0, "{told}: {said:?}");
            assert!(said.stdout.contains("deleted and created anew"), "{told}: {said:?}");
            let after = query(url, &[kinds]);
            assert!(after.contains(&"t BASE TABLE ".to_owned()), "{told}: {after:?}");
            assert!(after.contains(&"t_confirmed BASE TABLE ".to_owned()), "{told}: {after:?}");
            assert_eq!(query(url, &["SHOW TRIGGERS"]), [""; 0], "{told}");
        }
    }
    let view = query(url, &[clean, &["CREATE TABLE base (id INT)", view, kinds]].concat());
    let said = run(environment, &["mysql", "--table", "t", "--action", "create"]);
    assert_eq!(said.code, 2, "a view is not as it should be: {said:?}");
    assert_eq!(query(url, &[kinds]), view);
    query(url, clean);
}

/// A table and that of its confirmations belong together, whichever of them is there.
fn halves(url: &str, environment: &[(&str, &str)]) {
    let tables = "SHOW TABLES LIKE 'h%'";
    let both = ["h", "h_confirmed"];
    let create = ["mysql", "--table", "h", "--action", "create"];
    for missing in both {
        assert_eq!(run(environment, &create).code, 0);
        query(url, &[&format!("DROP TABLE {missing}")]);
        let said = run(environment, &create);
        assert!(said.code == 0 && said.stdout.ends_with("created\n"), "{said:?}");
        assert_eq!(query(url, &[tables]), both);
    }
    let said = run(environment, &["mysql", "--yes", "--table", "h_confirmed"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("holds confirmations of another"), "{said:?}");
    query(url, &["DROP TABLE h"]);
    let said = run(environment, &["mysql", "--yes", "--table", "h", "--action", "delete"]);
    assert!(said.code == 0 && said.stdout.ends_with("deleted\n"), "{said:?}");
    assert_eq!(query(url, &[tables]), [""; 0]);
}

/// Where the server tells names in capitals apart, so does the tool.
fn names_in_another_case(url: &str, environment: &[(&str, &str)]) {
    let is_one = query(url, &["SELECT CAST(@@lower_case_table_names AS CHAR)"]) != ["0"];
    let create = |table: &str| ["mysql", "--table", table, "--action", "create"].map(str::to_owned);
    let run =
        |line: &[String]| run(environment, &line.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(run(&create("cased")).code, 0);
    let said = run(&create("CASED"));
    assert_eq!(said.stdout.ends_with("unchanged\n"), is_one, "{said:?}");
    let line = ["mysql", "--yes", "--action", "delete", "--table", "CASED"].map(str::to_owned);
    let said = run(&line);
    assert!(said.code == 0 && said.stdout.ends_with("deleted\n"), "{said:?}");
    let left = query(url, &["SHOW TABLES LIKE 'cased'"]);
    assert_eq!(left.is_empty(), is_one, "{left:?}");
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

/// The tool, told to wait for an hour for what does not answer.
fn waiting(environment: &[(&str, &str)], arguments: &str) -> std::process::Command {
    let place = Place::new(env!("CARGO_BIN_EXE_table-reset"));
    let mut command = place.command(&format!("{arguments} --timeout 1h"));
    command.current_dir(std::env::temp_dir()).envs(environment.iter().copied());
    command
}

#[test]
fn an_interrupt_while_connecting_ends_it_at_once() {
    let silents = [Some(Silent::new()), Silent::with_ipv6()];
    for silent in silents.into_iter().flatten() {
        let said = silent.interrupt(waiting(&aws(&silent.url()), "dynamodb"));
        assert_eq!((said.code, said.stdout.as_str()), (130, ""), "{said:?}");
        assert!(said.stderr.contains("so that nothing was changed"), "{said:?}");
        let url = format!("mysql://u:hush@{}/bench", silent.address());
        let said = silent.interrupt(waiting(&[("MYSQL_URL", &url)], "mysql"));
        assert_eq!((said.code, said.stdout.as_str()), (130, ""), "{said:?}");
        assert!(said.stderr.contains("so that nothing was changed"), "{said:?}");
    }
}

#[test]
fn bad_addresses_are_refused_before_connecting() {
    for (url, remedy) in [
        ("127.0.0.1:8000", "write http://127.0.0.1:8000"),
        ("localhost:8000", "write http://localhost:8000"),
        ("http://127.0.0.1:99999", "from 1 to 65535"),
        ("http://:8000", "names no host"),
        ("ftp://127.0.0.1", "neither http nor https"),
        ("http://::1:8000", "in brackets"),
    ] {
        let said = run(&aws(url), &["dynamodb", "--yes"]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{url}: {said:?}");
        assert!(said.stderr.contains("AWS_ENDPOINT_URL_DYNAMODB: "), "{url}: {said:?}");
        assert!(said.stderr.contains(remedy), "{url}: {said:?}");
    }
    for (url, remedy) in [
        ("mysql://u:hush@[::1/bench", "in brackets"),
        ("mysql://u:hush@::1:3306/bench", "in brackets"),
        ("mysql://u:hush@127.0.0.1:99999/bench", "from 1 to 65535"),
        ("mysql://u:hush@/bench", "names no host"),
        ("http://u:hush@127.0.0.1/bench", "mysql://"),
        ("mysql://u:hu/sh@127.0.0.1/bench", "write it as %2F"),
        ("mysql://u:hu#sh@127.0.0.1/bench", "write it as %23"),
    ] {
        let said = run(&[("MYSQL_URL", url)], &["mysql", "--yes"]);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{url}: {said:?}");
        assert!(said.stderr.contains(remedy) && !said.stderr.contains("hu"), "{url}: {said:?}");
    }
    let no_region = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let said = run(&[&no_region[..], &[("AWS_PROFILE", "x")]].concat(), &["dynamodb", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.stderr.contains("--region: no region is named"), "{said:?}");
}

#[test]
fn who_does_not_answer_as_a_service_is_named_in_a_sentence() {
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
        (web.as_str(), "the answer is not that of the service (status 404)", "--endpoint-url"),
        (tls.as_str(), "does not speak TLS", "http:// in --endpoint-url"),
        (closed, "connection refused", "--endpoint-url"),
    ] {
        let said = run(&aws(url), &["dynamodb", "--yes", "--timeout", "2s"]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{url}: {said:?}");
        assert!(said.stderr.contains(reason) && said.stderr.contains(remedy), "{url}: {said:?}");
        assert!(!said.stderr.contains("html") && !said.stderr.contains("os error"), "{said:?}");
        assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    }
    let mysql = [format!("mysql://u:hush@{address}/b"), "mysql://u:hush@127.0.0.1:1/b".to_owned()];
    for (url, reason) in mysql.iter().zip(["does not speak MySQL", "connection refused"]) {
        let said = run(&[("MYSQL_URL", url)], &["mysql", "--yes", "--timeout", "2s"]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{url}: {said:?}");
        assert!(said.stderr.contains(reason), "{url}: {said:?}");
        assert!(said.stderr.contains("in MYSQL_URL") && !said.stderr.contains("hush"), "{said:?}");
    }
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
