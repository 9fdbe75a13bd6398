//! The producer's end of the pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bench_cli::Shutdown;
use bench_core::clock::InstantNs;
use bench_core::transport::{Batch, Completion, Failure, Publish, TransportError};
use bench_kafka::KafkaPublisher;

use crate::job::Job;
use crate::malformed::Malformed;
use crate::topics::{self, Topics};

/// Interval between looks at what the job has reported.
const POLL: Duration = Duration::from_millis(50);

/// A producer whose end is that of the job's work: it fails when the job does, and when it has nothing
/// more to send, it waits until the job has reported the last batch, so that the figures of a run are
/// of whole batches.
pub(crate) struct Sender {
    publisher: KafkaPublisher,
    malformed: Malformed,
    report: Report,
}

/// What the job has reported.
pub(crate) struct Report {
    pub(crate) job: Arc<Job>,
    /// The sum of the offsets up to which it has read.
    pub(crate) reached: Arc<AtomicI64>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) topic: String,
    /// Longest wait for the report.
    pub(crate) timeout: Duration,
    pub(crate) shutdown: Shutdown,
}

impl Sender {
    pub(crate) fn new(publisher: KafkaPublisher, malformed: Malformed, report: Report) -> Self {
        Self { publisher, malformed, report }
    }
}

impl Publish for Sender {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        let before = batch.len();
        self.publisher.submit(batch)?;
        self.malformed.follow(before - batch.len(), &mut self.publisher);
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        if let Some(failure) = self.report.job.failure() {
            return Err(TransportError::new(failure));
        }
        self.publisher.poll(until_ns, completions)?;
        self.malformed.take(completions);
        Ok(())
    }

    fn lingering_ns(&self) -> u64 {
        self.publisher.lingering_ns()
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        self.publisher.finish()
    }

    fn remark(&self) -> Option<String> {
        self.publisher.remark()
    }

    fn explain(&self, failure: Failure) -> String {
        self.publisher.explain(failure)
    }

    fn outage(&self) -> Option<String> {
        self.publisher.outage()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Report { job, reached, topics, topic, timeout, shutdown } = &self.report;
        let Ok(ends) = topics.ends(topic) else { return };
        let end = topics::total(&ends);
        let deadline = Instant::now() + *timeout;
        while reached.load(Ordering::Relaxed) < end
            && Instant::now() < deadline
            && job.failure().is_none()
            && !shutdown.is_requested()
        {
            std::thread::sleep(POLL);
        }
    }
}
