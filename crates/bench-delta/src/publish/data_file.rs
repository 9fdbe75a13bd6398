//! Data files: their names, their partitions, and how rows are encoded.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deltalake::arrow::array::{ArrayRef, Int32Array, Int64Array};
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::record_batch::RecordBatch;
use deltalake::arrow::temporal_conversions::date32_to_datetime;
use deltalake::logstore::object_store::path::Path;
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::arrow_writer::ArrowWriterOptions;
use deltalake::parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use deltalake::parquet::schema::types::ColumnPath;
use uuid::Uuid;

use super::config::{Compression, PublishConfig};
use super::rows::Rows;
use crate::schema::{PRODUCER, PartitionColumn, SEQUENCE, file_schema};

/// An uploaded data file, ready to be committed.
#[derive(Debug, Clone)]
pub(super) struct DataFile {
    pub(super) path: Path,
    pub(super) partition_values: Vec<(&'static str, String)>,
    pub(super) size_bytes: u64,
    pub(super) rows: u64,
    /// When it was written, milliseconds since 1970.
    pub(super) written_ms: i64,
}

impl DataFile {
    /// The statistics of an `add` action. Only the row count: computing more would cost more than
    /// it is worth here.
    pub(super) fn stats(&self) -> String {
        format!("{{\"numRecords\":{}}}", self.rows)
    }
}

/// The format of a publisher's data files.
pub(super) struct Layout {
    producer: i32,
    partition_by: Vec<PartitionColumn>,
    schema: SchemaRef,
    properties: WriterProperties,
    extension: &'static str,
}

impl Layout {
    pub(super) fn new(config: &PublishConfig) -> Self {
        let mut partition_by = config.partition_by.clone();
        partition_by.sort_unstable();
        partition_by.dedup();
        let (codec, extension) = match config.compression {
            Compression::None => (Codec::UNCOMPRESSED, ""),
            Compression::Snappy => (Codec::SNAPPY, ".snappy"),
            Compression::Lz4 => (Codec::LZ4_RAW, ".lz4raw"),
            Compression::Zstd => (Codec::ZSTD(ZstdLevel::default()), ".zstd"),
        };
        Self {
            producer: i32::from(config.producer),
            schema: file_schema(&partition_by),
            partition_by,
            properties: properties(codec, config.rows_per_group),
            extension,
        }
    }

    /// Encodes the rows, the first of which has this sequence number, into the empty `file`, and
    /// clears them.
    pub(super) fn encode(
        &self,
        rows: &mut Rows,
        first_sequence: u64,
        mut file: Vec<u8>,
    ) -> Result<Vec<u8>, ParquetError> {
        let count = rows.len();
        // Encoded integers are small, so a file is hardly larger than its keys and values.
        file.reserve(rows.size_bytes() + count * 8 + (16 << 10));
        rows.lend(|keys, values| {
            let first = first_sequence.cast_signed();
            let sequences = (0_i64..).take(count).map(|place| first + place);
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(4);
            if !self.partition_by.contains(&PartitionColumn::Producer) {
                columns.push(Arc::new(Int32Array::from_value(self.producer, count)));
            }
            columns.push(Arc::new(Int64Array::from_iter_values(sequences)));
            columns.push(Arc::new(keys));
            columns.push(Arc::new(values));
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
            // Other readers have no use for Arrow's names of the types.
            let options = ArrowWriterOptions::new()
                .with_properties(self.properties.clone())
                .with_skip_arrow_metadata(true);
            let schema = Arc::clone(&self.schema);
            let mut writer = ArrowWriter::try_new_with_options(file, schema, options)?;
            writer.write(&batch)?;
            writer.into_inner()
        })
    }

    /// A new file of this size and row count, written at `at`, with its path in the table.
    pub(super) fn name(&self, size_bytes: u64, rows: u64, at: SystemTime) -> DataFile {
        let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let partition_values: Vec<_> = self
            .partition_by
            .iter()
            .map(|&column| (column.name(), self.partition_value(column, since_1970)))
            .collect();
        let folders = partition_values.iter().map(|(name, value)| format!("{name}={value}"));
        let name = format!("part-00000-{}-c000{}.parquet", Uuid::new_v4(), self.extension);
        DataFile {
            path: folders.chain([name]).collect(),
            partition_values,
            size_bytes,
            rows,
            written_ms: millis_since_1970(at),
        }
    }

    fn partition_value(&self, column: PartitionColumn, since_1970: Duration) -> String {
        const HOUR: u64 = 3_600;
        let hours = since_1970.as_secs() / HOUR;
        match column {
            PartitionColumn::Producer => self.producer.to_string(),
            PartitionColumn::Hour => (hours % 24).to_string(),
            PartitionColumn::Date => {
                let days = i32::try_from(hours / 24).unwrap_or(i32::MAX);
                date32_to_datetime(days).map(|day| day.date().to_string()).unwrap_or_default()
            }
        }
    }
}

/// A time in the form used by the log.
pub(super) fn millis_since_1970(time: SystemTime) -> i64 {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

/// Messages are all different, so dictionaries and statistics would only cost time and space. Plain
/// strings are supported by every reader and written as fast as with separate lengths, which would
/// save 2 bytes in 50.
fn properties(codec: Codec, rows_per_group: usize) -> WriterProperties {
    let column = |name: &str| ColumnPath::from(name);
    WriterProperties::builder()
        .set_created_by(concat!("bench-delta version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(rows_per_group.max(1)))
        .set_column_encoding(column(PRODUCER), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(column(SEQUENCE), Encoding::DELTA_BINARY_PACKED)
        .build()
}
