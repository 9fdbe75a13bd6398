//! What `--lake-path` says. Nothing of a text is repeated in an error before it is known to hold no
//! credentials.

use std::path::PathBuf;

use deltalake::logstore::object_store::path::Path as ObjectPath;
use url::Url;

use crate::LakeOptionsError;

const OPTION: &str = "--lake-path";

/// What a path may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LakePath<'a> {
    /// `s3://bucket/prefix`.
    S3 { bucket: &'a str, prefix: &'a str },
    /// Something that can only be a folder.
    Folder(PathBuf),
    /// A folder, or a table in a bucket.
    Name(&'a str),
}

pub(super) fn parse(text: &str) -> Result<LakePath<'_>, LakeOptionsError> {
    if text.is_empty() {
        let remedy = "name s3://BUCKET/PREFIX or a folder, or leave the option out";
        return Err(LakeOptionsError::new(OPTION, "is empty", remedy));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_name = !text.starts_with(['/', '.', '~']);
        return Ok(if is_name { LakePath::Name(text) } else { LakePath::Folder(text.into()) });
    };
    if has_credentials(text) {
        return Err(LakeOptionsError::credentials(OPTION));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "s3" | "s3a" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            check_bucket(bucket, OPTION)?;
            Ok(LakePath::S3 { bucket, prefix: self::prefix(prefix, OPTION)? })
        }
        "file" => {
            let folder = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
            let remedy = "write it as in file:///srv/table, with the whole path";
            folder
                .map(LakePath::Folder)
                .ok_or_else(|| LakeOptionsError::new(OPTION, "names no folder", remedy))
        }
        _ => {
            let problem = "is neither on S3 nor a folder";
            Err(LakeOptionsError::new(OPTION, problem, "name s3://BUCKET/PREFIX or file:///FOLDER"))
        }
    }
}

/// Whether a URI has what may be secret: a user before the host, or parameters.
pub(super) fn has_credentials(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A secret may hold slashes that nobody has escaped.
    host.contains('@') || host.contains(':') && rest.contains('@') || rest.contains(['?', '#'])
}

/// The place of a table in a bucket, without slashes at its ends.
pub(super) fn prefix<'a>(text: &'a str, option: &str) -> Result<&'a str, LakeOptionsError> {
    let prefix = text.trim_matches('/');
    if prefix.is_empty() {
        let problem = "names a bucket and no table in it";
        return Err(LakeOptionsError::new(option, problem, "add a prefix: s3://BUCKET/PREFIX"));
    }
    if ObjectPath::parse(prefix).is_err() || prefix.contains(['?', '#']) {
        let problem = "has parts that are empty, '.' or '..', or signs that an object's name cannot \
                       have";
        return Err(LakeOptionsError::new(option, problem, "name a prefix such as lake/events"));
    }
    Ok(prefix)
}

/// Whether S3 takes the name of a bucket.
pub(super) fn check_bucket(name: &str, option: &str) -> Result<(), LakeOptionsError> {
    let is_taken = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_good = (3..=63).contains(&name.len())
        && name.chars().all(is_taken)
        && ends_well(name.chars().next())
        && ends_well(name.chars().next_back());
    if is_good {
        return Ok(());
    }
    let problem = "has no name of a bucket";
    let remedy = "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens, and a \
                  letter or digit at either end";
    Err(LakeOptionsError::new(option, problem, remedy))
}
