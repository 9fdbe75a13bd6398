//! How much equal runs differ, and what that allows to be shown.

use crate::fake_tool::{FakeTool, read_json, stderr, stdout};

#[test]
fn noise_is_measured_kept_and_foretold() {
    let tool = FakeTool::new();
    tool.behave("b", "vary");
    tool.experiment("repeats = 5\n[matrix]\nload = [\"a\", \"b\"]");
    let dry = |tool: &FakeTool| stdout(&tool.run(&["run", "try.toml", "--dry-run"]));
    assert!(!dry(&tool).contains("this shows changes"), "nothing is known yet");
    let output = tool.run(&["noise", "try.toml", "--cell", "2", "--repeats", "4"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    assert_eq!(tool.calls().len(), 8);
    assert!(tool.calls().iter().all(|call| call.contains("--load=b")), "{:?}", tool.calls());
    assert!(text.contains("How much do equal runs of load=b differ?"), "{text}");
    assert!(text.contains("* end-to-end p99"), "{text}");
    assert!(text.contains("5 repeats show"), "{text}");
    let noise = read_json(&tool.path("results/noise/try-noise.json"));
    let figures = noise["figures"].as_array().expect("figures");
    let p99 = figures.iter().find(|figure| figure["figure"] == "end_to_end.p99").expect("one");
    // 4.2 and 8.4 ms in turn.
    assert!((0.3..0.5).contains(&p99["spread"].as_f64().expect("a spread")), "{p99}");
    // The host of these documents is called h.
    assert!(!dry(&tool).contains("this shows changes"), "it is of another machine");
    let own = std::fs::read_to_string(tool.path("results/noise/try-noise.json")).expect("there");
    let host = bench_core::results::current_host().name;
    tool.write("results/noise/try-noise.json", &own.replace("\"h\"", &format!("{host:?}")));
    let text = dry(&tool);
    assert!(text.contains("with 5 repeats this shows changes of end-to-end p99 above "), "{text}");
    assert!(text.contains("with 5 repeats this shows changes of throughput above 0 %"), "{text}");
}

#[test]
fn unknown_cells_are_refused() {
    let tool = FakeTool::new();
    tool.experiment("");
    for cell in ["0", "2"] {
        let output = tool.run(&["noise", "try.toml", "--cell", cell]);
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        assert!(stderr(&output).contains("--cell: "), "{}", stderr(&output));
    }
    assert_eq!(tool.results(), None);
}
