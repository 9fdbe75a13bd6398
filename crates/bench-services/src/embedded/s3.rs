//! An embedded S3: the protocol of s3s, on a folder.
//!
//! Of objects it keeps the content, and no metadata. Conditional writes (`If-None-Match: *`,
//! `If-Match`) have one winner each. Nothing is synchronised to the disk. `docs/services.md` says
//! what else it does otherwise than Amazon's.

mod body;
mod conditions;
mod disk;
mod faults;
mod folder;
mod keys;
mod list;
mod server;
mod service;
mod uploads;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

use super::process::{Kind, ServiceProcess};
use super::serving::{Background, ServeError, argument, serve_process};
use crate::ServiceError;

pub use faults::{Fault, Injected, Requests, S3Faults};
use folder::Turns;
pub(crate) use keys::Keys;

pub(super) const KIND: Kind = Kind {
    name: "embedded S3",
    argument: "__embedded-s3",
    remedy: "name another with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "s3s 0.14.1, no fsync";

/// The bucket that is there from the start.
pub const BUCKET: &str = "bench";

/// What temporary folders are called.
const FOLDER_PREFIX: &str = "bench-s3-";

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Argument {
    /// To end with whoever started it, and to leave nothing behind.
    Temporary {
        /// Made and removed by the parent process: a process that is killed cannot remove it.
        folder: PathBuf,
    },
    /// To listen on a port until it is killed, and to keep what it has.
    StandAlone {
        port: u16,
        folder: PathBuf,
        /// Where the keys lie, which are not for an argument that others see.
        keys: PathBuf,
    },
}

/// A running embedded S3, whose objects lie in a temporary folder that only this user can read. Both
/// end with its value, and by themselves when this process ends in whatever way.
#[derive(Debug)]
pub struct EmbeddedS3 {
    // In this order: nobody writes any more when the folder goes.
    process: ServiceProcess,
    _folder: TempDir,
    keys: Keys,
}

impl EmbeddedS3 {
    /// Starts it from the running program, whose `main` must call [`super::run_if_requested`].
    pub fn start() -> Result<Self, ServiceError> {
        Self::start_program(None)
    }

    /// Starts it from another program than the running one.
    pub fn start_from(executable: &Path) -> Result<Self, ServiceError> {
        Self::start_program(Some(executable))
    }

    fn start_program(executable: Option<&Path>) -> Result<Self, ServiceError> {
        let action = "start a service";
        let folder = temporary_folder()?;
        let argument = Argument::Temporary { folder: folder.path().to_owned() };
        let process = ServiceProcess::start(&KIND, executable, &argument, action)?;
        let keys = process.keys(action)?.clone();
        Ok(Self { process, _folder: folder, keys })
    }

    /// Where it is reached, as in `http://127.0.0.1:4566`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        self.process.address()
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

    /// The bucket that is there from the start.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// An embedded S3 in a thread of this process. Ends with its value, and its objects with it.
#[derive(Debug)]
pub struct S3Server {
    // In this order: nobody writes any more when the folder goes.
    background: Background,
    _folder: TempDir,
    keys: Keys,
    faults: S3Faults,
}

impl S3Server {
    /// Where it is reached, as in `http://127.0.0.1:4566`.
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

    /// The bucket that is there from the start.
    #[must_use]
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// What tools need in their environment to find it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.endpoint_url(), &self.keys)
    }

    /// To have things go wrong.
    #[must_use]
    pub fn faults(&self) -> &S3Faults {
        &self.faults
    }
}

/// Starts one in a thread of this process, for tests.
pub fn serve_in_background() -> Result<S3Server, ServiceError> {
    serve_in_background_with(Turns::Taken)
}

/// Starts one whose conditional writes have several winners when they race. It shows that a test
/// which looks for that finds it.
#[doc(hidden)]
pub fn serve_unsoundly_in_background() -> Result<S3Server, ServiceError> {
    serve_in_background_with(Turns::Ignored)
}

fn serve_in_background_with(turns: Turns) -> Result<S3Server, ServiceError> {
    let failed = |source| ServiceError::Background { service: KIND.name, source };
    let keys = Keys::random().map_err(failed)?;
    let folder = temporary_folder()?;
    let faults = S3Faults::default();
    let (served, keys_served) = (folder.path().to_owned(), keys.clone());
    let faults_served = faults.clone();
    let background = Background::start(&KIND, move |listener| async move {
        server::serve_on(listener, &served, BUCKET, keys_served, turns, faults_served).await
    })?;
    Ok(S3Server { background, _folder: folder, keys, faults })
}

/// What clients find an S3 server by, whose bucket is [`BUCKET`].
pub(crate) fn environment(endpoint_url: &str, keys: &Keys) -> Vec<(String, String)> {
    let all = [
        ("AWS_ENDPOINT_URL_S3", endpoint_url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", &keys.access_key),
        ("AWS_SECRET_ACCESS_KEY", &keys.secret_key),
        ("BENCH_S3_BUCKET", BUCKET),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The arguments by which a program becomes one that listens on this port until it is killed, and
/// keeps its objects in a folder. The file holds [`Keys::lines`].
pub(crate) fn stand_alone(port: u16, folder: &Path, keys: &Path) -> Vec<String> {
    let (folder, keys) = (folder.to_owned(), keys.to_owned());
    vec![KIND.argument.to_owned(), json!(Argument::StandAlone { port, folder, keys }).to_string()]
}

/// The life of its process.
pub(super) fn serve(text: &OsStr) -> Result<(), ServeError> {
    match argument(text)? {
        Argument::Temporary { folder } => {
            let keys = Keys::random().map_err(ServeError::Serve)?;
            let served = serve_folder(None, &folder, keys);
            // The parent removes it as well, unless it was killed.
            let _ = fs::remove_dir_all(&folder);
            served
        }
        Argument::StandAlone { port, folder, keys: path } => {
            let keys =
                fs::read_to_string(&path).map_err(|source| ServeError::Config { path, source })?;
            serve_folder(Some(port), &folder, Keys::parse(&keys))
        }
    }
}

fn serve_folder(port: Option<u16>, folder: &Path, keys: Keys) -> Result<(), ServeError> {
    let told = port.is_none().then(|| keys.clone());
    serve_process(port, told, |listener| {
        server::serve_on(listener, folder, BUCKET, keys, Turns::Taken, S3Faults::default())
    })
}

/// A folder that only this user can read, whatever the umask is.
fn temporary_folder() -> Result<TempDir, ServiceError> {
    let private = fs::Permissions::from_mode(0o700);
    let made = tempfile::Builder::new().prefix(FOLDER_PREFIX).permissions(private).tempdir();
    made.map_err(|error| ServiceError::Folder {
        service: KIND.name,
        path: std::env::temp_dir(),
        reason: disk::reason(&error),
    })
}
