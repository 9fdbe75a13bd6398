//! Where a table lies, and the store that it is reached through.

mod bucket;
mod hint;
mod http;
pub(crate) mod io;
mod keys;
mod objects;
mod outage;
mod place;
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
use hint::Hinted;
use http::CountedConnector;
use keys::SdkKeys;
use objects::Counted;
use outage::Outage;
pub use place::{PathStyle, S3Place};
pub use prepare::{Access, prepare_folder, prepare_s3};
use requests::Requests;

/// Longest wait for a connection.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// Tries of a request after the first.
const RETRIES_MAX: usize = 10;

/// First and longest wait before a request is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Where a table lies and how it is reached. Cheap to clone, and good for any number of threads and
/// runtimes at once: connections to S3 live on a runtime of their own.
///
/// # Requests
/// All are counted: on S3 as the HTTP requests that they are, each try by itself, and in a folder as
/// the operations that would be requests on S3. The counts are `put_requests` (POST and COPY among
/// them, which cost the same), `get_requests`, `list_requests`, `head_requests`, `delete_requests`
/// (one for many objects on S3), `bytes_written` and `bytes_read` (bodies), and `requests_retried`:
/// requests that were sent again, by whatever layer, after the same one was answered by 408, 429 or
/// 5xx or broke off.
///
/// # Failures
/// A request that S3 answers by 408, 429 or 5xx, or whose connection fails, is tried again for the
/// SDK's time-out of one attempt in all, at most ten times, after 50 ms and up to 1 s. A single try
/// has the same time-out, so that an operation ends within two of them.
///
/// `PutMode::Create` is a PUT with `If-None-Match: *`, or a hard link in a folder: of several writers
/// of one object, one wins. What the others see on S3 needs care:
/// - `AlreadyExists` need not mean that another writer was faster. A PUT may have been stored although
///   its answer was lost (5xx, or a connection that closed before the answer), and its repeat finds
///   the object of the first try. Read the object to find out whose it is.
/// - `AlreadyExists` need not even mean that there is an object: S3 answers 409 while it deals with
///   another write, which may then fail. If the object is not there, put it again.
/// - After another error the object may be there, since a create that timed out or was cut off is not
///   repeated. Read it before saying that it failed.
///
/// Nothing here calls fsync on files in a folder.
#[derive(Clone)]
pub struct Lake(Arc<Inner>);

struct Inner {
    uri: String,
    /// Where delta-rs takes the table to lie: at the root of a store of this kind. It decodes the
    /// path of a URL once more than it encodes it, so that a folder named `a%20b` would be `a b`.
    location: Url,
    /// Rooted at the table.
    table: Arc<dyn ObjectStore>,
    outage: Outage,
}

impl Lake {
    /// A table in a folder, which need not be there yet.
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
        let store = Counted::new(LocalFileSystem::new(), Requests::new(counts));
        Ok(Self::new(uri, root_url("file:///")?, prefix, Arc::new(store), Outage::default()))
    }

    /// A table on S3, with the SDK's credentials, region, endpoint and time-out. Nothing is asked
    /// yet.
    pub fn s3(place: &S3Place, sdk: &SdkConfig, counts: &Counts) -> Result<Self, DeltaError> {
        let uri = place.uri();
        let failed = |error| DeltaError::store(format!("use {uri}"), &error);
        let prefix = ObjectPath::parse(&place.prefix).map_err(|error| failed(error.into()))?;
        let outage = Outage::default();
        let connector =
            CountedConnector::new(io::runtime()?, Requests::new(counts), outage.clone());
        let store = s3_store(place, sdk, connector).map_err(failed)?;
        let location = root_url(&format!("s3://{}/", place.bucket))?;
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

    /// A table in a store of a test's own.
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

    /// delta-rs' view of the table, through the same store, without a `_last_checkpoint` that names a
    /// checkpoint which is not there.
    #[must_use]
    pub fn log_store(&self) -> LogStoreRef {
        let table = Arc::new(Hinted(Arc::clone(&self.0.table)));
        let root = Arc::clone(&table);
        default_logstore(table, root, &self.0.location, &StorageConfig::default())
    }

    /// Why the storage does not answer at the moment; nothing while it does, and in folders.
    #[must_use]
    pub fn outage(&self) -> Option<String> {
        let reason = self.0.outage.reason()?;
        Some(format!("the storage of {} does not answer: {reason}", self.0.uri))
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

/// The store of a whole bucket.
fn s3_store(
    place: &S3Place,
    sdk: &SdkConfig,
    connector: CountedConnector,
) -> deltalake::logstore::object_store::Result<AmazonS3> {
    let endpoint = AwsService::S3.endpoint(sdk);
    let is_path_style = place.is_path_style(endpoint.as_deref());
    let timeout = place::timeout(sdk);
    let is_http = endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    let client = ClientOptions::new()
        .with_timeout(timeout)
        .with_connect_timeout(timeout.min(CONNECT_TIMEOUT_MAX))
        .with_allow_http(is_http);
    let (init_backoff, max_backoff) = BACKOFF;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(place::region(sdk))
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
            place::with_bucket(&endpoint, &place.bucket)
        });
    }
    builder.build()
}

/// The root of a store, as delta-rs names it.
fn root_url(url: &str) -> Result<Url, DeltaError> {
    Url::parse(url).map_err(|error| DeltaError::Store {
        attempted: format!("use {url}"),
        reason: error.to_string(),
    })
}
