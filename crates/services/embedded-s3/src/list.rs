//! Listing objects, in the order of their keys.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use s3s::S3Result;
use s3s::dto::{CommonPrefix, Object};

use super::disk;
use super::folder::{Folder, about, has_file};

/// A request for a list.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    /// Lists only keys after this one.
    pub(super) after: String,
    /// Keys with a slash after the prefix are listed as their common prefix.
    pub(super) by_folder: bool,
    pub(super) count_max: usize,
}

/// One page of the answer.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) prefixes: Vec<CommonPrefix>,
    /// The last key or prefix of the page, if more follow.
    pub(super) next: Option<String>,
    last: String,
}

impl Page {
    pub(super) fn count(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }

    /// Counts one more entry if it fits; returns whether it does.
    fn takes(&mut self, key: &str, count_max: usize) -> bool {
        if self.count() < count_max {
            key.clone_into(&mut self.last);
            return true;
        }
        // A page of size 0 has no next page.
        self.next = (count_max > 0).then(|| self.last.clone());
        false
    }
}

impl Folder {
    /// Lists objects of a bucket.
    pub(super) fn list(&self, bucket: &str, query: &Query) -> S3Result<Page> {
        let dir = self.bucket(bucket)?;
        let mut page = Page::default();
        // All keys with the prefix are in this folder.
        let base = query.prefix.rsplit_once('/').map_or("", |(base, _)| base);
        let is_path = base.split('/').all(|part| !matches!(part, "." | ".." | ""));
        let base = match base {
            "" if query.prefix.starts_with('/') => return Ok(page),
            "" => String::new(),
            _ if !is_path || base.contains('\0') => return Ok(page),
            base => format!("{base}/"),
        };
        walk(&dir.join(&base), &base, query, &mut page).map_err(disk::failed)?;
        Ok(page)
    }
}

