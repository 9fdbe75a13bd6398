//! The limits of this machine, of control groups (containers) and of the process. Unreadable limits
//! count as absent.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource as Rlimit, getrlimit, setrlimit};

use super::{Limit, Resource};

/// Files that a run opens in addition to those of its workers: results, libraries, the terminal.
const FILES_SPARE: u64 = 64;

/// Minimum number of files for any work.
const FILES_LEAST: u64 = 24;

/// Threads of a tool in addition to its workers: for signals, measuring and client libraries, and
/// those of an embedded service, which is a process of the same user.
const THREADS_SPARE: u64 = 14;

/// Address space in bytes of a tool and its libraries in addition to the workers. Allocators
/// reserve far more than they use, and abort if refused.
const ADDRESS_SPACE_SPARE: u64 = 640 << 20;

/// The folders in which the kernel publishes its limits.
struct KernelFolders {
    proc: PathBuf,
    groups: PathBuf,
}

/// All known limits, with what they leave for workers.
pub(super) fn limits() -> Vec<Limit> {
    let mut limits = whole_limits();
    for limit in &mut limits {
        let spare = match limit.resource {
            Resource::Files => FILES_SPARE,
            resource => least(resource),
        };
        limit.left = limit.left.saturating_sub(spare);
    }
    limits
}

/// A limit that leaves no room for any work, if there is one.
pub(super) fn too_tight() -> Option<Limit> {
    whole_limits().into_iter().find(|limit| limit.left < least(limit.resource))
}

/// The amount of a resource that any work needs.
pub(super) fn least(resource: Resource) -> u64 {
    match resource {
        Resource::Memory => 0,
        Resource::AddressSpace => ADDRESS_SPACE_SPARE,
        // Runtimes of libraries have a thread per processor.
        Resource::Threads => {
            THREADS_SPARE + std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
        }
        Resource::Files => FILES_LEAST,
    }
}

fn whole_limits() -> Vec<Limit> {
    let kernel = KernelFolders { proc: "/proc".into(), groups: "/sys/fs/cgroup".into() };
    let mut limits = kernel.limits();
    limits.extend(process_limits(&kernel));
    limits
}

/// Lets this process and its children open `files` more files, as far as the hard limit allows.
pub(super) fn raise_file_limit(files: u64) {
    let limit = getrlimit(Rlimit::Nofile);
    let wanted = files + FILES_SPARE + open_files(Path::new("/proc"));
    let allowed = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < allowed) {
        let raised = rustix::process::Rlimit { current: Some(allowed), ..limit };
        if let Err(error) = setrlimit(Rlimit::Nofile, raised) {
            tracing::debug!("failed to raise the open file limit: {error}");
        }
    }
}

/// Makes the kernel give this process small pages from now on. With huge pages, a thread's first
/// allocation takes 2 MB, and a worker has several threads.
pub(super) fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!("failed to disable huge pages: {error}");
    }
}

/// The limits set with `ulimit`.
fn process_limits(kernel: &KernelFolders) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut add = |resource, left, source, remedy| {
        limits.push(Limit { resource, left, source, remedy });
    };
    if let Some(most) = getrlimit(Rlimit::Nofile).maximum {
        let left = most.saturating_sub(open_files(&kernel.proc));
        add(Resource::Files, left, "the open file limit (ulimit -n)", "raise the hard limit");
    }
    let used = kernel.status("VmSize").unwrap_or(0);
    if let Some(most) = getrlimit(Rlimit::As).current {
        let remedy = "raise it";
        add(Resource::AddressSpace, most.saturating_sub(used), "ulimit -v", remedy);
    }
    let used = kernel.status("VmData").unwrap_or(0);
    if let Some(most) = getrlimit(Rlimit::Data).current {
        let remedy = "raise it";
        add(Resource::AddressSpace, most.saturating_sub(used), "ulimit -d", remedy);
    }
    // The superuser's threads are not counted.
    if !rustix::process::geteuid().is_root()
        && let Some(most) = getrlimit(Rlimit::Nproc).current
    {
        let left = most.saturating_sub(kernel.threads_of(rustix::process::getuid().as_raw()));
        add(Resource::Threads, left, "the user's thread limit (ulimit -u)", "raise it");
    }
    limits
}

