//! Files of result folders. Others may be able to write to such a folder, so a link, a pipe or a
//! device in place of a file is never followed, filled or waited for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Flags that neither follow a link in the last part of a path nor wait for the other end of a
/// pipe.
fn wary() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Opens a file for reading. A folder, a pipe or a device is an error: it might never end.
pub fn open_file(path: &Path) -> io::Result<File> {
    // A link to a file is fine: nothing is written.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    must_be_file(&file)?;
    Ok(file)
}

/// Reads a whole file, opened with [`open_file`].
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the last bytes of a file, at most `bytes_max`, as text.
pub fn tail(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut file = open_file(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut bytes = Vec::new();
    // The file may grow meanwhile.
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Creates a new file, replacing a file left by an earlier attempt. Anything else at `path` is an
/// error.
pub fn create_new(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        // Removed rather than truncated: it may be a hard link to a file elsewhere.
        Ok(found) if found.is_file() => fs::remove_file(path)?,
        Ok(found) => return Err(not_a_file(found.file_type().is_symlink())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opens a lock file shared with other processes, creating it if missing.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(wary());
    let file = options.open(path)?;
    must_be_file(&file)?;
    Ok(file)
}

/// Replaces a file with what `write` writes, or creates it.
///
/// A reader sees the whole old file or the whole new one, never a part of either. On success the new
/// one outlives a crash of this process and, as far as the file system keeps its promises, of the
/// machine: the file and then its folder are synchronised (`fsync`). On an error nothing else is left,
/// and the old file stays, unless only the folder could not be synchronised.
///
/// The new file is written beside the old one under its name with `.tmp` behind it. A link in either
/// place is replaced, not followed. Two writers must not replace one file at the same time.
pub fn replace_file<T, E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let written = replace(path, MODE_DEFAULT, |file| {
        let written = write(file)?;
        file.sync_all()?;
        Ok::<T, E>(written)
    })?;
    sync_folder_of(path)?;
    Ok(written)
}

/// Does the same as [`replace_file`] with a file that only its owner may read.
pub fn replace_secret_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, MODE_SECRET, |file| -> io::Result<()> {
        file.write_all(contents)?;
        file.sync_all()
    })?;
    sync_folder_of(path)
}

/// Does the same as [`replace_file`] for a file that is replaced again and again while a run goes on:
/// it outlives a crash of this process only. To synchronise a disk that it shares with the system
/// under test would disturb that system.
pub fn replace_file_unsynced(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace(path, MODE_DEFAULT, |file| file.write_all(contents))
}

/// Before the umask.
const MODE_DEFAULT: u32 = 0o666;
const MODE_SECRET: u32 = 0o600;

fn replace<T, E: From<io::Error>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    // A leftover of an earlier process; nobody else uses it.
    match fs::symlink_metadata(&temporary) {
        Ok(found) if !found.is_dir() => fs::remove_file(&temporary)?,
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = write(&mut file).and_then(|written| {
        fs::rename(&temporary, path)?;
        Ok(written)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes a new name in a folder outlive a crash of the machine.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()) {
        // Some file systems have no such thing for folders.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn must_be_file(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(io::Error::other("it is not a file")) }
}

fn not_a_file(is_link: bool) -> io::Error {
    io::Error::other(if is_link {
        "it is a symbolic link, which is not followed here; remove the link"
    } else {
        "it is not a file; remove it"
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// A folder with someone's file, a symbolic and a hard link to it, and a pipe.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("theirs"), "precious").expect("written");
        symlink("theirs", path("link")).expect("linked");
        fs::hard_link(path("theirs"), path("other-name")).expect("linked");
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        folder
    }

    fn assert_untouched(folder: &tempfile::TempDir) {
        let theirs = fs::read_to_string(folder.path().join("theirs"));
        assert_eq!(theirs.expect("there"), "precious");
    }

    #[test]
    fn new_files_follow_no_links_or_pipes() {
        let folder = folder();
        for name in ["link", "pipe"] {
            create_new(&folder.path().join(name)).expect_err(name);
            open_lock(&folder.path().join(name)).expect_err(name);
        }
        create_new(&folder.path().join("other-name")).expect("made").write_all(b"x").expect("w");
        open_lock(&folder.path().join("lock")).expect("made");
        open_lock(&folder.path().join("lock")).expect("opened");
        assert_untouched(&folder);
    }

    #[test]
    fn replacing_is_atomic_and_leaves_nothing_behind() {
        let folder = folder();
        let path = folder.path().join("run.json");
        symlink("theirs", folder.path().join("run.json.tmp")).expect("linked");
        replace_file(&path, |file| file.write_all(b"new")).expect("replaced");
        let error = replace_file(&path, |file| -> io::Result<()> {
            file.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(error.expect_err("fails").kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert!(!folder.path().join("run.json.tmp").exists());
        assert_untouched(&folder);
    }

    #[test]
    fn a_tail_is_the_end_of_a_file() {
        let folder = folder();
        let tail = |bytes_max| tail(&folder.path().join("theirs"), bytes_max).expect("read");
        assert_eq!((tail(4).as_str(), tail(100).as_str()), ("ious", "precious"));
    }

    #[test]
    fn a_secret_file_replaces_a_readable_one_with_mode_600() {
        let folder = folder();
        let path = folder.path().join("secret");
        replace_file_unsynced(&path, b"public").expect("replaced");
        replace_secret_file(&path, b"hidden").expect("replaced");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(read_file(&path).expect("read"), b"hidden");
    }

    #[test]
    fn only_files_are_read() {
        let folder = folder();
        assert_eq!(read_file(&folder.path().join("theirs")).expect("read"), b"precious");
        for name in ["pipe", "."] {
            let error = read_file(&folder.path().join(name)).expect_err(name);
            assert!(error.to_string().contains("not a file"), "{error}");
        }
        read_file(Path::new("/dev/zero")).expect_err("a device");
    }
}
