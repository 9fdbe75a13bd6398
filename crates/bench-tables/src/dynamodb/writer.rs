//! Writing rows with `BatchWriteItem`.

use std::collections::HashSet;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use bench_aws::SdkConfig;
use bench_core::clock::{Stamp, SystemClock};
use bench_core::message::RunId;

use super::item::{Item, RowKey, confirmation_items, row_item, row_of, run_item};
use super::{BATCH_ROWS_MAX, Failure, ROW_BYTES_MAX, check_name, client};
use crate::error::TableError;
use crate::row::{BatchId, ConfirmedBatch, OwnedRow, Row, WriterOptions, Written};
use crate::writing::{Backoff, BatchIds, ConfirmedRows, RequestResult, WriterId, chunks, send_all};

/// Limit on runs that a writer remembers to have listed; beyond it, runs are listed again.
const LISTED_MAX: usize = 1_000;

/// Writes rows to a `DynamoDB` table.
#[derive(Debug)]
pub struct DynamodbWriter {
    request: Request,
    options: WriterOptions,
    listed: HashSet<RunId>,
}

impl DynamodbWriter {
    /// A writer to `table`, which is not accessed before the first row. `clock` provides the
    /// instants of confirmations.
    pub fn new(
        config: &SdkConfig,
        table: &str,
        options: WriterOptions,
        clock: SystemClock,
    ) -> Result<Self, TableError> {
        check_name(table)?;
        let (client, table) = (client(config), table.into());
        let request = Request { client, table, identity: Arc::new(WriterId::new()), clock };
        Ok(Self { request, options, listed: HashSet::new() })
    }

