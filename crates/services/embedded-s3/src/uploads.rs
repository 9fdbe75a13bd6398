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

/// The smallest part that is not the last.
const PART_MIN_BYTES: u64 = 5 << 20;

/// The most parts an upload may have.
const PARTS_MAX: PartNumber = 10_000;

/// The file that says what an upload is to become.
const TARGET: &str = "target";

impl Folder {
    /// Begins an upload; its id.
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

    /// Makes a part of a file.
    pub(super) fn put_part(
        &self,
        temporary: &Temporary,
        upload: (&str, &str, &str),
        number: PartNumber,
    ) -> S3Result<About> {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(s3_error!(InvalidArgument, "a part has a number from 1 to {PARTS_MAX}"));
        }
        let dir = self.upload(upload)?;
        let about = self.stamp(temporary)?;
        match temporary.rename(&dir.join(number.to_string())) {
            Ok(()) => Ok(about),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(s3_error!(NoSuchUpload)),
            Err(error) => Err(disk::failed(error)),
        }
    }

    /// Makes an object of the parts.
    pub(super) fn complete_upload(
        &self,
        upload: (&str, &str, &str),
        parts: &[CompletedPart],
        conditions: &Conditions,
    ) -> S3Result<About> {
        let dir = self.upload(upload)?;
        if parts.is_empty() {
            return Err(s3_error!(MalformedXML, "an object has at least one part"));
        }
        if !parts.is_sorted_by(|one, next| one.part_number < next.part_number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let mut whole = self.temporary().map_err(disk::failed)?;
        for (index, part) in parts.iter().enumerate() {
            let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            let file = File::open(dir.join(number.to_string()));
            let file = file.map_err(|_| s3_error!(InvalidPart, "part {number} is not there"))?;
            let about = about(&file.metadata().map_err(disk::failed)?)?;
            if part.e_tag.as_ref().is_some_and(|e_tag| e_tag.value() != about.e_tag.value()) {
                return Err(s3_error!(InvalidPart, "part {number} is another one"));
            }
            if about.size_bytes < PART_MIN_BYTES && index + 1 < parts.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            whole.append(&file).map_err(disk::failed)?;
        }
        let about = self.put(&whole, upload.0, upload.1, conditions)?;
        // What is left of it takes room and does no harm.
        let _ = fs::remove_dir_all(dir);
        Ok(about)
    }

    /// Gives up on an upload.
    pub(super) fn abort_upload(&self, upload: (&str, &str, &str)) -> S3Result<()> {
        fs::remove_dir_all(self.upload(upload)?).map_err(disk::failed)
    }

    /// Where an upload lies, which is named by bucket, key and id.
    fn upload(&self, (bucket, key, id): (&str, &str, &str)) -> S3Result<PathBuf> {
        // An id is a name of ours, and no path.
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let dir = self.uploads.join(id);
        let is_ours = || fs::read_to_string(dir.join(TARGET)).ok() == Some(target(bucket, key));
        if is_id && is_ours() { Ok(dir) } else { Err(s3_error!(NoSuchUpload)) }
    }
}

fn target(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}
