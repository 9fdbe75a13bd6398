//! The embedded Kinesis as a program, through the real client.

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use bench_service_kinesis::stand_in::{EmbeddedKinesis, KinesisLimits};

#[test]
fn the_program_serves_without_streams() {
    let service = EmbeddedKinesis::start(&KinesisLimits::default()).expect("starts");
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(service.endpoint_url())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    let client = aws_sdk_kinesis::Client::from_conf(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let listed = runtime.expect("a runtime").block_on(client.list_streams().send());
    assert_eq!(listed.expect("listed").stream_names(), [""; 0]);
}
