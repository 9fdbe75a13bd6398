//! Errors of the disk as clients see them.

use std::io::{self, ErrorKind};

use bench_service_s3::stand_in::reason;
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// The error code of a full disk.
const NO_SPACE: &str = "InsufficientStorage";

/// The error for a failed operation on the folder, with a text, since clients would see only an
/// internal error otherwise.
pub(super) fn failed(error: io::Error) -> S3Error {
    let reason = reason(&error);
    let mut failed = if is_full(&error) {
        let text = format!(
            "the embedded S3 has {reason}; free some, or use another disk (TMPDIR, or --dir of \
                    run-suite services)"
        );
        let mut full = S3Error::with_message(S3ErrorCode::Custom(NO_SPACE.into()), text);
        full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
        full
    } else {
        let text = format!("the embedded S3 failed to use its folder: {reason}");
        S3Error::with_message(S3ErrorCode::InternalError, text)
    };
    failed.set_source(Box::new(error));
    failed
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_full_disk_is_named_to_clients() {
        for (errno, what) in [
            (Errno::NOSPC, "no space left on the disk"),
            (Errno::DQUOT, "no space left in this user's quota"),
        ] {
            let error = failed(io::Error::from_raw_os_error(errno.raw_os_error()));
            assert_eq!(error.code().as_str(), "InsufficientStorage");
            assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
            let text = error.message().expect("a message");
            assert!(text.contains(what) && text.contains("TMPDIR"), "{text}");
        }
        let other = failed(io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
        assert_eq!(
            other.message(),
            Some("the embedded S3 failed to use its folder: input/output error")
        );
    }
}
