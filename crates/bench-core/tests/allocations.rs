//! Once buffers have grown, producers and consumers allocate nothing per message: checked with a
//! counting allocator, for the parts of the hot path and for a whole run of the engine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bench_core::audit::{
    AckLedger, CHUNK_LEN, Expected, Receipt, ReceiveAudit, SequenceDelta, StreamId,
};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::engine::{
    self, ConsumerConfig, Interval, IntervalSink, Plan, RunControl, SystemFigures, Timeline, Totals,
};
use bench_core::latency::LatencyHistogram;
use bench_core::message::{
    self, Content, KeyDistribution, MessageFactory, MessageFormat, MessageSpec, RunId,
    SizeDistribution,
};
use bench_core::pacing::{Limit, Pacer, Schedule, Share};
use bench_core::transport::{
    Batch, Completion, Delivery, Failure, Incoming, Publish, Receive, Timestamps, TransportError,
};

/// Allocations of all threads.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Allocations of this thread: other tests and the harness run at the same time.
    static ALLOCATIONS_HERE: Cell<u64> = const { Cell::new(0) };
}

struct CountingAllocator;

impl CountingAllocator {
    fn count() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATIONS_HERE.set(ALLOCATIONS_HERE.get() + 1);
    }
}

#[expect(unsafe_code, reason = "an allocator needs it; this one calls the system's")]
// SAFETY: every call is forwarded unchanged to the system's allocator, and counting allocates
// nothing: neither counter runs an initialiser or a destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count();
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RUN: u64 = 0xA110;

fn spec(format: MessageFormat) -> MessageSpec {
    MessageSpec {
        format,
        content: Content::Generated {
            sizes: SizeDistribution::Uniform { min_bytes: 250, max_bytes: 300 },
            compressibility: 0.3,
        },
        keys: KeyDistribution::Zipf { keys: 1_000, exponent: 1.1 },
        seed: 7,
    }
}

mod parts {
    use super::*;

    /// Messages per batch.
    const BATCH: u32 = 100;

    /// Batches after the first one, which serves as warm-up.
    const BATCHES: u32 = 200;

    const GAP_NS: u64 = 1_000;

    /// Allocations of this thread during `work`.
    fn allocations_of(work: impl FnOnce()) -> u64 {
        let before = ALLOCATIONS_HERE.get();
        work();
        ALLOCATIONS_HERE.get() - before
    }

    fn factory(format: MessageFormat) -> MessageFactory {
        let origin = SystemClock::new().origin();
        MessageFactory::new(&spec(format), RunId::from_bits(RUN), Share::WHOLE, origin)
            .expect("a valid specification")
    }

    #[test]
    fn the_allocator_counts() {
        let mut kept = Vec::new();
        let allocations = allocations_of(|| kept = vec![1_u8; std::hint::black_box(100)]);
        assert_eq!((allocations, kept.len()), (1, 100));
    }

    #[test]
    fn pacing_building_and_recording_allocate_nothing() {
        assert!(u64::from(BATCH * (BATCHES + 1)) < CHUNK_LEN, "a chunk is a bounded allocation");
        for format in [MessageFormat::Binary, MessageFormat::Json] {
            let schedule = Schedule::Poisson { rate_per_s: 1e6 };
            let limit = Limit::Messages(u64::MAX);
            let mut pacer =
                Pacer::new(schedule, Share::WHOLE, limit, 0, 1).expect("a valid schedule");
            let (mut factory, mut batch) = (factory(format), Batch::default());
            let mut acked = SequenceDelta::default();
            let mut latency = LatencyHistogram::new();
            let mut sequence = 0;
            let mut round = || {
                for token in 0..BATCH {
                    let now_ns = sequence * GAP_NS;
                    std::hint::black_box(pacer.take(now_ns));
                    factory.push(&mut batch, token, sequence, now_ns, now_ns + 1);
                    latency.record_between(now_ns, now_ns + sequence);
                    acked.insert(sequence);
                    sequence += 1;
                }
                assert_eq!(batch.len(), BATCH as usize);
                batch.clear();
            };
            // The buffer needs room for a batch of the largest messages; it grows by doubling, so
            // one batch of mean size leaves enough.
            round();
            let allocations = allocations_of(|| (0..BATCHES).for_each(|_| round()));
            assert_eq!(allocations, 0, "{format:?}");
            assert_eq!(latency.histogram().len(), u64::from(BATCH * (BATCHES + 1)));
        }
    }

