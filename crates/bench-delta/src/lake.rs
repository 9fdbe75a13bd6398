//! The location of a table and the store that gives access to it.

mod bucket;
mod hint;
mod hooked;
mod http;
pub(crate) mod io;
mod keys;
mod location;
mod log;
mod outage;
mod prepare;
mod requests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bench_aws::{AwsService, SdkConfig};
use bench_core::counts::Counts;
use deltalake::logstore::object_store::aws::{AmazonS3, AmazonS3Builder};
use deltalake::logstore::object_store::client::ClientOptions;
use deltalake::logstore::object_store::local::LocalFileSystem;
use deltalake::logstore::object_store::path::Path as ObjectPath;
use deltalake::logstore::object_store::prefix::PrefixStore;
use deltalake::logstore::object_store::{BackoffConfig, ObjectStore, RetryConfig};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use url::Url;

use crate::DeltaError;
use hint::HintCheck;
use hooked::HookedStore;
use http::CountingConnector;
use keys::SdkKeys;
pub use location::{PathStyle, S3Location};
use outage::Outage;
pub use prepare::{Access, prepare_folder, prepare_s3};
use requests::Requests;

/// Connect timeout.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// Retries of a request after the first attempt.
const RETRIES_MAX: usize = 10;

/// First and longest delay before a retry.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The location of a table and the store behind it. Cheap to clone, and usable from any number of
/// threads and runtimes at once: connections to S3 live on a runtime of their own.
///
/// # Requests
/// Every request is counted: on S3 as HTTP requests, one per attempt; in a folder as the operations
/// that would be requests on S3. The counts are `put_requests` (including POST and COPY, which cost
/// the same), `get_requests`, `list_requests`, `head_requests`, `delete_requests` (one for many
/// objects on S3), `bytes_written` and `bytes_read` (bodies), and `requests_retried`: requests sent
/// again, by any layer, after the same request got status 408, 429 or 5xx or its connection broke.
///
/// # Failures
/// A request that S3 answers with 408, 429 or 5xx, or whose connection fails, is retried for as
/// long as the SDK's attempt timeout, at most ten times, with delays from 50 ms to 1 s. Each
/// attempt has the same timeout, so an operation ends within twice that time.
///
/// `PutMode::Create` is a PUT with `If-None-Match: *`, or a hard link in a folder: of several
/// writers of one object, one wins. On S3 the others must be careful:
/// - `AlreadyExists` does not prove that another writer was faster. A PUT may have been stored
///   although its response was lost (5xx, or a connection that closed early), and the retry then
///   finds the object of the first attempt. Read the object to find out whose it is.
/// - `AlreadyExists` does not even prove that the object exists: S3 answers 409 while another write
///   is in progress, and that write may fail. If the object does not exist, put it again.
/// - After any other error the object may exist, since a create that timed out or was cut off is
///   not retried. Read it before reporting a failure.
///
/// Files in a folder are never fsynced.
#[derive(Clone)]
pub struct Lake(Arc<Inner>);

struct Inner {
    uri: String,
    /// The table's location as delta-rs sees it: the root of a store of this kind. delta-rs decodes
    /// a URL's path once more than it encodes it, which would decode the `%20` in a folder's name.
    location: Url,
    /// Rooted at the table.
    table: Arc<dyn ObjectStore>,
    outage: Outage,
}

impl Lake {
    /// Creates a handle to a table in a folder, which need not exist yet.
    pub fn folder(path: &Path, counts: &Counts) -> Result<Self, DeltaError> {
        let failed = |error| DeltaError::Folder {
            attempted: format!("find the folder {}", path.display()),
            error,
        };
        let absolute = std::path::absolute(path).map_err(failed)?;
        let prefix = ObjectPath::from_absolute_path(&absolute)
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let uri = Url::from_directory_path(&absolute)
            .map_err(|()| failed(std::io::ErrorKind::InvalidFilename.into()))?;
        let uri = uri.as_str().trim_end_matches('/').to_owned();
        let store = HookedStore::new(LocalFileSystem::new(), Requests::new(counts));
        Ok(Self::new(uri, root_url("file:///")?, prefix, Arc::new(store), Outage::default()))
    }

