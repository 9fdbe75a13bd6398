//! Reading rows by number.

use std::time::Duration;

use bench_core::clock::{BootId, ClockOrigin, Stamp};
use mysql_async::prelude::{FromValue, Queryable as _};
use mysql_async::{Conn, Row};

use super::gaps::Gaps;
use super::{COLUMNS, MysqlUrl, TableName, is_transient, table_error};
use crate::error::TableError;
use crate::pending::RunBatch;
use crate::row::{BatchId, parse_run, run_name};
use crate::selection::Selection;
use crate::stored::{Page, StoredRow};
use crate::writing::Backoff;

/// Bytes of messages read at once.
const PAGE_BYTES: usize = 8 << 20;

/// Rows requested at once, at most, and before their size is known.
const PAGE_ROWS_MAX: usize = 5_000;
const PAGE_ROWS_FIRST: usize = 500;

/// Confirmations requested at once.
const CONFIRMATIONS_MAX: usize = 500;

/// Connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a failed read is retried.
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Reads the rows of a table.
#[derive(Debug)]
pub(crate) struct MysqlSource {
    url: MysqlUrl,
    connection: Option<Conn>,
    table: TableName,
    selection: Selection,
    follows: bool,
    gaps: Gaps,
    page_rows: usize,
}

impl MysqlSource {
    pub(crate) fn new(
        url: &MysqlUrl,
        table: &str,
        selection: Selection,
        follows: bool,
    ) -> Result<Self, TableError> {
        Ok(Self {
            url: url.clone(),
            connection: None,
            table: TableName::new(table)?,
            selection,
            follows,
            gaps: Gaps::default(),
            page_rows: PAGE_ROWS_FIRST,
        })
    }

    /// Reads the following rows, and rows that appeared in gaps before them.
    pub(crate) async fn next(&mut self) -> Result<Page, TableError> {
        let mut rows = Vec::new();
        if let Some(gaps) = self.gaps.condition().filter(|_| self.follows) {
            self.read(&gaps, &mut rows).await?;
        }
        let beyond = format!("id > {}", self.gaps.highest());
        let at_end = self.read(&beyond, &mut rows).await?;
        Ok(Page { rows, at_end })
    }

    /// Reads a page of the rows that match `condition`. Returns whether it was the last.
    async fn read(
        &mut self,
        condition: &str,
        rows: &mut Vec<StoredRow>,
    ) -> Result<bool, TableError> {
        let of_run = match self.selection {
            Selection::Run(run) => format!("run = '{}' AND ", run_name(Some(run))),
            Selection::All => String::new(),
        };
        let sql = format!(
            "SELECT id, {} FROM {} WHERE {of_run}({condition}) ORDER BY id LIMIT {}",
            COLUMNS.join(", "),
            self.table.quoted(),
            self.page_rows
        );
        let QueryResult { rows: found, is_whole } = self.query(&sql, PAGE_BYTES).await?;
        let is_last = is_whole && found.len() < self.page_rows;
        let (mut count, mut bytes) = (0, 0);
        for row in found {
            let (id, row) = stored_row(row).map_err(|reason| self.foreign(reason))?;
            (count, bytes) = (count + 1, bytes + row.message.len() + 100);
            if self.gaps.see(id) {
                rows.push(row);
            }
        }
        if count > 0 {
            self.page_rows = (PAGE_BYTES * count / bytes).clamp(1, PAGE_ROWS_MAX);
        }
        Ok(is_last)
    }

    /// The existing confirmations of these batches.
    pub(crate) async fn confirmations(
        &mut self,
        wanted: &[RunBatch],
    ) -> Result<Vec<(RunBatch, Stamp)>, TableError> {
        let mut found = Vec::new();
        for wanted in wanted.chunks(CONFIRMATIONS_MAX) {
            let condition = |(run, id): &RunBatch| {
                let run = run_name(*run);
                format!("(run = '{run}' AND batch = {} AND part = {})", id.call, id.part)
            };
            let conditions: Vec<String> = wanted.iter().map(condition).collect();
            let sql = format!(
                "SELECT run, batch, part, landed_ns, boot, wall_offset_ns FROM {} WHERE {}",
                self.table.quoted_confirmed(),
                conditions.join(" OR ")
            );
            for row in self.query(&sql, usize::MAX).await?.rows {
                found.push(confirmation(row).map_err(|reason| self.foreign(reason))?);
            }
        }
        Ok(found)
    }

