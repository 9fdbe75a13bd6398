//! Messages that land on their way, in an embedded `DynamoDB`, from a system in memory.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bench_aws::{AwsArgs, SdkConfig};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::{Incoming, Receive, Stamps, TransportError};
use bench_tables::dynamodb::{Billing, DynamodbAdmin, DynamodbWriter, ROW_BYTES_MAX};
use bench_tables::{LINGER, LandingReceiver, TableWriter, WriterOptions};
use embedded_dynamodb::{DynamodbServer, serve_in_background};

const TABLE: &str = "landing";
const ROWS_PER_BATCH: usize = 25;
const WAIT_NS: u64 = SECOND_NS / 20;

/// What a source in memory has been told of.
#[derive(Debug, Clone, Default)]
struct Told {
    holds_back: Rc<Cell<bool>>,
    settled: Rc<Cell<usize>>,
    passed_on: Rc<Cell<usize>>,
}

/// Messages that are there at once, each the number of its place in so many bytes.
struct Source {
    clock: SystemClock,
    sizes_bytes: Vec<usize>,
    told: Told,
}

impl Receive for Source {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let from = self.told.passed_on.get();
        let to = self.sizes_bytes.len().min(from + 40);
        if from == to {
            self.clock.sleep_until_ns(until_ns);
        }
        let received_ns = self.clock.now_ns();
        for place in from..to {
            let mut value = place.to_le_bytes().to_vec();
            value.resize(self.sizes_bytes[place], 7);
            let partition = u32::try_from(place % 3).expect("below 3");
            let stamps = Stamps::default();
            sink(Incoming { key: Some(b"k"), value: &value, partition, received_ns, stamps });
        }
        self.told.passed_on.set(to);
        Ok(to - from)
    }

    fn at_end(&self) -> bool {
        self.told.passed_on.get() == self.sizes_bytes.len()
    }

    fn is_behind(&self) -> bool {
        !self.at_end()
    }

    fn hold_back(&mut self) {
        self.told.holds_back.set(true);
    }

    fn settle(&mut self, messages: usize) {
        self.told.settled.set(self.told.settled.get() + messages);
    }
}

/// What came out behind the table.
#[derive(Debug, Default)]
struct Landed {
    places: Vec<usize>,
    sizes_bytes: Vec<usize>,
    table_ns: Vec<u64>,
}

struct Bench {
    server: DynamodbServer,
    clock: SystemClock,
    counts: Counts,
    told: Told,
}

impl Bench {
    fn new() -> Self {
        let server = serve_in_background().expect("an embedded DynamoDB");
        let (clock, counts, told) = (SystemClock::new(), Counts::default(), Told::default());
        let bench = Self { server, clock, counts, told };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let admin = DynamodbAdmin::new(&bench.config());
        let created = runtime.expect("a runtime").block_on(admin.create(TABLE, Billing::OnDemand));
        created.expect("created");
        bench
    }

    fn config(&self) -> SdkConfig {
        let args = AwsArgs::new(None, None, None, Duration::from_secs(10));
        args.embedded_config(self.server.endpoint_url())
    }

    fn receiver(&self, table: &str, sizes_bytes: Vec<usize>) -> LandingReceiver<Source> {
        let writer = |_| {
            let options = WriterOptions { requests_in_flight: 1, ..WriterOptions::dynamodb() };
            let writer = DynamodbWriter::new(&self.config(), table, options, self.clock);
            TableWriter::Dynamodb(writer.expect("a writer"))
        };
        let source = Source { clock: self.clock, sizes_bytes, told: self.told.clone() };
        let writers = (0..3).map(writer).collect();
        LandingReceiver::new(source, writers, ROWS_PER_BATCH, self.clock, &self.counts)
            .expect("a thread")
    }

    /// Receives until everything has come out.
    fn receive_all(&self, receiver: &mut LandingReceiver<Source>) -> Landed {
        let mut landed = Landed::default();
        let give_up_ns = self.clock.now_ns() + 60 * SECOND_NS;
        while !receiver.at_end() {
            let until_ns = self.clock.now_ns() + WAIT_NS;
            assert!(until_ns < give_up_ns, "it does not come to an end: {landed:?}");
            let outcome = receiver.receive(until_ns, |incoming| {
                let place = incoming.value.first_chunk().expect("the number of its place");
                landed.places.push(usize::from_le_bytes(*place));
                landed.sizes_bytes.push(incoming.value.len());
                assert_eq!(incoming.key, Some(&b"k"[..]));
                let landed_ns = incoming.stamps.landed_ns.expect("landed");
                landed.table_ns.push(landed_ns - incoming.received_ns);
            });
            outcome.expect("goes on");
            let is_behind = receiver.is_behind();
            assert_eq!(is_behind, !receiver.at_end(), "what is being written is yet to come");
        }
        landed
    }
}

#[test]
fn messages_come_out_in_order_and_whole_when_they_have_landed() {
    let bench = Bench::new();
    let sizes_bytes: Vec<usize> = (0..1_013).map(|place| 8 + place % 300).collect();
    let mut receiver = bench.receiver(TABLE, sizes_bytes.clone());
    let landed = bench.receive_all(&mut receiver);
    assert_eq!(landed.places, (0..1_013).collect::<Vec<_>>());
    assert_eq!(landed.sizes_bytes, sizes_bytes);
    assert!(landed.table_ns.iter().all(|ns| *ns > 0));
    assert!(bench.told.holds_back.get());
    assert_eq!(bench.told.settled.get(), 1_013);
    let counts = [("rows_failed", 0), ("rows_retried", 0)];
    assert_eq!(bench.counts.read(), counts.map(|(name, n)| (name.to_owned(), n)).into());
}

#[test]
fn a_row_that_cannot_be_written_does_not_come_out_and_nothing_behind_it_is_settled() {
    let bench = Bench::new();
    let mut sizes_bytes = vec![100; 300];
    sizes_bytes[130] = ROW_BYTES_MAX + 1;
    let mut receiver = bench.receiver(TABLE, sizes_bytes);
    let landed = bench.receive_all(&mut receiver);
    assert_eq!(landed.places, (0..130).chain(131..300).collect::<Vec<_>>());
    assert_eq!(bench.told.settled.get(), 130);
    assert_eq!(bench.counts.read()["rows_failed"], 1);
}

#[test]
fn a_few_rows_wait_for_more_only_for_a_while() {
    let bench = Bench::new();
    let mut receiver = bench.receiver(TABLE, vec![100; 3]);
    let landed = bench.receive_all(&mut receiver);
    assert_eq!(landed.places, [0, 1, 2]);
    let shortest_ns = landed.table_ns.into_iter().min().expect("three");
    assert!(u128::from(shortest_ns) >= LINGER.as_nanos(), "{shortest_ns} ns");
}

#[test]
fn a_table_that_is_not_there_ends_the_receiving() {
    let bench = Bench::new();
    let mut receiver = bench.receiver("elsewhere", vec![100; 3]);
    let error = loop {
        let until_ns = bench.clock.now_ns() + WAIT_NS;
        match receiver.receive(until_ns, |_| panic!("nothing can land")) {
            Ok(_) => assert!(!receiver.at_end()),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("table 'elsewhere' does not exist"), "{error}");
    assert_eq!(bench.told.settled.get(), 0);
}
