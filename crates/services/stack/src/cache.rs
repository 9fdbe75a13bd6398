//! The folder of downloads, shared by all stacks, and the list of running stacks.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::StackError;
use crate::folder::{create_private, is_stack};
use crate::interruption;

/// Time that another process may take to fetch what this one needs too.
const FETCH_TIMEOUT: Duration = Duration::from_mins(15);

/// Interval between attempts to take a lock.
const POLL: Duration = Duration::from_millis(50);

/// Told what takes a while, one sentence at a time.
pub type Progress<'a> = dyn FnMut(&str) + 'a;

/// A folder for downloaded programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The environment variable that names the folder.
    pub const VARIABLE: &str = "BENCH_CACHE_DIR";

    /// The folder in `BENCH_CACHE_DIR`, else `stream-benchmark` in `XDG_CACHE_HOME` or `~/.cache`.
    pub fn from_environment() -> Result<Self, StackError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = set(Self::VARIABLE).map(PathBuf::from);
        let caches = || set("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| Path::new(&home).join(".cache"));
        let ours = || Some(caches().or_else(home)?.join("stream-benchmark"));
        let dir = named.or_else(ours).ok_or_else(|| StackError::Missing {
            what: "found no folder to keep downloaded programs in".to_owned(),
            remedy: format!("set {} or HOME", Self::VARIABLE),
        })?;
        Self::at(&dir)
    }

    /// A cache in this folder, which is created when something is first put into it.
    pub fn at(dir: &Path) -> Result<Self, StackError> {
        // Servers run in folders of their own, where a relative path would mean another one.
        let dir = std::path::absolute(dir).map_err(StackError::file("find", dir))?;
        Ok(Self { dir })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folders of all running stacks, including those whose driver has died.
    #[must_use]
    pub fn stacks(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.registry()) else { return Vec::new() };
        let mut dirs = Vec::new();
        for file in entries.flatten().map(|entry| entry.path()) {
            let Ok(dir) = fs::read(&file) else { continue };
            let dir = PathBuf::from(OsString::from_vec(dir));
            if is_stack(&dir) {
                dirs.push(dir);
            } else {
                // Its folder was removed while it ran.
                let _ = fs::remove_file(&file);
            }
        }
        dirs.sort();
        dirs.dedup();
        dirs
    }

    /// Lists the stack with this id in [`Cache::stacks`].
    pub(crate) fn register(&self, id: &str, dir: &Path) -> Result<(), StackError> {
        let registry = self.registry();
        create_private(&registry)?;
        let file = registry.join(id);
        fs::write(&file, dir.as_os_str().as_encoded_bytes()).map_err(|error| {
            // Half a path may be another valid one.
            let _ = fs::remove_file(&file);
            StackError::file("write", &file)(error)
        })
    }

    /// Removes a stack from the list.
    pub(crate) fn unregister(&self, id: &str) {
        // A file that stays points to a folder without a stack, which is skipped.
        let _ = fs::remove_file(self.registry().join(id));
    }

    /// The folder of this name in the cache, which is complete once it exists. If it does not,
    /// `fill` gets an empty folder to fill; what a failed one leaves there is removed.
    pub fn part(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), StackError>,
    ) -> Result<PathBuf, StackError> {
        let part = self.dir.join(name);
        if part.is_dir() {
            return Ok(part);
        }
        let work = self.dir.join("fetching");
        // Files that others could write there would be run by this user.
        create_private(&self.dir)?;
        let _lock = Lock::take(&self.dir, FETCH_TIMEOUT)?;
        if part.is_dir() {
            return Ok(part);
        }
        // Left by a killed process; a child of it may still be writing.
        let _ = fs::remove_dir_all(&work);
        let folder = work.join(format!("{name}-{}", std::process::id()));
        create_private(&folder)?;
        let filled = fill(&folder).and_then(|()| {
            fs::rename(&folder, &part).map_err(StackError::file("move into place", &part))
        });
        let _ = fs::remove_dir_all(&work);
        filled.map(|()| part)
    }

    fn registry(&self) -> PathBuf {
        self.dir.join("stacks")
    }
}

/// Keeps other processes from a folder or file until it is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for at most `timeout`.
    pub(crate) fn take(path: &Path, timeout: Duration) -> Result<Self, StackError> {
        let file = OpenOptions::new().read(true).open(path);
        let file = file.map_err(StackError::file("open", path))?;
        let deadline = Instant::now() + timeout;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    interruption::check()?;
                    std::thread::sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StackError::Busy { path: path.to_owned(), waited: timeout });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(StackError::file("lock", path)(source));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(&dir.path().join("cache")).expect("a cache");
        (dir, cache)
    }

    #[test]
    fn concurrent_fetches_fill_a_part_once() {
        let (_dir, cache) = cache();
        let fetched = AtomicU32::new(0);
        let fill = |folder: &Path| {
            fetched.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            fs::write(folder.join("file"), "text").map_err(StackError::file("write", folder))
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let part = cache.part("part-1", fill).expect("fetched");
                    assert_eq!(fs::read_to_string(part.join("file")).expect("there"), "text");
                });
            }
        });
        assert_eq!(fetched.into_inner(), 1);
    }

    #[test]
    fn failed_part_leaves_nothing() {
        let (_dir, cache) = cache();
        let left_over = cache.dir().join("fetching/part-1-77");
        fs::create_dir_all(&left_over).expect("created");
        let fail = |folder: &Path| {
            fs::write(folder.join("file"), "te").map_err(StackError::file("write", folder))?;
            Err(StackError::Options("broken off".to_owned()))
        };
        cache.part("part-1", fail).expect_err("fails");
        assert_eq!(fs::read_dir(cache.dir()).expect("there").count(), 0);
        cache.part("part-1", |_| Ok(())).expect("another time");
    }

    #[test]
    fn locks_exclude_each_other() {
        let (dir, _) = cache();
        let lock = Lock::take(dir.path(), Duration::ZERO).expect("free");
        let error = Lock::take(dir.path(), Duration::from_millis(60)).expect_err("taken");
        assert!(error.to_string().contains("60ms"), "{error}");
        drop(lock);
        // A process that another test starts at this moment holds it for another moment.
        Lock::take(dir.path(), Duration::from_secs(10)).expect("free again");
    }

    #[test]
    fn waiting_for_a_lock_is_interruptible() {
        let (dir, _) = cache();
        let _lock = Lock::take(dir.path(), Duration::ZERO).expect("free");
        let interrupted = std::sync::Arc::new(true.into());
        let wait = || Lock::take(dir.path(), Duration::from_mins(15));
        let error =
            crate::interruption::interruptible(&interrupted, wait).expect_err("interrupted");
        assert!(matches!(error, StackError::Interrupted), "{error}");
    }

    #[test]
    fn stacks_without_folders_are_forgotten() {
        let (dir, cache) = cache();
        assert_eq!(cache.stacks(), Vec::<PathBuf>::new());
        for name in ["here", "gone"] {
            cache.register(name, &dir.path().join(name)).expect("registered");
        }
        fs::create_dir(dir.path().join("here")).expect("created");
        fs::write(dir.path().join("here/stack.json"), "{}").expect("written");
        assert_eq!(cache.stacks(), [dir.path().join("here")]);
        cache.unregister("here");
        assert_eq!(fs::read_dir(cache.registry()).expect("there").count(), 0);
    }
}
