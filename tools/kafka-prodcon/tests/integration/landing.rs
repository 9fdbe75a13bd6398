//! Landing in a table: from the embedded broker to an embedded `DynamoDB` and a real `MariaDB`.

use std::time::{Duration, Instant};

use bench_record::{AuditSummary, RunDocument, ServiceOrigin, Status, Summary};
use bench_stack::StackOptions;
use bench_testing::TestStack;
use bench_testing::tool::{Sandbox, ToolOutput};
use mysql_async::prelude::Queryable as _;
use tokio::runtime::Runtime;

use crate::TOOL;

fn summary(document: &RunDocument) -> &Summary {
    document.summary.as_ref().expect("figures")
}

fn audit(document: &RunDocument) -> &AuditSummary {
    summary(document).audit.as_ref().expect("an audit")
}

/// Asserts that every message landed once, in order, and not before it was received.
fn assert_everything_landed(document: &RunDocument, messages: u64) {
    assert_eq!(document.status, Status::Complete);
    let audit = audit(document);
    assert_eq!((audit.received, audit.lost), (messages, 0), "{audit:?}");
    let troubles = [audit.duplicated, audit.reordered, audit.corrupt, audit.foreign];
    assert_eq!(troubles, [0; 4], "{audit:?}");
    let summary = summary(document);
    assert_eq!(summary.consumed.as_ref().expect("consumed").landed, messages);
    let received = summary.end_to_end_latency.as_ref().expect("end to end");
    let landed = summary.landing_latency.as_ref().expect("a landing latency");
    assert_eq!((received.count, landed.count), (messages, messages));
    assert!(landed.min_ns >= received.min_ns && landed.p50_ns >= received.p50_ns);
    let table_time = summary.table_time.as_ref().expect("a table time");
    assert!(table_time.count == messages && table_time.negative == 0 && table_time.min_ns > 0);
    assert!(summary.arrival_latency.is_none());
    assert_eq!(summary.counts["rows_failed"], 0);
}

#[test]
fn land_without_a_service_uses_embedded_dynamodb() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 5000 -r 300 -c 2 -db dynamodb");
    assert_eq!(output.code, 0, "{output:?}");
    for line in ["dynamodb: embedded (dynoxide", "  landed ", "  landing latency", "  table time"] {
        assert!(output.stdout.contains(line), "{line}: {output:?}");
    }
    assert!(output.stdout.contains("5,000 acked, 5,000 landed, 0 lost"), "{output:?}");
    let document = sandbox.document("results");
    assert_everything_landed(&document, 5_000);
    assert_eq!(sandbox.entries(), ["results"]);
    let services: Vec<_> =
        document.services.iter().map(|service| (&*service.name, service.origin)).collect();
    let embedded = ServiceOrigin::Embedded;
    assert_eq!(services, [("kafka", embedded), ("dynamodb", embedded)]);
    for (option, value) in
        [("land", "dynamodb"), ("table", "benchmark_kafka"), ("land-in-flight", "4")]
    {
        assert_eq!(document.options[option], value, "{option}");
    }
    for latency in ["landing_latency", "table_time"] {
        assert!(
            sandbox.run_folder("results").join(format!("{latency}.hlog")).exists(),
            "{latency}"
        );
    }
}

#[test]
fn runs_without_land_record_no_table() {
    let sandbox = Sandbox::new(TOOL);
    let mut command = sandbox.command("-n 500");
    command.env("MYSQL_URL", "mysql://alice:hunter2@127.0.0.1:1/x");
    let output = ToolOutput::of(command);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    for option in ["land", "table", "land-in-flight", "mysql-url"] {
        assert!(!document.options.contains_key(option), "{option}");
    }
    assert!(summary(&document).landing_latency.is_none() && summary(&document).counts.is_empty());
    assert_eq!(summary(&document).consumed.as_ref().expect("consumed").landed, 0);
}

#[test]
fn raw_messages_can_land() {
    let sandbox = Sandbox::new(TOOL);
    let output = sandbox.run("-n 1000 -r 20 --format raw --land dynamodb");
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let summary = summary(&document);
    assert_eq!(summary.consumed.as_ref().expect("consumed").landed, 1_000);
    assert!(summary.landing_latency.is_none(), "raw messages carry no intended instant");
    assert_eq!(summary.table_time.as_ref().expect("a table time").count, 1_000);
}

/// A `MySQL` server, and queries on it.
struct Mysql {
    stack: TestStack,
    runtime: Runtime,
}

impl Mysql {
    fn shared(test: &str) -> Option<Self> {
        Some(Self::of(bench_testing::local(test, &StackOptions::of(["mysql"]))?))
    }

    /// A server that this test may disturb.
    fn alone(test: &str) -> Option<Self> {
        Some(Self::of(bench_testing::alone(test, &StackOptions::of(["mysql"]))?))
    }

