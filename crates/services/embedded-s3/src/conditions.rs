//! Conditions of a request on the existing object.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::disk;
use super::folder::{About, about, is_absence};

/// Conditions of a write on the existing object.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Conditions {
    /// Checks the object at `path`.
    pub(super) fn check(&self, path: &Path) -> S3Result<()> {
        if self.if_match.is_none() && self.if_none_match.is_none() {
            return Ok(());
        }
        let found = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => Some(about(&metadata)?.e_tag),
            Ok(_) => None,
            Err(error) if is_absence(&error) => None,
            Err(error) => return Err(disk::failed(error)),
        };
        match (&self.if_none_match, &found) {
            (None, _) | (Some(ETagCondition::Any), None) => {}
            (Some(ETagCondition::Any), Some(_)) => return Err(s3_error!(PreconditionFailed)),
            // As in S3, which accepts only '*'.
            (Some(ETagCondition::ETag(_)), _) => return Err(s3_error!(NotImplemented)),
        }
        match (&self.if_match, &found) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey)),
            (Some(ETagCondition::ETag(wanted)), Some(found)) if wanted.strong_cmp(found) => Ok(()),
            (Some(ETagCondition::ETag(_)), Some(_)) => Err(s3_error!(PreconditionFailed)),
        }
    }
}

/// Conditions of a read.
pub(super) struct Reading {
    /// `If-Match` and `If-None-Match`.
    pub(super) wanted: (Option<ETagCondition>, Option<ETagCondition>),
    /// `If-Modified-Since` and `If-Unmodified-Since`.
    pub(super) since: (Option<Timestamp>, Option<Timestamp>),
}

impl Reading {
    /// Checks in the order of RFC 9110, section 13.2.2.
    pub(super) fn check(&self, about: &About) -> S3Result<()> {
        let (if_match, if_none_match) = &self.wanted;
        let (if_modified_since, if_unmodified_since) = &self.since;
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(e_tag) => e_tag.weak_cmp(&about.e_tag),
        };
        let is_newer = |than: &Timestamp| whole_seconds(about.modified) > *than;
        let is_refused = match if_match {
            Some(condition) => !is(condition),
            None => if_unmodified_since.as_ref().is_some_and(is_newer),
        };
        if is_refused {
            return Err(s3_error!(PreconditionFailed));
        }
        let is_known = match if_none_match {
            Some(condition) => is(condition),
            None => if_modified_since.as_ref().is_some_and(|than| !is_newer(than)),
        };
        if is_known { Err(s3_error!(NotModified)) } else { Ok(()) }
    }
}

/// An instant with the precision of headers.
fn whole_seconds(instant: SystemTime) -> Timestamp {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())).into()
}
