//! What lies in a stack's folder, and how it comes and goes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::LocalError;
use super::record::is_stack;

/// The file that says what a stack is made of.
pub(super) const RECORD: &str = "stack.json";
/// What a crash leaves of a record that was being replaced.
pub(super) const RECORD_NEW: &str = "stack.json.tmp";

// Folders, with one for each node in them or one file.
pub(super) const CONFIG: &str = "config";
pub(super) const DATA: &str = "data";
pub(super) const LOGS: &str = "logs";

// Folders that the nodes share.
pub(super) const SECRETS: &str = "secrets";
pub(super) const TMP: &str = "tmp";

/// Keeps a stack, whose end removes folders, out of a folder that holds something else.
pub(super) fn refuse_foreign(dir: &Path) -> Result<(), LocalError> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    if is_stack(dir) {
        return Ok(());
    }
    for entry in entries.flatten() {
        let name = entry.file_name();
        // What the end of an earlier stack leaves, and the killing of one that had just begun.
        if ![CONFIG, LOGS, RECORD_NEW].iter().any(|ours| name == *ours) {
            return Err(LocalError::Options(format!(
                "{} holds other things ('{}'): choose a new folder with --dir",
                dir.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

/// The files by which clients reach the secured listeners.
pub(super) fn clients_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "properties")).collect()
}

/// One spelling of a folder, by which its processes are known.
pub(super) fn absolute(dir: &Path) -> Result<PathBuf, LocalError> {
    dir.canonicalize().map_err(LocalError::file("find", dir))
}

pub(super) fn create_private(dir: &Path) -> Result<(), LocalError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(LocalError::file("create", dir))?;
    // What is written below it would go where a link leads.
    match fs::symlink_metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => {
            let problem = format!("{} is a symbolic link: remove it", dir.display());
            Err(LocalError::Options(problem))
        }
        Err(error) => Err(LocalError::file("find", dir)(error)),
    }
}

/// Removes a file or a folder with all in it, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), LocalError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(LocalError::file("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let [theirs, link] = ["theirs", "logs"].map(|name| dir.path().join(name));
        fs::create_dir(&theirs).expect("created");
        std::os::unix::fs::symlink(&theirs, &link).expect("linked");
        let error = create_private(&link).expect_err("refused").to_string();
        assert!(error.contains("symbolic link: remove it"), "{error}");
        create_private(&theirs).expect("a folder");
    }

    #[test]
    fn a_stack_comes_only_where_nothing_else_is() {
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
