//! Request and response bodies.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{ChecksumAlgorithm, PutObjectInput, StreamingBlob, UploadPartInput};
use s3s::{Body, S3Error, S3Result, TrailingHeaders, s3_error};
use tokio::task::{JoinError, spawn_blocking};

use super::disk;
use super::folder::{Folder, Temporary};

/// Bytes of an incoming body that are held in memory.
const HELD_MAX_BYTES: usize = 4 << 20;

/// Bytes per read of a file.
const READ_MAX_BYTES: u64 = 1 << 20;

/// The digests of a body that its sender has given.
#[derive(Debug, Default)]
pub(super) struct Digests {
    algorithm: Option<ChecksumAlgorithm>,
    md5: Option<String>,
    crc32: Option<String>,
    crc32c: Option<String>,
    crc64nvme: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
    /// Digests that come after the body.
    trailers: Option<TrailingHeaders>,
}

/// [`PutObjectInput`] and [`UploadPartInput`] have the same fields for this.
macro_rules! digests {
    ($input:expr, $trailers:expr) => {
        Digests {
            algorithm: $input.checksum_algorithm.take(),
            md5: $input.content_md5.take(),
            crc32: $input.checksum_crc32.take(),
            crc32c: $input.checksum_crc32c.take(),
            crc64nvme: $input.checksum_crc64nvme.take(),
            sha1: $input.checksum_sha1.take(),
            sha256: $input.checksum_sha256.take(),
            trailers: $trailers,
        }
    };
}

impl Digests {
    pub(super) fn of_object(input: &mut PutObjectInput, trailers: Option<TrailingHeaders>) -> Self {
        digests!(input, trailers)
    }

    pub(super) fn of_part(input: &mut UploadPartInput, trailers: Option<TrailingHeaders>) -> Self {
        digests!(input, trailers)
    }
}

/// Computes the digests that were given.
struct Hashers {
    named: Digests,
    md5: Option<Md5>,
    checksums: ChecksumHasher,
}

impl Hashers {
    fn new(named: Digests) -> Self {
        let is_wanted = |value: &Option<String>, name| {
            let algorithm = named.algorithm.as_ref();
            value.is_some() || algorithm.is_some_and(|algorithm| algorithm.as_str() == name)
        };
        let checksums = ChecksumHasher {
            crc32: is_wanted(&named.crc32, ChecksumAlgorithm::CRC32).then(Crc32::new),
            crc32c: is_wanted(&named.crc32c, ChecksumAlgorithm::CRC32C).then(Crc32c::new),
            crc64nvme: is_wanted(&named.crc64nvme, ChecksumAlgorithm::CRC64NVME)
                .then(Crc64Nvme::new),
            sha1: is_wanted(&named.sha1, ChecksumAlgorithm::SHA1).then(Sha1::new),
            sha256: is_wanted(&named.sha256, ChecksumAlgorithm::SHA256).then(Sha256::new),
        };
        let md5 = named.md5.is_some().then(Md5::new);
        Self { named, md5, checksums }
    }

    fn update(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            self.checksums.update(chunk);
            if let Some(md5) = &mut self.md5 {
                md5.update(chunk);
            }
        }
    }

    /// Checks the body against the digests.
    fn verify(self) -> S3Result<()> {
        let Self { mut named, md5, checksums } = self;
        if let Some(trailers) = named.trailers.take().and_then(|trailers| trailers.take()) {
            let fields = [
                ("x-amz-checksum-crc32", &mut named.crc32),
                ("x-amz-checksum-crc32c", &mut named.crc32c),
                ("x-amz-checksum-crc64nvme", &mut named.crc64nvme),
                ("x-amz-checksum-sha1", &mut named.sha1),
                ("x-amz-checksum-sha256", &mut named.sha256),
            ];
            for (name, field) in fields {
                if let Some(value) = trailers.get(name).and_then(|value| value.to_str().ok()) {
                    *field = Some(value.to_owned());
                }
            }
        }
        let found = checksums.finalize();
        let md5 = md5.map(|md5| BASE64_STANDARD.encode(md5.finalize()));
        let pairs = [
            (named.md5, md5),
            (named.crc32, found.checksum_crc32),
            (named.crc32c, found.checksum_crc32c),
            (named.crc64nvme, found.checksum_crc64nvme),
            (named.sha1, found.checksum_sha1),
            (named.sha256, found.checksum_sha256),
        ];
        // A digest in the trailer whose algorithm was not announced goes unverified.
        let differs = |(named, found): &(Option<String>, Option<String>)| {
            named.is_some() && found.is_some() && named != found
        };
        if pairs.iter().any(differs) { Err(s3_error!(BadDigest)) } else { Ok(()) }
    }
}

