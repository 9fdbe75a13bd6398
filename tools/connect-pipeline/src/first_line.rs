//! A line sent before a run, to check that the connectors pass lines on.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench_cli::{Interrupted, Shutdown};
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::message::{self, MessageFactory, MessageSpec, RunId};
use bench_core::pacing::Share;
use bench_core::transport::{Batch, Publish as _, Receive as _};
use bench_files::{LinePublisher, LineReceiver};

use crate::connectors::Connectors;

/// Time between checks of the connectors.
const POLL: Duration = Duration::from_millis(200);

/// A line that was appended to the source.
///
/// Its run id belongs to no run, so that later readers of the topic take it for a foreign message.
pub(crate) struct FirstLine(RunId);

impl FirstLine {
    /// Appends a message like those of the run.
    pub(crate) fn append(
        publisher: &mut LinePublisher,
        messages: &MessageSpec,
        clock: SystemClock,
    ) -> Result<Self> {
        let own = RunId::random();
        let mut factory = MessageFactory::new(messages, own, Share::WHOLE, clock.origin())?;
        let (mut batch, mut answers) = (Batch::default(), Vec::new());
        let now_ns = clock.now_ns();
        factory.push(&mut batch, 0, 0, now_ns, now_ns);
        publisher.submit(&mut batch).context("--source")?;
        publisher.poll(now_ns, &mut answers)?;
        Ok(Self(own))
    }

    /// Waits until the line has appeared in the sink, after everything that the topic held before,
    /// where a new sink connector starts. `timeout` limits the time without any line.
    pub(crate) fn await_arrival(
        &self,
        receiver: &mut LineReceiver,
        connectors: &Connectors<'_>,
        clock: SystemClock,
        timeout: Duration,
        shutdown: &Shutdown,
    ) -> Result<()> {
        let mut deadline = Instant::now() + timeout;
        let mut arrived = false;
        while !arrived {
            let until_ns = clock.now_ns() + duration_ns(POLL);
            let count = receiver.receive(until_ns, |line| {
                arrived |= message::decode(line.value).is_ok_and(|header| header.run == self.0);
            });
            if count.context("--sink")? > 0 {
                deadline = Instant::now() + timeout;
                continue;
            }
            ensure!(!shutdown.is_requested(), Interrupted("waiting for the first line"));
            connectors.check()?;
            ensure!(
                Instant::now() < deadline,
                "the first line did not arrive within {timeout:?}; check that the Kafka Connect \
                 worker reaches its brokers and shares this file system, or raise --timeout"
            );
        }
        Ok(())
    }
}
