//! Writing a batch as a data file to the table's storage.

use std::sync::Arc;
use std::time::SystemTime;

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bytes::Bytes;
use deltalake::logstore::object_store::{ObjectStoreExt as _, PutPayload};

use super::config::PublishConfig;
use super::counts::PublishCounts;
use super::data_file::{DataFile, Layout};
use super::failure::{AttemptError, Failure, FailureKind};
use super::retry::Retry;
use super::rows::{Pool, Rows};
use crate::Lake;

/// State shared by all uploads.
#[derive(Clone)]
pub(super) struct Uploader {
    lake: Lake,
    layout: Arc<Layout>,
    rows: Pool<Rows>,
    files: Pool<Vec<u8>>,
    clock: SystemClock,
    counts: PublishCounts,
}

impl Uploader {
    pub(super) fn new(
        lake: &Lake,
        config: &PublishConfig,
        rows: Pool<Rows>,
        clock: SystemClock,
        counts: PublishCounts,
    ) -> Self {
        let layout = Arc::new(Layout::new(config));
        Self { lake: lake.clone(), layout, rows, files: Pool::default(), clock, counts }
    }

    /// Writes a data file, which no log entry names yet; `closed_at` is its time in the table.
    pub(super) async fn upload(
        self,
        mut rows: Rows,
        first_sequence: u64,
        closed_at: SystemTime,
        deadline_ns: InstantNs,
    ) -> Result<DataFile, Failure> {
        let count = rows.len() as u64;
        let (layout, pool) = (Arc::clone(&self.layout), self.rows.clone());
        let memory = self.files.take();
        // Encoding on the runtime's own thread would delay the responses that it waits for.
        let encoded = tokio::task::spawn_blocking(move || {
            let encoded = layout.encode(&mut rows, first_sequence, memory)?;
            pool.give_back(rows);
            Ok::<_, deltalake::parquet::errors::ParquetError>(Bytes::from(encoded))
        });
        let encoded = match encoded.await {
            Ok(Ok(encoded)) => encoded,
            Ok(Err(error)) => return Err(self.failure(AttemptError::fatal(error.to_string()))),
            Err(error) => return Err(self.failure(AttemptError::fatal(error.to_string()))),
        };
        let file = self.layout.name(encoded.len() as u64, count, closed_at);
        let put = self.put(&file, &encoded, deadline_ns).await;
        if let Ok(mut memory) = encoded.try_into_mut() {
            memory.clear();
            self.files.give_back(memory.into());
        }
        put.map_err(|error| self.failure(error))?;
        self.counts.data_files.add(1);
        self.counts.data_bytes.add(file.size_bytes);
        Ok(file)
    }

    async fn put(
        &self,
        file: &DataFile,
        encoded: &Bytes,
        deadline_ns: InstantNs,
    ) -> Result<(), AttemptError> {
        let begun_ns = self.clock.now_ns();
        let mut retry = Retry::until(self.clock, deadline_ns);
        let mut before = None;
        loop {
            let payload = PutPayload::from_bytes(encoded.clone());
            let put = self.lake.store().put(&file.path, payload);
            match retry.answer(put).await {
                Ok(_) => break,
                Err(error) => {
                    let error = AttemptError::from(error).after(before);
                    if error.is_final || !retry.again().await {
                        return Err(error);
                    }
                    tracing::debug!("retrying data file {}: {}", file.path, error.text);
                    before = Some(error);
                }
            }
        }
        self.counts.upload_time.record(self.clock.now_ns().saturating_sub(begun_ns));
        Ok(())
    }

    fn failure(&self, error: AttemptError) -> Failure {
        let AttemptError { text, is_unanswered, is_final } = error;
        let uri = self.lake.uri();
        Failure {
            kind: FailureKind::NotWritten,
            text: format!(
                "failed to write a data file of {uri}, so its messages are not in the table: {text}"
            ),
            is_unanswered,
            is_final,
        }
    }
}
