//! A benchmark: two experiments of a hundred runs of an hour each, compared in two seconds.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fake_tool::FakeTool;

/// The most memory that a process has used, KiB.
fn memory_max_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[test]
#[ignore = "a benchmark"]
fn hundreds_of_hours_are_compared_in_seconds() {
    let tool = FakeTool::new();
    let rows: Vec<String> = (0..3600)
        .map(|second| {
            format!("{second},{},1000,1000,1000,{},9000000", second + 1, 5_000_000 + second % 7)
        })
        .collect();
    tool.schedule(1, &rows);
    tool.experiment("repeats = 100\n");
    for side in ["before", "after"] {
        assert_eq!(tool.run(&["run", "try.toml"]).status.code(), Some(0));
        fs::rename(tool.path(&tool.results_argument()), tool.path(side)).expect("renamed");
    }
    let begin = Instant::now();
    let mut command = tool.run_suite(&["compare", "before", "after"]);
    let mut child = command.stdout(Stdio::null()).spawn().expect("run-suite starts");
    let mut memory_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        memory_kib = memory_max_kib(child.id()).unwrap_or(0).max(memory_kib);
        std::thread::sleep(Duration::from_millis(5));
    };
    let elapsed = begin.elapsed();
    assert!(status.success(), "{status}");
    let line =
        format!("compared in {:.2} s and {} MiB\n", elapsed.as_secs_f64(), memory_kib / 1024);
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
    assert!(elapsed < Duration::from_secs(2) && memory_kib < 200 * 1024, "{line}");
}
