//! Groups whose members join and leave, on the embedded broker and on real Kafka.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::engine::{
    self, ConsumerConfig, Interval, IntervalSink, Plan, RunControl, SystemFigures, Timeline, Totals,
};
use bench_core::message::{
    Content, KeyDistribution, MessageFormat, MessageSpec, RunId, SizeDistribution,
};
use bench_core::pacing::{Limit, Schedule};
use bench_core::transport::{Batch, Incoming, Publish as _, Receive, TransportError};
use bench_kafka::admin::Admin;
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, KafkaReceiver, SendPlan};
use bench_record::AuditSummary;
use bench_service_kafka::stand_in::{EmbeddedKafka, FETCH_WAIT_MS};

use crate::mock::start_process;

const TOPIC: &str = "t";
const PARTITIONS: u32 = 4;

/// One message per 100 us, for six seconds.
const RATE_PER_S: f64 = 10_000.0;
const MESSAGES: u64 = 60_000;

fn config(servers: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new();
    config.set("bootstrap.servers", servers);
    config
}

/// Settings for group members on the embedded broker, which completes a rebalance only after almost
/// a session timeout.
const EMBEDDED: [(&str, &str); 2] =
    [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "200")];

/// The configuration of a member of the group named like its topic.
fn member_config(servers: &str, topic: &str, settings: &[(&str, &str)]) -> KafkaConfig {
    let mut config = config(servers);
    config.set("group.id", topic);
    config.set("auto.offset.reset", "earliest");
    config.set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string());
    for (name, value) in settings {
        config.set(name, *value);
    }
    config
}

/// A consumer that is in the group for only a part of the run.
struct Member {
    clock: SystemClock,
    topic: String,
    receiver: Option<KafkaReceiver>,
    joins_at_ns: Option<InstantNs>,
    leaves_at_ns: InstantNs,
    received: Arc<AtomicU64>,
}

impl Member {
    fn new(config: &KafkaConfig, topic: &str, clock: SystemClock) -> Self {
        let receiver = KafkaReceiver::connect(config, clock).expect("a consumer");
        Self {
            clock,
            topic: topic.to_owned(),
            receiver: Some(receiver),
            joins_at_ns: None,
            leaves_at_ns: InstantNs::MAX,
            received: Arc::default(),
        }
    }

    fn receiver(&mut self) -> &mut KafkaReceiver {
        self.receiver.as_mut().expect("not left yet")
    }

    fn join(&mut self) {
        let topic = self.topic.clone();
        self.receiver().join(&topic).expect("joins");
    }
}

impl Receive for Member {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let now_ns = self.clock.now_ns();
        if self.joins_at_ns.take_if(|at_ns| *at_ns <= now_ns).is_some() {
            self.join();
        }
        if now_ns >= self.leaves_at_ns {
            self.receiver = None;
        }
        match &mut self.receiver {
            Some(receiver) if self.joins_at_ns.is_none() => {
                let count = receiver.receive(until_ns, sink)?;
                self.received.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            _ => {
                std::thread::sleep(Duration::from_nanos(until_ns.saturating_sub(now_ns)));
                Ok(0)
            }
        }
    }

