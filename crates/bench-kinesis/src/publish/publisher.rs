//! The publisher: sends collected records and handles the answers.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::types::PutRecordsResultEntry;
use bench_aws::{AwsService, SdkConfig};
use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::{Batch, Completion, Delivery, Failure, Publish, TransportError};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::PublishConfig;
use super::collector::Collector;
use super::counts::{AnswerCounts, PublishCounts};
use super::outage::OutageWatch;
use super::request::{Answer, Record, Refusal, Remedy, put};
use super::retry::RetryQueue;
use super::timings::Timings;
use crate::KinesisError;
use crate::admin::{Shard, open_shards};
use crate::timer::Timer;

/// A producer of one stream.
pub struct KinesisPublisher {
    // Dropped before the runtime that they run on.
    requests: JoinSet<Answer>,
    look_at_shards: Option<JoinHandle<Result<Vec<Shard>, KinesisError>>>,
    timer: Timer,
    client: Client,
    runtime: Runtime,
    clock: SystemClock,
    stream: Arc<str>,
    config: PublishConfig,
    collector: Collector,
    retries: RetryQueue,
    /// The refusal behind each failure code, which is its index.
    failures: Vec<Refusal>,
    stopped: Option<String>,
    outage: OutageWatch,
    counts: PublishCounts,
    timings: Option<Timings>,
}

impl KinesisPublisher {
    /// Creates a producer with its own connections. `shards` are the open ones. Counts, by name:
    /// - `requests`: those answered or abandoned, among them `requests_throttled` (rejected as a
    ///   whole because of a rate limit) and `requests_failed` (failed as a whole for another
    ///   reason);
    /// - `records`: acknowledged Kinesis records;
    /// - `records_throttled`, `records_retried`: rejections because of a shard's limit, and retries
    ///   for any reason;
    /// - `default_partition_keys`: messages without the partition key field.
    pub fn connect(
        sdk: &SdkConfig,
        config: PublishConfig,
        shards: &[Shard],
        clock: SystemClock,
        counts: &Counts,
    ) -> Result<Self, KinesisError> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(KinesisError::Runtime)?;
        let timer = runtime.block_on(async { Timer::new(clock) }).map_err(KinesisError::Runtime)?;
        let once = aws_sdk_kinesis::Config::from(sdk).to_builder();
        let once = once.retry_config(RetryConfig::disabled()).build();
        let timings = config.timings.clone().map(Timings::new);
        Ok(Self {
            requests: JoinSet::new(),
            look_at_shards: None,
            timer,
            client: Client::from_conf(once),
            runtime,
            clock,
            stream: config.stream.as_str().into(),
            collector: Collector::new(&config, shards),
            retries: RetryQueue::new(config.seed),
            failures: Vec::new(),
            stopped: None,
            outage: OutageWatch::new(address(sdk)),
            counts: PublishCounts::new(counts, &config.keys),
            timings,
            config,
        })
    }

    /// Whether messages have to wait, for requests in flight or for retries.
    fn is_full(&self) -> bool {
        let retries_max = self.config.in_flight_max * self.config.put.records_max();
        self.collector.is_full() || self.retries.len() >= retries_max
    }

    /// Makes all progress that is possible without waiting.
    fn turn(&mut self, completions: &mut Vec<Completion>) {
        while let Some(answer) = self.requests.try_join_next() {
            self.answered(answer, completions);
        }
        let now_ns = self.clock.now_ns();
        self.collector.add_ready(self.retries.take_due(now_ns));
        self.learn_shards(now_ns);
        self.collector.close_if_due(now_ns);
        self.start_requests();
    }

    fn start_requests(&mut self) {
        while self.requests.len() < self.config.in_flight_max && self.stopped.is_none() {
            let records = self.collector.next_request();
            if records.is_empty() {
                return;
            }
            self.outage.asked(self.clock.now_ns(), self.requests.len());
            let (client, stream) = (self.client.clone(), Arc::clone(&self.stream));
            let request = put(client, stream, self.config.put, records, self.clock);
            self.requests.spawn_on(request, self.runtime.handle());
        }
    }

    /// Waits for an answer, or until the instant.
    fn wait(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let Self { runtime, requests, timer, .. } = self;
        let answer = runtime.block_on(async {
            tokio::select! {
                biased;
                Some(answer) = requests.join_next() => Ok(Some(answer)),
                waited = timer.sleep_until(until_ns) => waited.map(|()| None),
            }
        });
        match answer {
            Ok(Some(answer)) => self.answered(answer, completions),
            Ok(None) => {}
            Err(error) => {
                return Err(TransportError::new(format!("failed to wait for answers: {error}")));
            }
        }
        Ok(())
    }

    fn answered(&mut self, answer: Result<Answer, JoinError>, completions: &mut Vec<Completion>) {
        let Answer { records, at_ns, result } = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.stopped.get_or_insert_with(|| format!("a request was not executed: {error}"));
                return;
            }
        };
        let mut counts = AnswerCounts::default();
        let mut again = Vec::new();
        match result.as_ref().err().and_then(|refusal| refusal.silence.as_deref()) {
            Some(reason) => self.outage.failed(reason),
            None => self.outage.answered(at_ns),
        }
        match result {
            Ok(entries) => {
                self.notice_shard(entries.first().and_then(|entry| entry.shard_id()));
                for (index, record) in records.into_iter().enumerate() {
                    let entry = entries.get(index);
                    let refusal =
                        entry.map_or_else(|| Some(Refusal::unanswered()), Refusal::of_record);
                    if let Some(refusal) = refusal {
                        counts.throttled += usize::from(refusal.remedy == Remedy::Throttle);
                        again.extend(self.refused(record, &refusal, at_ns, completions));
                    } else {
                        counts.acked += 1;
                        self.complete(&record, at_ns, Ok(entry), completions);
                    }
                }
            }
            Err(refusal) => {
                counts.request_throttled = refusal.remedy == Remedy::Throttle;
                counts.request_failed = !counts.request_throttled;
                for record in records {
                    again.extend(self.refused(record, &refusal, at_ns, completions));
                }
            }
        }
        counts.retried = again.len();
        self.counts.answered(counts);
        self.retries.push(again, at_ns);
    }

    /// Returns a record that is to be retried; otherwise completes its messages as failed.
    fn refused(
        &mut self,
        record: Record,
        refusal: &Refusal,
        at_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Option<Record> {
        let is_early = at_ns.saturating_sub(record.ready_ns) < self.config.give_up_ns;
        match refusal.remedy {
            Remedy::Throttle | Remedy::Retry if is_early => return Some(record),
            Remedy::Throttle | Remedy::Retry | Remedy::Drop => {}
            Remedy::Stop => {
                self.stopped.get_or_insert_with(|| refusal.text.clone());
            }
        }
        let known = self.failures.iter().position(|known| known.code == refusal.code);
        let place = known.unwrap_or_else(|| {
            self.failures.push(refusal.clone());
            self.failures.len() - 1
        });
        let code = i32::try_from(place).unwrap_or(i32::MAX);
        let failure = match refusal.silence {
            Some(_) => Failure::Unanswered(code),
            None => Failure::Refused(code),
        };
        self.complete(&record, at_ns, Err(failure), completions);
        None
    }

    /// Completes the messages of a record.
    fn complete(
        &mut self,
        record: &Record,
        at_ns: InstantNs,
        outcome: Result<Option<&PutRecordsResultEntry>, Failure>,
        completions: &mut Vec<Completion>,
    ) {
        let tokens = record.messages.tokens();
        if let Some(timings) = &mut self.timings {
            timings.end(tokens, at_ns, record.tries, outcome.ok().flatten());
        }
        let delivery = outcome.err().map_or(Delivery::Acknowledged, Delivery::Failed);
        completions.extend(tokens.iter().map(|&token| Completion { token, at_ns, delivery }));
    }

    /// Looks up the shards again if a record went to an unknown one.
    fn notice_shard(&mut self, id: Option<&str>) {
        if self.collector.is_news(id) && self.look_at_shards.is_none() {
            let (client, stream) = (self.client.clone(), Arc::clone(&self.stream));
            let look = async move { open_shards(&client, &stream).await };
            self.look_at_shards = Some(self.runtime.spawn(look));
        }
    }

    fn learn_shards(&mut self, now_ns: InstantNs) {
        let Some(look) = self.look_at_shards.take_if(|look| look.is_finished()) else { return };
        match self.runtime.block_on(look) {
            Ok(Ok(shards)) => self.collector.set_shards(&shards, now_ns),
            // The next answer triggers another look-up.
            Ok(Err(error)) => tracing::debug!("failed to look up the shards: {error}"),
            Err(error) => tracing::debug!("failed to look up the shards: {error}"),
        }
    }

    fn check(&self) -> Result<(), TransportError> {
        match &self.stopped {
            Some(reason) => Err(TransportError::new(reason.clone())),
            None => Ok(()),
        }
    }
}

