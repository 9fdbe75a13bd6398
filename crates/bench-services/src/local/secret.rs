//! Passwords and keys: made anew for each stack, kept in files that only their owner reads.

use std::path::Path;

use bench_core::system::replace_secret_file;

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

/// Writes a file that only its owner can read, in place of one that may be there, in one step.
pub(super) fn write(path: &Path, text: &str) -> Result<(), LocalError> {
    replace_secret_file(path, text.as_bytes()).map_err(LocalError::file("write", path))
}