    /// Creates a handle to a table on S3, with the SDK's credentials, region, endpoint and timeout.
    /// Sends no request.
    pub fn s3(
        s3_location: &S3Location,
        sdk: &SdkConfig,
        counts: &Counts,
    ) -> Result<Self, DeltaError> {
        let uri = s3_location.uri();
        let failed = |error| DeltaError::store(format!("use {uri}"), &error);
        let prefix =
            ObjectPath::parse(&s3_location.prefix).map_err(|error| failed(error.into()))?;
        let outage = Outage::default();
        let connector =
            CountingConnector::new(io::runtime()?, Requests::new(counts), outage.clone());
        let store = s3_store(s3_location, sdk, connector).map_err(failed)?;
        let location = root_url(&format!("s3://{}/", s3_location.bucket))?;
        Ok(Self::new(uri, location, prefix, Arc::new(store), outage))
    }

    fn new(
        uri: String,
        location: Url,
        prefix: ObjectPath,
        store: Arc<dyn ObjectStore>,
        outage: Outage,
    ) -> Self {
        let table = Arc::new(PrefixStore::new(store, prefix));
        Self(Arc::new(Inner { uri, location, table, outage }))
    }

    /// Creates a handle to a table in a test's own store.
    #[cfg(test)]
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        let (uri, root) = ("memory:///".to_owned(), ObjectPath::default());
        let location = root_url("memory:///").expect("a URL");
        Self::new(uri, location, root, store, Outage::default())
    }

    /// The store, rooted at the table: `_delta_log/00000000000000000000.json` is a path in it.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.0.table
    }

    /// The same store for delta-rs, which hides a `_last_checkpoint` that names a missing
    /// checkpoint.
    #[must_use]
    pub fn log_store(&self) -> LogStoreRef {
        let check = HintCheck(Arc::clone(&self.0.table));
        let table = Arc::new(HookedStore::new(Arc::clone(&self.0.table), check));
        let root = Arc::clone(&table);
        default_logstore(table, root, &self.0.location, &StorageConfig::default())
    }

    /// The reason why the storage does not respond at the moment; `None` while it does, and for
    /// folders.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        let reason = self.0.outage.reason()?;
        Some(format!("the storage of {} does not respond: {reason}", self.0.uri))
    }

    /// The table's address: `s3://bucket/prefix` or `file:///folder`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.0.uri
    }
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lake").field(&self.0.uri).finish()
    }
}

/// Builds the store of a whole bucket.
fn s3_store(
    s3_location: &S3Location,
    sdk: &SdkConfig,
    connector: CountingConnector,
) -> deltalake::logstore::object_store::Result<AmazonS3> {
    let endpoint = AwsService::S3.endpoint(sdk);
    let is_path_style = s3_location.is_path_style(endpoint.as_deref());
    let timeout = location::timeout(sdk);
    let is_http = endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    let client = ClientOptions::new()
        .with_timeout(timeout)
        .with_connect_timeout(timeout.min(CONNECT_TIMEOUT_MAX))
        .with_allow_http(is_http);
    let (init_backoff, max_backoff) = BACKOFF;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&s3_location.bucket)
        .with_region(location::region(sdk))
        .with_credentials(Arc::new(SdkKeys::new(sdk)))
        .with_virtual_hosted_style_request(!is_path_style)
        .with_client_options(client)
        .with_retry(RetryConfig {
            backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
            max_retries: RETRIES_MAX,
            retry_timeout: timeout,
        })
        .with_http_connector(connector);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(if is_path_style {
            endpoint
        } else {
            location::with_bucket(&endpoint, &s3_location.bucket)
        });
    }
    builder.build()
}

/// The root URL of a store, in the form delta-rs expects.
fn root_url(url: &str) -> Result<Url, DeltaError> {
    Url::parse(url).map_err(|error| DeltaError::Store {
        attempted: format!("use {url}"),
        reason: error.to_string(),
    })
}