    fn foreign(&self, reason: String) -> TableError {
        TableError::Foreign { table: self.table.as_str().to_owned(), reason }
    }

    /// Queries, with retries, for rows of about `max_bytes` in all.
    async fn query(&mut self, sql: &str, max_bytes: usize) -> Result<QueryResult, TableError> {
        let mut backoff = Backoff::new(RETRY_FOR);
        loop {
            let connected = match self.connection.take() {
                Some(connection) => Ok(connection),
                None => self.url.try_connect(CONNECT_TIMEOUT).await,
            };
            let answer = match connected {
                Ok(mut connection) => {
                    let answer = rows(&mut connection, sql, max_bytes).await;
                    self.connection = answer.is_ok().then_some(connection);
                    answer
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if is_transient(&error) && backoff.wait().await => {}
                Err(error) => return Err(table_error("read rows from", &self.table, &error)),
            }
        }
    }
}

/// The rows of a query.
struct QueryResult {
    rows: Vec<Row>,
    /// Whether these are all rows.
    is_whole: bool,
}

/// Queries once. Rows beyond `max_bytes` are read from the connection and dropped one by one.
async fn rows(
    connection: &mut Conn,
    sql: &str,
    max_bytes: usize,
) -> Result<QueryResult, mysql_async::Error> {
    let mut result = connection.query_iter(sql).await?;
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = result.next().await? {
        bytes = bytes.saturating_add(size_bytes(&row));
        rows.push(row);
        if bytes >= max_bytes {
            let mut is_whole = true;
            while result.next().await?.is_some() {
                is_whole = false;
            }
            return Ok(QueryResult { rows, is_whole });
        }
    }
    Ok(QueryResult { rows, is_whole: true })
}

/// Bytes of the texts and blobs in a row.
fn size_bytes(row: &Row) -> usize {
    let size = |index| match row.as_ref(index) {
        Some(mysql_async::Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    (0..row.len()).map(size).sum()
}

/// A row and its number.
fn stored_row(mut row: Row) -> Result<(u64, StoredRow), String> {
    let mut values = Values { row: &mut row, next: 0 };
    let id = values.next()?;
    let run: String = values.next()?;
    let run = parse_run(&run).map_err(|_| format!("'{run}' is not a run"))?;
    let (producer, sequence, key, message) =
        (values.next()?, values.next()?, values.next()?, values.next()?);
    let (partition, instant_ns) = (values.next()?, values.next()?);
    let origin = values.origin()?;
    let arrived_wall_ms = values.next()?;
    let batch = BatchId { call: values.next()?, part: values.next()? };
    let received = Stamp { instant_ns, origin };
    let stored = StoredRow {
        run,
        producer,
        sequence,
        key,
        message,
        partition,
        received,
        arrived_wall_ms,
        batch,
    };
    Ok((id, stored))
}

fn confirmation(mut row: Row) -> Result<(RunBatch, Stamp), String> {
    let mut values = Values { row: &mut row, next: 0 };
    let run: String = values.next()?;
    let run = parse_run(&run).map_err(|_| format!("'{run}' is not a run"))?;
    let id = BatchId { call: values.next()?, part: values.next()? };
    let instant_ns = values.next()?;
    Ok(((run, id), Stamp { instant_ns, origin: values.origin()? }))
}

/// The values of a row, in order.
struct Values<'a> {
    row: &'a mut Row,
    next: usize,
}

impl Values<'_> {
    fn next<T: FromValue>(&mut self) -> Result<T, String> {
        let index = self.next;
        self.next += 1;
        match self.row.take_opt(index) {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) | None => Err(format!("column {} of a row has another type", index + 1)),
        }
    }

    fn origin(&mut self) -> Result<ClockOrigin, String> {
        let boot: u32 = self.next()?;
        Ok(ClockOrigin { boot: BootId::from_hash(boot), wall_offset_ns: self.next()? })
    }
}
