//! The engine on a virtual clock, with a transport in memory that stalls, loses, repeats, swaps and
//! damages messages on request: the figures that arithmetic predicts are asserted exactly.

mod durations;
mod landing;
mod outage;
mod reading;

use std::time::Duration;

use bench_record::{AuditSummary, Guarantee, Produced, Resources, Summary};

use super::collector::{Collector, Interval, IntervalSink, Totals};
use super::consumer::{Consumer, ConsumerConfig};
use super::control::RunControl;
use super::producer::{Producer, ProducerState};
use super::report::{Outbox, ProducerSample, Timeline};
use super::run::Plan;
use crate::audit::{AckLedger, Expected, ReceiveAudit};
use crate::clock::{BootId, Clock, ClockOrigin, InstantNs, SECOND_NS, VirtualClock};
use crate::latency::LatencyHistogram;
use crate::message::{
    Content, KeyDistribution, MessageFactory, MessageFormat, MessageSpec, RunId, SizeDistribution,
};
use crate::pacing::{Limit, Schedule, Share};
use crate::results::{SummaryInput, verdict, warnings};
use crate::transport::{Batch, Completion, Incoming, Publish, Receive, Stamps, TransportError};

const MS: u64 = 1_000_000;
const START_NS: InstantNs = SECOND_NS;
const RUN: u64 = 0xABCD;

/// What the system takes to deliver a message.
const DELIVER_NS: u64 = 5 * MS;

/// A system that confirms after `ack_ns` and delivers after `deliver_ns`, but for a stall during
/// which it does nothing.
struct System {
    clock: VirtualClock,
    ack_ns: u64,
    deliver_ns: u64,
    stall: std::ops::Range<InstantNs>,
    /// Messages that the client library's queue takes.
    queue_max: usize,
    lingering_ns: u64,
    pending: std::collections::VecDeque<Completion>,
    /// What consumers will receive, with the instant of arrival.
    log: Vec<(InstantNs, Vec<u8>)>,
}

impl System {
    fn new(clock: &VirtualClock) -> Self {
        Self {
            clock: clock.clone(),
            ack_ns: 2 * MS,
            deliver_ns: DELIVER_NS,
            stall: 0..0,
            queue_max: usize::MAX,
            lingering_ns: 0,
            pending: std::collections::VecDeque::new(),
            log: Vec::new(),
        }
    }

    /// When something that would be done at `instant_ns` is done.
    fn after_stall(&self, instant_ns: InstantNs) -> InstantNs {
        if self.stall.contains(&instant_ns) { self.stall.end } else { instant_ns }
    }
}

impl Publish for &mut System {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        let now_ns = self.clock.now_ns();
        let room = self.queue_max.saturating_sub(self.pending.len());
        for message in batch.iter().take(room) {
            let at_ns = self.after_stall(now_ns + self.ack_ns);
            self.pending.push_back(Completion { token: message.token, at_ns, outcome: Ok(()) });
            let arrival_ns = self.after_stall(now_ns + self.deliver_ns);
            self.log.push((arrival_ns, message.value.to_vec()));
        }
        batch.remove_accepted(|position| position < room);
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        let first_ns = self.pending.front().map_or(until_ns, |first| first.at_ns);
        self.clock.advance_to_ns(first_ns.min(until_ns));
        let now_ns = self.clock.now_ns();
        while let Some(completion) = self.pending.pop_front_if(|next| next.at_ns <= now_ns) {
            completions.push(completion);
        }
        Ok(())
    }

    fn lingering_ns(&self) -> u64 {
        self.lingering_ns
    }

    fn outage(&self) -> Option<String> {
        self.stall.contains(&self.clock.now_ns()).then(|| "it stands still".to_owned())
    }

    fn explain(&self, code: i32) -> String {
        format!("code {code}")
    }
}

/// Replays a log to a consumer.
struct Log {
    clock: VirtualClock,
    messages: std::collections::VecDeque<(InstantNs, Vec<u8>)>,
}

