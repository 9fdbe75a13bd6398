//! The tool as a user runs it, on a local `MySQL`.

#[path = "../../kin-db-consumer/tests/landed/mod.rs"]
mod landed;

use std::time::Duration;

use bench_core::clock::SystemClock;
use bench_stack::StackOptions;
use bench_tables::mysql::{MysqlAdmin, MysqlUrl, MysqlWriter};
use bench_tables::{KINESIS_TABLE, TableWriter, WriterOptions};
use bench_testing::Silent;
use landed::{Consumer, check, check_interrupt, runtime};

const TOOL: &str = env!("CARGO_BIN_EXE_kin-sql-consumer");

#[test]
fn landed_rows_are_measured_and_audited() {
    let options = StackOptions::of(["mysql"]);
    let Some(stack) = bench_testing::local("measuring rows of MySQL", &options) else { return };
    let text = stack.variable("MYSQL_URL");
    let url = MysqlUrl::parse(text).expect("an address");
    let runtime = runtime();
    let writer = runtime.block_on(async {
        let mut admin = MysqlAdmin::connect(&url, Duration::from_secs(10)).await.expect("up");
        admin.create(KINESIS_TABLE).await.expect("created");
        let (options, clock) = (WriterOptions::mysql(), SystemClock::new());
        MysqlWriter::connect(&url, KINESIS_TABLE, options, clock).await.expect("a writer")
    });
    let environment = vec![("MYSQL_URL".to_owned(), text.to_owned())];
    let consumer = Consumer { program: TOOL, environment };
    check(&consumer, &mut TableWriter::Mysql(writer), &runtime);

    let output = consumer.run(&["--run", "0000c0ffee", "--output", "json"]);
    let json = output.json();
    let version = json["services"][0]["version"].as_str().expect("text");
    assert!(version.contains("innodb_flush_log_at_trx_commit=1"), "{version}");
    let (_, rest) = text.rsplit_once('@').expect("a user");
    assert_eq!(json["options"]["mysql-url"], rest, "without user and password");
}

#[test]
fn interrupt_while_connecting_exits_at_once() {
    let silents = [Some(Silent::new()), Silent::with_ipv6()];
    for silent in silents.into_iter().flatten() {
        let url = format!("mysql://u:hush@{}/bench", silent.address());
        let environment = vec![("MYSQL_URL".to_owned(), url)];
        check_interrupt(&Consumer { program: TOOL, environment }, &silent);
    }
}

#[test]
fn passwords_are_never_shown() {
    let url = "mysql://alice:hush@127.0.0.1:1/bench".to_owned();
    let environment = vec![("MYSQL_URL".to_owned(), url)];
    let consumer = Consumer { program: TOOL, environment };
    for arguments in [&["-vvv", "-n", "5", "--timeout", "1s"][..], &["--help"]] {
        let output = consumer.run(arguments);
        assert!(!output.stderr.contains("hush") && !output.stdout.contains("hush"), "{output:?}");
    }
    let consumer = Consumer { environment: Vec::new(), ..consumer };
    let output = consumer.run(&["-n", "5"]);
    assert!(output.code == 2 && output.stderr.contains("MYSQL_URL"), "{output:?}");
}
