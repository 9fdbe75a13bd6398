//! Programs that this machine has.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LocalError;

/// Where servers lie that are not in everybody's `PATH`.
const MORE_DIRS: [&str; 4] = ["/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/usr/libexec"];

/// A program of this name.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).filter(|dir| dir.is_absolute());
    let dirs = dirs.chain(MORE_DIRS.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|file| is_program(file))
}

/// The program that an environment variable names, if it is set.
pub(super) fn named_by(variable: &str) -> Result<Option<PathBuf>, LocalError> {
    let Some(named) = env::var_os(variable).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let program = std::path::absolute(&named).map_err(LocalError::file("find", named.as_ref()))?;
    if is_program(&program) {
        return Ok(Some(program));
    }
    Err(LocalError::Options(format!(
        "{variable} names {}, which is no program: correct it, or unset it",
        program.display()
    )))
}

/// What a program says when it is asked for its version.
pub(super) fn version_text(program: &Path, arguments: &[&str]) -> Result<String, LocalError> {
    let asked = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let said = asked.map_err(|source| LocalError::Spawn {
        purpose: "its version".to_owned(),
        program: program.to_owned(),
        source,
    })?;
    // A program that cannot be loaded, for want of a library, says so here and not in a log.
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        let why = why.lines().next().unwrap_or("it did not say why");
        return Err(LocalError::Missing {
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
    fn what_is_installed_is_found_and_what_is_not_is_not() {
        let shell = find("sh").expect("every machine has a shell");
        assert!(is_program(&shell) && shell.is_absolute());
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_program_that_fails_is_reported_with_its_own_words() {
        let shell = find("sh").expect("every machine has a shell");
        let said = version_text(&shell, &["-c", "echo 1.2.3"]).expect("it ends well");
        assert_eq!(said, "1.2.3\n");
        let script = "echo libaio.so.1: cannot open >&2; exit 127";
        let error = version_text(&shell, &["-c", script]).expect_err("it fails");
        assert!(error.is_missing());
        assert!(error.to_string().contains("(libaio.so.1: cannot open); install what it needs"));
    }
}