impl Receive for Log {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let first_ns = self.messages.front().map_or(until_ns, |(at_ns, _)| *at_ns);
        self.clock.advance_to_ns(first_ns.min(until_ns));
        let received_ns = self.clock.now_ns();
        let mut count = 0;
        while let Some((_, value)) = self.messages.pop_front_if(|(at_ns, _)| *at_ns <= received_ns)
        {
            sink(Incoming {
                key: None,
                value: &value,
                partition: 0,
                received_ns,
                stamps: Stamps::default(),
            });
            count += 1;
        }
        Ok(count)
    }
}

#[derive(Default)]
struct Intervals(Vec<Interval>);

impl IntervalSink for Intervals {
    fn interval(&mut self, interval: &Interval) {
        self.0.push(interval.clone());
    }

    fn acked(&mut self, _ledger: &AckLedger, _is_whole: bool) {}
}

fn plan(schedule: Schedule, limit: Limit, warm_up_ns: u64) -> Plan {
    let timeline = Timeline {
        start_ns: START_NS,
        warm_up_end_ns: START_NS + warm_up_ns,
        interval_ns: SECOND_NS,
    };
    Plan {
        run: RunId::from_bits(RUN),
        schedule,
        limit,
        messages: MessageSpec {
            format: MessageFormat::Binary,
            content: Content::Generated {
                sizes: SizeDistribution::Fixed { size_bytes: 100 },
                compressibility: 0.0,
            },
            keys: KeyDistribution::None,
            seed: 0,
        },
        timeline,
        in_flight_max: 1 << 16,
        batch_max: 256,
        grace_ns: 10 * SECOND_NS,
        expected: Expected::Run(RunId::from_bits(RUN)),
        consumer: ConsumerConfig { drain_timeout_ns: 3 * SECOND_NS, ..ConsumerConfig::default() },
    }
}

struct Outcome {
    totals: Totals,
    intervals: Vec<Interval>,
    audit: AuditSummary,
    /// The instant at which the consumer stopped.
    stopped_ns: InstantNs,
}

/// The figures of a run whose consumers were to receive everything.
fn summarise(
    timeline: Timeline,
    schedule: Option<Schedule>,
    totals: &Totals,
    ledger: Option<&AckLedger>,
) -> Summary {
    SummaryInput {
        totals,
        timeline,
        schedule,
        consumed: true,
        ledger,
        partial: None,
        unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
        messages_expected: None,
        guarantee: Guarantee::default(),
        raw: false,
        resources: Resources::default(),
        counts: std::collections::BTreeMap::new(),
    }
    .summarize()
}

/// Produces to the system, on its clock.
fn produce(plan: &Plan, control: &RunControl, system: &mut System, outbox: Outbox<ProducerSample>) {
    let clock = system.clock.clone();
    let config = plan.producer_config(Share::WHOLE).expect("a valid plan");
    let producer = Producer {
        clock: &clock,
        transport: system,
        factory: MessageFactory::new(&plan.messages, plan.run, Share::WHOLE, clock.origin())
            .expect("a valid plan"),
        state: ProducerState::new(config.in_flight_max),
        config,
        timeline: plan.timeline,
        control,
        outbox,
    };
    producer.run().expect("the system never gives up");
}

/// Produces to the system and then consumes what it delivered, each from the same start of time.
/// `tamper` changes what is delivered.
fn simulate(
    plan: &Plan,
    set_up: impl FnOnce(&mut System),
    tamper: impl FnOnce(&mut Vec<(InstantNs, Vec<u8>)>),
    consumer_origin: Option<ClockOrigin>,
) -> Outcome {
    let replay = |clock: VirtualClock, mut log: Vec<(InstantNs, Vec<u8>)>| {
        tamper(&mut log);
        Log { clock, messages: log.into() }
    };
    simulate_with(plan, set_up, replay, consumer_origin)
}

