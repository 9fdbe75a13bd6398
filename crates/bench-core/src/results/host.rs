//! The machine of a run, and the resources that the process used.

use std::collections::BTreeMap;

use bench_record::{HostInfo, Resources};
use rustix::time::{ClockId, clock_gettime};

/// This machine, now. Fields that the system does not report are empty or 0.
#[must_use]
pub fn current_host() -> HostInfo {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = read("/proc/loadavg");
    HostInfo {
        name: text(system.nodename()),
        os: format!(
            "{} {} {}",
            text(system.sysname()),
            text(system.release()),
            text(system.machine())
        ),
        cpu: field(&read("/proc/cpuinfo"), "model name"),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: kibibytes(&field(&read("/proc/meminfo"), "MemTotal")),
        load_average_1m: load
            .split_whitespace()
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or(0.0),
        settings: settings(),
    }
}

/// Settings that change how fast the machine is. Those that the system does not tell are left out.
fn settings() -> BTreeMap<String, String> {
    const CPU: &str = "/sys/devices/system/cpu";
    let on_off = |text: String| match text.as_str() {
        "0" => "off".to_owned(),
        "1" => "on".to_owned(),
        _ => text,
    };
    // This one says that there is no turbo.
    let intel = read_line(&format!("{CPU}/intel_pstate/no_turbo"));
    let intel = intel.map(|off| if off == "0" { "on" } else { "off" }.to_owned());
    let found = [
        ("smt", read_line(&format!("{CPU}/smt/active")).map(on_off)),
        ("governor", read_line(&format!("{CPU}/cpu0/cpufreq/scaling_governor"))),
        ("turbo", intel.or_else(|| read_line(&format!("{CPU}/cpufreq/boost")).map(on_off))),
        (
            "clock_source",
            read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        ),
        ("clock_synchronized", clock_synchronized().map(str::to_owned)),
        ("cpu_limit", cgroup_limit("cpu.max")),
        ("memory_limit", cgroup_limit("memory.max")),
    ];
    found.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Whether the kernel takes its clock for synchronized, by NTP or PTP: `yes` or `no`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe binding of adjtimex is among the packages")]
fn clock_synchronized() -> Option<&'static str> {
    // SAFETY: all fields are numbers, for which 0 is a value; and with 0 modes, nothing is set.
    let state = unsafe {
        let mut clock: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut clock)
    };
    match state {
        -1 => None,
        libc::TIME_ERROR => Some("no"),
        _ => Some("yes"),
    }
}

#[cfg(not(target_os = "linux"))]
fn clock_synchronized() -> Option<&'static str> {
    None
}

/// A limit of the control group of this process, if it has one (cgroup v2).
fn cgroup_limit(name: &str) -> Option<String> {
    let groups = read("/proc/self/cgroup");
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limit = read_line(&format!("/sys/fs/cgroup{}/{name}", group.trim_end_matches('/')))?;
    (!limit.starts_with("max")).then_some(limit)
}

/// The first line of a file, unless it is missing or empty.
fn read_line(path: &str) -> Option<String> {
    let line = read(path).lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Measures the resources that this process uses from its creation on.
#[derive(Debug, Clone, Copy)]
pub struct ResourceMeter {
    cpu_start_ns: u64,
}

impl ResourceMeter {
    /// Starts measuring.
    #[must_use]
    pub fn start() -> Self {
        Self { cpu_start_ns: cpu_ns() }
    }

    /// Returns what was used until now, in a run that sent and received `messages` messages.
    #[must_use]
    pub fn read(&self, messages: u64) -> Resources {
        let cpu_ns = cpu_ns().saturating_sub(self.cpu_start_ns);
        Resources {
            cpu_s: cpu_ns as f64 / 1e9,
            cpu_us_per_message: (messages > 0).then(|| cpu_ns as f64 / 1e3 / messages as f64),
            memory_max_bytes: kibibytes(&field(&read("/proc/self/status"), "VmHWM")),
        }
    }
}

/// Processor time of all threads of this process, nanoseconds.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

pub(super) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The value of a `name : value` line.
pub(super) fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or_else(String::new, |rest| {
        rest.trim_start_matches(|c: char| c == ':' || c.is_whitespace()).trim().to_owned()
    })
}

pub(super) fn kibibytes(value: &str) -> u64 {
    let number = value.strip_suffix(" kB").and_then(|number| number.trim().parse::<u64>().ok());
    number.map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "MemTotal:       24576000 kB\nmodel name\t: A CPU @ 2.0GHz\n";
        assert_eq!(kibibytes(&field(text, "MemTotal")), 24_576_000 * 1024);
        assert_eq!(field(text, "model name"), "A CPU @ 2.0GHz");
        assert_eq!(field(text, "absent"), "");
    }

    #[test]
    fn processor_time_grows_with_work() {
        let meter = ResourceMeter::start();
        let mut sum = 0_u64;
        for number in 0..5_000_000_u64 {
            sum = std::hint::black_box(sum ^ number);
        }
        let used = meter.read(1_000);
        assert!(used.cpu_s > 0.0 && used.cpu_us_per_message.expect("messages") > 0.0);
        assert!(meter.read(0).cpu_us_per_message.is_none());
    }
}
