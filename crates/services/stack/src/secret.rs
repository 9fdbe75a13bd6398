//! Passwords and keys: new for each stack, kept in files that only their owner can read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bench_record::files::replace_secret_file;

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

/// Writes a file that only its owner can read, replacing any that exists in one step.
pub fn write(path: &Path, text: &str) -> Result<(), StackError> {
    replace_secret_file(path, text.as_bytes()).map_err(StackError::file("write", path))
}
