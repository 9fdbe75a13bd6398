//! Fetching data files ahead of the receiver, with bounded memory.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::Path;
use deltalake::parquet::errors::ParquetError;
use deltalake::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FollowError;
use super::layout::Layout;
use super::objects::Objects;
use super::rows::{Fetched, Rows};
use crate::log::Source as _;
use crate::reason::sentence;

/// First read from the end of a large file: enough for most footers.
const FOOTER_BYTES: u64 = 64 << 10;

/// Minimum weight of a piece, for the memory besides its bytes.
const PIECE_BYTES_MIN: u64 = 16 << 10;

/// Unit of the memory bound, bytes.
const ROOM_UNIT: u64 = 1 << 10;

/// A data file with new rows.
#[derive(Debug, Clone)]
pub(super) struct DataFile {
    /// Relative to the table.
    pub(super) path: Path,
    /// Size according to the log.
    pub(super) size_bytes: u64,
    /// Row count, if the log has it.
    pub(super) rows: Option<u64>,
    /// The version that added it.
    pub(super) version: u64,
}

/// A fetched part of a file.
pub(super) struct Piece {
    file: Arc<DataFile>,
    uri: Arc<str>,
    layout: Layout,
    row_groups: Vec<usize>,
    fetched: Fetched,
    /// Released when the rows have been read.
    room: OwnedSemaphorePermit,
}

/// A part of a file to fetch.
#[derive(Debug)]
pub(super) enum Part {
    /// All of a small file.
    Whole(Arc<DataFile>),
    /// Some row groups of a large one.
    RowGroups { file: Arc<DataFile>, layout: Layout, row_groups: Vec<usize>, size_bytes: u64 },
}

/// Fetches files. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    objects: Objects,
    room: Arc<Semaphore>,
    read_ahead_bytes: u64,
}

impl Fetcher {
    /// Holds at most this many bytes at once, unless a single piece is larger.
    pub(super) fn new(objects: Objects, read_ahead_bytes: usize) -> Self {
        let units = (read_ahead_bytes as u64 / ROOM_UNIT).clamp(1, u64::from(u32::MAX));
        let room = usize::try_from(units).unwrap_or(1).min(Semaphore::MAX_PERMITS);
        let read_ahead_bytes = room as u64 * ROOM_UNIT;
        Self { objects, room: Arc::new(Semaphore::new(room)), read_ahead_bytes }
    }

    /// Splits a file into parts: a small file is one part; a large one is split by row groups, and
    /// several parts are fetched at once.
    pub(super) async fn plan(&self, file: DataFile) -> Result<Vec<Part>, FollowError> {
        let file = Arc::new(file);
        if file.size_bytes <= self.read_ahead_bytes / 4 {
            return Ok(vec![Part::Whole(file)]);
        }
        let footer = self.footer(&file).await?;
        let layout = Layout::new(footer).and_then(|layout| file.check(layout));
        let layout = layout.map_err(|problem| self.unreadable(&file, problem))?;
        let mut parts = Vec::new();
        let (mut row_groups, mut size_bytes) = (Vec::new(), 0);
        for row_group in 0..layout.row_groups() {
            row_groups.push(row_group);
            size_bytes += size_of(&layout.ranges(row_group));
            let is_last = row_group + 1 == layout.row_groups();
            if is_last || size_bytes >= self.read_ahead_bytes / 8 {
                let row_groups = std::mem::take(&mut row_groups);
                let (file, layout) = (Arc::clone(&file), layout.clone());
                parts.push(Part::RowGroups { file, layout, row_groups, size_bytes });
                size_bytes = 0;
            }
        }
        Ok(parts)
    }

    /// Waits until there is room for a part. Requests are served in order.
    pub(super) async fn room_for(&self, part: &Part) -> Result<OwnedSemaphorePermit, FollowError> {
        let size_bytes = match part {
            Part::Whole(file) => file.size_bytes,
            Part::RowGroups { size_bytes, .. } => *size_bytes,
        };
        let bytes = size_bytes.max(PIECE_BYTES_MIN).min(self.read_ahead_bytes);
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        room.map_err(|error| {
            let uri = self.objects.uri().to_owned();
            FollowError::Ended { uri, problem: error.to_string() }
        })
    }