/// Runs something that waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    spawn_blocking(act).await.unwrap_or_else(|error| Err(S3Error::internal_error(error)))
}

/// Writes a body to a file, verifies it, and passes the file to `then`.
pub(super) async fn receive<T: Send + 'static>(
    folder: &Arc<Folder>,
    body: Option<StreamingBlob>,
    digests: Digests,
    act: impl FnOnce(&Folder, &Temporary) -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    let mut body = body.unwrap_or_else(|| StreamingBlob::from(Body::empty()));
    let mut hashers = Hashers::new(digests);
    let mut file = None;
    let mut held = Vec::new();
    let mut held_bytes = 0;
    while let Some(chunk) = body.next().await {
        // Its signature is verified as it arrives.
        let chunk = chunk.map_err(|error| broken_body(&*error))?;
        held_bytes += chunk.len();
        held.push(chunk);
        if held_bytes >= HELD_MAX_BYTES {
            let folder = Arc::clone(folder);
            (file, hashers, held) = blocking(move || flush(&folder, file, hashers, held)).await?;
            held_bytes = 0;
        }
    }
    let folder = Arc::clone(folder);
    blocking(move || {
        let (file, hashers, _) = flush(&folder, file, hashers, held)?;
        hashers.verify()?;
        match file {
            Some(file) => act(&folder, &file),
            None => Err(s3_error!(InternalError)),
        }
    })
    .await
}

/// The file that a body goes to, and the bytes not yet written.
type Received = (Option<Temporary>, Hashers, Vec<Bytes>);

fn flush(
    folder: &Folder,
    file: Option<Temporary>,
    mut hashers: Hashers,
    mut held: Vec<Bytes>,
) -> S3Result<Received> {
    let write = || -> io::Result<Temporary> {
        let mut file = file.map_or_else(|| folder.temporary(), Ok)?;
        file.write(&held)?;
        Ok(file)
    };
    let file = write().map_err(disk::failed)?;
    hashers.update(&held);
    held.clear();
    Ok((Some(file), hashers, held))
}

/// The client disconnected, or sent something else than it signed.
fn broken_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> S3Error {
    s3_error!(IncompleteBody, "the body broke off: {error}")
}

/// Part of a file as a response body.
pub(super) async fn send(file: File, range: Range<u64>) -> S3Result<StreamingBlob> {
    if range.end - range.start <= READ_MAX_BYTES {
        let bytes = blocking(move || read(&file, &range).map_err(disk::failed)).await?;
        return Ok(StreamingBlob::from(Body::from(bytes)));
    }
    let chunks = stream::unfold((Arc::new(file), range), |(file, range)| async move {
        if range.is_empty() {
            return None;
        }
        let middle = range.end.min(range.start + READ_MAX_BYTES);
        let source = Arc::clone(&file);
        let chunk = spawn_blocking(move || read(&source, &(range.start..middle))).await;
        Some((chunk.unwrap_or_else(|error| Err(ended(error))), (file, middle..range.end)))
    });
    Ok(StreamingBlob::wrap(chunks))
}

fn read(file: &File, range: &Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

fn ended(error: JoinError) -> io::Error {
    io::Error::other(error)
}
