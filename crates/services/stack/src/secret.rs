//! Passwords and keys: new for each stack, kept in files that only their owner can read.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::StackError;

/// The system's source of random bits.
const SOURCE: &str = "/dev/urandom";

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StackError> {
    let mut bytes = [0; N];
    let read = File::open(SOURCE).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(StackError::file("read", Path::new(SOURCE)))?;
    Ok(bytes)
}

/// 128 random bits as 32 letters and digits, which need no quoting anywhere.
pub fn password() -> Result<String, StackError> {
    Ok(format!("{:032x}", u128::from_le_bytes(random()?)))
}

/// Writes a file that nobody else can read, replacing any that exists.
pub fn write(path: &Path, text: &str) -> Result<(), StackError> {
    let failed = || StackError::file("write", path);
    // The mode applies to new files only.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        // Half a secret is useless.
        let _ = std::fs::remove_file(path);
        failed()(error)
    })
}
