//! Handles an event.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use aws_lambda_events::event::streams::KinesisEventResponse;
use bench_tables::dynamodb::{Billing, DynamodbAdmin, DynamodbWriter};
use bench_tables::mysql::{MysqlAdmin, MysqlUrl, MysqlWriter};
use bench_tables::{Row, TableError, TableWriter, Written};
use lambda_runtime::Diagnostic;

use crate::event::{CLOCK, ReceivedEvent};
use crate::rows::{Records, Rows};
use crate::settings::{LandingSystem, Settings};

/// Time reserved at the end of an invocation, so that the answer still arrives when a write is
/// given up.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// Timeout of the connection that creates the table.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An error of a whole invocation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    /// An error of the table or the connection to it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Some rows failed, and failures of single records are not reported.
    #[error("{failed} of {rows} rows did not land in table '{table}'; the first error: {reason}")]
    Rows {
        /// Number of rows that did not land.
        failed: usize,
        /// Number of rows.
        rows: usize,
        /// The table.
        table: String,
        /// The first row's error.
        reason: String,
    },
    /// The invocation ran out of time.
    #[error(
        "{rows} rows did not land in table '{table}' within the invocation's time; raise the \
         function's timeout, or lower the batch size"
    )]
    Deadline {
        /// Number of rows.
        rows: usize,
        /// The table.
        table: String,
    },
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        let error_type = match &error {
            HandlerError::Table(_) => "Table",
            HandlerError::Rows { .. } => "Rows",
            HandlerError::Deadline { .. } => "Deadline",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// Lands events in a table, over persistent connections.
#[derive(Debug)]
pub(crate) struct Handler {
    settings: Settings,
    writer: TableWriter,
}

impl Handler {
    /// Connects to the table, and creates it if enabled.
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, HandlerError> {
        let (table, options) = (&settings.table, settings.writer);
        let writer = match settings.system {
            LandingSystem::Dynamodb => {
                let behavior = aws_config::BehaviorVersion::latest();
                let config = aws_config::load_defaults(behavior).await;
                if settings.creates_table {
                    DynamodbAdmin::new(&config).create(table, Billing::OnDemand).await?;
                }
                TableWriter::Dynamodb(DynamodbWriter::new(&config, table, options, *CLOCK)?)
            }
            LandingSystem::Mysql => {
                let url = MysqlUrl::parse(settings.mysql_url.as_deref().unwrap_or_default())?;
                if settings.creates_table {
                    MysqlAdmin::connect(&url, CONNECT_TIMEOUT).await?.create(table).await?;
                }
                TableWriter::Mysql(MysqlWriter::connect(&url, table, options, *CLOCK).await?)
            }
        };
        Ok(Self { settings: settings.clone(), writer })
    }

    /// Writes a row per message of the event, and reports which records failed. All rows are tried,
    /// including those after a failed one.
    pub(crate) async fn handle(
        &mut self,
        event: &ReceivedEvent,
        deadline: SystemTime,
    ) -> Result<KinesisEventResponse, HandlerError> {
        let started = Instant::now();
        let records = Records::of(event);
        let rows = records.rows();
        let written = self.write(&rows.rows, deadline).await?;
        if self.settings.confirms
            && let Err(error) = self.writer.confirm(&written).await
        {
            // The rows have landed. Without acknowledgement times, readers use the instant at which
            // they see a row, and report that.
            tracing::warn!("failed to store the acknowledgement times: {error}");
        }
        tracing::info!(
            records = event.event.records.len(),
            rows = rows.rows.len(),
            failed = written.failed.len(),
            retried = written.retried,
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "event"
        );
        self.answer(event, &rows, &written)
    }

    async fn write(
        &mut self,
        rows: &[Row<'_>],
        deadline: SystemTime,
    ) -> Result<Written, HandlerError> {
        let poison = self.settings.poison_sequence;
        let is_poison = |row: &Row<'_>| row.run.is_some() && Some(row.sequence) == poison;
        let time = deadline.duration_since(SystemTime::now()).unwrap_or_default();
        let time = time.saturating_sub(ANSWER_TIME);
        let late = |rows, table: &str| HandlerError::Deadline { rows, table: table.to_owned() };
        if !rows.iter().any(is_poison) {
            let written = tokio::time::timeout(time, self.writer.write(rows)).await;
            return Ok(written.map_err(|_| late(rows.len(), &self.settings.table))??);
        }
        // Acts as if the table had rejected these rows.
        let (kept, places): (Vec<Row<'_>>, Vec<usize>) = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| !is_poison(row))
            .map(|(place, row)| (*row, place))
            .unzip();
        let written = tokio::time::timeout(time, self.writer.write(&kept)).await;
        let mut written = written.map_err(|_| late(rows.len(), &self.settings.table))??;
        for (place, _) in &mut written.failed {
            *place = places[*place];
        }
        let poisoned = rows.iter().enumerate().filter(|(_, row)| is_poison(row));
        let reason = "rejected because of BENCH_POISON_SEQUENCE";
        written.failed.extend(poisoned.map(|(place, _)| (place, reason.to_owned())));
        Ok(written)
    }

    fn answer(
        &self,
        event: &ReceivedEvent,
        rows: &Rows<'_>,
        written: &Written,
    ) -> Result<KinesisEventResponse, HandlerError> {
        let mut answer = KinesisEventResponse::default();
        let Some((_, reason)) = written.failed.first() else { return Ok(answer) };
        tracing::warn!(failed = written.failed.len(), reason, "rows did not land");
        if !self.settings.reports_item_failures {
            return Err(HandlerError::Rows {
                failed: written.failed.len(),
                rows: rows.rows.len(),
                table: self.settings.table.clone(),
                reason: reason.clone(),
            });
        }
        // A record fails if any of its rows fails.
        let failed: BTreeSet<usize> =
            written.failed.iter().filter_map(|(row, _)| rows.origins.get(*row)).copied().collect();
        let records = &event.event.records;
        answer.set_failures(failed.iter().filter_map(|index| {
            records.get(*index).map(|record| record.kinesis.sequence_number.clone())
        }));
        Ok(answer)
    }
}