    fn of(stack: TestStack) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self { stack, runtime: runtime.expect("a runtime") }
    }

    fn url(&self) -> &str {
        self.stack.variable("MYSQL_URL")
    }

    /// Runs the tool with the server in its environment.
    fn run(&self, sandbox: &Sandbox, args: &str) -> ToolOutput {
        let mut command = sandbox.command(args);
        command.envs(self.stack.environment().iter().cloned());
        ToolOutput::of(command)
    }

    fn numbers(&self, sql: &str) -> Vec<u64> {
        self.runtime.block_on(async {
            let mut connection = mysql_async::Conn::from_url(self.url()).await.expect("connects");
            let numbers = connection.query(sql).await.expect(sql);
            connection.disconnect().await.expect("disconnects");
            numbers
        })
    }

    fn execute(&self, sql: &str) {
        let nothing = self.numbers(sql);
        assert!(nothing.is_empty());
    }

    /// Counts the rows of a run, and the messages among them.
    fn rows(&self, table: &str, run: &str) -> (u64, u64) {
        let of_run = format!("FROM {table} WHERE run = '{run}'");
        let rows = self.numbers(&format!("SELECT COUNT(*) {of_run}"));
        let messages = format!("SELECT COUNT(DISTINCT producer, sequence) {of_run}");
        (rows[0], self.numbers(&messages)[0])
    }
}

#[test]
fn messages_land_in_mysql_exactly_once() {
    let Some(mysql) = Mysql::shared("landing in MySQL") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "-n 10000 -p 2 -c 2 --land mysql --table prodcon_once --land-rows 200 -vv";
    let output = mysql.run(&sandbox, args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    assert_everything_landed(&document, 10_000);
    assert_eq!(mysql.rows("prodcon_once", &document.run_id), (10_000, 10_000));
    let service = &document.services[1];
    assert_eq!((&*service.name, service.origin), ("mysql", ServiceOrigin::Local));
    let password = mysql.url().split([':', '@']).nth(2).expect("a password");
    assert!(password.len() > 4);
    let recorded = std::fs::read_to_string(sandbox.run_folder("results").join("run.json"));
    for text in [&output.stdout, &output.stderr, &recorded.expect("run.json")] {
        assert!(!text.contains(password), "{text}");
    }
}

#[test]
fn lost_mysql_connections_lose_no_messages() {
    let Some(mysql) = Mysql::alone("losing connections to MySQL") else { return };
    let sandbox = Sandbox::new(TOOL);
    let args = "--rate 2k/s --duration 4s --land mysql --table prodcon_lost";
    let mut command = sandbox.command(args);
    let mut tool = command
        .envs(mysql.stack.environment().iter().cloned())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    let deadline = Instant::now() + Duration::from_secs(50);
    let others = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()";
    let tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'prodcon_lost'";
    let rows = "SELECT COUNT(*) FROM prodcon_lost";
    let mut writing = false;
    let mut killed = 0;
    let status = loop {
        if let Some(status) = tool.try_wait().expect("a child") {
            break status;
        }
        assert!(Instant::now() < deadline, "the run does not end");
        // Losing a connection while the table is created rightly ends the run.
        writing = writing || (mysql.numbers(tables)[0] > 0 && mysql.numbers(rows)[0] > 0);
        for id in if writing { mysql.numbers(others) } else { Vec::new() } {
            // The connection may have ended by itself.
            mysql.runtime.block_on(async {
                let mut connection =
                    mysql_async::Conn::from_url(mysql.url()).await.expect("connects");
                let _ = connection.query_drop(format!("KILL {id}")).await;
            });
            killed += 1;
        }
        // Often enough to catch connections that last only a few writes.
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(0));
    assert!(killed >= 4, "{killed} connections were killed");
    let document = sandbox.document("results");
    let audit = audit(&document);
    assert_eq!((audit.received, audit.lost), (8_000, 0), "{audit:?}");
    let counts = &summary(&document).counts;
    assert!(counts["rows_retried"] > 0 && counts["rows_failed"] == 0, "{counts:?}");
    let (rows, messages) = mysql.rows("prodcon_lost", &document.run_id);
    assert_eq!(messages, 8_000);
    assert!(rows >= messages);
}

#[test]
fn rows_that_mysql_rejects_end_the_run() {
    let Some(mysql) = Mysql::shared("a row that MySQL refuses") else { return };
    let sandbox = Sandbox::new(TOOL);
    let run = |args: &str| {
        mysql.run(&sandbox, &format!("-n 2000 --land mysql --table prodcon_refused {args}"))
    };
    assert_eq!(run("--results-dir before").code, 0);
    mysql.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON prodcon_refused FOR EACH ROW \
         IF NEW.sequence = 1500 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poison'; END IF",
    );
    let output = run("");
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("landing failed"), "{output:?}");
    assert!(output.stderr.contains("poison"), "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(document.status, Status::Failed);
    let lost = audit(&document).lost;
    assert!((500..=2_000).contains(&lost), "{lost} messages did not land");
    let landed = 2_000 - lost;
    let (_, messages) = mysql.rows("prodcon_refused", &document.run_id);
    assert!(messages >= landed, "{messages} rows, {landed} said to have landed");
}
