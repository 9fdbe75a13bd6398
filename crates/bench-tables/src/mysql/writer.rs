//! Writing rows with multi-row INSERT statements, each a transaction.

use std::sync::Arc;
use std::time::Duration;

use bench_core::clock::{Stamp, SystemClock};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Error, Params, Pool, Value};

use super::connection::no_answer;
use super::{
    COLUMNS, INSERT_ROWS_MAX, MysqlAdmin, MysqlServer, MysqlUrl, TableName, is_transient,
    table_error,
};
use crate::error::TableError;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, Row, WriterOptions, Written, run_name};
use crate::writing::{Backoff, BatchIds, ConfirmedRows, RequestResult, WriterId, chunks, send_all};

/// Bytes of a row besides its key and message, with a margin.
const ROW_OVERHEAD_BYTES: usize = 150;

/// Bytes of a statement besides its rows, in the protocol's form.
const STATEMENT_OVERHEAD_BYTES: usize = 4 << 10;

/// The capacity of the table's blobs.
const MEDIUMBLOB_BYTES_MAX: usize = (16 << 20) - 1;

/// Time limit for one transaction; beyond it, the connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// Writes rows to a `MySQL` table.
pub struct MysqlWriter {
    insert: Insert,
    options: WriterOptions,
    statement_max_bytes: usize,
    server: MysqlServer,
}

impl std::fmt::Debug for MysqlWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MysqlWriter").field("table", &self.insert.table).finish_non_exhaustive()
    }
}

impl MysqlWriter {
    /// Connects a writer to `table`, which need not exist before the first row; a table with other
    /// columns is refused. `clock` provides the instants of confirmations.
    pub async fn connect(
        url: &MysqlUrl,
        table: &str,
        options: WriterOptions,
        clock: SystemClock,
    ) -> Result<Self, TableError> {
        let name = table;
        let table = Arc::new(TableName::new(name)?);
        let server = url.server(options.retry_for).await?;
        MysqlAdmin::connect(url, options.retry_for).await?.check_columns(name).await?;
        let pool = url.pool(options.requests_in_flight);
        let insert = Insert { pool, table, identity: Arc::new(WriterId::new()), clock };
        let statement_max_bytes = server.packet_max_bytes.saturating_sub(STATEMENT_OVERHEAD_BYTES);
        Ok(Self { insert, options, statement_max_bytes, server })
    }

    /// The server's properties.
    #[must_use]
    pub fn server(&self) -> &MysqlServer {
        &self.server
    }

