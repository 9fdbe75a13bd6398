//! Figures that are served while a run goes on.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use bench_testing::endpoint::{ask, free_port, get};
use bench_testing::tool::{Running, Sandbox, ToolOutput, until};

use crate::TOOL;

/// Reads `OpenMetrics` text as strictly as Prometheus' own parser, and prints each sample.
const PARSER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    for sample in family.samples:
        print(family.type, sample.name, sample.labels.get('le', ''), sample.value)
";

/// The value of a sample without labels in `OpenMetrics` text.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("{name} in {text}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn figures_are_served_while_a_run_goes_on_and_kept_at_its_end() {
    let sandbox = Sandbox::new(TOOL);
    let port = free_port();
    let args = format!("--rate 2k/s --duration 5s --interval 200ms --metrics-addr {port}");
    let run = Running::start(sandbox.command(&args));
    until("messages have arrived", || {
        let answer = get(port, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("application/openmetrics-text; version=1.0.0"), "{answer}");
        answer.contains("bench_end_to_end_latency_seconds_count")
            && sample(&answer, "bench_messages_received_total") > 1_000.0
    });
    assert!(get(port, "/other").starts_with("HTTP/1.1 404"));
    assert!(ask(port, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    let output = run.end();
    assert_eq!(output.code, 0, "{output:?}");
    let kept = sandbox.run_folder("results").join("metrics.txt");
    let kept = std::fs::read_to_string(kept).expect("kept");
    let summary = sandbox.document("results").summary.expect("figures");
    let acked = summary.produced.expect("it sent").acked;
    assert_eq!(acked, 10_000);
    for name in ["messages_sent_total", "messages_acked_total", "messages_received_total"] {
        assert!((sample(&kept, &format!("bench_{name}")) - 10_000.0).abs() < 0.1, "{name}");
    }
    let latency = summary.end_to_end_latency.expect("measured");
    let name = "bench_end_to_end_latency_seconds";
    assert!((sample(&kept, &format!("{name}_count")) - latency.count as f64).abs() < 0.1);
    let sum_s = latency.mean_ns * latency.count as f64 / 1e9;
    assert!((sample(&kept, &format!("{name}_sum")) / sum_s - 1.0).abs() < 0.01);
    assert!(sample(&kept, "bench_backlog_messages") < 0.1);
    assert!((sample(&kept, "bench_target_messages_per_second") - 2_000.0).abs() < 0.1);
    assert!(kept.ends_with("# EOF\n"), "{kept}");
    parses_strictly(&kept);
}

/// Reads the text with another program.
fn parses_strictly(text: &str) {
    let import = ["-c", "import prometheus_client.openmetrics.parser"];
    let status = Command::new("python3").args(import).stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        let reason = "it needs python3 and its package prometheus-client";
        bench_testing::skip("figures_are_served_while_a_run_goes_on_and_kept_at_its_end", reason);
        return;
    }
    let mut python = Command::new("python3");
    python.args(["-c", PARSER]);
    let parsed = ToolOutput::of_input(python, text);
    assert_eq!(parsed.code, 0, "{parsed:?}");
    for part in [
        "counter bench_messages_sent_total  10000\n",
        "counter bench_acked_bytes_total ",
        "gauge bench_elapsed_seconds ",
        "histogram bench_publish_latency_seconds_bucket +Inf ",
        "histogram bench_schedule_lag_seconds_count ",
        "info bench_run_info ",
    ] {
        assert!(parsed.stdout.contains(part), "{part} in {}", parsed.stdout);
    }
}

#[test]
fn endpoints_that_cannot_listen_are_refused_before_anything_is_created() {
    let sandbox = Sandbox::new(TOOL);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    for (address, part) in [
        (port.to_string(), "--metrics-addr: cannot listen on"),
        ("soon".to_owned(), "write a port, or HOST:PORT"),
    ] {
        let output = sandbox.run(&format!("-n 10 --metrics-addr {address}"));
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(part), "{output:?}");
        assert_eq!(sandbox.entries(), [""; 0]);
    }
}