    #[test]
    fn decoding_auditing_and_recording_allocate_nothing() {
        for format in [MessageFormat::Binary, MessageFormat::Json] {
            let (mut factory, mut batch) = (factory(format), Batch::default());
            for sequence in 0..u64::from(BATCH * (BATCHES + 1)) {
                let now_ns = sequence * GAP_NS;
                factory.push(&mut batch, 0, sequence, now_ns, now_ns + 1);
            }
            let mut audit = ReceiveAudit::new(Expected::Run(RunId::from_bits(RUN)));
            let mut latency = LatencyHistogram::new();
            let mut consume = |value: &[u8]| {
                let header = message::decode(value).expect("a message of ours");
                assert_eq!(audit.received(&header, 3), Receipt::First);
                latency.record_between(header.intended_ns, header.intended_ns + header.sequence);
            };
            let mut messages = batch.iter();
            messages.by_ref().take(BATCH as usize).for_each(|message| consume(message.value));
            let allocations =
                allocations_of(|| messages.for_each(|message| consume(message.value)));
            assert_eq!(allocations, 0, "{format:?}");
            assert_eq!(latency.histogram().len(), u64::from(BATCH * (BATCHES + 1)));
        }
    }
}

mod whole_run {
    use super::*;

    const MESSAGES: u64 = 1_000_000;

    /// Maximum number of allocations in a run: at its start, for new chunks of sequence numbers and
    /// while buffers grow; fewer than one per batch in any case.
    const ALLOCATIONS_MAX: u64 = MESSAGES / 1_000;

    /// Further allocations allowed per interval; slow machines have more intervals.
    const INTERVAL_ALLOCATIONS_MAX: u64 = 40;

    /// Capacity of the queue, in messages.
    const QUEUE_MAX: usize = 4_096;

    /// A bounded in-memory queue that refuses messages when full.
    #[derive(Default)]
    struct Queue {
        waiting: Mutex<Messages>,
    }

    /// Messages concatenated in one buffer.
    #[derive(Default)]
    struct Messages {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    }

    impl Queue {
        fn lock(&self) -> MutexGuard<'_, Messages> {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Messages {
        fn with_room() -> Self {
            Self { bytes: Vec::with_capacity(QUEUE_MAX * 400), ends: Vec::with_capacity(QUEUE_MAX) }
        }

        fn push(&mut self, value: &[u8]) {
            self.bytes.extend_from_slice(value);
            self.ends.push(self.bytes.len());
        }

        fn clear(&mut self) {
            self.bytes.clear();
            self.ends.clear();
        }
    }

    /// Confirms every message as soon as it is in the queue.
    struct Sender {
        clock: SystemClock,
        queue: Arc<Queue>,
        completions: Vec<Completion>,
    }

    impl Publish for Sender {
        fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
            let mut waiting = self.queue.lock();
            let room = QUEUE_MAX - waiting.ends.len();
            let at_ns = self.clock.now_ns();
            for message in batch.iter().take(room) {
                waiting.push(message.value);
                self.completions.push(Completion {
                    token: message.token,
                    at_ns,
                    delivery: Delivery::Acknowledged,
                });
            }
            batch.remove_accepted(|position| position < room);
            Ok(())
        }

        fn poll(
            &mut self,
            until_ns: InstantNs,
            completions: &mut Vec<Completion>,
        ) -> Result<(), TransportError> {
            if self.completions.is_empty() {
                self.clock.sleep_until_ns(until_ns);
            }
            completions.append(&mut self.completions);
            Ok(())
        }

