//! The tool as a user runs it, on a `DynamoDB` embedded in the test.

mod landed;

use bench_aws::AwsArgs;
use bench_core::clock::SystemClock;
use bench_tables::dynamodb::{Billing, DynamodbAdmin, DynamodbWriter};
use bench_tables::{KINESIS_TABLE, TableWriter, WriterOptions};
use bench_testing::Silent;
use clap::Parser as _;
use embedded_dynamodb::serve_in_background;
use landed::{Consumer, check, check_interrupt, runtime};

const TOOL: &str = env!("CARGO_BIN_EXE_kin-db-consumer");

#[derive(clap::Parser)]
struct Tool {
    #[command(flatten)]
    aws: AwsArgs,
}

#[test]
fn landed_rows_are_measured_and_audited() {
    let server = serve_in_background().expect("it serves");
    let config = Tool::parse_from(["test"]).aws.embedded_config(server.endpoint_url());
    let runtime = runtime();
    runtime
        .block_on(DynamodbAdmin::new(&config).create(KINESIS_TABLE, Billing::OnDemand))
        .expect("created");
    let (options, clock) = (WriterOptions::dynamodb(), SystemClock::new());
    let writer = DynamodbWriter::new(&config, KINESIS_TABLE, options, clock).expect("a writer");
    let variables = [
        ("AWS_ENDPOINT_URL_DYNAMODB", server.endpoint_url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let consumer = Consumer { program: TOOL, environment };
    check(&consumer, &mut TableWriter::Dynamodb(writer), &runtime);
}

#[test]
fn interrupt_while_connecting_exits_at_once() {
    let silent = Silent::new();
    let environment = vec![
        ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), silent.url()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned()),
    ];
    check_interrupt(&Consumer { program: TOOL, environment }, &silent);
}

#[test]
fn missing_service_is_reported_with_the_options() {
    let consumer = Consumer { program: TOOL, environment: Vec::new() };
    let output = consumer.run(&["-n", "5"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("--endpoint-url") && output.stderr.contains("--region"),
        "{output:?}"
    );
    let output = consumer.run(&["--help"]);
    assert!(
        output.stdout.contains("Examples:") && output.stdout.contains("Exit codes:"),
        "{output:?}"
    );
}
