//! A benchmark: two experiments of a hundred runs of an hour each, compared in two seconds, and made a
//! page of in five.

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

/// Runs `run-suite` to its end: how long that took, and the most memory that it has used, KiB.
fn timed(tool: &FakeTool, arguments: &[&str]) -> (Duration, u64) {
    let begin = Instant::now();
    let mut command = tool.run_suite(arguments);
    let mut child = command.stdout(Stdio::null()).spawn().expect("run-suite starts");
    let mut memory_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        memory_kib = memory_max_kib(child.id()).unwrap_or(0).max(memory_kib);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(status.success(), "{status}");
    (begin.elapsed(), memory_kib)
}

fn tell(line: &str) {
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

#[test]
#[ignore = "a benchmark"]
fn hundreds_of_hours_are_compared_and_drawn_in_seconds() {
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
    let (time, memory_kib) = timed(&tool, &["compare", "before", "after"]);
    let line = format!("compared in {:.2} s and {} MiB\n", time.as_secs_f64(), memory_kib / 1024);
    tell(&line);
    assert!(time < Duration::from_secs(2) && memory_kib < 200 * 1024, "{line}");
    let (time, memory_kib) = timed(&tool, &["report", "before", "--format", "html"]);
    let size = fs::metadata(tool.path("before/report.html")).expect("a page").len();
    let line = format!(
        "drawn in {:.2} s and {} MiB, {} kB\n",
        time.as_secs_f64(),
        memory_kib / 1024,
        size / 1000
    );
    tell(&line);
    assert!(time < Duration::from_secs(5) && size < 5_000_000, "{line}");
}
