//! Exchange with the Python package `deltalake`, which most Delta users have: it reads our tables
//! while we write, and we follow its tables.

mod package;
mod read_by_python;
mod written_by_python;

use std::path::Path;
use std::time::Duration;

use bench_core::counts::Counts;
use bench_delta::Lake;

/// Time limit of each test: many times what it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Key and value of a row.
type Message = (Option<Vec<u8>>, Vec<u8>);

fn lake(folder: &Path) -> Lake {
    Lake::folder(folder, &Counts::default()).expect("a folder")
}
