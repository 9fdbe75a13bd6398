//! An embedded S3, as the program that starts it sees it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use bench_stack::{StackError, secret};
use bench_stand_in::{StandInError, StandInKind, StandInProcess};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::keys::Keys;

/// The stand-in.
pub const KIND: StandInKind = StandInKind {
    name: "embedded S3",
    program: "embedded-s3",
    remedy: "use another server with --endpoint-url",
};

/// Its name and version as results show them.
pub const VERSION: &str = "s3s 0.14.1, no fsync";

/// The bucket that exists from the start.
pub const BUCKET: &str = "bench";

/// Prefix of the names of temporary folders.
const FOLDER_PREFIX: &str = "bench-s3-";

/// The folder of the objects in a temporary folder, and the file of the keys.
const OBJECTS: &str = "objects";
const KEYS: &str = "keys";

/// The argument of its process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// The port to listen on until it is killed. Without one, it ends with its parent process.
    pub port: Option<u16>,
    /// The folder of the objects.
    pub folder: PathBuf,
    /// The file with [`Keys::lines`], since other users can see arguments.
    pub keys: PathBuf,
    /// A folder to remove at the end. The parent process removes it too, unless it was killed.
    pub temporary: Option<PathBuf>,
}

/// A running embedded S3, whose objects are in a temporary folder that only this user can read.
/// Both end when this value is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct EmbeddedS3 {
    // In this order: nothing writes any more when the folder is removed.
    process: StandInProcess,
    _folder: TempDir,
    keys: Keys,
}

impl EmbeddedS3 {
    /// Starts one.
    pub fn start() -> Result<Self, StandInError> {
        let folder = temporary_folder()?;
        let keys = Keys::random().map_err(|error| failed(error.to_string()))?;
        let [objects, keys_file] = [OBJECTS, KEYS].map(|name| folder.path().join(name));
        fs::create_dir(&objects).map_err(|error| failed(reason(&error)))?;
        secret::write(&keys_file, &keys.lines()).map_err(|error| failed(error.to_string()))?;
        let temporary = Some(folder.path().to_owned());
        let argument = Argument { port: None, folder: objects, keys: keys_file, temporary };
        let process = StandInProcess::start(&KIND, &argument, "start a service")?;
        Ok(Self { process, _folder: folder, keys })
    }

    /// Where clients reach it, as in `http://127.0.0.1:4566`.
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

    /// The bucket that exists from the start.
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

/// The environment by which clients find an S3 server whose bucket is [`BUCKET`].
#[must_use]
pub fn environment(endpoint_url: &str, keys: &Keys) -> Vec<(String, String)> {
    let all = [
        ("AWS_ENDPOINT_URL_S3", endpoint_url),
        ("AWS_REGION", bench_service_aws::REGION),
        ("AWS_ACCESS_KEY_ID", &keys.access_key),
        ("AWS_SECRET_ACCESS_KEY", &keys.secret_key),
        ("BENCH_S3_BUCKET", BUCKET),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The arguments of a process that listens on this port until it is killed, and keeps its objects.
pub(crate) fn arguments(
    port: u16,
    folder: PathBuf,
    keys: PathBuf,
) -> Result<Vec<String>, StackError> {
    KIND.arguments(&Argument { port: Some(port), folder, keys, temporary: None })
}

/// A folder that only this user can read, whatever the umask is.
pub fn temporary_folder() -> Result<TempDir, StandInError> {
    let private = fs::Permissions::from_mode(0o700);
    let made = tempfile::Builder::new().prefix(FOLDER_PREFIX).permissions(private).tempdir();
    made.map_err(|error| failed(reason(&error)))
}

fn failed(reason: String) -> StandInError {
    StandInError::Folder { service: KIND.name, path: std::env::temp_dir(), reason }
}

/// Why the disk failed, in a few words.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        ErrorKind::QuotaExceeded => "no space left in this user's quota".to_owned(),
        ErrorKind::PermissionDenied => "this user may not write there".to_owned(),
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "it is read-only".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}
