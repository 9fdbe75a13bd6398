//! A checkpoint built from the last one and the log entries since.
//!
//! delta-rs loads the table for each checkpoint: for a hundred versions, that took 0.4 s of CPU
//! time and 200 MB next to the producer. If everything since the last checkpoint is an append of
//! our own, the last one can be copied and the new files added to it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use deltalake::arrow::json::ReaderBuilder;
use deltalake::arrow::record_batch::RecordBatch;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::logstore::object_store::path::Path;
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use deltalake::parquet::arrow::arrow_writer::ArrowWriterOptions;
use deltalake::parquet::basic::Compression;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::log::{LogError, actions, checkpoint_path, entry_path, hint_path};
use crate::table::ENGINE_NAME;
use crate::{DeltaError, Lake};

/// Rows copied at a time.
const BATCH_ROWS: usize = 4_096;

/// Other producers' entries read concurrently.
const READS: usize = 8;

/// The result of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckpointResult {
    Written,
    /// A checkpoint of that version or a later one exists.
    NotNeeded,
    /// The table changed by more than appends, or the last checkpoint has another form; with the
    /// reason.
    NotPlain(String),
}

/// The last checkpoint.
struct Last {
    hint: Hint,
    file: Bytes,
}

/// The contents of `_last_checkpoint`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    parts: Option<IgnoredAny>,
    v2_checkpoint: Option<IgnoredAny>,
    num_of_add_files: Option<u64>,
}

/// The files added by the entries since the last checkpoint, as rows of JSON.
#[derive(Default)]
struct Added {
    text: Vec<u8>,
    files: u64,
}

/// Writes a checkpoint of this version of a table without features or properties. `own` holds log
/// entries that need not be read.
pub(super) async fn append(
    lake: &Lake,
    version: u64,
    own: &BTreeMap<u64, Bytes>,
) -> Result<CheckpointResult, DeltaError> {
    let last = match find_last(lake).await? {
        Ok(last) => last,
        Err(reason) => return Ok(CheckpointResult::NotPlain(reason)),
    };
    let first = last.as_ref().map_or(0, |last| last.hint.version + 1);
    if first > version {
        return Ok(CheckpointResult::NotNeeded);
    }
    let entries = futures_util::stream::iter(first..=version)
        .map(|version| entry(lake, version, own))
        .buffered(READS);
    let entries: Vec<_> = entries.try_collect().await?;
    let mut added = Added::default();
    for (version, entry) in (first..).zip(entries) {
        let Some(entry) = entry else {
            return Ok(CheckpointResult::NotPlain(format!("log entry {version} is missing")));
        };
        // A checkpoint over a damaged entry would hide the damage for good.
        let actions = actions(&entry).map_err(|problem| LogError::Entry {
            uri: lake.uri().to_owned(),
            version,
            problem,
        })?;
        let taken = added.take(version, actions);
        if let Err(reason) = taken {
            return Ok(CheckpointResult::NotPlain(reason));
        }
    }
    let files = match &last {
        None => Some(added.files),
        Some(last) => last.hint.num_of_add_files.map(|files| files + added.files),
    };
    let (file, rows) = match encode(last.map(|last| last.file), added.text) {
        Ok(encoded) => encoded,
        // It may have columns that must be kept.
        Err(error) => return Ok(CheckpointResult::NotPlain(error.to_string())),
    };
    let hint = json!({
        "version": version,
        "size": rows,
        "sizeInBytes": file.len(),
        "numOfAddFiles": files,
    });
    put(lake, &checkpoint_path(version), file.into()).await?;
    put(lake, &hint_path(), hint.to_string().into()).await?;
    Ok(CheckpointResult::Written)
}

/// The last checkpoint, if there is one; an error if it cannot be copied.
async fn find_last(lake: &Lake) -> Result<Result<Option<Last>, String>, DeltaError> {
    let Some(hint) = lake.object(&hint_path()).await? else { return Ok(Ok(None)) };
    let hint: Hint = match serde_json::from_slice(&hint) {
        Ok(hint) => hint,
        Err(error) => return Ok(Err(format!("_last_checkpoint cannot be read: {error}"))),
    };
    if hint.parts.is_some() || hint.v2_checkpoint.is_some() {
        return Ok(Err("the last checkpoint consists of several files".to_owned()));
    }
    let file = lake.object(&checkpoint_path(hint.version)).await?;
    Ok(match file {
        Some(file) => Ok(Some(Last { hint, file })),
        None => Err("the last checkpoint is missing".to_owned()),
    })
}

