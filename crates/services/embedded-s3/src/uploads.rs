//! Uploads in parts.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bench_stack::secret;
use s3s::dto::{CompletedPart, PartNumber};
use s3s::{S3Result, s3_error};

use super::conditions::Conditions;
use super::disk;
use super::folder::{About, Folder, Temporary, about};

/// Smallest size of a part other than the last.
const PART_MIN_BYTES: u64 = 5 << 20;

/// Most parts of an upload.
const PARTS_MAX: PartNumber = 10_000;

/// The file with the key that an upload is for.
const TARGET: &str = "target";

impl Folder {
    /// Begins an upload and returns its id.
    pub(super) fn begin_upload(&self, bucket: &str, key: &str) -> S3Result<String> {
        self.bucket(bucket)?;
        let begun = secret::password().map_err(io::Error::other).and_then(|id| {
            let dir = self.uploads.join(&id);
            fs::create_dir(&dir)?;
            fs::write(dir.join(TARGET), target(bucket, key))?;
            Ok(id)
        });
        begun.map_err(disk::failed)
    }

    /// Turns a file into a part.
    pub(super) fn put_part(
        &self,
        temporary: &Temporary,
        upload: (&str, &str, &str),
        number: PartNumber,
    ) -> S3Result<About> {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(s3_error!(InvalidArgument, "part numbers are 1 to {PARTS_MAX}"));
        }
        let dir = self.upload(upload)?;
        let about = self.stamp(temporary)?;
        match temporary.rename(&dir.join(number.to_string())) {
            Ok(()) => Ok(about),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(s3_error!(NoSuchUpload)),
            Err(error) => Err(disk::failed(error)),
        }
    }

    /// Turns the parts into an object.
    pub(super) fn complete_upload(
        &self,
        upload: (&str, &str, &str),
        parts: &[CompletedPart],
        conditions: &Conditions,
    ) -> S3Result<About> {
        let dir = self.upload(upload)?;
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "an object needs at least one part"));
        }
        if !parts.is_sorted_by(|one, next| one.part_number < next.part_number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut whole = self.temporary().map_err(disk::failed)?;
        for (index, part) in parts.iter().enumerate() {
            let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            let file = File::open(dir.join(number.to_string()));
            let file = file.map_err(|_| s3_error!(InvalidPart, "part {number} does not exist"))?;
            let about = about(&file.metadata().map_err(disk::failed)?)?;
            if part.e_tag.as_ref().is_some_and(|e_tag| e_tag.value() != about.e_tag.value()) {
                return Err(s3_error!(InvalidPart, "part {number} has another tag"));
            }
            if about.size_bytes < PART_MIN_BYTES && index + 1 < parts.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            whole.append(&file).map_err(disk::failed)?;
        }
        let about = self.put(&whole, upload.0, upload.1, conditions)?;
        // Leftovers take space but do no harm.
        let _ = fs::remove_dir_all(dir);
        Ok(about)
    }

    /// Removes an unfinished upload.
    pub(super) fn abort_upload(&self, upload: (&str, &str, &str)) -> S3Result<()> {
        fs::remove_dir_all(self.upload(upload)?).map_err(disk::failed)
    }

    /// The folder of the upload with this bucket, key and id.
    fn upload(&self, (bucket, key, id): (&str, &str, &str)) -> S3Result<PathBuf> {
        // An id must be one of ours, not a path.
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let dir = self.uploads.join(id);
        let is_ours = || fs::read_to_string(dir.join(TARGET)).ok() == Some(target(bucket, key));
        if is_id && is_ours() { Ok(dir) } else { Err(s3_error!(NoSuchUpload)) }
    }
}

fn target(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}
