//! Statistics over a field of JSON records: the `--query` of every reading tool.

mod distribution;
mod figures;
mod number;
mod options;
mod query;
mod records;
mod report;

pub use figures::Stat;
pub use options::QueryArgs;
pub use query::{Query, Subject};
