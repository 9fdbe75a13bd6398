//! Buckets and objects as folders and files.
//!
//! An object is one file, written elsewhere and then moved into place, so that nobody ever reads
//! half of it. Its entity tag is the instant of its writing, which no two objects of a server
//! share, and its size; no other metadata is kept.
//!
//! ```text
//! DIR/buckets/BUCKET/KEY      the objects
//! DIR/uploads/ID/             parts of unfinished uploads
//! DIR/tmp/                    what is being written
//! ```

use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Result, s3_error};

use super::conditions::Conditions;
use super::disk;

/// Locks that the objects share. More than there are threads, so that two that meet on a lock
/// usually mean the same object.
const LOCKS: usize = 64;

/// The longest name of a file on Linux.
const NAME_MAX_BYTES: usize = 255;

/// Whether changes of one object wait for each other. They must: a condition is checked before the
/// object is replaced, and no other change may come in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConditionalWrites {
    Sound,
    /// Only to show that the tests would notice.
    Broken,
}

/// A folder with all buckets and objects. Its functions wait for the disk.
#[derive(Debug)]
pub(super) struct Folder {
    buckets: PathBuf,
    pub(super) uploads: PathBuf,
    tmp: PathBuf,
    writes: ConditionalWrites,
    locks: [Mutex<()>; LOCKS],
    next_tmp: AtomicU64,
    /// The instant in the tag of the last object.
    last_stamp_ns: AtomicU64,
}

/// Properties of an object.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) size_bytes: u64,
    pub(super) e_tag: ETag,
    pub(super) modified: SystemTime,
}