impl KernelFolders {
    /// The limits of the machine and of the control groups that contain this process.
    fn limits(&self) -> Vec<Limit> {
        let limit = |resource, left: Option<u64>, source, remedy| {
            left.map(|left| Limit { resource, left, source, remedy })
        };
        let container = "the container's limit (memory control group)";
        let group_threads = "the container's limit (pids control group)";
        let all = [
            limit(Resource::Memory, self.memory(), "this machine", "free some memory"),
            limit(Resource::Memory, self.group_memory(), container, "raise it"),
            limit(
                Resource::Threads,
                self.threads(),
                "kernel.threads-max or kernel.pid_max",
                "raise it",
            ),
            limit(Resource::Threads, self.group_threads(), group_threads, "raise it"),
        ];
        all.into_iter().flatten().collect()
    }

    /// Memory available without swapping, bytes.
    fn memory(&self) -> Option<u64> {
        kilobytes(&fs::read_to_string(self.proc.join("meminfo")).ok()?, "MemAvailable")
    }

    /// A size in this process's status, bytes.
    fn status(&self, field: &str) -> Option<u64> {
        kilobytes(&fs::read_to_string(self.proc.join("self/status")).ok()?, field)
    }

    /// Threads that the kernel still allows.
    fn threads(&self) -> Option<u64> {
        let most = ["threads-max", "pid_max"].iter();
        let most =
            most.filter_map(|name| number(&self.proc.join("sys/kernel").join(name))).min()?;
        let load = fs::read_to_string(self.proc.join("loadavg")).ok()?;
        // The fourth field is runnable/all: `0.20 0.18 0.12 1/80 11206`.
        let all = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
        Some(most.saturating_sub(all))
    }

    /// Threads of a user.
    fn threads_of(&self, user: u32) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(processes) = fs::read_dir(&self.proc) else { return 0 };
        let own = processes.flatten().filter(|process| {
            let is_process = process.file_name().to_string_lossy().parse::<u32>().is_ok();
            is_process && process.metadata().is_ok_and(|metadata| metadata.uid() == user)
        });
        let threads = own.map(|process| {
            fs::read_dir(process.path().join("task")).map_or(0, |tasks| tasks.count() as u64)
        });
        threads.sum()
    }

    fn group_memory(&self) -> Option<u64> {
        // Inactive page cache can be reclaimed.
        let cached = |group: &Path, field: &str| {
            let text = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
            let mut fields = text.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(name, _)| *name == field).and_then(|(_, n)| n.trim().parse().ok())
        };
        let left = |group: &Path, most: &str, used: &str, field: &str| {
            let used = number(&group.join(used))?.saturating_sub(cached(group, field).unwrap_or(0));
            Some(number(&group.join(most))?.saturating_sub(used))
        };
        self.least_left("memory", |group| {
            left(group, "memory.max", "memory.current", "inactive_file").or_else(|| {
                let (most, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
                left(group, most, used, "total_inactive_file")
            })
        })
    }

    fn group_threads(&self) -> Option<u64> {
        self.least_left("pids", |group| {
            let most = number(&group.join("pids.max"))?;
            Some(most.saturating_sub(number(&group.join("pids.current")).unwrap_or(0)))
        })
    }

    /// The least that any of this process's groups leaves.
    fn least_left(&self, controller: &str, left: impl Fn(&Path) -> Option<u64>) -> Option<u64> {
        let text = fs::read_to_string(self.proc.join("self/cgroup")).ok()?;
        let groups = text.lines().filter_map(|line| self.group(line, controller));
        // A group's limit applies to all groups below it. Within a container the path is the
        // host's, and only the root exists.
        let all = groups.flat_map(|(root, group)| {
            let all: Vec<PathBuf> = group.ancestors().map(Path::to_owned).collect();
            all.into_iter().take_while(move |group| group.starts_with(&root))
        });
        all.filter_map(|group| left(&group)).min()
    }

    /// The root of a hierarchy and the group in it, from a line of `/proc/self/cgroup` for
    /// `controller`: `0::/a/b` in version 2, `4:memory:/a/b` in version 1.
    fn group(&self, line: &str, controller: &str) -> Option<(PathBuf, PathBuf)> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let root = if controllers.is_empty() {
            self.groups.clone()
        } else if controllers.split(',').any(|name| name == controller) {
            self.groups.join(controller)
        } else {
            return None;
        };
        let group = root.join(path.trim_start_matches('/'));
        Some((root, group))
    }
}

