//! The engine's cost per message, without the client library: building, decoding, recording,
//! auditing and pacing. `docs/performance.md` lists the figures.
//!
//! Each benchmark processes many messages at a time, as the engine does; criterion's throughput is
//! in messages, so its inverse is the cost of one.

use std::hint::black_box;
use std::time::Duration;

use bench_core::audit::{CHUNK_LEN, Expected, Receipt, ReceiveAudit, SequenceDelta};
use bench_core::clock::{BootId, ClockOrigin, InstantNs, SECOND_NS};
use bench_core::latency::LatencyHistogram;
use bench_core::message::{
    self, Content, KeyDistribution, MessageFactory, MessageFormat, MessageSpec, RunId,
    SizeDistribution,
};
use bench_core::pacing::{Due, Limit, Pacer, Schedule, Share};
use bench_core::transport::{Batch, Token};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

/// Messages per batch.
const BATCH: Token = 512;

/// Size of every message in bytes, header included.
const MESSAGE_BYTES: usize = 100;

/// Time between two due instants, nanoseconds.
const GAP_NS: u64 = 1_000;

const RUN: u64 = 0xBE7C;

fn factory() -> MessageFactory {
    let spec = MessageSpec {
        format: MessageFormat::Binary,
        content: Content::Generated {
            sizes: SizeDistribution::Fixed { size_bytes: MESSAGE_BYTES },
            compressibility: 0.0,
        },
        keys: KeyDistribution::None,
        seed: 1,
    };
    let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 1_790_000_000 };
    MessageFactory::new(&spec, RunId::from_bits(RUN), Share::WHOLE, origin)
        .expect("a valid specification")
}

/// Latencies between 0.2 and 4.3 ms, so that recording touches as much of a histogram as in a run.
fn latency_ns(number: u64) -> u64 {
    200_000 + (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 42)
}

/// What a producer stores about a message until its completion.
#[derive(Clone, Copy)]
struct Flight {
    sequence: u64,
    intended_ns: InstantNs,
    sent_ns: InstantNs,
    size_bytes: u64,
}

/// A producer's work on its messages, without client library and clock.
struct Producer {
    factory: MessageFactory,
    batch: Batch,
    flights: Vec<Flight>,
    sequence: u64,
    acked_bytes: u64,
    acked_sequences: SequenceDelta,
    schedule_lag: LatencyHistogram,
    service_time: LatencyHistogram,
    publish_latency: LatencyHistogram,
}

impl Producer {
    fn new() -> Self {
        Self {
            factory: factory(),
            batch: Batch::default(),
            flights: Vec::new(),
            sequence: 0,
            acked_bytes: 0,
            acked_sequences: SequenceDelta::default(),
            schedule_lag: LatencyHistogram::new(),
            service_time: LatencyHistogram::new(),
            publish_latency: LatencyHistogram::new(),
        }
    }

    fn build(&mut self) {
        let sent_ns = (self.sequence + u64::from(BATCH)) * GAP_NS;
        for token in 0..BATCH {
            self.push(token, sent_ns);
        }
        black_box(&self.batch);
        self.batch.clear();
    }

    #[inline]
    fn push(&mut self, token: Token, sent_ns: InstantNs) -> Flight {
        let (sequence, intended_ns) = (self.sequence, self.sequence * GAP_NS);
        self.sequence += 1;
        let size = self.factory.push(&mut self.batch, token, sequence, intended_ns, sent_ns);
        Flight { sequence, intended_ns, sent_ns, size_bytes: size as u64 }
    }

    fn build_and_record(&mut self) {
        let sent_ns = (self.sequence + u64::from(BATCH)) * GAP_NS;
        for token in 0..BATCH {
            let flight = self.push(token, sent_ns);
            self.schedule_lag.record_between(flight.intended_ns, sent_ns);
            self.flights.push(flight);
        }
        black_box(&self.batch);
        self.batch.clear();
        for flight in self.flights.drain(..) {
            let acked_ns = flight.sent_ns + latency_ns(flight.sequence);
            self.acked_bytes += flight.size_bytes;
            self.acked_sequences.insert(flight.sequence);
            self.service_time.record_between(flight.sent_ns, acked_ns);
            self.publish_latency.record_between(flight.intended_ns, acked_ns);
        }
        // At a million messages per second, an engine reports thirty times less often.
        if self.sequence.is_multiple_of(CHUNK_LEN) {
            self.acked_sequences.clear();
        }
        black_box(self);
    }
}

