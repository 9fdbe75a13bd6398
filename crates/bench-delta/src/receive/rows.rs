//! Decoding the messages in a piece of a data file.

use std::ops::Range;

use bytes::{Buf as _, Bytes};
use deltalake::arrow::array::{
    Array, ArrayRef, BinaryViewArray, FixedSizeBinaryArray, RecordBatch, StringViewArray,
};
use deltalake::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::reader::{ChunkReader, Length};

use super::layout::Layout;
use super::requirements::column_index;
use crate::reason::sentence;
use crate::schema::{KEY, VALUE};

/// Fetched parts of a data file, with their offsets.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    /// Size of the whole file.
    pub(super) file_bytes: u64,
    /// By offset.
    pub(super) parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    /// A complete file.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { file_bytes: bytes.len() as u64, parts: vec![(0, bytes)] }
    }

    /// These ranges of a file of that size.
    pub(super) fn parts(file_bytes: u64, ranges: &[Range<u64>], bytes: Vec<Bytes>) -> Self {
        let starts = ranges.iter().map(|range| range.start);
        Self { file_bytes, parts: starts.zip(bytes).collect() }
    }

    /// The fetched bytes from that offset on.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let holds = |(at, bytes): &&(u64, Bytes)| {
            (*at..at.saturating_add(bytes.len() as u64)).contains(&start)
        };
        let (at, bytes) = self.parts.iter().find(holds).ok_or_else(|| {
            ParquetError::EOF(format!("byte {start} is outside the columns that were fetched"))
        })?;
        // The offset is within the bytes.
        Ok(bytes.slice(usize::try_from(start - at).unwrap_or(bytes.len())..))
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes from byte {start} on")));
        }
        Ok(bytes.slice(..length))
    }
}

/// The rows of some row groups, decoded on demand.
pub(super) struct Rows(ParquetRecordBatchReader);

impl Rows {
    /// The rows of these row groups of a file.
    pub(super) fn new(
        layout: &Layout,
        row_groups: Vec<usize>,
        fetched: Fetched,
    ) -> Result<Self, String> {
        let batch_rows = layout.batch_rows(&row_groups);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(fetched, layout.reader());
        let reader = builder
            .with_projection(layout.projection())
            .with_row_groups(row_groups)
            .with_batch_size(batch_rows)
            .build();
        reader.map(Self).map_err(|error| sentence(&error.to_string()))
    }

    /// The next rows, if any.
    pub(super) fn next(&mut self) -> Result<Option<Messages>, String> {
        let Some(batch) = self.0.next() else { return Ok(None) };
        let batch = batch.map_err(|error| sentence(&error.to_string()))?;
        Messages::of(&batch).map(Some).ok_or_else(|| "its column 'value' is missing".to_owned())
    }
}

/// A batch of messages with their keys.
pub(super) struct Messages {
    rows: usize,
    values: ByteColumn,
    keys: Option<ByteColumn>,
}

/// A column of bytes, in the forms that occur in data files.
enum ByteColumn {
    Binary(BinaryViewArray),
    Text(StringViewArray),
    Fixed(FixedSizeBinaryArray),
}

impl Messages {
    fn of(batch: &RecordBatch) -> Option<Self> {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let column = |name| column_index(name, &names).map(|place| batch.column(place));
        let values = ByteColumn::of(column(VALUE)?)?;
        let keys = column(KEY).and_then(ByteColumn::of);
        Some(Self { rows: batch.num_rows(), values, keys })
    }

    /// Passes keys and values to `sink`, in order, skipping rows without a value. Returns the
    /// number of rows passed on and skipped.
    pub(super) fn pass_on(&self, mut sink: impl FnMut(Option<&[u8]>, &[u8])) -> (usize, usize) {
        let mut messages = 0;
        for row in 0..self.rows {
            let Some(value) = self.values.get(row) else { continue };
            sink(self.keys.as_ref().and_then(|keys| keys.get(row)), value);
            messages += 1;
        }
        (messages, self.rows - messages)
    }
}

impl ByteColumn {
    fn of(array: &ArrayRef) -> Option<Self> {
        let array = array.as_any();
        let binary = || array.downcast_ref().cloned().map(Self::Binary);
        let text = || array.downcast_ref().cloned().map(Self::Text);
        let fixed = || array.downcast_ref().cloned().map(Self::Fixed);
        binary().or_else(text).or_else(fixed)
    }

    #[inline]
    fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Text(array) => array.is_valid(row).then(|| array.value(row).as_bytes()),
            Self::Fixed(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}