/// Adds the requested keys of a folder, which all begin with `base`. Returns whether there may be
/// room for more.
fn walk(dir: &Path, base: &str, query: &Query, page: &mut Page) -> io::Result<bool> {
    let mut keys = match fs::read_dir(dir) {
        Ok(entries) => keys_in(entries, base)?,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    keys.retain(|key| is_wanted(key, query));
    keys.sort_unstable();
    for key in keys {
        let path = dir.join(&key[base.len()..]);
        let goes_on = if !key.ends_with('/') {
            add(&path, key, query, page)?
        } else if query.by_folder && key.len() > query.prefix.len() {
            add_prefix(&path, key, query, page)?
        } else {
            walk(&path, &key, query, page)?
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The keys in a folder; those of folders end in a slash, which sorts them correctly.
fn keys_in(entries: fs::ReadDir, base: &str) -> io::Result<Vec<String>> {
    let mut keys = Vec::new();
    for entry in entries {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        if let Some(name) = entry.file_name().to_str() {
            keys.push(format!("{base}{name}{slash}"));
        }
    }
    Ok(keys)
}

/// Whether a key is listed or, for a folder, a key in it may be.
fn is_wanted(key: &str, query: &Query) -> bool {
    let is_dir = key.ends_with('/');
    let has_prefix = key.starts_with(&query.prefix) || is_dir && query.prefix.starts_with(key);
    let is_after = key > query.after.as_str() || is_dir && query.after.starts_with(key);
    has_prefix && is_after
}

fn add(path: &Path, key: String, query: &Query, page: &mut Page) -> io::Result<bool> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // It was just deleted.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !page.takes(&key, query.count_max) {
        return Ok(false);
    }
    let about = about(&metadata).map_err(io::Error::other)?;
    page.objects.push(Object {
        key: Some(key),
        size: i64::try_from(about.size_bytes).ok(),
        e_tag: Some(about.e_tag),
        last_modified: Some(about.modified.into()),
        ..Object::default()
    });
    Ok(true)
}

fn add_prefix(path: &Path, key: String, query: &Query, page: &mut Page) -> io::Result<bool> {
    if key <= query.after || !has_file(path)? {
        return Ok(true);
    }
    if !page.takes(&key, query.count_max) {
        return Ok(false);
    }
    page.prefixes.push(CommonPrefix { prefix: Some(key) });
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Conditions;
    use super::super::folder::ConditionalWrites;
    use super::*;

    const KEYS: [&str; 7] = ["a", "a!b", "a.b/c", "a-b/c", "b/c/d", "b/c/e", "b0"];

    fn folder(dir: &Path) -> Folder {
        let folder = Folder::open(dir, ConditionalWrites::Sound).expect("made");
        folder.create_bucket("x").expect("made");
        for key in KEYS {
            let temporary = folder.temporary().expect("made");
            folder.put(&temporary, "x", key, &Conditions::default()).expect("put");
        }
        // Deleted objects leave their folders.
        let temporary = folder.temporary().expect("made");
        folder.put(&temporary, "x", "gone/away", &Conditions::default()).expect("put");
        folder.delete("x", "gone/away", None).expect("deleted");
        folder
    }

    /// Keys and prefixes, page by page.
    fn pages(folder: &Folder, mut query: Query) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let page = folder.list("x", &query).expect("listed");
            let keys = page.objects.into_iter().filter_map(|object| object.key);
            let prefixes = page.prefixes.into_iter().filter_map(|prefix| prefix.prefix);
            let mut names: Vec<String> = keys.chain(prefixes).collect();
            names.sort();
            all.push(names);
            match page.next {
                Some(next) => query.after = next,
                None => return all,
            }
        }
    }

    fn query(prefix: &str) -> Query {
        Query { prefix: prefix.to_owned(), count_max: 1_000, ..Query::default() }
    }

    #[test]
    fn keys_come_in_the_order_of_their_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = folder(dir.path());
        let page = folder.list("x", &query("")).expect("listed");
        let keys: Vec<String> = page.objects.into_iter().filter_map(|object| object.key).collect();
        let mut sorted = KEYS;
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
        assert_eq!(page.next, None);
    }

    #[test]
    fn lists_match_the_request() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = folder(dir.path());
        let one = |query| pages(&folder, query).concat();
        assert_eq!(one(query("b/")), ["b/c/d", "b/c/e"]);
        assert_eq!(one(query("b/c/e")), ["b/c/e"]);
        assert_eq!(one(query("a-")), ["a-b/c"]);
        assert_eq!(one(query("gone/")), [""; 0]);
        assert_eq!(one(query("../")), [""; 0]);
        assert_eq!(one(query("a/b")), [""; 0], "a file is no folder");
        let after = |after: &str| Query { after: after.to_owned(), ..query("b") };
        assert_eq!(one(after("b/c/d")), ["b/c/e", "b0"]);
        assert_eq!(one(after("b/c0")), ["b0"]);
        assert_eq!(one(after("c")), [""; 0]);
        assert!(folder.list("y", &query("")).is_err(), "there is no such bucket");
    }

    #[test]
    fn common_prefixes_stand_for_folders() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = folder(dir.path());
        let by_folder = |prefix: &str| Query { by_folder: true, ..query(prefix) };
        let one = |query| pages(&folder, query).concat();
        assert_eq!(one(by_folder("")), ["a", "a!b", "a-b/", "a.b/", "b/", "b0"]);
        assert_eq!(one(by_folder("b/")), ["b/c/"]);
        assert_eq!(one(by_folder("b/c/")), ["b/c/d", "b/c/e"]);
        assert_eq!(one(Query { after: "a-b/".to_owned(), ..by_folder("a") }), ["a.b/"]);
    }

    #[test]
    fn pages_list_every_key_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = folder(dir.path());
        for count_max in 1..=KEYS.len() {
            for by_folder in [false, true] {
                let whole = pages(&folder, Query { by_folder, ..query("") }).concat();
                let paged = pages(&folder, Query { by_folder, count_max, ..query("") });
                assert!(paged.iter().all(|page| page.len() <= count_max));
                assert_eq!(paged.concat(), whole, "{count_max} at a time");
            }
        }
        assert_eq!(pages(&folder, Query { count_max: 0, ..query("") }), [[""; 0]]);
    }
}
