//! Statistics over a field of JSON records: the `--query` of every reading tool.

mod asking;
mod distribution;
mod figures;
mod number;
mod options;
mod records;
mod report;

pub use asking::{Query, Subject};
pub use figures::Stat;
pub use options::QueryArgs;
