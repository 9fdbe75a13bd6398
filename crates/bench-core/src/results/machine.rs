//! What is used of the machine: by the tool, by the servers of its run, by other processes, and by the
//! hypervisor; and the time in which some process waits for a processor.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use bench_record::intervals::{MachineUse, RunUse};

use super::host::{field, kibibytes, read};

/// Shares of less time than this say nothing: the kernel counts in hundredths of a second.
const TIME_MIN_S: f64 = 0.2;

/// Sampling takes at most this share of the time: on a machine with thousands of processes it takes long,
/// and then happens less often.
const COST_MAX: f64 = 0.002;

/// Measures the machine from one interval to the next.
#[derive(Debug)]
pub(super) struct MachineMeter {
    /// The process whose descendants belong to the run.
    root: u32,
    last: Option<Sample>,
    /// The time before which nothing is measured again, seconds.
    pause_s: f64,
}

/// Counters of the kernel at one instant.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Time in which processors were busy, and all of their time, ticks.
    busy: u64,
    all: u64,
    /// Time that the hypervisor took, ticks.
    stolen: u64,
    own: Processes,
    /// Time in which some process waited for a processor, microseconds; absent without a kernel that
    /// counts it.
    waited_us: Option<u64>,
}

/// The processes that belong to a run.
#[derive(Debug, Clone, Copy, Default)]
struct Processes {
    /// Processor time of the tool, ticks.
    tool_ticks: u64,
    /// That of the servers, ticks.
    servers_ticks: u64,
    /// That of the driver, and of those that have ended, ticks.
    driver_ticks: u64,
    tool_memory_bytes: u64,
    servers_memory_bytes: u64,
}

impl MachineMeter {
    /// A meter for a run to which belong this process and, if a driver has started it, the driver and its
    /// other processes, such as servers.
    pub(super) fn start() -> Self {
        let is_driven = bench_record::ServiceOrigin::requested().is_some();
        let own = std::process::id();
        let parent = || u32::try_from(rustix::process::getppid()?.as_raw_nonzero().get()).ok();
        let root = if is_driven { parent().unwrap_or(own) } else { own };
        Self { root, last: Sample::now(root), pause_s: TIME_MIN_S }
    }

    /// What was used since the last call; absent shortly after it, or where the kernel does not tell.
    pub(super) fn read(&mut self) -> Option<MachineUse> {
        let since = self.last.map(|last| last.at.elapsed().as_secs_f64());
        if since.is_some_and(|since| since < self.pause_s) {
            return None;
        }
        let begin = Instant::now();
        let now = Sample::now(self.root);
        self.pause_s = pause_s(begin.elapsed().as_secs_f64());
        let last = std::mem::replace(&mut self.last, now)?;
        now?.since(&last)
    }
}

/// How long to wait after a sample that took `cost_s`, seconds.
fn pause_s(cost_s: f64) -> f64 {
    (cost_s / COST_MAX).max(TIME_MIN_S)
}

impl Sample {
    fn now(root: u32) -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let (busy, all, stolen) = processor_ticks(&stat)?;
        let pressure = fs::read_to_string("/proc/pressure/cpu").ok();
        Some(Self {
            at: Instant::now(),
            busy,
            all,
            stolen,
            own: Processes::of_run(root),
            waited_us: pressure.as_deref().and_then(waited_us),
        })
    }

    fn since(&self, last: &Self) -> Option<MachineUse> {
        let share = |ticks: u64| ticks as f64 / self.all.saturating_sub(last.all) as f64;
        if self.all <= last.all {
            return None;
        }
        let busy = self.busy.saturating_sub(last.busy);
        // A process that has ended and was not waited for takes its time along.
        let own = self.own.ticks().saturating_sub(last.own.ticks());
        let tool = self.own.tool_ticks.saturating_sub(last.own.tool_ticks);
        // A server that has ended no longer counts as one.
        let servers = self.own.servers_ticks.saturating_sub(last.own.servers_ticks);
        let elapsed_us = self.at.duration_since(last.at).as_secs_f64() * 1e6;
        let waited = self.waited_us.zip(last.waited_us);
        Some(MachineUse {
            others: share(busy.saturating_sub(own)),
            stolen: share(self.stolen.saturating_sub(last.stolen)),
            waiting: waited.map(|(now, last)| now.saturating_sub(last) as f64 / elapsed_us),
            run: Some(RunUse {
                tool: share(tool),
                servers: share(servers),
                tool_memory_bytes: self.own.tool_memory_bytes as f64,
                servers_memory_bytes: self.own.servers_memory_bytes as f64,
            }),
        })
    }
}