async fn entry(
    lake: &Lake,
    version: u64,
    own: &BTreeMap<u64, Bytes>,
) -> Result<Option<Bytes>, DeltaError> {
    match own.get(&version) {
        Some(entry) => Ok(Some(entry.clone())),
        None => lake.object(&entry_path(version)).await,
    }
}

impl Added {
    /// Adds the files of an entry, or returns what else the entry does.
    fn take(&mut self, version: u64, actions: Vec<Map<String, Value>>) -> Result<(), String> {
        let mut has_our_name = false;
        for mut action in actions {
            if let Some(info) = action.get("commitInfo") {
                has_our_name |= info["engineInfo"]
                    .as_str()
                    .is_some_and(|engine| engine.starts_with(ENGINE_NAME));
                continue;
            }
            if let Some(Value::Object(add)) = action.get_mut("add") {
                // In a checkpoint, files are not changes.
                add.insert("dataChange".to_owned(), false.into());
                self.files += 1;
            } else if version > 0 || action.contains_key("remove") {
                return Err(format!("log entry {version} does more than append"));
            }
            self.text.extend_from_slice(Value::Object(action).to_string().as_bytes());
            self.text.push(b'\n');
        }
        if has_our_name {
            Ok(())
        } else {
            Err(format!("log entry {version} was not written by delta-producer"))
        }
    }
}

/// Encodes the checkpoint, with the rows of the last one before those of `text`. Returns the file
/// and its row count.
fn encode(last: Option<Bytes>, text: Vec<u8>) -> Result<(Vec<u8>, usize), ParquetError> {
    let last = last.map(ParquetRecordBatchReaderBuilder::try_new).transpose()?;
    let schema = last.as_ref().map_or_else(schema, |last| Arc::clone(last.schema()));
    let options = ArrowWriterOptions::new()
        .with_properties(
            WriterProperties::builder()
                .set_created_by(concat!("bench-delta version ", env!("CARGO_PKG_VERSION")).into())
                .set_compression(Compression::SNAPPY)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true)
                .build(),
        )
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)?;
    let mut rows = 0;
    let mut write = |batch: RecordBatch| {
        rows += batch.num_rows();
        writer.write(&batch)
    };
    if let Some(last) = last {
        for batch in last.with_batch_size(BATCH_ROWS).build()? {
            write(batch?)?;
        }
    }
    for batch in ReaderBuilder::new(schema).with_batch_size(BATCH_ROWS).build(Cursor::new(text))? {
        write(batch?)?;
    }
    Ok((writer.into_inner()?, rows))
}

/// The columns of a first checkpoint, as defined by the protocol. Exactly one is non-null in each
/// row.
fn schema() -> SchemaRef {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let field = |name: &str, kind| Field::new(name, kind, true);
    let group = |name: &str, fields: Vec<Field>| field(name, DataType::Struct(fields.into()));
    let list = |name: &str| {
        let element = Field::new("element", Utf8, true);
        field(name, DataType::List(Arc::new(element)))
    };
    let map = |name: &str| {
        let pair = Fields::from(vec![Field::new("key", Utf8, false), field("value", Utf8)]);
        let pairs = Field::new("key_value", DataType::Struct(pair), false);
        field(name, DataType::Map(Arc::new(pairs), false))
    };
    Arc::new(Schema::new(vec![
        group(
            "protocol",
            vec![
                field("minReaderVersion", Int32),
                field("minWriterVersion", Int32),
                list("readerFeatures"),
                list("writerFeatures"),
            ],
        ),
        group(
            "metaData",
            vec![
                field("id", Utf8),
                field("name", Utf8),
                field("description", Utf8),
                group("format", vec![field("provider", Utf8), map("options")]),
                field("schemaString", Utf8),
                list("partitionColumns"),
                field("createdTime", Int64),
                map("configuration"),
            ],
        ),
        group(
            "txn",
            vec![field("appId", Utf8), field("version", Int64), field("lastUpdated", Int64)],
        ),
        group(
            "add",
            vec![
                field("path", Utf8),
                map("partitionValues"),
                field("size", Int64),
                field("modificationTime", Int64),
                field("dataChange", Boolean),
                field("stats", Utf8),
                map("tags"),
            ],
        ),
        group(
            "remove",
            vec![
                field("path", Utf8),
                field("deletionTimestamp", Int64),
                field("dataChange", Boolean),
                field("extendedFileMetadata", Boolean),
                map("partitionValues"),
                field("size", Int64),
            ],
        ),
    ]))
}

async fn put(lake: &Lake, path: &Path, bytes: Bytes) -> Result<(), DeltaError> {
    let put = lake.store().put(path, bytes.into()).await;
    put.map(drop)
        .map_err(|error| DeltaError::store(format!("write {path} of {}", lake.uri()), &error))
}
