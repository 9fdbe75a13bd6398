//! Conclusions about real runs: a delay of the network is slower, fails a gate, and shows as a step.

use bench_stack::StackOptions;
use serde_json::Value;

use crate::sandbox::{Sandbox, text_of};

const HEAD: &str = "question = \"What does it cost?\"\ntool = \"kafka-prodcon\"
services = \"local\"\ntime_limit = \"2m\"
[options]\nrate = \"1k/s\"\nlinger = \"0ms\"\ninterval = \"500ms\"\nwarm-up = \"4s\"\n";

fn experiment(sandbox: &Sandbox, name: &str, repeats: u32, body: &str) {
    let text = format!("name = \"{name}\"\nrepeats = {repeats}\n{HEAD}{body}");
    sandbox.write(&format!("{name}.toml"), &text);
}

#[test]
fn delays_are_slower_and_fail_the_gate() {
    let Some(sandbox) = Sandbox::new("a delay", &StackOptions::of(["kafka"])) else { return };
    let delay = "[[fault]]\nat = \"1s\"\nnetwork = \"kafka\"\nlatency = \"20ms\"\nfor = \"60s\"\n";
    experiment(&sandbox, "try", 3, "duration = \"6s\"\n");
    sandbox.succeed("run try.toml --results-dir before");
    experiment(&sandbox, "try", 3, &format!("duration = \"6s\"\n{delay}"));
    let gate = "--baseline before --gate publish.p50<+50%";
    let output = sandbox.run(&format!("run try.toml --results-dir after {gate}"));
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("publish.p50<+50%: FAILED"), "{text}");
    let compared = sandbox.succeed("compare before after --output json");
    let compared: Value = serde_json::from_str(&compared).expect("JSON");
    let figures = compared["cells"][0]["figures"].as_array().expect("figures");
    let p50 = figures.iter().find(|figure| figure["figure"] == "publish.p50").expect("measured");
    assert_eq!(p50["verdict"], "slower", "{p50}");
    sandbox.assert_clean();
}

#[test]
fn delays_in_the_middle_are_steps() {
    let Some(sandbox) = Sandbox::new("a step", &StackOptions::of(["kafka"])) else { return };
    experiment(
        &sandbox,
        "step",
        1,
        "duration = \"30s\"\n[[fault]]\nat = \"24s\"\nnetwork = \"kafka\"\nlatency = \"20ms\"
         for = \"60s\"\n",
    );
    sandbox.succeed("run step.toml");
    let document = sandbox.json("01-step/repeat-1/run.json");
    let begin_s = document["faults"][0]["begin_s"].as_f64().expect("a time");
    let analysis = sandbox.json("01-step/repeat-1/analysis.json");
    let notes: Vec<&str> = analysis["flags"]
        .as_array()
        .expect("flags")
        .iter()
        .map(|flag| flag["note"].as_str().expect("a note"))
        .collect();
    let at_s = |note: &str| -> Option<f64> {
        let (_, rest) = note.split_once("end-to-end p99 changed from ")?.1.split_once(" at ")?;
        rest.split_once(" s")?.0.parse().ok()
    };
    let found = notes.iter().filter_map(|note| at_s(note));
    assert!(found.into_iter().any(|at_s| (at_s - begin_s).abs() <= 1.0), "{begin_s}: {notes:?}");
}