    /// See [`TableWriter::write`](crate::TableWriter::write).
    pub async fn write(&mut self, rows: &[Row<'_>]) -> Result<Written, TableError> {
        let row_max_bytes = self.statement_max_bytes.min(MEDIUMBLOB_BYTES_MAX);
        let sizes = || rows.iter().map(|row| row.size_bytes() + ROW_OVERHEAD_BYTES).enumerate();
        let mut written = Written::default();
        for (index, size_bytes) in sizes().filter(|(_, size)| *size > row_max_bytes) {
            let reason = format!(
                "a row of {size_bytes} bytes exceeds the {row_max_bytes} bytes that the server \
                 accepts; send smaller messages, or raise max_allowed_packet on the server (a row \
                 holds at most 16 MiB)"
            );
            written.failed.push((index, reason));
        }
        let fitting = sizes().filter(|(_, size)| *size <= row_max_bytes);
        let rows_max = self.options.rows_per_request.clamp(1, INSERT_ROWS_MAX);
        let chunks = chunks(fitting, rows_max, self.statement_max_bytes);
        let parts = BatchIds::of(self.insert.identity.next_call());
        let (insert, options) = (&self.insert, self.options);
        let send = |rows| send(insert.clone(), rows, parts.next(), options);
        send_all(rows, chunks, options, send, &mut written).await?;
        Ok(written)
    }

    /// See [`TableWriter::confirm`](crate::TableWriter::confirm).
    pub async fn confirm(&mut self, batches: &[ConfirmedBatch]) -> Result<(), TableError> {
        const COLUMNS: usize = 7;
        let table = self.insert.table.quoted_confirmed();
        for batches in batches.chunks(INSERT_ROWS_MAX) {
            let values: Vec<Value> = batches.iter().flat_map(confirmation_values).collect();
            let sql = format!(
                "INSERT IGNORE INTO {table} (run, batch, part, row_count, landed_ns, boot, \
                 wall_offset_ns) VALUES {}",
                placeholders(batches.len(), COLUMNS)
            );
            let mut backoff = Backoff::new(self.options.retry_for);
            while let Err(error) = self.insert.execute(&sql, values.clone()).await {
                if !is_transient(&error) || !backoff.wait().await {
                    return Err(table_error("confirm rows in", &self.insert.table, &error));
                }
            }
        }
        Ok(())
    }
}

/// Everything needed for a statement.
#[derive(Clone)]
struct Insert {
    pool: Pool,
    table: Arc<TableName>,
    identity: Arc<WriterId>,
    clock: SystemClock,
}

impl Insert {
    /// Executes a statement, which is a transaction.
    async fn execute(&self, sql: &str, values: Vec<Value>) -> Result<(), Error> {
        let work = async {
            let mut connection = self.pool.get_conn().await?;
            connection.exec_drop(sql, Params::Positional(values)).await
        };
        let done = tokio::time::timeout(STATEMENT_TIMEOUT, work).await;
        done.unwrap_or_else(|_| Err(no_answer()))
    }
}

/// Writes rows until all are confirmed or time is up. A transaction is retried if its connection is
/// lost. If that happens between the commit and the response, the rows are duplicated: they land at
/// least once.
async fn send(
    insert: Insert,
    rows: Vec<OwnedRow>,
    id: BatchId,
    options: WriterOptions,
) -> Result<RequestResult, TableError> {
    let mut sent = RequestResult::default();
    let mut backoff = Backoff::new(options.retry_for);
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        insert.table.quoted(),
        COLUMNS.join(", "),
        placeholders(rows.len(), COLUMNS.len())
    );
    loop {
        let values = rows.iter().flat_map(|row| row_values(row, id)).collect();
        let error = match insert.execute(&sql, values).await {
            Ok(()) => {
                let at = Stamp::now(&insert.clock);
                let rows = rows.iter().map(|row| row.index).collect();
                sent.landings.push(ConfirmedRows { id, rows, at });
                return Ok(sent);
            }
            Err(error) => error,
        };
        let is_transient = is_transient(&error);
        let error = table_error("write rows to", &insert.table, &error);
        if !is_transient {
            return Err(error);
        }
        if !backoff.wait().await {
            sent.give_up(rows.iter().map(|row| row.index), &error.to_string());
            return Ok(sent);
        }
        sent.retried += rows.len() as u64;
    }
}

/// `(?,?),(?,?)` for two rows of two columns.
fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

fn row_values(row: &OwnedRow, id: BatchId) -> [Value; COLUMNS.len()] {
    let OwnedRow { received, .. } = row;
    [
        run_name(row.run).into(),
        row.producer.into(),
        row.sequence.into(),
        row.key.clone().into(),
        row.message.clone().into(),
        row.partition.into(),
        received.instant_ns.into(),
        received.origin.boot.to_hash().into(),
        received.origin.wall_offset_ns.into(),
        row.arrived_wall_ms.into(),
        id.call.into(),
        id.part.into(),
    ]
}

fn confirmation_values(batch: &ConfirmedBatch) -> [Value; 7] {
    let ConfirmedBatch { run, id, rows, landed } = batch;
    [
        run_name(*run).into(),
        id.call.into(),
        id.part.into(),
        rows.into(),
        landed.instant_ns.into(),
        landed.origin.boot.to_hash().into(),
        landed.origin.wall_offset_ns.into(),
    ]
}
