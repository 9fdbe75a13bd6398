//! Writing rows with INSERT statements of many rows, each a transaction.

use std::sync::Arc;
use std::time::Duration;

use bench_core::clock::{Stamp, SystemClock};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Error, Params, Pool, Value};

use super::connection::no_answer;
use super::{
    COLUMNS, INSERT_ROWS_MAX, MysqlAdmin, MysqlServer, MysqlUrl, TableName, is_passing, table_error,
};
use crate::error::TableError;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, Row, WriterOptions, Written, run_name};
use crate::writing::{Backoff, Identity, Landing, Parts, Sent, chunks, send_all};

/// Bytes of a row beside its key and message, and a little more.
const ROW_OVERHEAD_BYTES: usize = 150;

/// Bytes of a statement beside its rows, in the form of the protocol.
const STATEMENT_OVERHEAD_BYTES: usize = 4 << 10;

/// A blob of the table's kind takes no more.
const MEDIUMBLOB_BYTES_MAX: usize = (16 << 20) - 1;

/// Longest time for one transaction, beyond which its connection counts as lost.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// Writes rows into a table of `MySQL`.
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
    /// Connects a writer into `table`, which need not be there before the first row; one with other
    /// columns is refused. `clock` gives the instants of confirmations.
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
        let insert = Insert { pool, table, identity: Arc::new(Identity::new()), clock };
        let statement_max_bytes = server.packet_max_bytes.saturating_sub(STATEMENT_OVERHEAD_BYTES);
        Ok(Self { insert, options, statement_max_bytes, server })
    }

    /// What is known of the server.
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
                "a row of {size_bytes} bytes is larger than the {row_max_bytes} that the server \
                 takes; send smaller messages, or raise max_allowed_packet there (a row holds no \
                 more than 16 MiB)"
            );
            written.failed.push((index, reason));
        }
        let fitting = sizes().filter(|(_, size)| *size <= row_max_bytes);
        let rows_max = self.options.rows_per_request.clamp(1, INSERT_ROWS_MAX);
        let chunks = chunks(fitting, rows_max, self.statement_max_bytes);
        let parts = Parts::of(self.insert.identity.next_call());
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
                if !is_passing(&error) || !backoff.wait().await {
                    return Err(table_error("confirm rows in", &self.insert.table, &error));
                }
            }
        }
        Ok(())
    }
}

/// What a statement is made with.
#[derive(Clone)]
struct Insert {
    pool: Pool,
    table: Arc<TableName>,
    identity: Arc<Identity>,
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

/// Writes rows until they are all there, or time is up. A transaction whose connection was lost is
/// repeated. When it was lost between the commit and the answer, that doubles the rows: they arrive
/// at least once.
async fn send(
    insert: Insert,
    rows: Vec<OwnedRow>,
    id: BatchId,
    options: WriterOptions,
) -> Result<Sent, TableError> {
    let mut sent = Sent::default();
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
                sent.landings.push(Landing { id, rows, at });
                return Ok(sent);
            }
            Err(error) => error,
        };
        let is_passing = is_passing(&error);
        let error = table_error("write rows to", &insert.table, &error);
        if !is_passing {
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
