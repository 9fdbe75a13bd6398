//! A complete benchmark of a small system: an in-memory queue with partitions.
//!
//! It shows what it takes to measure a system that is not supported yet: an adapter, which
//! implements [`Publish`] and [`Receive`], and a tool, which is options and wiring. Pacing, latency,
//! audit and results come from `bench-core`. `docs/adding-a-system.md` explains each part.
//!
//! `cargo run --release -p bench-core --example in_memory`

#![expect(clippy::print_stdout, reason = "a tool prints its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use bench_core::audit::Expected;
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::engine::{self, ConsumerConfig, Plan, RunControl, SystemFigures, Timeline};
use bench_core::message::{
    Content, KeyDistribution, MessageFormat, MessageSpec, RunId, SizeDistribution,
};
use bench_core::pacing::{Limit, Schedule};
use bench_core::results::{self, ResourceMeter, RunFolder, SummaryInput, current_host};
use bench_core::transport::{
    Batch, Completion, Delivery, Failure, Incoming, Publish, Receive, Timestamps, Token,
    TransportError,
};
use bench_record::{
    LatencyKind, Produced, RunDocument, SCHEMA_VERSION, ServiceInfo, ServiceOrigin, Status,
    ToolInfo, VerdictOutcome, rfc3339,
};

// ---- The adapter -------------------------------------------------------------------------------

/// Capacity of a partition, in messages.
const PARTITION_MESSAGES_MAX: usize = 10_000;

/// Maximum number of messages taken from a partition at once.
const BATCH_MAX: usize = 256;

/// The failure of a message whose partition has lost its reader.
const NO_READER: Failure = Failure::Refused(1);

/// Connects to a new queue: publishers distribute their messages over the partitions, and each
/// receiver reads one partition.
fn connect(
    clock: SystemClock,
    publishers: usize,
    partitions: u32,
) -> (Vec<QueuePublisher>, Vec<QueueReceiver>) {
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for partition in 0..partitions {
        let (sender, messages) = sync_channel(PARTITION_MESSAGES_MAX);
        senders.push(sender);
        receivers.push(QueueReceiver { clock, messages, partition, taken: Vec::new() });
    }
    let publisher = QueuePublisher { clock, partitions: senders, next: 0, answers: Vec::new() };
    (vec![publisher; publishers], receivers)
}

/// One producer's connection to the queue.
#[derive(Clone)]
struct QueuePublisher {
    clock: SystemClock,
    partitions: Vec<SyncSender<Vec<u8>>>,
    /// The partition of the next message.
    next: usize,
    /// Outcomes of messages, until the engine polls them.
    answers: Vec<(Token, Delivery)>,
}

impl Publish for QueuePublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        let mut accepted = 0;
        for message in batch.iter() {
            let delivery = match self.partitions[self.next].try_send(message.value.to_vec()) {
                Ok(()) => Delivery::Acknowledged,
                // Full: this message and those after it stay in the batch.
                Err(TrySendError::Full(_)) => break,
                Err(TrySendError::Disconnected(_)) => Delivery::Failed(NO_READER),
            };
            self.answers.push((message.token, delivery));
            self.next = (self.next + 1) % self.partitions.len();
            accepted += 1;
        }
        batch.remove_accepted(|position| position < accepted);
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        if self.answers.is_empty() {
            // The queue answers at once, so no answer can arrive during this wait.
            self.clock.sleep_until_ns(until_ns);
        }
        let at_ns = self.clock.now_ns();
        let answers = self.answers.drain(..);
        completions.extend(answers.map(|(token, delivery)| Completion { token, at_ns, delivery }));
        Ok(())
    }

    fn explain(&self, failure: Failure) -> String {
        match failure {
            NO_READER => "the partition has no reader".to_owned(),
            _ => format!("code {}", failure.code()),
        }
    }
}

/// One consumer's connection to the queue.
struct QueueReceiver {
    clock: SystemClock,
    messages: Receiver<Vec<u8>>,
    partition: u32,
    /// Reused for every batch.
    taken: Vec<Vec<u8>>,
}

impl Receive for QueueReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let wait = Duration::from_nanos(until_ns.saturating_sub(self.clock.now_ns()));
        let Ok(first) = self.messages.recv_timeout(wait) else {
            // If all publishers are gone, the channel returns at once.
            self.clock.sleep_until_ns(until_ns);
            return Ok(0);
        };
        self.taken.push(first);
        self.taken.extend(self.messages.try_iter().take(BATCH_MAX - 1));
        // Taken after the last message, since a message cannot arrive before it was sent.
        let received_ns = self.clock.now_ns();
        let count = self.taken.len();
        for value in self.taken.drain(..) {
            sink(Incoming {
                key: None,
                value: &value,
                partition: self.partition,
                received_ns,
                timestamps: Timestamps::default(),
            });
        }
        Ok(count)
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

// ---- The tool ----------------------------------------------------------------------------------