        fn explain(&self, failure: Failure) -> String {
            format!("code {}", failure.code())
        }
    }

    struct Receiver {
        clock: SystemClock,
        queue: Arc<Queue>,
        received: Messages,
    }

    impl Receive for Receiver {
        fn receive(
            &mut self,
            until_ns: InstantNs,
            mut sink: impl FnMut(Incoming<'_>),
        ) -> Result<usize, TransportError> {
            self.received.clear();
            while self.received.ends.is_empty() {
                std::mem::swap(&mut *self.queue.lock(), &mut self.received);
                let now_ns = self.clock.now_ns();
                if self.received.ends.is_empty() {
                    if now_ns >= until_ns {
                        return Ok(0);
                    }
                    self.clock.sleep_until_ns(until_ns.min(now_ns + 50_000));
                }
            }
            let received_ns = self.clock.now_ns();
            let mut start = 0;
            for &end in &self.received.ends {
                let value = &self.received.bytes[start..end];
                sink(Incoming {
                    key: None,
                    value,
                    partition: 0,
                    received_ns,
                    timestamps: Timestamps::default(),
                });
                start = end;
            }
            Ok(self.received.ends.len())
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

    #[derive(Default)]
    struct IntervalCount(u64);

    impl IntervalSink for IntervalCount {
        fn interval(&mut self, _interval: &Interval) {
            self.0 += 1;
        }

        fn acked(&mut self, ledger: &AckLedger, _is_whole: bool) {
            let stream = StreamId { run: RunId::from_bits(RUN), producer: 0 };
            assert!(ledger.is_empty() || !ledger.acked(stream).is_empty());
        }
    }

    fn plan(start_ns: InstantNs) -> Plan {
        Plan {
            run: RunId::from_bits(RUN),
            schedule: Schedule::Unpaced,
            limit: Limit::Messages(MESSAGES),
            messages: spec(MessageFormat::Binary),
            timeline: Timeline { start_ns, warm_up_end_ns: start_ns, interval_ns: SECOND_NS / 20 },
            in_flight_max: 8_192,
            batch_max: 512,
            grace_ns: 10 * SECOND_NS,
            expected: Expected::Run(RunId::from_bits(RUN)),
            consumer: ConsumerConfig {
                drain_timeout_ns: 10 * SECOND_NS,
                ..ConsumerConfig::default()
            },
        }
    }

    #[test]
    fn unpaced_runs_allocate_per_interval_not_per_message() {
        let clock = SystemClock::new();
        let queue = Arc::new(Queue { waiting: Mutex::new(Messages::with_room()) });
        let sender =
            Sender { clock, queue: Arc::clone(&queue), completions: Vec::with_capacity(QUEUE_MAX) };
        let receiver = Receiver { clock, queue, received: Messages::with_room() };
        let control = RunControl::new(1, 1, None);
        let plan = plan(clock.now_ns());

        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let transports = (vec![sender], vec![receiver]);
        let (system, mut intervals) = (SystemFigures::default(), IntervalCount::default());
        let (totals, error) =
            engine::run(&plan, clock, &control, transports, system, &mut intervals, |_, _| {})
                .expect("a valid plan");
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;

        assert!(error.is_none());
        assert_complete(&totals);
        let most = ALLOCATIONS_MAX + intervals.0 * INTERVAL_ALLOCATIONS_MAX;
        assert!(allocations < most, "{allocations} allocations in {} intervals", intervals.0);
    }

    fn assert_complete(totals: &Totals) {
        assert_eq!((totals.acked.messages, totals.received.messages), (MESSAGES, MESSAGES));
        let audit = totals.audit.summary(Some(&totals.ledger));
        assert_eq!((audit.lost, audit.duplicated, audit.reordered), (0, 0, 0));
    }
}