/// The same with a receiver that is made of the consumer's clock and of what was delivered when.
fn simulate_with<R: Receive>(
    plan: &Plan,
    set_up: impl FnOnce(&mut System),
    receiver: impl FnOnce(VirtualClock, Vec<(InstantNs, Vec<u8>)>) -> R,
    consumer_origin: Option<ClockOrigin>,
) -> Outcome {
    let mut intervals = Intervals::default();
    let control = RunControl::new(1, 1, None);
    let (mut collector, mut outboxes) =
        Collector::new(plan.run, plan.timeline, 1, 1, &mut intervals);

    let mut system = System::new(&VirtualClock::starting_at(START_NS));
    set_up(&mut system);
    produce(plan, &control, &mut system, outboxes.producers.pop().expect("one producer"));

    let mut clock = VirtualClock::starting_at(START_NS);
    if let Some(origin) = consumer_origin {
        clock = clock.with_origin(origin);
    }
    let consumer = Consumer {
        clock: &clock,
        transport: receiver(clock.clone(), system.log),
        config: plan.consumer.clone(),
        audit: ReceiveAudit::new(plan.expected).without_order(plan.consumer.unordered),
        timeline: plan.timeline,
        control: &control,
        outbox: outboxes.consumers.pop().expect("one consumer"),
    };
    consumer.run().expect("the log never gives up");
    let stopped_ns = clock.now_ns();

    collector.collect(Duration::ZERO);
    assert!(collector.all_ended());
    let totals = collector.finish();
    let audit = totals.audit.summary(Some(&totals.ledger));
    Outcome { totals, intervals: intervals.0, audit, stopped_ns }
}

fn constant(rate_per_s: f64, seconds: u64) -> Plan {
    plan(Schedule::Constant { rate_per_s }, Limit::DurationNs(seconds * SECOND_NS), 0)
}

/// The sample that `percentile` per cent of the sorted samples do not exceed, as HDR histograms
/// define it.
fn exact_percentile(samples: &[u64], percentile: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and no larger than the number of samples"
    )]
    // 99.9 is not an exact binary number.
    let rank = (percentile * samples.len() as f64 / 100.0 - 1e-6).ceil() as usize;
    samples[rank.clamp(1, samples.len()) - 1]
}

fn assert_percentiles(latency: &LatencyHistogram, mut exact: Vec<u64>) {
    exact.sort_unstable();
    assert_eq!(latency.histogram().len(), exact.len() as u64);
    for percentile in [1.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0] {
        let expected_ns = exact_percentile(&exact, percentile);
        let measured_ns = latency.percentile_ns(percentile);
        assert!(
            latency.histogram().equivalent(measured_ns, expected_ns),
            "p{percentile}: {measured_ns} ns measured, {expected_ns} ns expected"
        );
    }
}

#[test]
fn messages_that_may_linger_leave_together_and_their_delay_counts() {
    let set_up = |system: &mut System| {
        system.lingering_ns = 500_000;
        // No answer wakes the producer meanwhile.
        system.ack_ns = 5 * SECOND_NS;
    };
    let outcome = simulate(&constant(10_000.0, 1), set_up, |_| {}, None);
    // The first one goes at once; then each sixth, when it has lingered for as long as it may, takes
    // along the five that fell due meanwhile.
    let lags: Vec<u64> = (0..10_000).map(|k| (k + 5) % 6 * 100_000).collect();
    let latencies = lags.iter().map(|lag_ns| lag_ns + 5 * SECOND_NS).collect();
    assert_percentiles(&outcome.totals.latencies.publish_latency, latencies);
    assert_percentiles(&outcome.totals.latencies.schedule_lag, lags);
    assert_eq!((outcome.audit.received, outcome.audit.lost), (10_000, 0));
}

#[test]
fn a_stall_shows_in_full_in_publish_and_end_to_end_latency() {
    // 10,000 messages a second for ten seconds; nothing is confirmed or delivered from 3 s to 5 s.
    let plan = constant(10_000.0, 10);
    let stall = START_NS + 3 * SECOND_NS..START_NS + 5 * SECOND_NS;
    let outcome = simulate(&plan, |system| system.stall = stall.clone(), |_| {}, None);

    let expected = |delay_ns: u64| -> Vec<u64> {
        (0..100_000)
            .map(|k| START_NS + k * 100_000)
            .map(|due_ns| {
                let done_ns = due_ns + delay_ns;
                if stall.contains(&done_ns) { stall.end - due_ns } else { delay_ns }
            })
            .collect()
    };
    assert_percentiles(&outcome.totals.latencies.publish_latency, expected(2 * MS));
    assert_percentiles(&outcome.totals.latencies.end_to_end_latency, expected(5 * MS));
    assert_percentiles(&outcome.totals.latencies.schedule_lag, vec![0; 100_000]);
    assert_eq!(outcome.audit.lost + outcome.audit.duplicated + outcome.audit.reordered, 0);
}

