//! Tables that cross to the Python package `deltalake`, as most of its users have it, and back: it
//! reads what we write, while we do, and we follow what it writes.

mod package;
mod read_by_python;
mod written_by_python;

use std::path::Path;
use std::time::Duration;

use bench_core::counts::Counts;
use bench_delta::Lake;

/// How long anything here may take: many times what it does take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A row as users see it: key and value.
type Message = (Option<Vec<u8>>, Vec<u8>);

fn lake(folder: &Path) -> Lake {
    Lake::folder(folder, &Counts::default()).expect("a folder")
}
