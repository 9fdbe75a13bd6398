//! Programs that are installed on this machine.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::StackError;

/// Folders of servers that are often not in a user's `PATH`.
const MORE_DIRS: [&str; 4] = ["/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// The program of this name in `PATH`, or in folders where servers are installed.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).filter(|dir| dir.is_absolute());
    let dirs = dirs.chain(MORE_DIRS.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| is_program(file))
}

/// The program of this name that was built with this one: beside it, beside the test executable's
/// folder, or in `PATH`.
pub fn find_own(name: &str) -> Result<PathBuf, StackError> {
    let beside = env::current_exe().unwrap_or_default();
    let beside = beside.parent().unwrap_or(Path::new("/"));
    // Cargo puts test executables and examples one folder below the programs.
    let is_below = ["deps", "examples"].iter().any(|folder| beside.ends_with(folder));
    let above = beside.parent().filter(|_| is_below);
    let dirs = [Some(beside), above].into_iter().flatten();
    let found = dirs.map(|dir| dir.join(name)).find(|file| is_program(file));
    found.or_else(|| find(name)).ok_or_else(|| StackError::Missing {
        what: format!("found no program `{name}` in {} or in PATH", beside.display()),
        remedy: format!("build it with `cargo build --release -p {name}`"),
    })
}

/// The program in an environment variable, if it is set.
pub fn named_by(variable: &str) -> Result<Option<PathBuf>, StackError> {
    let Some(named) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let program = std::path::absolute(&named).map_err(StackError::file("find", named.as_ref()))?;
    if is_program(&program) {
        return Ok(Some(program));
    }
    Err(StackError::Options(format!(
        "{variable} is {}, which is not a program: correct it, or unset it",
        program.display()
    )))
}

/// What a program prints when asked for its version.
pub fn version_text(program: &Path, arguments: &[&str]) -> Result<String, StackError> {
    let asked = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let said = asked.map_err(|source| StackError::Spawn {
        purpose: "its version".to_owned(),
        program: program.to_owned(),
        source,
    })?;
    // A program that cannot be loaded because a library is missing reports it here, in no log.
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        let why = why.lines().next().unwrap_or("it printed no reason");
        return Err(StackError::Missing {
            what: format!("{} does not run here ({})", program.display(), why.trim()),
            remedy: "install what it needs".to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_programs_are_found() {
        let shell = find("sh").expect("every machine has a shell");
        assert!(is_program(&shell) && shell.is_absolute());
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn failed_version_check_quotes_the_error() {
        let shell = find("sh").expect("every machine has a shell");
        let said = version_text(&shell, &["-c", "echo 1.2.3"]).expect("it ends well");
        assert_eq!(said, "1.2.3\n");
        let script = "echo libaio.so.1: cannot open >&2; exit 127";
        let error = version_text(&shell, &["-c", script]).expect_err("it fails");
        assert!(error.is_missing());
        assert!(error.to_string().contains("(libaio.so.1: cannot open); install what it needs"));
    }
}