#[test]
fn a_stall_that_blocks_the_generator_shows_all_the_same() {
    // The client library takes 1,000 messages, so the generator itself stands still in the stall:
    // the classic case of coordinated omission.
    let plan = constant(10_000.0, 10);
    let stall = START_NS + 3 * SECOND_NS..START_NS + 5 * SECOND_NS;
    let set_up = |system: &mut System| {
        system.stall = stall.clone();
        system.queue_max = 1_000;
    };
    let outcome = simulate(&plan, set_up, |_| {}, None);
    let publish = &outcome.totals.latencies.publish_latency;
    assert_eq!(publish.histogram().len(), 100_000);
    // Of 10 s, 2 s were stalled, and then 1,000 messages every 2 ms caught up with what was due: the
    // 20,000 due in the stall waited, and some that fell due while the generator caught up.
    let waited = publish.histogram().count_between(10 * MS, 10 * SECOND_NS);
    assert!((19_900..=20_400).contains(&waited), "{waited} messages waited");
    assert!((1.99..2.01).contains(&(publish.percentile_ns(100.0) as f64 / 1e9)));
    let lag = &outcome.totals.latencies.schedule_lag;
    assert!(lag.percentile_ns(100.0) > 1_800 * MS, "the lag says that the generator was held up");
    assert!(outcome.totals.blocked_ns > 1_800 * MS, "and this says by whom");
}

#[test]
fn dropped_repeated_swapped_and_damaged_messages_are_counted_exactly() {
    let plan = constant(1_000.0, 100);
    let tamper = |log: &mut Vec<(InstantNs, Vec<u8>)>| {
        for k in 0..11 {
            log[50_000 + k * 100].1[60] ^= 1;
        }
        for k in 0..7 {
            let (first, second) = log.split_at_mut(1_000 + k * 50 + 1);
            std::mem::swap(&mut first[1_000 + k * 50].1, &mut second[0].1);
        }
        for k in 0..5 {
            let again = log[30_000 + k * 1_000].clone();
            log.insert(30_000 + k * 1_000 + k + 20, again);
        }
        for k in 0..3 {
            log.remove(90_000 + k);
        }
    };
    let outcome = simulate(&plan, |_| {}, tamper, None);
    let audit = &outcome.audit;
    assert_eq!(outcome.totals.acked.messages, 100_000);
    assert_eq!(audit.corrupt, 11);
    assert_eq!(audit.lost, 3 + 11, "a damaged message has not arrived");
    assert_eq!(audit.reordered, 7);
    assert_eq!(audit.duplicated, 5);
    assert_eq!(audit.received, 100_000 - 14);
    assert_eq!((audit.foreign, audit.unacked_received), (0, 0));
}

#[test]
fn a_lost_message_ends_the_drain_after_its_time_limit() {
    let plan = constant(1_000.0, 2);
    let lost = simulate(&plan, |_| {}, |log| log.truncate(1_900), None);
    assert_eq!(lost.audit.lost, 100);
    let limit_ns = START_NS + 2 * SECOND_NS + plan.consumer.drain_timeout_ns;
    assert!(lost.stopped_ns <= limit_ns + SECOND_NS, "stopped at {} ns", lost.stopped_ns);
}

#[test]
fn a_producer_does_not_wait_for_ever_for_what_was_lost_on_the_way() {
    // 10,000 bytes may be under way, and nobody ever receives one of them.
    let mut plan = constant(1_000.0, 60);
    plan.grace_ns = 5 * SECOND_NS;
    let control = RunControl::new(1, 0, Some(10_000));
    let mut intervals = Intervals::default();
    let (mut collector, mut outboxes) =
        Collector::new(plan.run, plan.timeline, 1, 0, &mut intervals);
    let mut system = System::new(&VirtualClock::starting_at(START_NS));
    produce(&plan, &control, &mut system, outboxes.producers.pop().expect("one producer"));
    assert_eq!(system.log.len(), 100);
    let ended_ns = system.clock.now_ns();
    assert!((6 * SECOND_NS..7 * SECOND_NS).contains(&ended_ns), "ended at {ended_ns} ns");
    collector.collect(Duration::ZERO);
    let totals = collector.finish();
    // What was due in the five seconds and could not go.
    assert!((4_800..=5_001).contains(&totals.unsent), "{} messages not sent", totals.unsent);
}

