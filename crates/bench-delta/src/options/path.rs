//! Parsing `--lake-path`. Errors repeat nothing of the text before it is known to contain no
//! credentials.

use std::path::{Component, Path, PathBuf};

use bench_aws::has_credentials;
use deltalake::logstore::object_store::path::Path as ObjectPath;
use url::Url;

use crate::LakeOptionsError;

const OPTION: &str = "--lake-path";

/// The forms of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LakePath<'a> {
    /// `s3://bucket/prefix`.
    S3 { bucket: &'a str, prefix: &'a str },
    /// Certainly a folder.
    Folder(PathBuf),
    /// A folder, or a table in a bucket.
    Name(&'a str),
}

pub(super) fn parse(text: &str) -> Result<LakePath<'_>, LakeOptionsError> {
    if text.is_empty() {
        let remedy = "use s3://BUCKET/PREFIX or a folder, or remove the option";
        return Err(LakeOptionsError::new(OPTION, "is empty", remedy));
    }
    let Some((scheme, rest)) = split_scheme(text) else {
        let is_name = !text.starts_with(['/', '.', '~']);
        return Ok(if is_name { LakePath::Name(text) } else { LakePath::Folder(text.into()) });
    };
    if has_credentials(text) {
        return Err(LakeOptionsError::credentials(OPTION));
    }
    match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
        ("s3" | "s3a", Some(rest)) => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            check_bucket(bucket, OPTION)?;
            Ok(LakePath::S3 { bucket, prefix: self::prefix(prefix, OPTION)? })
        }
        ("file", _) => {
            let remedy = "use the form file:///srv/table, with an absolute path";
            folder_of(text)
                .map(LakePath::Folder)
                .ok_or_else(|| LakeOptionsError::new(OPTION, "is not a valid folder URL", remedy))
        }
        _ => {
            let problem = "is neither on S3 nor a folder";
            let remedy = "use s3://BUCKET/PREFIX, file:///FOLDER, or a folder such as ./FOLDER";
            Err(LakeOptionsError::new(OPTION, problem, remedy))
        }
    }
}

/// Splits a URI into its scheme and the rest after the colon, which begins with a slash.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let begins_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_uri = rest.starts_with('/') && begins_well && scheme.chars().all(is_of_scheme);
    // Text that cannot be a scheme may still contain a secret.
    is_uri.then_some((scheme, rest)).or_else(|| {
        let (scheme, _) = text.split_once("://")?;
        Some((scheme, &text[scheme.len() + 1..]))
    })
}

/// The folder in a URL. Escaped slashes and NULs are rejected: no file name contains them.
fn folder_of(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok()?;
    let path = url.path().to_ascii_lowercase();
    let folder = url.to_file_path().ok()?;
    Some(folder).filter(|_| !path.contains("%2f") && !path.contains("%00"))
}

/// The absolute path of a folder; `home` replaces `~`. The folder need not exist. Symbolic links
/// are resolved where the path goes up, as the system does.
pub(super) fn resolve(folder: &Path, home: Option<&Path>) -> Result<PathBuf, LakeOptionsError> {
    let refused = |problem: &str, remedy: &str| Err(LakeOptionsError::new(OPTION, problem, remedy));
    let first = folder.components().next();
    let first = first.and_then(|first| first.as_os_str().to_str()).unwrap_or_default();
    let folder = match (first.strip_prefix('~'), home) {
        (None, _) => folder.to_owned(),
        (Some(""), Some(home)) => home.join(folder.strip_prefix("~").unwrap_or(folder)),
        (Some(""), None) => {
            return refused("contains ~, but HOME is not set", "use an absolute path");
        }
        (Some(_), _) => {
            let remedy = "use an absolute path, or ./~NAME for a folder of that name";
            return refused("is in another user's home", remedy);
        }
    };
    let absolute = match std::path::absolute(&folder) {
        Ok(absolute) => absolute,
        Err(error) => {
            return refused(&format!("cannot be made absolute: {error}"), "use an absolute path");
        }
    };
    let mut resolved = PathBuf::new();
    for part in absolute.components() {
        if part == Component::ParentDir {
            resolved = std::fs::canonicalize(&resolved).unwrap_or(resolved);
            resolved.pop();
        } else {
            resolved.push(part);
        }
    }
    if ObjectPath::from_absolute_path(&resolved).is_err() {
        let problem = "contains characters that are not allowed in the name of a table's folder";
        return refused(problem, "use one without control characters");
    }
    Ok(resolved)
}