fn produce(c: &mut Criterion) {
    let mut group = group(c, "produce", BATCH.into());
    let mut producer = Producer::new();
    group.bench_function("build", |b| b.iter(|| producer.build()));
    let mut producer = Producer::new();
    group.bench_function("build_and_record", |b| b.iter(|| producer.build_and_record()));
    group.finish();
}

fn consume(c: &mut Criterion) {
    let mut factory = factory();
    let mut batch = Batch::default();
    // As many as one bitmap of the audit holds.
    for sequence in 0..CHUNK_LEN {
        let instant_ns = sequence * GAP_NS;
        factory.push(&mut batch, 0, sequence, instant_ns, instant_ns);
    }
    let mut group = group(c, "consume", CHUNK_LEN);
    group.bench_function("decode", |b| {
        b.iter(|| {
            for incoming in batch.iter() {
                black_box(message::decode(incoming.value).expect("a message of ours"));
            }
        });
    });
    let mut latency = LatencyHistogram::new();
    group.bench_function("decode_audit_and_record", |b| {
        b.iter(|| {
            // A new audit, or every message would be a duplicate.
            let mut audit = ReceiveAudit::new(Expected::Run(RunId::from_bits(RUN)));
            for incoming in batch.iter() {
                let header = message::decode(incoming.value).expect("a message of ours");
                if audit.received(&header, 0) == Receipt::First {
                    let received_ns = header.sent_ns + latency_ns(header.sequence);
                    latency.record_between(header.intended_ns, received_ns);
                }
            }
            black_box(&mut latency);
        });
    });
    group.finish();
}

fn audit(c: &mut Criterion) {
    let header = {
        let (mut factory, mut batch) = (factory(), Batch::default());
        factory.push(&mut batch, 0, 0, 0, 0);
        let message = batch.iter().next().expect("one was pushed");
        message::decode(message.value).expect("a message of ours")
    };
    let mut group = group(c, "audit", CHUNK_LEN);
    group.bench_function("received", |b| {
        b.iter(|| {
            let mut audit = ReceiveAudit::new(Expected::Run(RunId::from_bits(RUN)));
            for sequence in 0..CHUNK_LEN {
                let header = message::header::Header { sequence, ..header };
                black_box(audit.received(black_box(&header), 0));
            }
        });
    });
    group.finish();
}

fn record(c: &mut Criterion) {
    let mut group = group(c, "latency", BATCH.into());
    let mut latency = LatencyHistogram::new();
    let samples: Vec<i64> = (0..BATCH).map(|k| latency_ns(k.into()).cast_signed()).collect();
    group.bench_function("record", |b| {
        b.iter(|| {
            for &sample_ns in &samples {
                latency.record(sample_ns);
            }
            black_box(&mut latency);
        });
    });
    group.finish();
}

fn pace(c: &mut Criterion) {
    let mut group = group(c, "pace", BATCH.into());
    let rate_per_s = 1e6;
    for (name, schedule) in [
        ("constant", Schedule::Constant { rate_per_s }),
        ("poisson", Schedule::Poisson { rate_per_s }),
    ] {
        let limit = Limit::Messages(u64::MAX);
        let mut pacer =
            Pacer::new(schedule, Share::WHOLE, limit, SECOND_NS, 1).expect("a valid schedule");
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..BATCH {
                    let due = pacer.take(InstantNs::MAX);
                    assert!(matches!(black_box(due), Due::Now(_)));
                }
            });
        });
    }
    group.finish();
}

fn group<'a>(c: &'a mut Criterion, name: &str, messages: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(messages));
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group
}

criterion_group!(benches, produce, consume, audit, record, pace);
criterion_main!(benches);
