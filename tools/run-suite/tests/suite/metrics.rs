//! Figures of an experiment while it goes on, for Prometheus.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use bench_testing::endpoint::{free_port, get};
use bench_testing::tool::until;
use rustix::process::{Pid, Signal, kill_process};

use crate::fake_tool::{FakeTool, stderr};

#[test]
fn experiments_serve_their_figures_while_they_go_on() {
    let tool = FakeTool::new();
    tool.behave("b", "wait");
    tool.experiment(
        "order = \"interleaved\"\n[options]\nduration = \"9s\"\n[matrix]\nload = [\"a\", \"b\"]",
    );
    let port = free_port();
    let address = port.to_string();
    let mut command = tool.run_suite(&["run", "try.toml", "--metrics-addr", &address]);
    let mut running = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("started");
    until("the second run goes on", || get(port, "/metrics").contains("cell=\"load=b\""));
    let text = get(port, "/metrics");
    for line in [
        "bench_suite_runs{status=\"complete\"} 1.0",
        "bench_suite_runs{status=\"pending\"} 0.0",
        "bench_suite_runs{status=\"running\"} 1.0",
        "bench_suite_run_expected_seconds{experiment=\"try\",cell=\"load=b\",repeat=\"1\"} 9.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    tool.wait_for_run();
    kill_process(Pid::from_child(&running), Signal::INT).expect("asked to end");
    assert_eq!(running.wait().expect("it has ended").code(), Some(130));
    let kept = fs::read_to_string(tool.result("metrics.txt")).expect("kept");
    assert!(kept.contains("bench_suite_runs{status=\"interrupted\"} 1.0"), "{kept}");
    assert!(!kept.contains("run_elapsed") && kept.ends_with("# EOF\n"), "{kept}");
}

#[test]
fn taken_ports_are_refused_before_anything_runs() {
    let tool = FakeTool::new();
    tool.experiment("");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = tool.run(&["run", "try.toml", "--metrics-addr", &port]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--metrics-addr: cannot listen on 127.0.0.1:"));
    assert_eq!(tool.results(), None);
}
