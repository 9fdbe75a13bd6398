//! Merging data files.

use std::collections::BTreeSet;

use deltalake::Path;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::{Add, LogicalFileView};
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::logstore::object_store::buffered::BufWriter;
use deltalake::parquet::arrow::AsyncArrowWriter;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use deltalake::parquet::basic::{Compression, Encoding};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

use super::MaintenanceError;
use crate::Lake;
use crate::reason::{sentence, store_reason};

/// Rows read and written at once.
const BATCH_ROWS: usize = 1_024;

/// Limits of a row group, which readers and this writer hold in memory.
const GROUP_ROWS_MAX: usize = 128 << 10;
const GROUP_BYTES_MAX: usize = 32 << 20;

/// Writes new files in place of others.
pub(super) struct Rewriter<'a> {
    lake: &'a Lake,
    /// Every file that was begun.
    written: Vec<Path>,
}

/// A new file being written.
struct OpenFile {
    path: Path,
    schema: SchemaRef,
    writer: AsyncArrowWriter<BufWriter>,
    rows: u64,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(lake: &'a Lake) -> Self {
        Self { lake, written: Vec::new() }
    }

    /// Writes the rows of these files, all of one partition, in order into as few new files as
    /// their columns allow. The new files are not part of the table yet.
    pub(super) async fn merge(
        &mut self,
        files: &[LogicalFileView],
    ) -> Result<Vec<Add>, MaintenanceError> {
        let mut added = Vec::new();
        let mut output: Option<OpenFile> = None;
        for (place, file) in files.iter().enumerate() {
            let path = file.object_store_path();
            let unreadable = |problem: String| MaintenanceError::DataFile {
                attempted: format!("read data file {path} of {}", self.lake.uri()),
                problem,
            };
            let read = async { self.lake.store().get(&path).await?.bytes().await };
            let bytes = read.await.map_err(|error| unreadable(store_reason(&error)))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes);
            let reader = reader.map_err(|error| unreadable(sentence(&error.to_string())))?;
            let found = reader.metadata().file_metadata().num_rows();
            let rows = file.num_records().and_then(|rows| i64::try_from(rows).ok());
            if let Some(rows) = rows.filter(|rows| *rows != found) {
                // The new file would make the discrepancy permanent.
                return Err(unreadable(format!("it has {found} rows, but the log says {rows}")));
            }
            if let Some(other) = output.take_if(|output| output.schema != *reader.schema()) {
                added.push(self.finish(other, &files[place - 1]).await?);
            }
            let mut current = match output.take() {
                Some(output) => output,
                None => self.begin(&path, reader.schema(), reader.metadata())?,
            };
            let batches = reader.with_batch_size(BATCH_ROWS).build();
            for batch in batches.map_err(|error| unreadable(sentence(&error.to_string())))? {
                let batch = batch.map_err(|error| unreadable(sentence(&error.to_string())))?;
                current.rows += batch.num_rows() as u64;
                let written = current.writer.write(&batch).await;
                written.map_err(|error| self.unwritten(&current.path, &error))?;
            }
            output = Some(current);
        }
        if let (Some(output), Some(newest)) = (output, files.last()) {
            added.push(self.finish(output, newest).await?);
        }
        Ok(added)
    }

    /// Creates a file next to `like`, in the same format.
    fn begin(
        &mut self,
        like: &Path,
        schema: &SchemaRef,
        footer: &ParquetMetaData,
    ) -> Result<OpenFile, MaintenanceError> {
        let (properties, codec) = properties_of(footer);
        let name = format!("part-00000-{}-c000{codec}.parquet", Uuid::new_v4());
        let mut parts: Vec<_> = like.parts().collect();
        parts.pop();
        parts.push(name.into());
        let path = Path::from_iter(parts);
        self.written.push(path.clone());
        let upload = BufWriter::new(Arc::clone(self.lake.store()), path.clone());
        let writer = AsyncArrowWriter::try_new(upload, Arc::clone(schema), Some(properties));
        let writer = writer.map_err(|error| self.unwritten(&path, &error))?;
        Ok(OpenFile { path, schema: Arc::clone(schema), writer, rows: 0 })
    }

    /// Completes a file whose last rows came from `newest`.
    async fn finish(
        &self,
        mut output: OpenFile,
        newest: &LogicalFileView,
    ) -> Result<Add, MaintenanceError> {
        let path = output.path;
        output.writer.finish().await.map_err(|error| self.unwritten(&path, &error))?;
        let size_bytes = output.writer.bytes_written();
        Ok(Add {
            path: path.to_string(),
            partition_values: newest.partition_values_map(),
            size: i64::try_from(size_bytes).unwrap_or(i64::MAX),
            // Keeps the file's place in the order of rows.
            modification_time: newest.modification_time(),
            data_change: false,
            stats: Some(json!({ "numRecords": output.rows }).to_string()),
            ..Add::default()
        })
    }

    /// Deletes the new files as far as possible.
    pub(super) async fn discard(self) {
        for path in &self.written {
            if let Err(error) = self.lake.store().delete(path).await {
                tracing::debug!("failed to remove {path}, which is in no version: {error}");
            }
        }
    }

    fn unwritten(&self, path: &Path, error: &ParquetError) -> MaintenanceError {
        MaintenanceError::DataFile {
            attempted: format!("write data file {path} of {}", self.lake.uri()),
            problem: sentence(&error.to_string()),
        }
    }
}

/// The format of a file, and the suffix of its codec for file names.
fn properties_of(footer: &ParquetMetaData) -> (WriterProperties, &'static str) {
    let mut properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(GROUP_BYTES_MAX))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None);
    let mut codec = Compression::UNCOMPRESSED;
    let columns = footer.row_groups().first().map(RowGroupMetaData::columns);
    for column in columns.unwrap_or_default() {
        let path = column.column_path().clone();
        codec = column.compression();
        properties = properties
            .set_column_compression(path.clone(), codec)
            .set_column_dictionary_enabled(path.clone(), column.dictionary_page_offset().is_some());
        if column.statistics().is_some() {
            properties =
                properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk);
        }
        if let Some(encoding) = encoding_of(column) {
            properties = properties.set_column_encoding(path, encoding);
        }
    }
    (properties.build(), name_of(codec))
}

/// The encoding of a column's values, unless plain or by dictionary.
fn encoding_of(column: &ColumnChunkMetaData) -> Option<Encoding> {
    let known = BTreeSet::from([
        Encoding::DELTA_BINARY_PACKED,
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
        Encoding::DELTA_BYTE_ARRAY,
        Encoding::BYTE_STREAM_SPLIT,
    ]);
    column.encodings().find(|encoding| known.contains(encoding))
}

/// Hadoop's suffixes for codecs.
fn name_of(codec: Compression) -> &'static str {
    match codec {
        Compression::UNCOMPRESSED => "",
        Compression::SNAPPY => ".snappy",
        Compression::GZIP(_) => ".gz",
        Compression::LZO => ".lzo",
        Compression::BROTLI(_) => ".br",
        Compression::LZ4 => ".lz4",
        Compression::ZSTD(_) => ".zstd",
        Compression::LZ4_RAW => ".lz4raw",
    }
}