#[test]
fn messages_of_the_warm_up_are_audited_and_not_measured() {
    let schedule = Schedule::Constant { rate_per_s: 100.0 };
    let plan = plan(schedule, Limit::DurationNs(10 * SECOND_NS), 4 * SECOND_NS);
    let outcome = simulate(&plan, |_| {}, |_| {}, None);
    let totals = &outcome.totals;
    assert_eq!((totals.acked.messages, totals.measured_acked.messages), (1_000, 600));
    assert_eq!((totals.received.messages, totals.measured_received.messages), (1_000, 600));
    for (kind, latency) in totals.latencies.iter() {
        assert_eq!(latency.histogram().len(), 600, "{}", kind.field());
    }
    assert_eq!(outcome.audit.received, 1_000);
}

#[test]
fn intervals_add_up_to_the_totals() {
    let outcome = simulate(&constant(777.0, 7), |_| {}, |_| {}, None);
    let intervals = &outcome.intervals;
    assert!(intervals.iter().enumerate().all(|(k, interval)| interval.index == k as u64));
    let acked: u64 = intervals.iter().map(|interval| interval.acked.messages).sum();
    let received: u64 = intervals.iter().map(|interval| interval.received.messages).sum();
    assert_eq!((acked, received), (777 * 7, 777 * 7));
    // Confirmed 2 ms after they were due: the messages of 0 s to 0.998 s fall in the first second.
    assert_eq!(intervals[0].acked.messages, 776);
    let mut merged = LatencyHistogram::new();
    for interval in intervals {
        merged.merge(&interval.latencies.publish_latency);
    }
    assert!(*merged.histogram() == *outcome.totals.latencies.publish_latency.histogram());
}

#[test]
fn an_unpaced_run_measures_service_time_alone() {
    let plan = plan(Schedule::Unpaced, Limit::Messages(10_000), 0);
    let set_up = |system: &mut System| system.queue_max = 100;
    let outcome = simulate(&plan, set_up, |_| {}, None);
    let latencies = &outcome.totals.latencies;
    assert_eq!(outcome.totals.acked.messages, 10_000);
    assert!(latencies.publish_latency.is_empty() && latencies.schedule_lag.is_empty());
    assert_eq!(latencies.service_time.histogram().len(), 10_000);
}

#[test]
fn across_hosts_the_wall_clock_is_used_and_negative_latencies_are_kept() {
    // The consumer's host has another boot and a wall clock 7 ms behind: more than delivery takes.
    let origin = ClockOrigin { boot: BootId::from_hash(2), wall_offset_ns: -7_000_000 };
    let outcome = simulate(&constant(1_000.0, 1), |_| {}, |_| {}, Some(origin));
    assert_eq!((outcome.totals.monotonic, outcome.totals.wall), (0, 1_000));
    let summary = outcome.totals.latencies.end_to_end_latency.summary().expect("samples");
    assert_eq!((summary.count, summary.negative), (0, 1_000));
    assert_eq!(summary.negative_min_ns, -2_000_000);
}

#[test]
fn what_a_slow_system_keeps_from_being_sent_is_reported() {
    // A queue of 10 that empties every 2 ms takes 5,000 a second; 20,000 are asked for.
    let mut plan = constant(20_000.0, 2);
    plan.grace_ns = SECOND_NS;
    let outcome = simulate(&plan, |system| system.queue_max = 10, |_| {}, None);
    let totals = &outcome.totals;
    assert!((12_000..16_000).contains(&totals.acked.messages), "{}", totals.acked.messages);
    assert_eq!(totals.acked.messages + totals.unsent, 40_000, "sent or named as unsent");
    assert_eq!(outcome.audit.lost, 0);
}