/// Number of open files of this process.
fn open_files(proc: &Path) -> u64 {
    fs::read_dir(proc.join("self/fd")).map_or(0, |files| files.count() as u64)
}

/// The number in a file; `None` also for `max`, which means no limit.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A field in bytes of a text with lines like `MemAvailable:   1024 kB`.
fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kilobytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernel folders with these files.
    fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, KernelFolders) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        (folder, KernelFolders { proc, groups })
    }

    fn left(kernel: &KernelFolders, resource: Resource) -> Vec<u64> {
        let limits = kernel.limits();
        limits.iter().filter(|l| l.resource == resource).map(|limit| limit.left).collect()
    }

    #[test]
    fn machine_limits_are_read() {
        let (_folder, kernel) = kernel(&[
            ("proc/meminfo", "MemTotal:  8000 kB\nMemFree:  1000 kB\nMemAvailable:  4000 kB\n"),
            ("proc/sys/kernel/threads-max", "5000\n"),
            ("proc/sys/kernel/pid_max", "4000\n"),
            ("proc/loadavg", "1.38 1.34 1.01 3/103 30913\n"),
        ]);
        assert_eq!(left(&kernel, Resource::Memory), [4_000 * 1024]);
        assert_eq!(left(&kernel, Resource::Threads), [3_897]);
    }

    #[test]
    fn the_tightest_cgroup_v2_counts() {
        let (_folder, kernel) = kernel(&[
            ("proc/self/cgroup", "0::/slice/box\n"),
            ("groups/slice/box/memory.max", "max\n"),
            ("groups/slice/box/memory.current", "900\n"),
            ("groups/slice/memory.max", "1000\n"),
            ("groups/slice/memory.current", "700\n"),
            ("groups/slice/memory.stat", "anon 500\ninactive_file 150\n"),
            ("groups/slice/pids.max", "100\n"),
            ("groups/slice/pids.current", "30\n"),
        ]);
        assert_eq!(left(&kernel, Resource::Memory), [450]);
        assert_eq!(left(&kernel, Resource::Threads), [70]);
    }

    #[test]
    fn cgroups_v1_in_containers_are_found() {
        let (_folder, kernel) = kernel(&[
            // The path is the host's, and only the root exists.
            ("proc/self/cgroup", "8:pids:/\n4:cpu,memory:/docker/abc\n0::/\n"),
            ("groups/memory/memory.limit_in_bytes", "1000\n"),
            ("groups/memory/memory.usage_in_bytes", "600\n"),
            ("groups/memory/memory.stat", "inactive_file 9\ntotal_inactive_file 100\n"),
        ]);
        assert_eq!(left(&kernel, Resource::Memory), [500]);
        assert!(left(&kernel, Resource::Threads).is_empty());
    }

    #[test]
    fn unreadable_limits_are_absent() {
        let (_folder, kernel) =
            kernel(&[("proc/meminfo", "nonsense\n"), ("proc/self/cgroup", ":")]);
        assert!(kernel.limits().is_empty());
    }

    #[test]
    fn file_limit_is_raised_as_needed() {
        let open = open_files(Path::new("/proc"));
        let limit = getrlimit(Rlimit::Nofile);
        raise_file_limit(0);
        let raised = getrlimit(Rlimit::Nofile);
        assert_eq!(raised.maximum, limit.maximum);
        assert!(raised.current.is_none_or(|current| current >= open + FILES_SPARE), "{raised:?}");
    }
}
