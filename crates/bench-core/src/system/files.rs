//! Files of result folders. Others may be able to write to such a folder, so a link, a pipe or a
//! device in place of a file is never followed, filled or waited for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
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

/// Atomically replaces a file with what `write` writes: a reader sees either the old file or the
/// new one. On failure the old one stays and nothing else is left behind.
pub fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    // Whatever an earlier process left here, nobody else uses it.
    match fs::symlink_metadata(&temporary) {
        Ok(found) if !found.is_dir() => fs::remove_file(&temporary)?,
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = write(&mut file).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
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
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

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
        let error = replace_file(&path, |file| {
            file.write_all(b"half")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(error.expect_err("fails").kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert!(!folder.path().join("run.json.tmp").exists());
        assert_untouched(&folder);
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
