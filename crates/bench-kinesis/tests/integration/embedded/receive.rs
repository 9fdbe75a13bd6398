//! What a receiver knows about records that it has not received.

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::transport::Receive as _;
use bench_kinesis::receive::{KinesisReceiver, Polling, StreamStart, Subscription};

use super::stream::{STREAM, Service};

/// A receiver that reads one record at a time, and the number received.
struct Reader {
    receiver: KinesisReceiver,
    clock: SystemClock,
    received: usize,
}

impl Reader {
    fn connect(service: &Service, start: &StreamStart) -> Self {
        let interval = Duration::from_millis(5);
        let polling = Polling { records_max: 1, interval, within_limits: false };
        let (subscription, clock) = (Subscription::Polling(polling), SystemClock::new());
        let (sdk, counts) = (&service.sdk, Counts::default());
        let connected =
            KinesisReceiver::connect(sdk, STREAM, start, &subscription, 1, clock, &counts);
        let receiver = connected.expect("connected").remove(0);
        Self { receiver, clock, received: 0 }
    }

    fn receive_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let deadline_ns = self.clock.now_ns() + 60 * SECOND_NS;
        while !is_over(self) {
            assert!(self.clock.now_ns() < deadline_ns, "{} received", self.received);
            let until_ns = self.clock.now_ns() + 1_000_000;
            self.received += self.receiver.receive(until_ns, |_| {}).expect("received");
            let known = (self.receiver.is_behind(), self.receiver.at_end());
            assert_ne!(known, (true, true), "at the end and behind at once");
        }
    }
}

fn put(service: &Service, records: usize) {
    for record in 0..records {
        let put = service.client.put_record().stream_name(STREAM).partition_key("k");
        let put = put.data(Blob::new(record.to_string())).send();
        service.runtime.block_on(put).expect("put");
    }
}

#[test]
fn receivers_are_behind_until_the_known_end() {
    let (service, _) = Service::with_stream(false, 2);
    put(&service, 5);
    let mut reader = Reader::connect(&service, &StreamStart::TrimHorizon);
    assert!(reader.receiver.is_behind(), "no shard has been read");
    reader.receive_until(|reader| reader.received >= 3);
    assert!(reader.receiver.is_behind(), "two are left");
    reader.receive_until(|reader| reader.receiver.at_end());
    assert_eq!((reader.received, reader.receiver.is_behind()), (5, false));
    put(&service, 2);
    reader.receive_until(|reader| reader.receiver.is_behind());
    assert_eq!(reader.received, 6, "the first answer reports another record");
    reader.receive_until(|reader| !reader.receiver.is_behind());
    assert_eq!(reader.received, 7);
}

#[test]
fn receivers_from_latest_are_not_behind() {
    let (service, _) = Service::with_stream(false, 1);
    put(&service, 3);
    let mut reader = Reader::connect(&service, &StreamStart::Latest);
    assert!(!reader.receiver.is_behind());
    reader.receive_until(|reader| reader.receiver.at_end());
    assert!(!reader.receiver.is_behind());
}
