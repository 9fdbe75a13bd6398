//! Programs of this machine.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The folders in `PATH`, without those that depend on the current one.
pub fn path_dirs() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    dirs.into_iter()
}

/// Finds a program by its name in the first of `dirs` that has it.
pub fn find_program(name: &str, dirs: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    dirs.into_iter().map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_programs_are_found_in_path() {
        let shell = find_program("sh", path_dirs()).expect("every machine has a shell");
        assert!(is_program(&shell) && shell.is_absolute());
        assert_eq!(find_program("no-such-program-anywhere", path_dirs()), None);
    }
}