    /// Fetches a part into the room for it.
    pub(super) async fn fetch(
        &self,
        part: Part,
        room: OwnedSemaphorePermit,
    ) -> Result<Piece, FollowError> {
        let uri = self.objects.uri().into();
        match part {
            Part::Whole(file) => {
                let bytes = self.objects.whole(&file.path).await?;
                let bytes = bytes.ok_or_else(|| self.gone(&file))?;
                let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes);
                let footer = footer.map_err(|error| file.undecodable(bytes.len() as u64, &error));
                let layout = footer.and_then(Layout::new).and_then(|layout| file.check(layout));
                let layout = layout.map_err(|problem| self.unreadable(&file, problem))?;
                let row_groups = (0..layout.row_groups()).collect();
                let fetched = Fetched::whole(bytes);
                Ok(Piece { file, uri, layout, row_groups, fetched, room })
            }
            Part::RowGroups { file, layout, row_groups, .. } => {
                let ranges: Vec<_> = row_groups.iter().flat_map(|g| layout.ranges(*g)).collect();
                let bytes = self.parts(&file, &ranges).await?;
                let fetched = Fetched::parts(file.size_bytes, &ranges, bytes);
                Ok(Piece { file, uri, layout, row_groups, fetched, room })
            }
        }
    }

    /// The footer of a large file.
    async fn footer(&self, file: &DataFile) -> Result<ParquetMetaData, FollowError> {
        let size_bytes = file.size_bytes;
        let mut reader = ParquetMetaDataReader::new();
        let mut footer_bytes = FOOTER_BYTES.min(size_bytes);
        loop {
            let range = size_bytes - footer_bytes..size_bytes;
            let bytes = self.parts(file, &[range]).await?;
            let end = bytes.into_iter().next().unwrap_or_default();
            match reader.try_parse_sized(&end, size_bytes) {
                Ok(()) => break,
                Err(ParquetError::NeedMoreData(needed))
                    if (footer_bytes + 1..=size_bytes).contains(&(needed as u64)) =>
                {
                    footer_bytes = needed as u64;
                }
                Err(error) => return Err(self.undecodable(file, &error)),
            }
        }
        reader.finish().map_err(|error| self.undecodable(file, &error))
    }

    async fn parts(
        &self,
        file: &DataFile,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, FollowError> {
        let parts = self.objects.parts(&file.path, ranges).await?;
        let parts = parts.ok_or_else(|| self.gone(file))?;
        parts.map_err(|found_bytes| self.unreadable(file, file.of_other_size(found_bytes)))
    }

    fn undecodable(&self, file: &DataFile, error: &ParquetError) -> FollowError {
        self.unreadable(file, file.undecodable(file.size_bytes, error))
    }

    fn gone(&self, file: &DataFile) -> FollowError {
        let (uri, path) = (self.objects.uri().to_owned(), file.path.to_string());
        FollowError::DataFileGone { uri, path, version: file.version }
    }

    fn unreadable(&self, file: &DataFile, problem: String) -> FollowError {
        unreadable(self.objects.uri(), file, problem)
    }
}

impl DataFile {
    /// Checks that the layout has as many rows as the log says.
    fn check(&self, layout: Layout) -> Result<Layout, String> {
        let found = layout.all_rows();
        match self.rows {
            Some(rows) if rows != found => {
                Err(format!("it has {found} rows, but the log says {rows}"))
            }
            _ => Ok(layout),
        }
    }

    /// Why these bytes are not a valid file.
    fn undecodable(&self, found_bytes: u64, error: &ParquetError) -> String {
        if found_bytes == self.size_bytes {
            sentence(&error.to_string())
        } else {
            self.of_other_size(found_bytes)
        }
    }

    fn of_other_size(&self, found_bytes: u64) -> String {
        format!("it has {found_bytes} bytes, but the log says {}", self.size_bytes)
    }
}

impl Piece {
    /// Whether this is the file's last piece.
    pub(super) fn is_last(&self) -> bool {
        self.row_groups.last().is_none_or(|last| last + 1 == self.layout.row_groups())
    }

    /// Whether this is the file's first piece.
    pub(super) fn is_first(&self) -> bool {
        self.row_groups.first().is_none_or(|first| *first == 0)
    }

    /// The row count if no row has a value.
    pub(super) fn rows_without_value(&self) -> Option<u64> {
        (!self.layout.has_values()).then(|| self.layout.rows(&self.row_groups))
    }

    /// Starts decoding.
    pub(super) fn open(self) -> Result<OpenPiece, FollowError> {
        let is_last = self.is_last();
        let Self { file, uri, layout, row_groups, fetched, room } = self;
        let rows = Rows::new(&layout, row_groups, fetched);
        let rows = rows.map_err(|problem| unreadable(&uri, &file, problem))?;
        Ok(OpenPiece { file, uri, is_last, rows, _room: room })
    }
}

/// A piece whose rows are being read.
pub(super) struct OpenPiece {
    file: Arc<DataFile>,
    uri: Arc<str>,
    is_last: bool,
    rows: Rows,
    _room: OwnedSemaphorePermit,
}

impl OpenPiece {
    /// Whether this is the file's last piece.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// The next rows, if any.
    pub(super) fn next(&mut self) -> Result<Option<super::rows::Messages>, FollowError> {
        self.rows.next().map_err(|problem| unreadable(&self.uri, &self.file, problem))
    }
}

fn unreadable(uri: &str, file: &DataFile, problem: String) -> FollowError {
    let (uri, path) = (uri.to_owned(), file.path.to_string());
    FollowError::DataFile { uri, path, version: file.version, problem }
}

fn size_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}
