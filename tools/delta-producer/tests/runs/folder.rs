//! Runs in a folder.

use bench_testing::tool::Place;

use crate::TOOL;
use crate::tables::{acked, folder, messages};

#[test]
fn every_way_to_name_a_folder_is_understood() {
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
fn several_producers_race_and_every_row_is_there_once() {
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
fn records_of_a_file_go_in_as_they_are() {
    let place = Place::new(TOOL);
    place.write("lines.txt", "one\ntwo\nthree\n");
    let args = "--lake-path t --input lines.txt --format raw -n 7 --follow --commit-interval 20ms";
    let said = place.run(args);
    assert_eq!(said.code, 0, "{said:?}");
    let summary = place.document("results").summary.expect("figures");
    assert_eq!(summary.consumed.expect("followed").received, 7);
    assert!(summary.audit.is_none() && summary.end_to_end_latency.is_none());
}
