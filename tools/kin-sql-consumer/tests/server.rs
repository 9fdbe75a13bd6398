//! The tool as a user runs it, on `MySQL` of this machine.

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
fn what_has_landed_is_measured_and_audited() {
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

    let said = consumer.run(&["--run", "0000c0ffee", "--output", "json"]);
    let json = said.json();
    let version = json["services"][0]["version"].as_str().expect("text");
    assert!(version.contains("innodb_flush_log_at_trx_commit=1"), "{version}");
    let (_, rest) = text.rsplit_once('@').expect("a user");
    assert_eq!(json["options"]["mysql-url"], rest, "without user and password");
}

#[test]
fn an_interrupt_while_connecting_ends_it_at_once() {
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
        let said = consumer.run(arguments);
        assert!(!said.stderr.contains("hush") && !said.stdout.contains("hush"), "{said:?}");
    }
    let consumer = Consumer { environment: Vec::new(), ..consumer };
    let said = consumer.run(&["-n", "5"]);
    assert!(said.code == 2 && said.stderr.contains("MYSQL_URL"), "{said:?}");
}
