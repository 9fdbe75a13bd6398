//! Tables of messages: creating, opening, and checking that this writer may append to them.

use std::time::SystemTime;

use clap::ValueEnum as _;
use deltalake::kernel::{Metadata, Protocol, Snapshot};
use deltalake::logstore::commit_uri_from_version;
use deltalake::logstore::object_store::{self, ObjectStore as _, PutMode, PutOptions};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::schema::{PartitionColumn, TableSchema, partition_names, schema_string};
use crate::{DeltaError, Lake, log};

/// The name of tables created here.
pub const TABLE_NAME: &str = "bench_messages";

/// The start of `engineInfo` in our log entries, before the version.
pub(crate) const ENGINE_NAME: &str = "bench-delta:";

/// The `engineInfo` of our log entries.
pub(crate) const ENGINE: &str = concat!("bench-delta:", env!("CARGO_PKG_VERSION"));

/// Writer features that an append observes without effort, or that are checked on opening, by their
/// names in the protocol.
const FEATURES: [&str; 11] = [
    "appendOnly",
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
    "columnMapping",
    "identityColumns",
    "deletionVectors",
    "timestampNtz",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];

/// The newest supported writer version, which uses a list of features.
const WRITER_VERSION_MAX: i32 = 7;

/// The writer version of tables created here.
const PLAIN_WRITER_VERSION: i32 = 2;

/// A table as it was when opened.
#[derive(Debug, Clone)]
pub struct Table {
    uri: String,
    version: u64,
    metadata: Metadata,
    protocol: Protocol,
}

/// The part of the metadata that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    schema_string: String,
    configuration: std::collections::BTreeMap<String, String>,
    created_time: Option<i64>,
}

/// The part of the protocol that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rules {
    min_writer_version: i32,
    #[serde(default)]
    writer_features: Vec<String>,
}

impl Table {
    /// Creates a table of messages with these partition columns, or opens an existing one and
    /// [checks](Self::check) it. If several writers create it at once, one succeeds and the others
    /// open it.
    pub async fn create(lake: &Lake, partition_by: &[PartitionColumn]) -> Result<Self, DeltaError> {
        let mut table = Self::open(lake).await?;
        if table.is_none() {
            Self::put_first_version(lake, partition_by).await?;
            table = Self::open(lake).await?;
        }
        let table = table.ok_or_else(|| DeltaError::NoTable { uri: lake.uri().to_owned() })?;
        table.check(partition_by)?;
        Ok(table)
    }

    /// Opens the newest version of the table, if there is one. Reads its log since the last
    /// checkpoint, because delta-rs ignores some kinds of damage.
    pub async fn open(lake: &Lake) -> Result<Option<Self>, DeltaError> {
        let Some(log) = log::checked(lake).await? else { return Ok(None) };
        match Snapshot::try_new(lake.log_store().as_ref(), None).await {
            Ok(snapshot) => Ok(Some(Self {
                uri: lake.uri().to_owned(),
                version: snapshot.version(),
                metadata: snapshot.metadata().clone(),
                protocol: snapshot.protocol().clone(),
            })),
            Err(error) => Err(log::unloadable(&log, &error).into()),
        }
    }

    /// Writes version 0, unless another writer has.
    async fn put_first_version(
        lake: &Lake,
        partition_by: &[PartitionColumn],
    ) -> Result<(), DeltaError> {
        let entry = first_version(partition_by, SystemTime::now());
        let path = commit_uri_from_version(Some(0));
        let options = PutOptions::from(PutMode::Create);
        match lake.store().put_opts(&path, entry.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(DeltaError::store(format!("create table {}", lake.uri()), &error)),
        }
    }

    /// Checks that a writer of messages may append to the table: it has the right columns and
    /// partitions, and its rules for writers are supported.
    pub fn check(&self, partition_by: &[PartitionColumn]) -> Result<(), DeltaError> {
        let description: Description = self.part(&self.metadata)?;
        let schema: TableSchema = self.parsed(serde_json::from_str(&description.schema_string))?;
        let differences = self.differences(&schema, partition_by);
        if !differences.is_empty() {
            let differences = differences.join("; ");
            let remedy = if self.differences(&schema, &self.own_partitions()).is_empty() {
                "remove --partition-by to use its partitions, or use another table with --lake-path"
            } else {
                "use another table with --lake-path"
            };
            return Err(DeltaError::OtherColumns { uri: self.uri.clone(), differences, remedy });
        }
        match self.unknown_rule(&description, &schema)? {
            Some(rule) => Err(DeltaError::UnknownRule { uri: self.uri.clone(), rule }),
            None => Ok(()),
        }
    }