    /// See [`TableWriter::write`](crate::TableWriter::write).
    pub async fn write(&mut self, rows: &[Row<'_>]) -> Result<Written, TableError> {
        self.list_runs(rows).await?;
        let mut written = Written::default();
        for (index, size_bytes) in sizes(rows).filter(|(_, size)| *size > ROW_BYTES_MAX) {
            let reason = format!(
                "a message of {size_bytes} bytes including its key exceeds the {ROW_BYTES_MAX} \
                 bytes that a DynamoDB item can hold; send smaller messages, or land in MySQL"
            );
            written.failed.push((index, reason));
        }
        let fitting = sizes(rows).filter(|(_, size)| *size <= ROW_BYTES_MAX);
        let rows_max = self.options.rows_per_request.clamp(1, BATCH_ROWS_MAX);
        let chunks = chunks(fitting, rows_max, usize::MAX);
        let parts = BatchIds::of(self.request.identity.next_call());
        let (request, options) = (&self.request, self.options);
        let send = |rows| send(request.clone(), rows, parts.clone(), options);
        send_all(rows, chunks, options, send, &mut written).await?;
        Ok(written)
    }

    /// See [`TableWriter::confirm`](crate::TableWriter::confirm).
    pub async fn confirm(&mut self, batches: &[ConfirmedBatch]) -> Result<(), TableError> {
        for item in confirmation_items(batches) {
            self.put(item, "confirm rows in").await?;
        }
        Ok(())
    }

    /// Lists the runs of rows, so that a reader finds them without a scan.
    async fn list_runs(&mut self, rows: &[Row<'_>]) -> Result<(), TableError> {
        for run in rows.iter().filter_map(|row| row.run) {
            if self.listed.contains(&run) {
                continue;
            }
            self.put(run_item(run), "list a run in").await?;
            if self.listed.len() == LISTED_MAX {
                self.listed.clear();
            }
            self.listed.insert(run);
        }
        Ok(())
    }

    /// Puts one item, with retries.
    async fn put(&self, item: Item, attempted: &str) -> Result<(), TableError> {
        let Request { client, table, .. } = &self.request;
        let mut backoff = Backoff::new(self.options.retry_for);
        loop {
            let put = client.put_item().table_name(&**table).set_item(Some(item.clone()));
            let Err(error) = put.send().await else { return Ok(()) };
            match Failure::of(attempted, table, &error) {
                Failure::Lasting(error) => return Err(error),
                Failure::Passing(error) if !backoff.wait().await => return Err(error),
                Failure::Passing(_) => {}
            }
        }
    }
}

fn sizes(rows: &[Row<'_>]) -> impl Iterator<Item = (usize, usize)> {
    rows.iter().map(Row::size_bytes).enumerate()
}

/// Everything needed for a request.
#[derive(Debug, Clone)]
struct Request {
    client: Client,
    table: Arc<str>,
    identity: Arc<WriterId>,
    clock: SystemClock,
}

impl Request {
    /// The key of a row written now.
    fn key(&self, row: &OwnedRow) -> RowKey {
        RowKey::new(row, self.identity.next_instant_ns(), self.identity.writer())
    }

    /// Writes rows; returns the sort keys of unprocessed rows.
    async fn batch_write(
        &self,
        rows: &[(RowKey, OwnedRow)],
        id: BatchId,
    ) -> Result<HashSet<String>, Failure> {
        let put = |(key, row): &(RowKey, OwnedRow)| {
            let put = PutRequest::builder().set_item(Some(row_item(key, row, id))).build()?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let failure = |error: &SdkError<_, _>| Failure::of("write rows to", &self.table, error);
        let puts: Result<Vec<_>, BuildError> = rows.iter().map(put).collect();
        let puts = puts.map_err(|error| failure(&SdkError::construction_failure(error)))?;
        let call = self.client.batch_write_item().request_items(&*self.table, puts);
        let answer = call.send().await.map_err(|error| failure(&error))?;
        let left = answer.unprocessed_items().into_iter().flat_map(|left| left.values().flatten());
        let row_of = |write: &WriteRequest| {
            write.put_request().and_then(|put| row_of(put.item()).ok().map(str::to_owned))
        };
        let rows: Option<HashSet<String>> = left.map(row_of).collect();
        rows.ok_or_else(|| {
            let reason = "an unprocessed item came back without its key".to_owned();
            Failure::Lasting(TableError::Foreign { table: self.table.to_string(), reason })
        })
    }
}

/// Writes rows until all are confirmed or time is up.
///
/// Unprocessed rows were not written, so they get a new key and a new batch. Rows of a request
/// without a response may have been written, so they keep theirs, and a retry changes nothing.
async fn send(
    request: Request,
    rows: Vec<OwnedRow>,
    parts: BatchIds,
    options: WriterOptions,
) -> Result<RequestResult, TableError> {
    let mut sent = RequestResult::default();
    let mut backoff = Backoff::new(options.retry_for);
    let mut rows: Vec<_> = rows.into_iter().map(|row| (request.key(&row), row)).collect();
    let mut id = parts.next();
    loop {
        let reason = match request.batch_write(&rows, id).await {
            Ok(unprocessed) => {
                let at = Stamp::now(&request.clock);
                let (left, landed): (Vec<_>, Vec<_>) =
                    rows.into_iter().partition(|(key, _)| unprocessed.contains(&key.row));
                if !landed.is_empty() {
                    let rows = landed.iter().map(|(_, row)| row.index).collect();
                    sent.landings.push(ConfirmedRows { id, rows, at });
                }
                if left.is_empty() {
                    return Ok(sent);
                }
                rows = left.into_iter().map(|(_, row)| (request.key(&row), row)).collect();
                id = parts.next();
                "DynamoDB left it unprocessed every time; lower the rate, or raise the table's \
                 capacity"
                    .to_owned()
            }
            Err(Failure::Passing(error)) => error.to_string(),
            Err(Failure::Lasting(error)) => return Err(error),
        };
        if !backoff.wait().await {
            sent.give_up(rows.iter().map(|(_, row)| row.index), &reason);
            return Ok(sent);
        }
        sent.retried += rows.len() as u64;
    }
}
