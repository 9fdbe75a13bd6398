//! What is known of a table.

/// The mark of the benchmark's own tables: the key of a tag in `DynamoDB`, the beginning of the
/// comment in `MySQL`. Tables without it are not to be deleted.
pub const MARK: &str = "stream-benchmark";

/// The table that the Lambda functions write to unless told otherwise.
pub const KINESIS_TABLE: &str = "benchmark_kinesis";

/// The table that `kafka-prodcon` writes to unless told otherwise.
pub const KAFKA_TABLE: &str = "benchmark_kafka";

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its rows; in `DynamoDB` items of any kind, as counted by the service in the last six hours.
    pub rows: Option<u64>,
    /// Whether it bears [`MARK`].
    pub is_marked: bool,
    /// Whether rows can be written to it now.
    pub is_usable: bool,
}
