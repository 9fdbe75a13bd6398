//! Seeing to it that a table can lie where it is to lie, before a run begins.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bench_aws::SdkConfig;

use super::{S3Place, bucket, io};
use crate::DeltaError;

/// Races of writers on S3. In the first, they are not quite at once, since connections are made.
const RACES: usize = 3;

/// What a run is going to do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Follow it. The table need not be there.
    Read,
    /// Append to it, after creating it perhaps.
    Write {
        /// Whether the bucket is created if it is missing.
        create_bucket: bool,
    },
}

/// Checks a place on S3: that the service answers, the bucket is there or is created, the keys are
/// good, and for writers that objects can be written, and that of several writers of one object
/// exactly one wins. It leaves nothing behind, and fails within twice the SDK's time-out of one
/// attempt where nobody answers.
///
/// A service that ignores `If-None-Match` is found for certain, and one that looks first and writes
/// later mostly. That all is well here does not prove that it always is.
pub async fn prepare_s3(
    place: &S3Place,
    sdk: &SdkConfig,
    access: Access,
) -> Result<(), DeltaError> {
    let bucket = bucket::Bucket::new(place, sdk);
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

/// Checks a folder: that it can be read if it is there, and for writers that it is there or can be
/// made, and takes files and the hard links that commits are made by. It leaves nothing behind: a
/// folder that is not there is made by the first write.
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
    // A link to nowhere is there as well, and nothing can be made in it.
    let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
    let there = path.ancestors().find(is_there).unwrap_or(path);
    let attempted = if there == path { "write to the folder" } else { "create the folder" };
    let file = there.join(probe_name());
    let link = there.join(probe_name());
    let written = std::fs::write(&file, b"")
        .map_err(|error| folder_error(attempted, path, error))
        .and_then(|()| {
            let attempted = "make a hard link, as a commit does, in the folder";
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

/// A name that nobody else has. Readers of tables and delta-rs' vacuum pass over names that begin
/// with an underscore.
fn probe_name() -> String {
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    format!("_bench_probe_{}_{}_{number}", since.as_nanos(), std::process::id())
}
