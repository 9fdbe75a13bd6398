//! The stand-in for S3: the protocol of s3s, on a folder.
//!
//! It keeps the content of objects, and no metadata. Conditional writes (`If-None-Match: *`,
//! `If-Match`) have one winner each. Nothing is synchronised to the disk. `docs/services.md` lists
//! its other differences from Amazon's.

mod body;
mod conditions;
mod disk;
mod faults;
mod folder;
mod list;
mod server;
mod service;
mod uploads;

use std::fs;
use std::io;

use bench_service_s3::Keys;
use bench_service_s3::stand_in::{Argument, BUCKET, KIND, environment, temporary_folder};
use bench_stand_in::StandInError;
use bench_stand_in_host::{Background, HostError, argument, serve_process};
use tempfile::TempDir;

pub use faults::{Fault, Injected, Requests, S3Faults};
use folder::ConditionalWrites;

/// One in a thread of this process. It and its objects end when this value is dropped.
#[derive(Debug)]
pub struct BackgroundS3 {
    // In this order: nothing writes any more when the folder is removed.
    background: Background,
    _folder: TempDir,
    keys: Keys,
    faults: S3Faults,
}

impl BackgroundS3 {
    /// Where clients reach it, as in `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.background.endpoint_url()
    }

    /// The access key.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.keys.access_key
    }

    /// The secret key.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.keys.secret_key
    }

    /// The bucket that exists from the start.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The environment by which tools find it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.endpoint_url(), &self.keys)
    }

    /// Faults that can be injected.
    #[must_use]
    pub fn faults(&self) -> &S3Faults {
        &self.faults
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background() -> Result<BackgroundS3, StandInError> {
    serve_in_background_with(ConditionalWrites::Sound)
}

/// Starts one whose racing conditional writes have several winners, to show that a test finds that.
#[doc(hidden)]
pub fn serve_unsoundly_in_background() -> Result<BackgroundS3, StandInError> {
    serve_in_background_with(ConditionalWrites::Broken)
}

fn serve_in_background_with(writes: ConditionalWrites) -> Result<BackgroundS3, StandInError> {
    let keys = Keys::random().map_err(|error| StandInError::Background {
        service: KIND.name,
        source: io::Error::other(error),
    })?;
    let folder = temporary_folder()?;
    let faults = S3Faults::default();
    let (served, keys_served) = (folder.path().to_owned(), keys.clone());
    let faults_served = faults.clone();
    let background = Background::start(&KIND, move |listener| async move {
        server::serve_on(listener, &served, BUCKET, keys_served, writes, faults_served).await
    })?;
    Ok(BackgroundS3 { background, _folder: folder, keys, faults })
}

/// Runs its process.
pub fn serve(text: &str) -> Result<(), HostError> {
    let Argument { port, folder, keys: path, temporary } = argument(text)?;
    let keys = fs::read_to_string(&path).map_err(|source| HostError::Config { path, source })?;
    let keys = Keys::parse(&keys);
    let served = serve_process(port, |listener| {
        let (writes, faults) = (ConditionalWrites::Sound, S3Faults::default());
        server::serve_on(listener, &folder, BUCKET, keys, writes, faults)
    });
    if let Some(temporary) = temporary {
        let _ = fs::remove_dir_all(temporary);
    }
    served
}