    fn at_end(&self) -> bool {
        false
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

/// Discards the intervals; the tests use only totals.
struct NoRecord;

impl IntervalSink for NoRecord {
    fn interval(&mut self, _: &Interval) {}

    fn acked(&mut self, _: &AckLedger, _: bool) {}
}

/// Waits until all partitions are assigned and each member has at least one.
fn await_all_partitions(members: &mut [Member]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let assigned = members.iter_mut().map(|member| member.receiver().assigned());
        let assigned: Vec<usize> = assigned.map(|count| count.expect("may join")).collect();
        if assigned.iter().sum::<usize>() == PARTITIONS as usize && !assigned.contains(&0) {
            return;
        }
        assert!(Instant::now() < deadline, "the group does not form");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn plan(run: RunId, start_ns: InstantNs) -> Plan {
    Plan {
        run,
        schedule: Schedule::Constant { rate_per_s: RATE_PER_S },
        limit: Limit::Messages(MESSAGES),
        messages: MessageSpec {
            format: MessageFormat::Binary,
            content: Content::Generated {
                sizes: SizeDistribution::Fixed { size_bytes: 60 },
                compressibility: 0.0,
            },
            keys: KeyDistribution::Uniform { keys: 1_000 },
            seed: 1,
        },
        timeline: Timeline { start_ns, warm_up_end_ns: start_ns, interval_ns: SECOND_NS },
        in_flight_max: 10_000,
        batch_max: 256,
        grace_ns: 30 * SECOND_NS,
        expected: Expected::Run(run),
        consumer: ConsumerConfig { drain_timeout_ns: 30 * SECOND_NS, ..ConsumerConfig::default() },
    }
}

/// Runs the plan with members A and B; C joins after two seconds, and B leaves after four.
fn run_with_changing_members(
    servers: &str,
    topic: &str,
    settings: &[(&str, &str)],
) -> (Totals, [u64; 3]) {
    let clock = SystemClock::new();
    let timeout = Duration::from_secs(10);
    let publisher =
        KafkaPublisher::connect(&config(servers), topic, clock, SendPlan::default(), timeout)
            .expect("a producer");
    let config = member_config(servers, topic, settings);
    let [mut a, mut b, mut c] = [(); 3].map(|()| Member::new(&config, topic, clock));
    a.join();
    b.join();
    let mut members = vec![a, b];
    await_all_partitions(&mut members);
    let start_ns = clock.now_ns();
    members[1].leaves_at_ns = start_ns + 4 * SECOND_NS;
    c.joins_at_ns = Some(start_ns + 2 * SECOND_NS);
    members.push(c);
    let received: Vec<_> = members.iter().map(|member| Arc::clone(&member.received)).collect();

    let control = RunControl::new(1, members.len(), None);
    let plan = plan(RunId::from_bits(1), start_ns);
    let (transports, system) = ((vec![publisher], members), SystemFigures::default());
    let (totals, error) =
        engine::run(&plan, clock, &control, transports, system, NoRecord, |_, _| {})
            .expect("it runs");
    assert!(error.is_none(), "{error:?}");
    let counts = [0, 1, 2].map(|member: usize| received[member].load(Ordering::Relaxed));
    (totals, counts)
}

#[test]
fn changing_members_lose_nothing() {
    let mut broker = start_process(|| EmbeddedKafka::start(1)).expect("a broker");
    broker.create_topic(TOPIC, PARTITIONS, 1).expect("created");
    let servers = broker.bootstrap_servers();
    let audit = lost_nothing(TOPIC, run_with_changing_members(servers, TOPIC, &EMBEDDED));
    // This broker refuses commits during a rebalance, so many messages are received again.
    say(&format!("the embedded broker: {} duplicated", audit.duplicated));
}

/// The audit, after checking that each member received messages and none is missing.
fn lost_nothing(name: &str, (totals, counts): (Totals, [u64; 3])) -> AuditSummary {
    let audit = totals.audit.summary(Some(&totals.ledger));
    let [a, b, c] = counts;
    let report = format!("{name}: A {a}, B {b}, C {c}, {} duplicated", audit.duplicated);
    assert_eq!(totals.acked.messages, MESSAGES, "{report}");
    assert_eq!((audit.received, audit.lost), (MESSAGES, 0), "{report}");
    assert_eq!((audit.corrupt, audit.foreign), (0, 0), "{report}");
    assert_eq!(a + b + c, MESSAGES + audit.duplicated, "{report}");
    // The partitions did move between members.
    assert!(counts.iter().all(|count| *count > 0), "{report}");
    audit
}

const COOPERATIVE: (&str, &str) = ("partition.assignment.strategy", "cooperative-sticky");

/// Makes members notice a rebalance quickly.
const QUICK: (&str, &str) = ("heartbeat.interval.ms", "300");

#[test]
fn real_kafka_rebalances_of_all_kinds_lose_nothing() {
    let Some(kafka) = start_process(|| bench_testing::broker("rebalances")) else { return };
    let servers = kafka.bootstrap_servers();
    let admin = Admin::connect(&config(servers), bench_testing::BROKER_TIMEOUT)
        .expect("the broker answers");
    let kinds = [
        ("range", vec![("partition.assignment.strategy", "range"), QUICK]),
        ("cooperative-sticky", vec![COOPERATIVE, QUICK]),
        ("consumer", vec![("group.protocol", "consumer")]),
    ];
    for (name, settings) in kinds {
        let topic = format!("bench-test-{}-{name}", std::process::id());
        admin.create_topic(&topic, PARTITIONS, Some(1), &BTreeMap::new()).expect("created");
        let audit = lost_nothing(name, run_with_changing_members(servers, &topic, &settings));
        // None, unless a member leaves during a rebalance and the broker refuses its commit.
        say(&format!("{name}: {} duplicated", audit.duplicated));
    }
}

/// Sends one message per number, with the number as its value.
fn send(servers: &str, clock: SystemClock, numbers: std::ops::Range<u8>) {
    let timeout = Duration::from_secs(10);
    let mut publisher =
        KafkaPublisher::connect(&config(servers), TOPIC, clock, SendPlan::default(), timeout)
            .expect("a producer");
    let mut batch = Batch::default();
    for number in numbers.clone() {
        batch.push(number.into(), |_| false, |out, _| out.push(number));
    }
    publisher.submit(&mut batch).expect("submits");
    let mut completions = Vec::new();
    let deadline_ns = clock.now_ns() + 30 * SECOND_NS;
    while completions.len() < numbers.len() && clock.now_ns() < deadline_ns {
        publisher.poll(deadline_ns, &mut completions).expect("polls");
    }
    assert!(
        completions.len() == numbers.len()
            && completions.iter().all(|c| c.delivery.is_acknowledged())
    );
}

/// Reads to the end as a member of the group.
fn read_to_the_end(servers: &str, clock: SystemClock) -> Vec<u8> {
    let mut config = member_config(servers, TOPIC, &EMBEDDED);
    config.set("enable.partition.eof", "true");
    let mut receiver = KafkaReceiver::connect(&config, clock).expect("a consumer");
    receiver.join(TOPIC).expect("joins");
    let mut read = Vec::new();
    let deadline_ns = clock.now_ns() + 30 * SECOND_NS;
    while !receiver.at_end() {
        assert!(clock.now_ns() < deadline_ns, "no end after {read:?}");
        // The wait makes the end arrive together with messages.
        std::thread::sleep(Duration::from_millis(100));
        receiver.receive(clock.now_ns(), |message| read.extend(message.value)).expect("receives");
    }
    read.sort_unstable();
    read
}

#[test]
fn groups_continue_after_messages_passed_on() {
    let mut broker = start_process(|| EmbeddedKafka::start(1)).expect("a broker");
    broker.create_topic(TOPIC, 2, 1).expect("created");
    let (servers, clock) = (broker.bootstrap_servers(), SystemClock::new());
    for numbers in [0..20, 20..21, 21..50, 50..50] {
        send(servers, clock, numbers.clone());
        assert_eq!(read_to_the_end(servers, clock), numbers.collect::<Vec<_>>());
    }
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output");
}
