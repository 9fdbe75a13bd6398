//! The location of messages in a data file.

use std::ops::Range;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::parquet::arrow::ProjectionMask;
use deltalake::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::requirements::column_index;
use crate::reason::sentence;
use crate::schema::{KEY, VALUE};

/// Limit on rows decoded at once.
const BATCH_ROWS_MAX: usize = 4_096;

/// Limit on bytes of values decoded at once, unless a single row is larger.
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// The columns to read from a data file, and how.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    reader: ArrowReaderMetadata,
    /// The indices of `value` and of `key`, if there is a usable one, among the columns.
    columns: Vec<usize>,
}

impl Layout {
    /// Derives the layout from a footer. A file without a column `value` was written before the
    /// column was added and has no values; a column of an unsupported type is an error.
    pub(super) fn new(footer: ParquetMetaData) -> Result<Self, String> {
        let problem = |error: ParquetError| sentence(&error.to_string());
        let footer = Arc::new(footer);
        // Parquet types only: a writer's Arrow types may be dictionaries and the like.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = ArrowReaderMetadata::try_new(Arc::clone(&footer), plain).map_err(problem)?;
        let fields = found.schema().fields().iter();
        let viewed: Vec<Field> = fields.map(|field| as_view(field)).collect();
        let views = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(viewed)));
        let reader = ArrowReaderMetadata::try_new(footer, views).map_err(problem)?;
        let layout = Self { columns: columns(&reader)?, reader };
        for group in layout.reader.metadata().row_groups() {
            layout.check(group)?;
        }
        Ok(layout)
    }

    /// The metadata for a decoder of the file.
    pub(super) fn reader(&self) -> ArrowReaderMetadata {
        self.reader.clone()
    }

    /// Whether there is a column `value`.
    pub(super) fn has_values(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The columns that are read.
    pub(super) fn projection(&self) -> ProjectionMask {
        ProjectionMask::leaves(self.reader.parquet_schema(), self.columns.iter().copied())
    }

    /// The number of row groups.
    pub(super) fn row_groups(&self) -> usize {
        self.reader.metadata().num_row_groups()
    }

    /// The checked byte ranges of a row group's columns.
    pub(super) fn ranges(&self, row_group: usize) -> Vec<Range<u64>> {
        let group = self.reader.metadata().row_group(row_group);
        self.columns.iter().filter_map(|column| range(group.column(*column))).collect()
    }

    /// Total row count.
    pub(super) fn all_rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Row count of these row groups.
    pub(super) fn rows(&self, row_groups: &[usize]) -> u64 {
        let rows = |group: &usize| self.reader.metadata().row_group(*group).num_rows();
        row_groups.iter().map(rows).filter_map(|rows| u64::try_from(rows).ok()).sum()
    }

    /// Rows per decoded batch, chosen to bound memory.
    pub(super) fn batch_rows(&self, row_groups: &[usize]) -> usize {
        let mut bytes = 0;
        for group in row_groups {
            let group = self.reader.metadata().row_group(*group);
            let sizes = self.columns.iter().map(|column| group.column(*column).uncompressed_size());
            bytes += sizes.filter_map(|size| u64::try_from(size).ok()).sum::<u64>();
        }
        let row_bytes = (bytes / self.rows(row_groups).max(1)).max(1);
        let rows = usize::try_from(BATCH_BYTES_MAX / row_bytes).unwrap_or(BATCH_ROWS_MAX);
        rows.clamp(1, BATCH_ROWS_MAX)
    }

    /// Checks a row group for damage that would break the decoder.
    fn check(&self, group: &RowGroupMetaData) -> Result<(), String> {
        for column in &self.columns {
            let column = group.columns().get(*column).ok_or("a row group lacks a column")?;
            range(column).ok_or("a column of a row group has no valid byte range")?;
        }
        Ok(())
    }
}

/// The byte range of a column of a row group.
fn range(column: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let start = u64::try_from(start).ok()?;
    let end = start.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
    Some(start..end)
}

/// The field with views of the file's pages as its type, so that bytes are not copied.
fn as_view(field: &Field) -> Field {
    let viewed = match field.data_type() {
        DataType::Binary => DataType::BinaryView,
        DataType::Utf8 => DataType::Utf8View,
        other => other.clone(),
    };
    field.clone().with_data_type(viewed)
}

/// The indices of the columns to read: `value`, and `key` if usable; empty without a `value`.
fn columns(reader: &ArrowReaderMetadata) -> Result<Vec<usize>, String> {
    let schema = reader.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let field = |column| column_index(column, &names).map(|place| schema.field(place));
    let Some(value) = field(VALUE) else { return Ok(Vec::new()) };
    let Some(place) = index_of(reader, value) else {
        let found = value.data_type();
        return Err(format!(
            "its column '{}' has type {found}, but must be bytes or text",
            value.name()
        ));
    };
    let key = field(KEY).and_then(|key| index_of(reader, key));
    Ok([Some(place), key].into_iter().flatten().collect())
}

/// The index of a column of bytes or text.
fn index_of(reader: &ArrowReaderMetadata, field: &Field) -> Option<usize> {
    use DataType::{BinaryView, FixedSizeBinary, Utf8View};
    let is_bytes = matches!(field.data_type(), BinaryView | Utf8View | FixedSizeBinary(_));
    let leaves = reader.parquet_schema().columns().iter();
    let mut places =
        leaves.enumerate().filter(|(_, leaf)| leaf.path().parts() == [field.name().as_str()]);
    places.next().filter(|_| is_bytes).map(|(place, _)| place)
}
