//! The SDK's credentials, for the store's client.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use bench_aws::SdkConfig;
use deltalake::logstore::object_store::aws::AwsCredential;
use deltalake::logstore::object_store::client::CredentialProvider;
use deltalake::logstore::object_store::{self};
use tokio::sync::Mutex;

use super::io;

/// Credentials that expire within this time are fetched again, as the SDK's own clients do.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// Timeout for fetching credentials, which may come from another process or host.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches credentials from the SDK's chain and keeps them until they expire.
pub(super) struct SdkKeys {
    provider: Option<SharedCredentialsProvider>,
    kept: Mutex<Option<CachedCredentials>>,
}

struct CachedCredentials {
    keys: Arc<AwsCredential>,
    expiry: Option<SystemTime>,
}

impl SdkKeys {
    pub(super) fn new(sdk: &SdkConfig) -> Self {
        Self { provider: sdk.credentials_provider(), kept: Mutex::default() }
    }

    async fn load(&self) -> Result<Credentials, String> {
        let Some(provider) = self.provider.clone() else {
            return Err("no credentials were found".to_owned());
        };
        // The chain may open connections of its own.
        let loading = io::run(async move {
            tokio::time::timeout(LOAD_TIMEOUT, provider.provide_credentials()).await
        });
        match loading.await {
            Ok(Ok(Ok(credentials))) => Ok(credentials),
            // The chain's errors name files and hosts, never keys.
            Ok(Ok(Err(error))) => Err(format!("no credentials were found: {error}")),
            Ok(Err(_)) => Err(format!("no credentials arrived within {LOAD_TIMEOUT:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Debug for SdkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkKeys").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for SdkKeys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_good(SystemTime::now())) {
            return Ok(Arc::clone(&kept.keys));
        }
        let found = self.load().await;
        let found = found.map_err(|reason| object_store::Error::Generic {
            store: "S3",
            source: reason.into(),
        })?;
        let keys = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *kept = Some(CachedCredentials { keys: Arc::clone(&keys), expiry: found.expiry() });
        Ok(keys)
    }
}

impl CachedCredentials {
    fn is_good(&self, now: SystemTime) -> bool {
        self.expiry.is_none_or(|expiry| now + EXPIRY_MARGIN < expiry)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::future;
    use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};

    use super::*;

    /// Credentials that are valid for a while and contain the number of the call.
    #[derive(Debug, Default)]
    struct Numbered {
        calls: AtomicU32,
        valid: Option<Duration>,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            let expiry = self.valid.map(|valid| SystemTime::now() + valid);
            let keys = Credentials::new(format!("k{call}"), "TOPSECRET", None, expiry, "test");
            future::ProvideCredentials::ready(Ok(keys))
        }
    }

    #[derive(Debug)]
    struct Missing;

    impl ProvideCredentials for Missing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nothing here")))
        }
    }

    fn keys(provider: impl ProvideCredentials + 'static) -> SdkKeys {
        let provider = SharedCredentialsProvider::new(provider);
        SdkKeys::new(&SdkConfig::builder().credentials_provider(provider).build())
    }

    async fn ask_twice(keys: &SdkKeys) -> [String; 2] {
        let first = keys.get_credential().await.expect("there are keys").key_id.clone();
        let second = keys.get_credential().await.expect("there are keys").key_id.clone();
        [first, second]
    }

    #[tokio::test]
    async fn credentials_are_kept_until_they_expire() {
        for (valid, expected) in [
            (None, ["k0", "k0"]),
            (Some(Duration::from_hours(1)), ["k0", "k0"]),
            (Some(Duration::from_secs(5)), ["k0", "k1"]),
        ] {
            let keys = keys(Numbered { valid, ..Numbered::default() });
            assert_eq!(ask_twice(&keys).await, expected, "{valid:?}");
        }
    }

    #[tokio::test]
    async fn missing_credentials_are_reported() {
        let error = keys(Missing).get_credential().await.expect_err("there are none");
        let text = crate::reason::store_reason(&error);
        assert!(text.contains("no credentials were found"), "{text}");
    }

    #[tokio::test]
    async fn credentials_are_never_shown() {
        let keys = keys(Numbered::default());
        let _ = keys.get_credential().await.expect("there are keys");
        assert!(!format!("{keys:?}").contains("TOPSECRET"));
    }
}
