//! A table set by options.

use std::path::PathBuf;

use bench_aws::SdkConfig;
use bench_core::counts::Counts;
use url::Url;

use crate::DeltaError;
use crate::lake::{self, Access, Lake, S3Location};

/// A table's location, with everything needed to access it.
#[derive(Debug, Clone)]
pub enum NamedLake {
    /// In a folder.
    Folder(PathBuf),
    /// On S3.
    S3 {
        /// Its location.
        location: S3Location,
        /// Endpoint, region and credentials.
        sdk: Box<SdkConfig>,
    },
}

impl NamedLake {
    /// The table's address: `s3://bucket/prefix`, or the folder.
    #[must_use]
    pub fn uri(&self) -> String {
        match self {
            Self::Folder(folder) => {
                let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
                Url::from_directory_path(&absolute).map_or_else(
                    |()| folder.display().to_string(),
                    |url| url.as_str().trim_end_matches('/').to_owned(),
                )
            }
            Self::S3 { location, .. } => location.uri(),
        }
    }

    /// Checks that the table can be stored there: [`lake::prepare_s3`], [`lake::prepare_folder`].
    pub async fn prepare(&self, access: Access) -> Result<(), DeltaError> {
        match self {
            Self::Folder(folder) => lake::prepare_folder(folder, access).await,
            Self::S3 { location, sdk } => lake::prepare_s3(location, sdk, access).await,
        }
    }

    /// The table's store, which counts its requests.
    pub fn connect(&self, counts: &Counts) -> Result<Lake, DeltaError> {
        match self {
            Self::Folder(folder) => Lake::folder(folder, counts),
            Self::S3 { location, sdk } => Lake::s3(location, sdk, counts),
        }
    }
}
