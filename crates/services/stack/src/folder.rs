//! The layout of a stack's folder, and how files there are created and removed.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::StackError;

/// The file that lists what a stack consists of.
pub(crate) const RECORD: &str = "stack.json";
/// What a crash leaves of a record that was being replaced.
pub(crate) const RECORD_NEW: &str = "stack.json.tmp";

// Folders with a folder or a file for each node.
pub(crate) const CONFIG: &str = "config";
pub(crate) const DATA: &str = "data";
pub(crate) const LOGS: &str = "logs";

// Folders that all nodes share.
pub(crate) const SECRETS: &str = "secrets";
pub(crate) const TMP: &str = "tmp";

/// Whether there is a stack in `dir`.
pub(crate) fn is_stack(dir: &Path) -> bool {
    dir.join(RECORD).is_file()
}

/// Refuses a folder that holds something else, since stopping a stack removes folders.
pub(crate) fn refuse_foreign(dir: &Path) -> Result<(), StackError> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    if is_stack(dir) {
        return Ok(());
    }
    for entry in entries.flatten() {
        let name = entry.file_name();
        // Left by an earlier stack, or by one that was killed as it started.
        if ![CONFIG, LOGS, RECORD_NEW].iter().any(|ours| name == *ours) {
            return Err(StackError::Options(format!(
                "{} holds other files ('{}'): use a new folder with --dir",
                dir.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

/// The files with which clients reach secured listeners.
pub(crate) fn clients_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "properties")).collect()
}

/// The one spelling of a folder by which its processes are recognised.
pub(crate) fn absolute(dir: &Path) -> Result<PathBuf, StackError> {
    dir.canonicalize().map_err(StackError::file("find", dir))
}

pub(crate) fn create_private(dir: &Path) -> Result<(), StackError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(StackError::file("create", dir))?;
    // Files written below a link would end up where it leads.
    match fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => {
            let problem = format!("{} is a symbolic link: remove it", dir.display());
            Err(StackError::Options(problem))
        }
        Err(error) => Err(StackError::file("find", dir)(error)),
    }
}

/// Removes a file or a folder with all in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), StackError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(StackError::file("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_place_of_folders_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let [theirs, link] = ["theirs", "logs"].map(|name| dir.path().join(name));
        fs::create_dir(&theirs).expect("created");
        std::os::unix::fs::symlink(&theirs, &link).expect("linked");
        let error = create_private(&link).expect_err("refused").to_string();
        assert!(error.contains("symbolic link: remove it"), "{error}");
        create_private(&theirs).expect("a folder");
    }

    #[test]
    fn folders_with_other_files_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path();
        refuse_foreign(&dir.join("new")).expect("it will be made");
        refuse_foreign(dir).expect("nothing is in it");
        for left_by_a_stack in [CONFIG, LOGS] {
            fs::create_dir(dir.join(left_by_a_stack)).expect("created");
        }
        refuse_foreign(dir).expect("a stack was here");
        fs::create_dir(dir.join(DATA)).expect("created");
        let error = refuse_foreign(dir).expect_err("somebody's data");
        assert!(error.is_usage() && error.to_string().contains("'data'"), "{error}");
        fs::write(dir.join(RECORD), "{}").expect("written");
        refuse_foreign(dir).expect("a stack is here");
    }
}
