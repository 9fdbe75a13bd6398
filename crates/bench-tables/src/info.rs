//! Descriptions of tables, and reasons not to delete them.

use std::fmt::{self, Display, Formatter};

/// Marks the benchmark's own tables: the key of a tag in `DynamoDB`, the start of the comment in
/// `MySQL`. Tables without it must not be deleted.
pub const MARK: &str = "stream-benchmark";

/// The description of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Row count; in `DynamoDB` the count of all items, which the service updates every six hours.
    pub rows: Option<u64>,
    /// Whether it has [`MARK`].
    pub is_marked: bool,
    /// Whether it is complete and rows can be written now.
    pub is_usable: bool,
    /// A reason not to delete it, besides a missing mark.
    pub obstacle: Option<Obstacle>,
}

/// Why something should not be deleted like a table of the benchmark; each text is a predicate,
/// such as `is a view`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not a table, so nothing can be done with it here.
    NotATable(String),
    /// The service would refuse to delete it.
    Undeletable(String),
    /// It can be deleted, but a recreated table would lack something that it has.
    Irreplaceable(String),
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Self::NotATable(text) | Self::Undeletable(text) | Self::Irreplaceable(text)) = self;
        f.write_str(text)
    }
}
