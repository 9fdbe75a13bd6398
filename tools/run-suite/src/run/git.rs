//! The revision of the working copy that an experiment is run from.

use std::fs;
use std::path::Path;

/// The commit that is checked out in the repository around `folder`, if there is one.
pub(super) fn revision(folder: &Path) -> Option<String> {
    let folder = std::path::absolute(folder).ok()?;
    let repository =
        folder.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    let repository = if repository.is_file() {
        // A worktree has a file that names its folder.
        let text = fs::read_to_string(&repository).ok()?;
        repository.parent()?.join(text.trim().strip_prefix("gitdir: ")?)
    } else {
        repository
    };
    let head = read(&repository.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return checked(&head) };
    // Branches of a worktree are in the folder that it shares with others.
    let shared = read(&repository.join("commondir")).map(|shared| repository.join(shared));
    let shared = shared.unwrap_or(repository);
    if let Some(revision) = read(&shared.join(name)) {
        return checked(&revision);
    }
    let packed = read(&shared.join("packed-refs"))?;
    let line = packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '))?;
    checked(line)
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn checked(revision: &str) -> Option<String> {
    let is_hash = revision.len() >= 40 && revision.chars().all(|c| c.is_ascii_hexdigit());
    is_hash.then(|| revision.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_found_from_below() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("created");
            fs::write(path, text).expect("written");
        };
        let hash = |digit: &str| digit.repeat(40);
        let below = folder.path().join("a/b");
        assert_eq!(revision(&below), None);
        write("a/b/file", "");
        write(".git/HEAD", &hash("1"));
        assert_eq!(revision(&below), Some(hash("1")), "detached");
        write(".git/HEAD", "ref: refs/heads/main\n");
        write(".git/packed-refs", &format!("# pack-refs\n{} refs/heads/main\n", hash("2")));
        assert_eq!(revision(&below), Some(hash("2")), "packed");
        write(".git/refs/heads/main", &format!("{}\n", hash("3")));
        assert_eq!(revision(&below), Some(hash("3")));
        write(".git/worktrees/w/HEAD", "ref: refs/heads/main\n");
        write(".git/worktrees/w/commondir", "../..\n");
        let gitdir = folder.path().join(".git/worktrees/w");
        write("w/.git", &format!("gitdir: {}\n", gitdir.display()));
        assert_eq!(revision(&folder.path().join("w")), Some(hash("3")), "a worktree");
        write(".git/HEAD", "nonsense");
        assert_eq!(revision(&below), None);
    }
}
