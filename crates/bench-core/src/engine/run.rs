//! Runs the workers of a plan on threads of their own, and the collector on the calling thread.

use std::time::Duration;

use super::collector::{Collector, IntervalSink, Totals};
use super::consumer::{Consumer, ConsumerConfig};
use super::control::RunControl;
use super::producer::{Producer, ProducerConfig, ProducerState};
use super::report::Timeline;
use crate::audit::{Expected, ReceiveAudit};
use crate::clock::{Clock as _, InstantNs, SystemClock, request_precise_sleep};
use crate::counts::Counts;
use crate::durations::Durations;
use crate::message::{
    Content, KeyDistribution, MessageError, MessageFactory, MessageFormat, MessageSpec, RunId,
    SizeDistribution,
};
use crate::pacing::{Limit, Pacer, Schedule, ScheduleError, Share};
use crate::transport::{Publish, Receive, TransportError};
use bench_record::EarlyStop;

/// Interval at which the collector takes reports and calls the progress function.
const TICK: Duration = Duration::from_millis(20);

/// What a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The run.
    pub run: RunId,
    /// When messages are due.
    pub schedule: Schedule,
    /// When producers stop; a number of messages is shared by all of them.
    pub limit: Limit,
    /// The messages to send.
    pub messages: MessageSpec,
    /// Instants that divide the run.
    pub timeline: Timeline,
    /// Maximum unacknowledged messages per producer.
    pub in_flight_max: u32,
    /// Messages that a producer hands over per call.
    pub batch_max: usize,
    /// Time after the end of the schedule to send overdue messages and to wait for acknowledgements,
    /// nanoseconds.
    pub grace_ns: u64,
    /// The runs whose messages the consumers expect.
    pub expected: Expected,
    /// Configuration of the consumers.
    pub consumer: ConsumerConfig,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The messages cannot be generated.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The schedule is invalid.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A worker's thread could not be started.
    #[error("failed to start a thread for a worker; use fewer producers and consumers")]
    Thread(#[source] std::io::Error),
    /// A worker's transport failed. What was measured until then is kept.
    #[error("a {role} stopped early")]
    Transport {
        /// `producer` or `consumer`.
        role: &'static str,
        /// Why.
        source: TransportError,
    },
}

/// What the transports record of their system's own work.
#[derive(Debug, Clone, Default)]
pub struct SystemFigures {
    /// How long it took.
    pub durations: Durations,
    /// How often it happened, and the state it led to.
    pub counts: Counts,
}

/// Runs `plan`, one thread per transport, and returns the totals, with the error of the first worker
/// that failed.
///
/// `system` are the figures that the transports record of their system's own work.
///
/// `progress` is called some fifty times per second with the state so far; `control` requests an
/// early end. The run ends when the producers have ended and every acknowledged message has been
/// received, or when the consumers' own limits are reached.
pub fn run<P, R, S>(
    plan: &Plan,
    clock: SystemClock,
    control: &RunControl,
    transports: (Vec<P>, Vec<R>),
    system: SystemFigures,
    sink: S,
    mut progress: impl FnMut(InstantNs, &Totals),
) -> Result<(Totals, Option<EngineError>), EngineError>
where
    P: Publish + Send,
    R: Receive + Send,
    S: IntervalSink,
{
    let (producers, consumers) = transports;
    let (collector, outboxes) =
        Collector::new(plan.run, plan.timeline, producers.len(), consumers.len(), sink);
    let mut collector = collector.with_raw_messages(plan.consumer.raw).with_system(system);
    let count = u32::try_from(producers.len()).unwrap_or(u32::MAX);
    let mut workers = Vec::new();
    for ((index, transport), outbox) in (0..count).zip(producers).zip(outboxes.producers) {
        let share = Share { index, count };
        let config = plan.producer_config(share)?;
        let worker = Producer {
            clock: &clock,
            transport,
            factory: MessageFactory::new(&plan.messages, plan.run, share, clock.origin())?,
            state: ProducerState::new(config.in_flight_max),
            config,
            timeline: plan.timeline,
            control,
            outbox,
        };
        workers.push(Worker::new("producer", move || {
            request_precise_sleep();
            worker.run().inspect_err(|_| control.stop_producing())
        }));
    }
    for (transport, outbox) in consumers.into_iter().zip(outboxes.consumers) {
        let worker = Consumer {
            clock: &clock,
            transport,
            config: plan.consumer.clone(),
            audit: ReceiveAudit::new(plan.expected).without_order(plan.consumer.unordered),
            timeline: plan.timeline,
            control,
            outbox,
        };
        workers.push(Worker::new("consumer", move || {
            worker.run().inspect_err(|_| {
                control.stop_producing();
                control.stop_consuming();
            })
        }));
    }
    control.set_awaiting(plan.consumer.requires_messages());
    let error = supervise(workers, clock, control, &mut collector, |now_ns, totals| {
        stop_when_satisfied(&plan.consumer, control, totals);
        progress(now_ns, totals);
    });
    Ok((collector.finish(), error))
}

