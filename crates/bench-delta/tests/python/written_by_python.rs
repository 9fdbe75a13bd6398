//! What Python writes is followed by us.

use std::path::Path;

use super::package;
use super::{follower, lake, receive};

fn log_entry(table: &Path, version: u64) -> bool {
    table.join(format!("_delta_log/{version:020}.json")).exists()
}

#[test]
fn tables_of_python_are_followed() {
    if !package::is_there("following tables that Python writes") {
        return;
    }
    // Files hold what Python was given, whatever the table's schema calls it.
    let kinds = ["binary", "large_binary", "binary_view", "string", "large_string", "string_view"];
    for kind in kinds {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let table = temporary.path().join("table");
        let written = package::write(&table, kind);
        let lake = lake(&table);
        let mut receiver = follower(&lake);
        assert!(receive(&mut receiver, written.len()) == written, "{kind}: all rows, in order");
        let appended = package::append(&table, kind);
        let followed = receive(&mut receiver, appended.len());
        assert!(followed == appended, "{kind}: what is appended while it is followed");
    }
}

#[test]
fn a_checkpoint_by_python_takes_the_place_of_the_log() {
    if !package::is_there("following a table after Python's checkpoint") {
        return;
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let table = temporary.path().join("table");
    let mut written = package::write(&table, "binary");
    let lake = lake(&table);
    let mut before = follower(&lake);
    assert!(receive(&mut before, written.len()) == written, "all rows, in order");

    package::checkpoint(&table);
    assert!(!log_entry(&table, 0), "the log was cleaned up");
    let mut after = follower(&lake);
    assert!(receive(&mut after, written.len()) == written, "from the checkpoint");

    let appended = package::append(&table, "binary");
    for receiver in [&mut before, &mut after] {
        assert!(receive(receiver, appended.len()) == appended, "what came after the checkpoint");
    }
    written.extend(appended);
    assert!(receive(&mut follower(&lake), written.len()) == written, "from the checkpoint again");
}