const PRODUCERS: usize = 2;
const PARTITIONS: u32 = 2;
const RATE_PER_S: f64 = 20_000.0;
const RECORD_SIZE_BYTES: usize = 100;
const WARM_UP_NS: u64 = SECOND_NS / 2;
const DURATION_NS: u64 = 2 * SECOND_NS;
/// How long overdue messages are still sent, acknowledged and received after the last due instant.
const GRACE_NS: u64 = 5 * SECOND_NS;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let clock = SystemClock::new();
    let started_at = SystemTime::now();
    let run = RunId::random();
    let mut folder = RunFolder::create_below(Path::new("results"), "in-memory", run, started_at)?;
    let mut document = document(run, started_at);
    folder.write_document(&document);

    let transports = connect(clock, PRODUCERS, PARTITIONS);
    let control = RunControl::new(PRODUCERS, transports.1.len(), None);
    // Slightly later, so that all threads are ready when the first message is due.
    let plan = plan(run, clock.now_ns() + SECOND_NS / 10);
    folder.set_timeline(plan.timeline);
    let meter = ResourceMeter::start();
    let (totals, error) = engine::run(
        &plan,
        clock,
        &control,
        transports,
        SystemFigures::default(),
        &mut folder,
        |_, _| {},
    )?;

    let summary = SummaryInput {
        totals: &totals,
        timeline: plan.timeline,
        schedule: Some(plan.schedule),
        consumed: true,
        ledger: Some(&totals.ledger),
        partial: None,
        unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
        messages_expected: None,
        guarantee: plan.consumer.guarantee,
        raw: false,
        resources: meter.read(totals.sent + totals.received.messages),
        counts: BTreeMap::new(),
    }
    .summarize();
    let verdict = results::verdict(&summary);
    document.warnings = results::warnings(&summary);
    document.status = if error.is_none() { Status::Complete } else { Status::Failed };
    document.warnings.extend(error.map(|error| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }));
    document.warnings.extend(folder.warning().map(str::to_owned));
    (document.summary, document.verdict) = (Some(summary), Some(verdict));
    folder.write_document(&document);

    print(&document);
    println!("results in {}", folder.path().display());
    Ok(ExitCode::from(exit_code(&document)))
}

/// The document with everything known before the run.
fn document(run: RunId, started_at: SystemTime) -> RunDocument {
    RunDocument {
        schema_version: SCHEMA_VERSION,
        tool: ToolInfo { name: "in-memory".to_owned(), version: "0.1.0".to_owned() },
        run_id: run.to_string(),
        started_at: rfc3339(started_at),
        schedule: None,
        status: Status::Running,
        verdict: None,
        options: BTreeMap::from([
            ("rate".to_owned(), RATE_PER_S.into()),
            ("record-size".to_owned(), RECORD_SIZE_BYTES.into()),
        ]),
        services: vec![ServiceInfo {
            name: "in-memory queue".to_owned(),
            origin: ServiceOrigin::Embedded,
            address: "this process".to_owned(),
            version: String::new(),
        }],
        host: current_host(),
        versions: BTreeMap::new(),
        settings_in_force: BTreeMap::new(),
        summary: None,
        warnings: Vec::new(),
        faults: Vec::new(),
    }
}

/// Open loop at a constant rate, preceded by the warm-up.
fn plan(run: RunId, start_ns: InstantNs) -> Plan {
    Plan {
        run,
        schedule: Schedule::Constant { rate_per_s: RATE_PER_S },
        limit: Limit::DurationNs(WARM_UP_NS + DURATION_NS),
        messages: MessageSpec {
            format: MessageFormat::Binary,
            content: Content::Generated {
                sizes: SizeDistribution::Fixed { size_bytes: RECORD_SIZE_BYTES },
                compressibility: 0.0,
            },
            keys: KeyDistribution::None,
            seed: 0,
        },
        timeline: Timeline {
            start_ns,
            warm_up_end_ns: start_ns + WARM_UP_NS,
            interval_ns: SECOND_NS,
        },
        in_flight_max: 10_000,
        batch_max: 256,
        grace_ns: GRACE_NS,
        expected: Expected::Run(run),
        consumer: ConsumerConfig { drain_timeout_ns: GRACE_NS, ..ConsumerConfig::default() },
    }
}

fn print(document: &RunDocument) {
    let Some(summary) = &document.summary else { return };
    if let Some(produced) = &summary.produced {
        match produced.rate_msg_per_s {
            Some(rate_msg_per_s) => println!("produced    {rate_msg_per_s:.0} msg/s"),
            None => println!("produced    no rate"),
        }
    }
    for kind in [LatencyKind::Publish, LatencyKind::EndToEnd] {
        let Some(latency) = summary.latency(kind) else { continue };
        let [p50_us, p99_us, max_us] =
            [latency.p50_ns, latency.p99_ns, latency.max_ns].map(|ns| ns as f64 / 1e3);
        println!(
            "{:<11} p50 {p50_us:.1} us, p99 {p99_us:.1} us, max {max_us:.1} us",
            kind.short_title()
        );
    }
    if let Some(audit) = &summary.audit {
        println!(
            "audit       {} received, {} lost, {} duplicated, {} reordered, {} corrupt",
            audit.received, audit.lost, audit.duplicated, audit.reordered, audit.corrupt
        );
    }
    let reasons = document.verdict.iter().flat_map(|verdict| &verdict.reasons);
    for line in reasons.chain(&document.warnings) {
        println!("  - {line}");
    }
}

/// The exit codes of all tools; a tool takes them from `bench-cli`.
fn exit_code(document: &RunDocument) -> u8 {
    let outcome = document.verdict.as_ref().map(|verdict| verdict.outcome);
    match (document.status, outcome) {
        (Status::Complete, Some(VerdictOutcome::Valid)) => 0,
        (Status::Complete, Some(VerdictOutcome::Invalid | VerdictOutcome::Partial)) => 3,
        _ => 1,
    }
}
