//! What a folder lies on.

use std::path::Path;

/// The file system and the device of a folder as the kernel knows them: `ext4 on /dev/vda1`. `None`
/// where that cannot be told.
#[must_use]
pub fn file_system(folder: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    of_mount(&mounts, &folder.canonicalize().ok()?)
}

/// The same from the kernel's table of mounts (`man 5 proc_pid_mountinfo`).
fn of_mount(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = unescaped(place.split(' ').nth(4)?);
        let mut kind = kind.split(' ');
        let name = format!("{} on {}", kind.next()?, unescaped(kind.next()?));
        folder.starts_with(&point).then_some((point.len(), name))
    };
    // Of several at the same place, the last one is on top.
    let mounts = mounts.lines().filter_map(mount);
    Some(mounts.max_by_key(|(length, _)| *length)?.1)
}

/// Blanks and other separators are written as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw
31 22 0:27 / /data rw - xfs /dev/nvme0n1 rw
32 22 0:28 / /data rw - btrfs /dev/nvme1n1 rw
33 22 0:29 / /with\\040blank rw - nfs4 host:/share\\040one rw
damaged line
";

    #[test]
    fn folders_lie_on_the_nearest_mount_above_them() {
        for (folder, expected) in [
            ("/home/somebody", "ext4 on /dev/vda"),
            ("/tmp/run", "tmpfs on tmpfs"),
            ("/temporary", "ext4 on /dev/vda"),
            ("/data", "btrfs on /dev/nvme1n1"),
            ("/with blank/run", "nfs4 on host:/share one"),
        ] {
            assert_eq!(of_mount(MOUNTS, Path::new(folder)).as_deref(), Some(expected), "{folder}");
        }
        assert_eq!(of_mount("", Path::new("/")), None);
    }
}
