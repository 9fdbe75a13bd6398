//! What is done with an event.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use aws_lambda_events::event::streams::KinesisEventResponse;
use bench_tables::dynamodb::{Billing, DynamodbAdmin, DynamodbWriter};
use bench_tables::mysql::{MysqlAdmin, MysqlUrl, MysqlWriter};
use bench_tables::{Row, TableError, TableWriter, Written};
use lambda_runtime::Diagnostic;

use crate::event::{CLOCK, ReceivedEvent};
use crate::rows::{Records, Rows};
use crate::settings::{Settings, System};

/// What is left of an invocation's time when a write is given up, so that the answer still counts.
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// How long a connection for making the table may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an invocation failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The table, or the way to it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Some rows, where failures of single records are not reported.
    #[error(
        "{failed} of {rows} rows did not land in table '{table}', the first one because {reason}"
    )]
    Rows {
        /// How many did not land.
        failed: usize,
        /// Of how many.
        rows: usize,
        /// The table.
        table: String,
        /// Why not.
        reason: String,
    },
    /// The invocation's time was up.
    #[error(
        "{rows} rows did not land in table '{table}' within the invocation's time; give the \
         function more time or a smaller batch size"
    )]
    Deadline {
        /// How many rows there were.
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

/// Lands events in a table. Its connections are used again and again.
#[derive(Debug)]
pub struct Handler {
    settings: Settings,
    writer: TableWriter,
}

impl Handler {
    /// Connects to the table, and makes it if that is asked for.
    pub async fn connect(settings: &Settings) -> Result<Self, HandlerError> {
        let (table, options) = (&settings.table, settings.writer);
        let writer = match settings.system {
            System::Dynamodb => {
                let behavior = aws_config::BehaviorVersion::latest();
                let config = aws_config::load_defaults(behavior).await;
                if settings.creates_table {
                    DynamodbAdmin::new(&config).create(table, Billing::OnDemand).await?;
                }
                TableWriter::Dynamodb(DynamodbWriter::new(&config, table, options, *CLOCK)?)
            }
            System::Mysql => {
                let url = MysqlUrl::parse(settings.mysql_url.as_deref().unwrap_or_default())?;
                if settings.creates_table {
                    MysqlAdmin::connect(&url, CONNECT_TIMEOUT).await?.create(table).await?;
                }
                TableWriter::Mysql(MysqlWriter::connect(&url, table, options, *CLOCK).await?)
            }
        };
        Ok(Self { settings: settings.clone(), writer })
    }

    /// Writes a row for each message of the event, and answers which records failed. All of them are
    /// tried, those too that come after one that fails.
    pub async fn handle(
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
            // The rows are there. Readers take the instant at which they see a row instead, and say
            // so.
            tracing::warn!("the confirmations were not stored: {error}");
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
        // As if the table had refused these rows.
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
        let reason = "BENCH_POISON_SEQUENCE names its message";
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
        // A record fails with any of its rows.
        let failed: BTreeSet<usize> =
            written.failed.iter().filter_map(|(row, _)| rows.origins.get(*row)).copied().collect();
        let records = &event.event.records;
        answer.set_failures(failed.iter().filter_map(|index| {
            records.get(*index).map(|record| record.kinesis.sequence_number.clone())
        }));
        Ok(answer)
    }
}
