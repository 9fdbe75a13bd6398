//! The embedded `DynamoDB` as a program, through the real client.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use bench_service_dynamodb::stand_in::EmbeddedDynamodb;

#[test]
fn the_program_serves_an_empty_database() {
    let service = EmbeddedDynamodb::start().expect("starts");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(service.endpoint_url())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let listed = runtime.expect("a runtime").block_on(client.list_tables().send());
    assert_eq!(listed.expect("listed").table_names(), [""; 0]);
}