/// Busy, all and stolen time of all processors, from `/proc/stat` (its manual page is `proc_stat`): user, nice, system,
/// idle, iowait, irq, softirq, steal. Guests count as users.
fn processor_ticks(stat: &str) -> Option<(u64, u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, stolen] = *ticks.first_chunk()?;
    let busy = user + nice + system + irq + softirq;
    Some((busy, busy + idle + iowait + stolen, stolen))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`
fn waited_us(pressure: &str) -> Option<u64> {
    pressure.lines().next()?.rsplit_once("total=")?.1.trim().parse().ok()
}

impl Processes {
    fn ticks(&self) -> u64 {
        self.tool_ticks + self.servers_ticks + self.driver_ticks
    }

    /// This process, `root` that drives it, if it is another one, and the others below `root`. The time of
    /// those that have ended is known once their parents have waited for them.
    fn of_run(root: u32) -> Self {
        let mut processes = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if let Some(process) = Process::read(&stat) {
                processes.insert(pid, process);
            }
        }
        let belongs = |mut pid: u32| {
            // A chain of parents is short; processes that start and end meanwhile cannot make a circle of it.
            for _ in 0..64 {
                if pid == root {
                    return true;
                }
                match processes.get(&pid) {
                    Some(&Process { parent, .. }) if parent > 0 => pid = parent,
                    _ => return false,
                }
            }
            false
        };
        let mut sum = Self::default();
        for (&pid, process) in processes.iter().filter(|(pid, _)| belongs(**pid)) {
            if pid == std::process::id() {
                sum.tool_ticks = process.ticks;
                sum.tool_memory_bytes = memory_bytes(pid);
            } else if pid == root {
                sum.driver_ticks += process.ticks;
            } else {
                sum.servers_ticks += process.ticks;
                sum.servers_memory_bytes += memory_bytes(pid);
            }
            sum.driver_ticks += process.ended_ticks;
        }
        sum
    }
}

/// A process, from `/proc/PID/stat` (its manual page is `proc_pid_stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: u32,
    ticks: u64,
    /// Those of its children that have ended.
    ended_ticks: u64,
}

impl Process {
    /// Fields 4 and 14 to 17. The name before them may hold anything.
    fn read(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let [user, system, ended_user, ended_system] = *fields.get(11..)?.first_chunk()?;
        let ticks = |field: &str| field.parse::<u64>().unwrap_or(0);
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: ticks(user) + ticks(system),
            ended_ticks: ticks(ended_user) + ticks(ended_system),
        })
    }
}

/// The memory of a process that is in the machine's; 0 once it has ended.
fn memory_bytes(pid: u32) -> u64 {
    kibibytes(&field(&read(&format!("/proc/{pid}/status")), "VmRSS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let stat = "cpu  100 10 40 800 20 5 5 20 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(processor_ticks(stat), Some((160, 1000, 20)));
        assert_eq!(processor_ticks("intr 5"), None);
        let pressure =
            "some avg10=1.00 avg60=0.50 avg300=0.10 total=4321\nfull avg10=0.00 total=7\n";
        assert_eq!(waited_us(pressure), Some(4321));
        let stat = "17 (a) b) S 5 17 17 0 -1 4194304 100 0 0 0 30 12 4 2 20 0 1 0 99 0 0";
        let process = Process { parent: 5, ticks: 42, ended_ticks: 6 };
        assert_eq!(Process::read(stat), Some(process));
    }

    #[test]
    fn shares_are_those_of_the_time_between() {
        let at = Instant::now();
        let later = at + std::time::Duration::from_secs(1);
        let own = |tool_ticks, servers_ticks, tool_memory_bytes| Processes {
            tool_ticks,
            servers_ticks,
            driver_ticks: servers_ticks / 10,
            tool_memory_bytes,
            servers_memory_bytes: 7,
        };
        let last = Sample {
            at,
            busy: 100,
            all: 1000,
            stolen: 10,
            own: own(30, 20, 5),
            waited_us: Some(1_000_000),
        };
        let now = Sample {
            at: later,
            busy: 181,
            all: 1200,
            stolen: 20,
            own: own(50, 30, 6),
            waited_us: Some(1_500_000),
        };
        let used = now.since(&last).expect("shares");
        assert!((used.others - 0.25).abs() < 1e-9, "{used:?}");
        assert!((used.stolen - 0.05).abs() < 1e-9, "{used:?}");
        assert!(used.waiting.is_some_and(|waiting| (waiting - 0.5).abs() < 1e-3), "{used:?}");
        let expected =
            RunUse { tool: 0.1, servers: 0.05, tool_memory_bytes: 6.0, servers_memory_bytes: 7.0 };
        assert_eq!(used.run, Some(expected));
        assert_eq!(last.since(&last), None);
        let ended = Processes { servers_ticks: 0, driver_ticks: 33, ..now.own };
        let used = Sample { own: ended, ..now }.since(&last).expect("shares");
        assert!((used.others - 0.25).abs() < 1e-9, "the end of a server changes nothing: {used:?}");
    }

    #[test]
    fn slow_samples_are_rare() {
        assert!((pause_s(0.0002) - TIME_MIN_S).abs() < 1e-9);
        assert!((pause_s(0.02) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn own_work_is_not_that_of_others() {
        let before = Processes::of_run(std::process::id());
        let begin = Instant::now();
        let mut sum = 0_u64;
        while begin.elapsed().as_millis() < 200 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        let after = Processes::of_run(std::process::id());
        assert!(after.tool_ticks > before.tool_ticks, "this process belongs to itself");
        assert!(after.tool_memory_bytes > 1_000_000, "{after:?}");
    }
}
