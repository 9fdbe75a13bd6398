//! Runs in a folder.

use bench_testing::tool::{Sandbox, ToolOutput};

use crate::TOOL;
use crate::tables::{acked, folder, messages};

#[test]
fn every_form_of_folder_path_works() {
    let sandbox = Sandbox::new(TOOL);
    let absolute = sandbox.path().join("t").display().to_string();
    for (index, path) in ["t", "./t", &absolute, &format!("file://{absolute}")].iter().enumerate() {
        let args =
            format!("--lake-path {path} -n 50 --commit-interval 20ms --results-dir r{index}");
        let output = sandbox.run(&args);
        assert_eq!(output.code, 0, "{path}: {output:?}");
        assert_eq!(messages(&folder(&sandbox.path().join("t"))).len(), 50 * (index + 1), "{path}");
        let recorded = &sandbox.document(&format!("r{index}")).options["lake-path"];
        assert_eq!(recorded, &format!("file://{absolute}"), "{path}");
    }
}

#[test]
fn racing_producers_store_every_row_once() {
    let sandbox = Sandbox::new(TOOL);
    let args = "--lake-path t -p 8 --rate 20k/s --duration 2s --commit-interval 10ms --follow \
                --exactly-once";
    let output = sandbox.run(args);
    assert_eq!(output.code, 0, "{output:?}");
    let acked = acked(&sandbox);
    assert_eq!(acked.len(), 40_000);
    assert!(messages(&folder(&sandbox.path().join("t"))) == acked);
}

#[test]
fn file_records_are_stored_unchanged() {
    let sandbox = Sandbox::new(TOOL);
    sandbox.write("lines.txt", "one\ntwo\nthree\n");
    let args = "--lake-path t --input lines.txt --format raw -n 7 --follow --commit-interval 20ms";
    let output = sandbox.run(args);
    assert_eq!(output.code, 0, "{output:?}");
    let summary = sandbox.document("results").summary.expect("figures");
    assert_eq!(summary.consumed.expect("followed").received, 7);
    assert!(summary.audit.is_none() && summary.end_to_end_latency.is_none());
}

#[test]
fn folder_names_are_used_as_given() {
    let sandbox = Sandbox::new(TOOL);
    std::fs::create_dir(sandbox.path().join("x")).expect("a folder");
    for (index, (path, folder)) in [
        ("x/a%20b", "x/a%20b"),
        ("x/a%2520b/", "x/a%2520b"),
        ("x/nowhere/../a+b", "x/a+b"),
        ("x/50%", "x/50%"),
        ("x/zwölf", "x/zwölf"),
        ("x/a?b#c", "x/a?b#c"),
    ]
    .iter()
    .enumerate()
    {
        for producers in [1, 2] {
            let results = format!("r{index}-{producers}");
            let args = format!(
                "--lake-path {path} -n 50 -p {producers} --follow --commit-interval 20ms \
                 --results-dir {results}"
            );
            let output = sandbox.run(&args);
            assert_eq!(output.code, 0, "{path}: {output:?}");
            let recorded = sandbox.document(&results).options["lake-path"].clone();
            let again = format!(
                "--lake-path {} -n 1 --commit-interval 20ms --results-dir {results}-again",
                recorded.as_str().expect("a place")
            );
            assert_eq!(sandbox.run(&again).code, 0, "{recorded}: the recorded path is accepted");
        }
        assert_eq!(messages(&folder_at(&sandbox, folder)).len(), 102, "{path}");
    }
    let made = std::fs::read_dir(sandbox.path().join("x")).expect("a folder").count();
    assert_eq!(made, 6, "no other folders");
}

fn folder_at(sandbox: &Sandbox, name: &str) -> bench_delta::Lake {
    assert!(sandbox.path().join(name).join("_delta_log").is_dir(), "{name}");
    folder(&sandbox.path().join(name))
}

#[test]
fn only_the_own_home_is_expanded() {
    let sandbox = Sandbox::new(TOOL);
    let run = |args: &str, home: Option<&str>| {
        let mut command = sandbox.command(args);
        command.env_remove("HOME");
        command.envs(home.map(|home| ("HOME", sandbox.path().join(home))));
        ToolOutput::of(command)
    };
    let args = "-n 50 --commit-interval 20ms --results-dir r";
    let output = run(&format!("--lake-path ~/t {args}"), Some("home"));
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(messages(&folder_at(&sandbox, "home/t")).len(), 50);
    let before = sandbox.entries();
    assert_eq!(before, ["home", "r"]);
    for (path, home) in [("~/t", None), ("~root/t", Some("home"))] {
        let output = run(&format!("--lake-path {path} {args}"), home);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{path}: {output:?}");
        assert!(output.stderr.contains("--lake-path: "), "{path}: {output:?}");
        assert_eq!(sandbox.entries(), before, "{path}");
    }
}
