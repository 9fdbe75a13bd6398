//! The mapping as a whole: waits for its stream, follows the stream's shards, starts over when the
//! stream is another one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use bench_aws::{AwsError, SdkConfig};
use bench_core::counts::Counts;
use bench_kinesis::receive::{ReadCounters, reading_client};

use super::checkpoints::StreamIdentity;
use super::error::MappingError;
use super::event::EventSource;
use super::following::{Following, NOT_FOUND};
use super::function::{Function, FunctionReport};
use super::report::{MappingReport, MappingState};
use super::state::{Shared, Stop};
use super::worker::Launch;
use bench_service_lambda::MappingConfig;

/// Interval between checks for the stream.
const STREAM_POLL: Duration = Duration::from_millis(100);

/// Runs a mapping until `stop` is set. It finds the stream as the SDK does, by the environment and
/// the configuration files.
pub fn run(config: &MappingConfig, stop: &Arc<AtomicBool>) -> Result<MappingReport, MappingError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(MappingError::Runtime)?.block_on(async {
        let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        run_with(config, &sdk, stop).await
    })
}

/// The same with the stream found by `sdk`.
pub async fn run_with(
    config: &MappingConfig,
    sdk: &SdkConfig,
    stop: &Arc<AtomicBool>,
) -> Result<MappingReport, MappingError> {
    config.validate()?;
    let reads = Counts::default();
    let mut mapping = Mapping {
        client: reading_client(sdk),
        shared: Arc::new(Shared::new(config.clone())?),
        counters: Arc::new(ReadCounters::new(&reads)),
        reads,
        function: None,
        said: None,
        was_gone: false,
        stop: Stop::follow(Arc::clone(stop)),
    };
    let outcome = mapping.run().await;
    if let Some(function) = &mapping.function {
        function.end().await;
    }
    mapping.shared.set_state(MappingState::Stopped);
    outcome.and(mapping.save())?;
    Ok(mapping.shared.report(mapping.invoked()))
}

/// The variable that tells the functions of this benchmark whether their answers are read.
const REPORT_VARIABLE: &str = "BENCH_REPORT_ITEM_FAILURES";

/// A running mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) client: Client,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<ReadCounters>,
    /// The counts of the counters.
    reads: Counts,
    /// Present from the first stream on, whose ARN has the region.
    function: Option<Arc<Function>>,
    /// The last log line about a missing stream, which is not repeated ten times per second.
    said: Option<String>,
    /// Whether the stream was missing since it was last read.
    was_gone: bool,
    pub(super) stop: Stop,
}

impl Mapping {
    async fn run(&mut self) -> Result<(), MappingError> {
        while let Some(stream) = self.wait_for_stream().await? {
            let source = EventSource::new(&stream.arn);
            let function = self.function(&source);
            self.shared.set_state(MappingState::Running);
            let is_another = std::mem::take(&mut self.was_gone);
            let followed = Following::run(self, stream, is_another, source, function).await?;
            if let Err(lost) = followed {
                self.was_gone = lost.is_gone;
                self.say_once(lost.reason);
            }
            self.shared.set_state(MappingState::Waiting);
            self.pause().await;
        }
        Ok(())
    }

    /// The stream once it is active; `None` when the mapping stops.
    async fn wait_for_stream(&mut self) -> Result<Option<StreamIdentity>, MappingError> {
        while !self.stop.is_set() {
            match self.find_stream().await {
                Ok(Some(stream)) => return Ok(Some(stream)),
                Ok(None) => self.was_gone = true,
                Err(error) => {
                    self.was_gone |= error.is(NOT_FOUND);
                    self.say_once(error.to_string());
                }
            }
            self.save()?;
            self.pause().await;
        }
        Ok(None)
    }

    fn say_once(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            tracing::info!("{what}; waiting for the stream");
            self.said = Some(what);
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(STREAM_POLL) => {}
            () = self.stop.wait() => {}
        }
    }

    /// The stream; `None` while it is being created or deleted.
    async fn find_stream(&self) -> Result<Option<StreamIdentity>, AwsError> {
        let stream = &self.shared.config.stream;
        let answer = self.client.describe_stream_summary().stream_name(stream).send().await;
        let answer =
            answer.map_err(|error| AwsError::new(format!("find stream '{stream}'"), &error))?;
        let usable = answer
            .stream_description_summary
            .filter(|summary| matches!(summary.stream_status().as_str(), "ACTIVE" | "UPDATING"));
        Ok(usable.map(|summary| StreamIdentity {
            created_ms: summary.stream_creation_timestamp().to_millis().unwrap_or(0),
            arn: summary.stream_arn,
        }))
    }

    fn function(&mut self, source: &EventSource) -> Arc<Function> {
        let MappingConfig { function: config, settings, .. } = &self.shared.config;
        let function = self.function.get_or_insert_with(|| {
            let mut function = config.clone();
            let reports = if settings.report_batch_item_failures { "on" } else { "off" };
            let variable = function.environment.entry(REPORT_VARIABLE.to_owned());
            variable.or_insert_with(|| reports.to_owned());
            Arc::new(Function::new(Launch {
                function,
                function_arn: source.function_arn(&config.name),
                region: source.region().to_owned(),
                log: self.shared.function_log(),
            }))
        });
        Arc::clone(function)
    }

    pub(super) fn save(&self) -> Result<(), MappingError> {
        let (calls, throttled) = (self.reads.count("reads"), self.reads.count("reads_throttled"));
        self.shared.count(|counts| {
            counts.read_calls = calls.get();
            counts.read_throttled = throttled.get();
        });
        self.shared.save(self.invoked())
    }

    fn invoked(&self) -> FunctionReport {
        self.function.as_ref().map(|function| function.report()).unwrap_or_default()
    }
}
