//! Checks before a run that a table's location can be used.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bench_aws::SdkConfig;

use super::{S3Location, bucket, io};
use crate::DeltaError;

/// Races of writers on S3. The first one is less tight, since its writers have to connect.
const RACES: usize = 3;

/// How a run uses a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Follow it. The table need not exist.
    Read,
    /// Append to it, creating it if needed.
    Write {
        /// Whether the bucket is created if it is missing.
        create_bucket: bool,
    },
}

/// Checks a location on S3: that the service responds, that the bucket exists or can be created,
/// that the credentials are valid, and for writers that objects can be written and that exactly one
/// of several writers of one object wins. Leaves nothing behind, and fails within twice the SDK's
/// attempt timeout if the service does not respond.
///
/// A service that ignores `If-None-Match` is always detected; one that checks first and writes
/// later is detected in most cases. Passing is not a proof.
pub async fn prepare_s3(
    location: &S3Location,
    sdk: &SdkConfig,
    access: Access,
) -> Result<(), DeltaError> {
    let bucket = bucket::Bucket::new(location, sdk);
    io::run(async move {
        match (bucket.look().await, access) {
            (Ok(()), _) => {}
            (Err(DeltaError::NoBucket { .. }), Access::Write { create_bucket: true }) => {
                bucket.create().await?;
            }
            (Err(error), _) => return Err(error),
        }
        match access {
            Access::Read => Ok(()),
            Access::Write { .. } => {
                for _ in 0..RACES {
                    bucket.race(&probe_name()).await?;
                }
                Ok(())
            }
        }
    })
    .await?
}

/// Checks a folder: that it can be read if it exists, and for writers that it exists or can be
/// created, and takes files and the hard links that commits need. Leaves nothing behind: a missing
/// folder is created by the first write.
pub async fn prepare_folder(path: &Path, access: Access) -> Result<(), DeltaError> {
    let path = path.to_owned();
    io::run_blocking(move || match access {
        Access::Read => check_readable(&path),
        Access::Write { .. } => check_writable(&path),
    })
    .await?
}

fn check_readable(path: &Path) -> Result<(), DeltaError> {
    let failed = |source| folder_error("read the folder", path, source);
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(DeltaError::NotAFolder { path: path.to_owned() }),
        Ok(_) => std::fs::read_dir(path).map(|_| ()).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn check_writable(path: &Path) -> Result<(), DeltaError> {
    check_readable(path)?;
    // A dangling link exists as well, and nothing can be created in it.
    let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
    let there = path.ancestors().find(is_there).unwrap_or(path);
    let attempted = if there == path { "write to the folder" } else { "create the folder" };
    let file = there.join(probe_name());
    let link = there.join(probe_name());
    let written = std::fs::write(&file, b"")
        .map_err(|error| folder_error(attempted, path, error))
        .and_then(|()| {
            let attempted = "make a hard link, as commits do, in the folder";
            std::fs::hard_link(&file, &link).map_err(|error| folder_error(attempted, path, error))
        });
    for probe in [&file, &link] {
        match std::fs::remove_file(probe) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("failed to delete the probe {}: {error}", probe.display());
            }
            _ => {}
        }
    }
    written
}

fn folder_error(attempted: &str, path: &Path, error: std::io::Error) -> DeltaError {
    DeltaError::Folder { attempted: format!("{attempted} {}", path.display()), error }
}

/// A unique name. Table readers and delta-rs' vacuum ignore names that begin with an underscore.
fn probe_name() -> String {
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    format!("_bench_probe_{}_{}_{number}", since.as_nanos(), std::process::id())
}
