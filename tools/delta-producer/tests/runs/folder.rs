//! Runs in a folder.

use bench_testing::tool::{Place, Said};

use crate::TOOL;
use crate::tables::{acked, folder, messages};

#[test]
fn every_form_of_folder_path_works() {
    let place = Place::new(TOOL);
    let absolute = place.path().join("t").display().to_string();
    for (index, path) in ["t", "./t", &absolute, &format!("file://{absolute}")].iter().enumerate() {
        let args =
            format!("--lake-path {path} -n 50 --commit-interval 20ms --results-dir r{index}");
        let said = place.run(&args);
        assert_eq!(said.code, 0, "{path}: {said:?}");
        assert_eq!(messages(&folder(&place.path().join("t"))).len(), 50 * (index + 1), "{path}");
        let recorded = &place.document(&format!("r{index}")).options["lake-path"];
        assert_eq!(recorded, &format!("file://{absolute}"), "{path}");
    }
}

#[test]
fn racing_producers_store_every_row_once() {
    let place = Place::new(TOOL);
    let args = "--lake-path t -p 8 --rate 20k/s --duration 2s --commit-interval 10ms --follow \
                --exactly-once";
    let said = place.run(args);
    assert_eq!(said.code, 0, "{said:?}");
    let acked = acked(&place);
    assert_eq!(acked.len(), 40_000);
    assert!(messages(&folder(&place.path().join("t"))) == acked);
}

#[test]
fn file_records_are_stored_unchanged() {
    let place = Place::new(TOOL);
    place.write("lines.txt", "one\ntwo\nthree\n");
    let args = "--lake-path t --input lines.txt --format raw -n 7 --follow --commit-interval 20ms";
    let said = place.run(args);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = place.document("results").summary.expect("figures");
    assert_eq!(summary.consumed.expect("followed").received, 7);
    assert!(summary.audit.is_none() && summary.end_to_end_latency.is_none());
}

#[test]
fn folder_names_are_used_as_given() {
    let place = Place::new(TOOL);
    std::fs::create_dir(place.path().join("x")).expect("a folder");
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
            let said = place.run(&args);
            assert_eq!(said.code, 0, "{path}: {said:?}");
            let recorded = place.document(&results).options["lake-path"].clone();
            let again = format!(
                "--lake-path {} -n 1 --commit-interval 20ms --results-dir {results}-again",
                recorded.as_str().expect("a place")
            );
            assert_eq!(place.run(&again).code, 0, "{recorded}: the recorded path is accepted");
        }
        assert_eq!(messages(&folder_at(&place, folder)).len(), 102, "{path}");
    }
    let made = std::fs::read_dir(place.path().join("x")).expect("a folder").count();
    assert_eq!(made, 6, "no other folders");
}

fn folder_at(place: &Place, name: &str) -> bench_delta::Lake {
    assert!(place.path().join(name).join("_delta_log").is_dir(), "{name}");
    folder(&place.path().join(name))
}

#[test]
fn only_the_own_home_is_expanded() {
    let place = Place::new(TOOL);
    let run = |args: &str, home: Option<&str>| {
        let mut command = place.command(args);
        command.env_remove("HOME");
        command.envs(home.map(|home| ("HOME", place.path().join(home))));
        Said::of(command)
    };
    let args = "-n 50 --commit-interval 20ms --results-dir r";
    let said = run(&format!("--lake-path ~/t {args}"), Some("home"));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(messages(&folder_at(&place, "home/t")).len(), 50);
    let before = place.entries();
    assert_eq!(before, ["home", "r"]);
    for (path, home) in [("~/t", None), ("~root/t", Some("home"))] {
        let said = run(&format!("--lake-path {path} {args}"), home);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{path}: {said:?}");
        assert!(said.stderr.contains("--lake-path: "), "{path}: {said:?}");
        assert_eq!(place.entries(), before, "{path}");
    }
}
