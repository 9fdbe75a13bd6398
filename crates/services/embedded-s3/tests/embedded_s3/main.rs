//! The embedded S3 through the real clients: Delta Lake's, and Amazon's.

mod amazons_client;
mod deltas_client;
mod faults;
mod lifecycle;
mod races;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use embedded_s3::BackgroundS3;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore, PutMode, PutOptions, RetryConfig};

/// Whether an object was created, and not there already.
async fn create(store: &AmazonS3, key: &str) -> bool {
    let options = PutOptions::from(PutMode::Create);
    match store.put_opts(&Key::from(key), "mine".into(), options).await {
        Ok(_) => true,
        Err(StoreError::AlreadyExists { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn store(server: &BackgroundS3) -> AmazonS3 {
    store_with(server, RetryConfig::default())
}

fn store_with(server: &BackgroundS3, retry: RetryConfig) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(server.endpoint_url())
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(server.bucket())
        .with_access_key_id(server.access_key())
        .with_secret_access_key(server.secret_key())
        .with_retry(retry)
        .build()
        .expect("a client")
}

fn client(server: &BackgroundS3) -> aws_sdk_s3::Client {
    client_of(server.endpoint_url(), server.access_key(), server.secret_key())
}

fn client_of(url: &str, access_key: &str, secret_key: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