    fn differences(&self, schema: &TableSchema, partition_by: &[PartitionColumn]) -> Vec<String> {
        let mut differences = schema.differences(partition_by);
        let (found, expected) = (self.partition_columns(), partition_names(partition_by));
        if found != expected {
            let list =
                |columns: String| if columns.is_empty() { "nothing".into() } else { columns };
            let (found, expected) = (list(found.join(", ")), list(expected.join(", ")));
            differences.push(format!("it is partitioned by {found}, not by {expected}"));
        }
        differences
    }

    /// The partition columns that are known here.
    #[must_use]
    pub fn own_partitions(&self) -> Vec<PartitionColumn> {
        let columns = self.partition_columns().iter();
        columns.filter_map(|name| PartitionColumn::from_str(name, false).ok()).collect()
    }

    /// Why a writer of messages that starts now could not append to the table, if so.
    pub(crate) fn refusal(&self) -> Option<DeltaError> {
        self.check(&self.own_partitions()).err()
    }

    /// A rule for writers that is not supported here, if any.
    fn unknown_rule(
        &self,
        description: &Description,
        schema: &TableSchema,
    ) -> Result<Option<String>, DeltaError> {
        let rules: Rules = self.part(&self.protocol)?;
        if rules.min_writer_version > WRITER_VERSION_MAX {
            return Ok(Some(format!("protocol version {}", rules.min_writer_version)));
        }
        let is_unknown = |feature: &&String| !FEATURES.contains(&feature.as_str());
        if let Some(feature) = rules.writer_features.iter().find(is_unknown) {
            return Ok(Some(format!("the feature {feature}")));
        }
        // A feature that is only allowed matters once the table uses it.
        if let Some((column, rule)) = schema.rule() {
            return Ok(Some(format!("{rule} of column '{column}'")));
        }
        let is_in_use = |(key, value): &(&String, &String)| match key.as_str() {
            "delta.columnMapping.mode" => value.as_str() != "none",
            key => key.starts_with("delta.constraints."),
        };
        let property = description.configuration.iter().find(is_in_use);
        Ok(property.map(|(key, _)| format!("the property {key}")))
    }

    /// Whether the table was created here, judging by its name.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.metadata.name() == Some(TABLE_NAME)
    }

    /// The version opened.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The partition columns, the outermost folder first.
    pub(crate) fn partition_columns(&self) -> &[String] {
        self.metadata.partition_columns()
    }

    /// Whether the table has no features and no properties, like tables created here.
    pub(crate) fn is_plain(&self) -> bool {
        let rules: Option<Rules> = self.part(&self.protocol).ok();
        let description: Option<Description> = self.part(&self.metadata).ok();
        rules.is_some_and(|rules| {
            rules.min_writer_version <= PLAIN_WRITER_VERSION && rules.writer_features.is_empty()
        }) && description.is_some_and(|description| description.configuration.is_empty())
    }

    /// When the table was created, milliseconds since 1970, if recorded.
    pub(crate) fn created_ms(&self) -> Option<i64> {
        let description: Option<Description> = self.part(&self.metadata).ok();
        description.and_then(|description| description.created_time)
    }

    /// Whether metadata and protocol equal that table's.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.is(&other.metadata, &other.protocol)
    }

    pub(crate) fn is(&self, metadata: &Metadata, protocol: &Protocol) -> bool {
        self.metadata == *metadata && self.protocol == *protocol
    }

    /// Converts an action of delta-rs into our type.
    fn part<T: for<'de> Deserialize<'de>>(
        &self,
        action: &impl serde::Serialize,
    ) -> Result<T, DeltaError> {
        self.parsed(serde_json::to_value(action).and_then(serde_json::from_value))
    }

    fn parsed<T>(&self, parsed: serde_json::Result<T>) -> Result<T, DeltaError> {
        parsed.map_err(|error| DeltaError::Table {
            attempted: format!("parse the metadata of table {}", self.uri),
            reason: error.to_string(),
        })
    }
}

/// The entry that creates a table, with protocol versions that every reader and writer supports.
fn first_version(partition_by: &[PartitionColumn], now: SystemTime) -> String {
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
    let columns = partition_names(partition_by);
    let info = json!({"commitInfo": {
        "timestamp": now_ms,
        "operation": "CREATE TABLE",
        "operationParameters": {},
        "isBlindAppend": true,
        "engineInfo": ENGINE,
    }});
    let protocol = json!({"protocol": {
        "minReaderVersion": 1,
        "minWriterVersion": PLAIN_WRITER_VERSION,
    }});
    let metadata = json!({"metaData": {
        "id": Uuid::new_v4().to_string(),
        "name": TABLE_NAME,
        "Messages of benchmark runs, one per row; written by delta-producer.": "Messages of benchmark runs, one a row; written by delta-producer.",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema_string(partition_by),
        "partitionColumns": columns,
        "configuration": {},
        "createdTime": now_ms,
    }});
    format!("{info}\n{protocol}\n{metadata}\n")
}