impl Folder {
    /// Opens `dir`, which is created if missing. Unfinished writes are lost.
    pub(super) fn open(dir: &Path, writes: ConditionalWrites) -> io::Result<Self> {
        let [buckets, uploads, tmp] = ["buckets", "uploads", "tmp"].map(|name| dir.join(name));
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in [&buckets, &uploads, &tmp] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self {
            buckets,
            uploads,
            tmp,
            writes,
            locks: [(); LOCKS].map(Mutex::new),
            next_tmp: AtomicU64::new(0),
            last_stamp_ns: AtomicU64::new(0),
        })
    }

    /// Names and creation times of the buckets.
    pub(super) fn buckets(&self) -> S3Result<Vec<(String, SystemTime)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.buckets).map_err(disk::failed)? {
            let entry = entry.map_err(disk::failed)?;
            let made = entry.metadata().and_then(|metadata| metadata.modified());
            if let (Ok(name), Ok(made)) = (entry.file_name().into_string(), made) {
                found.push((name, made));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Creates a bucket; returns whether it is new.
    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<bool> {
        match fs::create_dir(self.buckets.join(bucket)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a bucket that holds no object.
    pub(super) fn delete_bucket(&self, bucket: &str) -> S3Result<()> {
        let dir = self.bucket(bucket)?;
        if has_file(&dir).map_err(disk::failed)? {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(dir).map_err(disk::failed)
    }

    /// A bucket's folder, if the bucket exists.
    pub(super) fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let dir = self.buckets.join(bucket);
        if dir.is_dir() { Ok(dir) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// Opens an object for reading.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> S3Result<(File, About)> {
        let absent = || self.bucket(bucket).map_or_else(|error| error, |_| s3_error!(NoSuchKey));
        let path = self.object(bucket, key).ok_or_else(absent)?;
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if metadata.is_file() => Ok((file, about(&metadata)?)),
            Ok(_) => Err(absent()),
            Err(error) if is_absence(&error) => Err(absent()),
            Err(error) => Err(disk::failed(error)),
        }
    }

    /// A file that will become an object.
    pub(super) fn temporary(&self) -> io::Result<Temporary> {
        let number = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        let path = self.tmp.join(number.to_string());
        let file = File::create(&path)?;
        Ok(Temporary { path, file })
    }

    /// Turns a file into an object, if the existing object meets the conditions.
    pub(super) fn put(
        &self,
        temporary: &Temporary,
        bucket: &str,
        key: &str,
        conditions: &Conditions,
    ) -> S3Result<About> {
        let path = self.object(bucket, key).ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "the embedded S3 keeps objects in files: what is between two slashes of a key is \
                 1 to {NAME_MAX_BYTES} bytes and neither '.' nor '..'"
            )
        })?;
        let about = self.stamp(temporary)?;
        let _turn = self.turn(&path);
        conditions.check(&path)?;
        let renamed = fs::rename(&temporary.path, &path).or_else(|error| {
            let Some(parent) = path.parent().filter(|_| error.kind() == ErrorKind::NotFound) else {
                return Err(error);
            };
            if self.bucket(bucket).is_err() {
                return Err(error);
            }
            fs::create_dir_all(parent)?;
            fs::rename(&temporary.path, &path)
        });
        match renamed.map_err(|error| (error.kind(), error)) {
            Ok(()) => Ok(about),
            Err((ErrorKind::NotFound, _)) => Err(s3_error!(NoSuchBucket)),
            Err((
                ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists,
                _,
            )) => Err(s3_error!(
                InvalidRequest,
                "the embedded S3 keeps objects in files: a key cannot go on, after a slash, where \
                 another one ends"
            )),
            Err((_, error)) => Err(disk::failed(error)),
        }
    }

    /// Removes an object. As in S3, a missing one is not an error.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<ETagCondition>,
    ) -> S3Result<()> {
        self.bucket(bucket)?;
        let Some(path) = self.object(bucket, key) else { return Ok(()) };
        let _turn = self.turn(&path);
        if if_match.is_some() {
            Conditions { if_match, if_none_match: None }.check(&path)?;
        }
        match fs::remove_file(&path) {
            Err(error) if !is_absence(&error) && error.kind() != ErrorKind::IsADirectory => {
                Err(disk::failed(error))
            }
            _ => Ok(()),
        }
    }

    /// Sets a file's tag.
    pub(super) fn stamp(&self, temporary: &Temporary) -> S3Result<About> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let next = |last_ns: u64| Some(now_ns.max(last_ns + 1));
        let last = self.last_stamp_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let stamp_ns = now_ns.max(last.map_or(0, |last_ns| last_ns + 1));
        let modified = SystemTime::UNIX_EPOCH + Duration::from_nanos(stamp_ns);
        let stamped = temporary.file.set_modified(modified);
        // The file system may store it with less precision, which is what readers will see.
        let metadata = stamped.and_then(|()| temporary.file.metadata());
        about(&metadata.map_err(disk::failed)?)
    }

    /// The path of an object; `None` if its key does not make a path.
    fn object(&self, bucket: &str, key: &str) -> Option<PathBuf> {
        let is_name = |part: &str| {
            !matches!(part, "" | "." | "..") && part.len() <= NAME_MAX_BYTES && !part.contains('\0')
        };
        let is_path = key.split('/').all(is_name);
        is_path.then(|| self.buckets.join(bucket).join(key))
    }

    /// The lock for changing an object.
    fn turn(&self, path: &Path) -> Option<MutexGuard<'_, ()>> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        let lock = self.locks.get(index).filter(|_| self.writes == ConditionalWrites::Sound)?;
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A file that is removed when this value is dropped, unless it became an object.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    pub(super) fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        chunks.iter().try_for_each(|chunk| self.file.write_all(chunk))
    }

    /// Appends the rest of a file.
    pub(super) fn append(&mut self, mut file: &File) -> io::Result<u64> {
        io::copy(&mut file, &mut self.file)
    }

    /// Moves it to a place outside the objects.
    pub(super) fn rename(&self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails if it became an object, the usual case.
        let _ = fs::remove_file(&self.path);
    }
}

/// Properties of an object by its file.
pub(super) fn about(metadata: &Metadata) -> S3Result<About> {
    let modified = metadata.modified().map_err(disk::failed)?;
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let size_bytes = metadata.len();
    // The hyphen shows that it is not a digest of the content.
    let e_tag = ETag::Strong(format!("{:x}-{size_bytes:x}", since.as_nanos()));
    Ok(About { size_bytes, e_tag, modified })
}

/// Whether there is any file in a folder, at any depth. Folders outlive their objects.
pub(super) fn has_file(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || has_file(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the error means that there is no such file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
