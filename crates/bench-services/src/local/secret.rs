//! Passwords and keys: made anew for each stack, kept in files that only their owner reads.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::LocalError;
use crate::random;

/// Random bytes of the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], LocalError> {
    random::bytes().map_err(LocalError::file("read", Path::new(random::SOURCE)))
}

/// 128 random bits as 32 letters and digits, which need no quoting anywhere.
pub(super) fn password() -> Result<String, LocalError> {
    random::letters().map_err(LocalError::file("read", Path::new(random::SOURCE)))
}

/// Writes a file that nobody else can read, in place of one that may be there.
pub(super) fn write(path: &Path, text: &str) -> Result<(), LocalError> {
    let failed = || LocalError::file("write", path);
    // The mode counts for new files only.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        // Half of a secret is of no use.
        let _ = std::fs::remove_file(path);
        failed()(error)
    })
}