impl Publish for KinesisPublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        self.check()?;
        let now_ns = self.clock.now_ns();
        let mut accepted = 0;
        for message in batch.iter() {
            if self.is_full() {
                break;
            }
            if let Some(timings) = &mut self.timings {
                timings.begin(&message, now_ns);
            }
            self.collector.take(&message, now_ns);
            self.start_requests();
            accepted += 1;
        }
        batch.remove_accepted(|position| position < accepted);
        self.counts.default_keys(self.collector.take_default_keys());
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let before = completions.len();
        self.turn(completions);
        if self.clock.now_ns() >= until_ns {
            // Requests make progress only while the runtime is running.
            self.runtime.block_on(tokio::task::yield_now());
            self.turn(completions);
        }
        loop {
            if completions.len() > before {
                return Ok(());
            }
            self.check()?;
            if self.clock.now_ns() >= until_ns {
                return Ok(());
            }
            let dues = [self.collector.due_ns(), self.retries.due_ns()].into_iter().flatten();
            self.wait(dues.fold(until_ns, InstantNs::min), completions)?;
            self.turn(completions);
        }
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        self.collector.stop_lingering();
        Ok(())
    }

    fn explain(&self, failure: Failure) -> String {
        let code = failure.code();
        let refusal = usize::try_from(code).ok().and_then(|place| self.failures.get(place));
        refusal.map_or_else(|| format!("code {code}"), |refusal| refusal.text.clone())
    }

    fn outage(&self) -> Option<String> {
        self.outage.describe(self.clock.now_ns(), self.requests.len())
    }
}

/// The service's address for messages.
fn address(sdk: &SdkConfig) -> String {
    AwsService::Kinesis.endpoint(sdk).unwrap_or_else(|| {
        let region = sdk.region().map_or("an unknown region", AsRef::as_ref);
        format!("Kinesis in {region}")
    })
}
