//! Random bits of the system.

use std::fs::File;
use std::io::{self, Read};

/// Where they come from.
pub(crate) const SOURCE: &str = "/dev/urandom";

/// So many random bytes.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open(SOURCE)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// 128 random bits as 32 letters and digits, which need no quoting anywhere.
pub(crate) fn letters() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_le_bytes(bytes()?)))
}