/// A table's prefix in a bucket, without slashes at its ends.
pub(super) fn prefix<'a>(text: &'a str, option: &str) -> Result<&'a str, LakeOptionsError> {
    let prefix = text.trim_matches('/');
    if prefix.is_empty() {
        let problem = "contains a bucket but no table";
        return Err(LakeOptionsError::new(option, problem, "add a prefix: s3://BUCKET/PREFIX"));
    }
    if ObjectPath::parse(prefix).is_err() || prefix.contains(['?', '#']) {
        let problem = "has parts that are empty, '.' or '..', or characters that are not allowed \
                       in object names";
        return Err(LakeOptionsError::new(option, problem, "use a prefix such as lake/events"));
    }
    Ok(prefix)
}

/// Checks the name of a bucket against S3's rules.
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
    let problem = "is not a valid bucket name";
    let remedy = "use 3 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit \
                  at either end";
    Err(LakeOptionsError::new(option, problem, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> Result<PathBuf, String> {
        match parse(text) {
            Ok(LakePath::Folder(folder)) => Ok(folder),
            Ok(other) => panic!("{text}: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn file_urls_are_decoded_once() {
        for (url, expected) in [
            ("file:///srv/a%20b", "/srv/a b"),
            ("file:///srv/a%2520b", "/srv/a%20b"),
            ("file:///srv/a+b%23%3F%25", "/srv/a+b#?%"),
            ("file:///srv/z%C3%B6", "/srv/zö"),
            ("file:///srv/zö", "/srv/zö"),
            ("file:/srv/t", "/srv/t"),
            ("FILE:///srv/../t/", "/t/"),
        ] {
            assert_eq!(folder(url), Ok(PathBuf::from(expected)), "{url}");
        }
        for url in ["file:///srv/a%2Fb", "file:///srv/a%00b", "file://~/t"] {
            let error = folder(url).expect_err(url);
            assert!(error.contains("not a valid folder URL"), "{url}: {error}");
        }
        for text in ["dbfs:/mnt/t", "s3:/b/t", "hdfs://h/t"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("neither on S3 nor a folder"), "{text}: {error}");
        }
    }

    #[test]
    fn only_the_own_home_is_expanded() {
        let home = Some(Path::new("/home/me"));
        let resolved = |text: &str| resolve(Path::new(text), home).map_err(|e| e.to_string());
        assert_eq!(resolved("~"), Ok("/home/me".into()));
        assert_eq!(resolved("~/t"), Ok("/home/me/t".into()));
        assert_eq!(resolved("~//t/../u/"), Ok("/home/me/u".into()));
        let here = std::env::current_dir().expect("a folder");
        assert_eq!(resolved("./~/t"), Ok(here.join("~/t")));
        assert_eq!(resolved("a/~"), Ok(here.join("a/~")));
        let error = resolved("~root/t").expect_err("another user");
        assert!(error.contains("another user's home; use an absolute path"), "{error}");
        let error = resolve(Path::new("~/t"), None).expect_err("no home").to_string();
        assert!(error.contains("HOME is not set"), "{error}");
    }

    #[test]
    fn parent_paths_follow_links() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().canonicalize().expect("there").join(path);
        std::fs::create_dir_all(at("a/b")).expect("made");
        std::os::unix::fs::symlink(at("a/b"), at("link")).expect("linked");
        let resolved = |path: &str| resolve(&at(path), None).expect("a path");
        assert_eq!(resolved("link/../t"), at("a/t"));
        assert_eq!(resolved("nowhere/../t"), at("t"));
        assert_eq!(resolved("link/t"), at("link/t"), "links without .. are kept");
        let error = resolve(Path::new("/a\nb"), None).expect_err("a line break").to_string();
        assert!(error.contains("control characters"), "{error}");
    }
}
