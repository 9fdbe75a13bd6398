//! The embedded S3 through the real clients: Delta Lake's, and Amazon's. This program is both the
//! tests and, started again by them, the service; so it has a `main` of its own.

mod amazons_client;
mod deltas_client;
mod faults;
mod lifecycle;
mod races;

use std::io::Write;
use std::process::ExitCode;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use bench_services::embedded::run_if_requested;
use bench_services::embedded::s3::S3Server;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore, PutMode, PutOptions, RetryConfig};

/// Makes this program start the service, say its process id, and end when its input does.
const HOLD: &str = "__hold-s3";

/// The tests of a module, under their names.
macro_rules! tests {
    ($($module:ident::$test:ident),* $(,)?) => {
        &[$((stringify!($test), $module::$test as fn())),*]
    };
}

const TESTS: &[(&str, fn())] = tests![
    deltas_client::deltas_client_reads_what_it_has_written,
    deltas_client::deltas_client_lists_in_pages,
    deltas_client::deltas_client_uploads_in_parts,
    amazons_client::amazons_client_reads_what_it_has_written,
    amazons_client::amazons_client_uploads_in_parts,
    amazons_client::what_arrives_damaged_is_not_kept,
    amazons_client::what_cannot_be_kept_is_refused,
    amazons_client::strangers_are_kept_out,
    races::each_race_to_create_has_one_winner,
    races::each_race_to_replace_has_one_winner,
    races::without_turns_there_are_several_winners,
    races::nobody_sees_half_an_object,
    races::a_stuck_upload_holds_nobody_up,
    faults::faults_are_injected,
    faults::a_broken_connection_leaves_what_was_done,
    lifecycle::a_stack_keeps_its_objects,
    lifecycle::nothing_is_left_behind,
    lifecycle::its_folder_is_private_and_goes_when_it_is_killed,
    lifecycle::a_missing_temporary_folder_is_named,
];

fn main() -> ExitCode {
    if let Some(code) = run_if_requested() {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some(HOLD) {
        return lifecycle::hold_service();
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            test();
            say(&format!("test {name} ... ok"));
        }
    }
    ExitCode::SUCCESS
}

/// Whether an object was created, and not there already.
async fn create(store: &AmazonS3, key: &str) -> bool {
    let options = PutOptions::from(PutMode::Create);
    match store.put_opts(&Key::from(key), "mine".into(), options).await {
        Ok(_) => true,
        Err(StoreError::AlreadyExists { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn store(server: &S3Server) -> AmazonS3 {
    store_with(server, RetryConfig::default())
}

fn store_with(server: &S3Server, retry: RetryConfig) -> AmazonS3 {
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

fn client(server: &S3Server) -> aws_sdk_s3::Client {
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

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}
