//! The two connectors of a run: created, watched, and deleted at its end.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bench_cli::{Interrupted, Shutdown};
use bench_core::message::RunId;

use crate::connect::{ConnectError, ConnectorConfig, ConnectorState, Worker};

/// Time between polls of the worker.
const POLL: Duration = Duration::from_millis(100);

/// After an interrupt, how long a worker may take to report whether it created a connector: one
/// created later would be left behind.
const CREATE_AFTER_INTERRUPT: Duration = Duration::from_secs(2);

/// After an interrupt, how long deleting the connectors may take.
const DELETE_AFTER_INTERRUPT: Duration = Duration::from_secs(5);

const WAITING: &str = "waiting for Kafka Connect";

/// The settings of both connectors.
pub(crate) struct Setup<'a> {
    pub(crate) run: RunId,
    pub(crate) topic: &'a str,
    pub(crate) source: &'a Path,
    pub(crate) sink: &'a Path,
    pub(crate) source_batch: Option<u32>,
    /// Whether the connectors outlive the run.
    pub(crate) keep: bool,
    pub(crate) timeout: Duration,
}

/// The connectors of a run. Dropping this deletes them.
pub(crate) struct Connectors<'a> {
    worker: &'a Worker,
    names: Vec<String>,
    keep: bool,
    timeout: Duration,
    shutdown: Shutdown,
}

impl<'a> Connectors<'a> {
    /// Creates source and sink and waits until both are running.
    pub(crate) fn create(
        worker: &'a Worker,
        setup: &Setup<'_>,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let Setup { keep, timeout, .. } = *setup;
        let shutdown = shutdown.clone();
        let mut connectors = Self { worker, names: Vec::new(), keep, timeout, shutdown };
        // The source first, so that it creates a missing topic.
        for (end, config) in [("source", setup.source_config()), ("sink", setup.sink_config())] {
            let name = format!("connect-pipeline-{}-{end}", setup.run);
            connectors.add(&name, &config)?;
        }
        Ok(connectors)
    }

    fn add(&mut self, name: &str, config: &ConnectorConfig) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        // Recorded first: a request without a response may have created it anyway.
        self.names.push(name.to_owned());
        let put = || {
            let (worker, name, config) = (self.worker.clone(), name.to_owned(), config.clone());
            let call = move || worker.put(&name, &config);
            self.shutdown.interruptible_within(CREATE_AFTER_INTERRUPT, WAITING, call)
        };
        while let Err(error) = put()? {
            let again = matches!(error, ConnectError::Rebalancing { .. });
            ensure!(again && Instant::now() < deadline, error);
            pause(&self.shutdown)?;
        }
        tracing::info!("created connector {name}");
        while self.state(name)? != ConnectorState::Running {
            self.check()?;
            ensure!(
                Instant::now() < deadline,
                "connector {name} at {} was not running within {:?}; see the worker's log, or \
                 raise --timeout",
                self.worker.url(),
                self.timeout
            );
            pause(&self.shutdown)?;
        }
        Ok(())
    }

    /// Sends the worker a request, and stops waiting for the response after an interrupt.
    fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Worker) -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        let worker = self.worker.clone();
        self.shutdown.interruptible(WAITING, move || call(&worker))
    }

    fn state(&self, name: &str) -> Result<ConnectorState> {
        let name = name.to_owned();
        Ok(self.ask(move |worker| worker.state(&name))??)
    }

    /// The error if one of the connectors has failed.
    pub(crate) fn check(&self) -> Result<()> {
        for name in &self.names {
            if let ConnectorState::Failed(reason) = self.state(name)? {
                bail!("connector {name} at {} failed: {reason}", self.worker.url());
            }
        }
        Ok(())
    }

    /// Deletes a connector; the worker has until `deadline`.
    fn delete(&self, name: &str, deadline: Instant) -> Result<(), ConnectError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // A request needs some time, even after the deadline.
            match self.worker.within(left.max(POLL)).delete(name) {
                Err(ConnectError::Rebalancing { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(POLL);
                }
                Err(ConnectError::NotFound { .. }) => return Ok(()),
                result => return result,
            }
        }
    }
}

impl Drop for Connectors<'_> {
    fn drop(&mut self) {
        if self.keep {
            tracing::info!("kept connectors {}", self.names.join(" and "));
            return;
        }
        // After an interrupt, do not wait long for a worker that does not respond.
        let is_interrupted = self.shutdown.is_requested();
        let after_interrupt = Instant::now() + DELETE_AFTER_INTERRUPT;
        for name in &self.names {
            let deadline =
                if is_interrupted { after_interrupt } else { Instant::now() + self.timeout };
            if let Err(error) = self.delete(name, deadline) {
                let url = self.worker.url();
                tracing::error!(
                    "connector {name} was not deleted: {error}; delete it with `curl -X DELETE \
                     {url}/connectors/{name}`"
                );
            }
        }
    }
}

impl Setup<'_> {
    fn source_config(&self) -> ConnectorConfig {
        let batch = self.source_batch.map(|lines| ("batch.size", lines.to_string()));
        let own = [
            ("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector".into()),
            ("file", self.source.display().to_string()),
            ("topic", self.topic.to_owned()),
            // A file is one stream, and one partition keeps its order. The brokers choose the
            // replicas.
            ("topic.creation.default.partitions", "1".to_owned()),
            ("topic.creation.default.replication.factor", "-1".to_owned()),
        ];
        config(own.into_iter().chain(batch))
    }

    fn sink_config(&self) -> ConnectorConfig {
        config([
            ("connector.class", "org.apache.kafka.connect.file.FileStreamSinkConnector".into()),
            ("file", self.sink.display().to_string()),
            ("topics", self.topic.to_owned()),
        ])
    }
}

/// The given settings and those of both connectors: JSON envelopes with schema and payload,
/// whatever the worker's own converters are.
fn config(own: impl IntoIterator<Item = (&'static str, String)>) -> ConnectorConfig {
    let converter = "org.apache.kafka.connect.json.JsonConverter";
    let shared = [
        ("tasks.max", "1"),
        ("key.converter", converter),
        ("value.converter", converter),
        ("value.converter.schemas.enable", "true"),
    ];
    let shared = shared.map(|(name, value)| (name, value.to_owned()));
    own.into_iter().chain(shared).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn pause(shutdown: &Shutdown) -> Result<()> {
    ensure!(!shutdown.is_requested(), Interrupted("starting the connectors"));
    std::thread::sleep(POLL);
    Ok(())
}