/// Lets consumers end once the messages that must come are there.
pub(super) fn stop_when_satisfied(
    consumer: &ConsumerConfig,
    control: &RunControl,
    totals: &Totals,
) {
    if !control.is_awaiting() || !consumer.is_satisfied_by(totals) {
        return;
    }
    control.set_awaiting(false);
    if consumer.messages_expected.is_some() {
        control.stop_early(EarlyStop::Count);
    } else if !consumer.stop_at_end {
        control.stop_consuming();
    }
}

/// The work of one thread.
struct Worker<'a> {
    role: &'static str,
    work: Box<dyn FnOnce() -> Result<(), TransportError> + Send + 'a>,
}

impl<'a> Worker<'a> {
    fn new(
        role: &'static str,
        work: impl FnOnce() -> Result<(), TransportError> + Send + 'a,
    ) -> Self {
        Self { role, work: Box::new(work) }
    }
}

/// Starts the workers, collects until they have all ended, and returns the first error.
fn supervise<S: IntervalSink>(
    workers: Vec<Worker<'_>>,
    clock: SystemClock,
    control: &RunControl,
    collector: &mut Collector<S>,
    mut progress: impl FnMut(InstantNs, &Totals),
) -> Option<EngineError> {
    std::thread::scope(|scope| {
        let mut first_error = None;
        let mut handles = Vec::with_capacity(workers.len());
        let produces = workers.iter().any(|worker| worker.role == "producer");
        for (index, Worker { role, work }) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("{role}-{index}"));
            match thread.spawn_scoped(scope, work) {
                Ok(handle) => handles.push((role, handle)),
                Err(error) => {
                    control.stop_producing();
                    control.stop_consuming();
                    first_error.get_or_insert(EngineError::Thread(error));
                }
            }
        }
        while !handles.iter().all(|(_, handle)| handle.is_finished()) {
            collector.collect(TICK);
            let now_ns = clock.now_ns();
            collector.tick(now_ns);
            progress(now_ns, collector.totals());
            if produces && collector.is_everything_received() {
                control.stop_consuming();
            }
        }
        for (role, handle) in handles {
            let result = handle.join().unwrap_or_else(|_| {
                Err(TransportError::new("its thread panicked, which is a bug; please report it"))
            });
            if let Err(source) = result {
                first_error.get_or_insert(EngineError::Transport { role, source });
            }
        }
        first_error
    })
}

impl Plan {
    /// A plan that sends nothing. From `start_ns` on, the `expected` messages are measured and audited
    /// as they come, whenever they were sent.
    #[must_use]
    pub fn receiving(
        run: RunId,
        start_ns: InstantNs,
        interval_ns: u64,
        expected: Expected,
        consumer: ConsumerConfig,
    ) -> Self {
        Self {
            run,
            schedule: Schedule::Unpaced,
            limit: Limit::Messages(0),
            messages: MessageSpec {
                format: MessageFormat::Raw,
                content: Content::Generated {
                    sizes: SizeDistribution::Fixed { size_bytes: 0 },
                    compressibility: 0.0,
                },
                keys: KeyDistribution::None,
                seed: 0,
            },
            // Messages are older than the run, so none belongs to a warm-up.
            timeline: Timeline { start_ns, warm_up_end_ns: 0, interval_ns },
            in_flight_max: 1,
            batch_max: 1,
            grace_ns: 0,
            expected,
            consumer,
        }
    }

    /// One producer's part of the plan.
    pub(super) fn producer_config(&self, share: Share) -> Result<ProducerConfig, ScheduleError> {
        let (limit, give_up_ns) = match self.limit {
            Limit::Messages(all) => {
                let (count, index) = (u64::from(share.count), u64::from(share.index));
                (Limit::Messages(all / count + u64::from(index < all % count)), InstantNs::MAX)
            }
            Limit::DurationNs(duration_ns) => {
                let end_ns = self.timeline.start_ns.saturating_add(duration_ns);
                (self.limit, end_ns.saturating_add(self.grace_ns))
            }
        };
        let start_ns = self.timeline.start_ns;
        Ok(ProducerConfig {
            pacer: Pacer::new(self.schedule, share, limit, start_ns, self.messages.seed)?,
            open_loop: self.schedule.is_open_loop(),
            in_flight_max: self.in_flight_max.max(1),
            batch_max: self.batch_max.max(1),
            give_up_ns,
            flush_timeout_ns: self.grace_ns,
        })
    }
}
