//! The commands of docs/ci.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fake_tool::{stderr, stdout};
use crate::real_tool::are_built;

/// The shell commands of the page.
fn commands() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci.md");
    let page = fs::read_to_string(page).expect("the page");
    let blocks = page.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("an end").to_owned()).collect()
}

#[test]
fn commands_of_the_page_work() {
    if !are_built(&["kafka-prodcon", "embedded-kafka"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    std::os::unix::fs::symlink(experiments, folder.path().join("experiments")).expect("linked");
    let run_suite = Path::new(assert_cmd::cargo::cargo_bin!("run-suite"));
    let mut path = vec![run_suite.parent().expect("a folder").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let commands = commands();
    assert_eq!(commands.len(), 2);
    for (index, command) in commands.iter().enumerate() {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder.path())
            .env("PATH", std::env::join_paths(&path).expect("a path"))
            .env_remove("BENCH_STACK")
            .env_remove("BENCH_SERVICES")
            .output()
            .expect("sh starts");
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{command}\n{text}{}", stderr(&output));
        assert!(text.contains("gates:"), "{text}");
        let junit = folder.path().join("junit.xml");
        let xml = fs::read_to_string(&junit).expect("JUnit XML");
        assert!(xml.contains("end_to_end.p99"), "{xml}");
        if index == 0 {
            fs::remove_file(junit).expect("removed");
            fs::rename(folder.path().join("results"), folder.path().join("baseline"))
                .expect("renamed");
        }
    }
}
