//! Malformed events, sent beside those of the workload: `--malformed SHARE`.

use bench_core::counts::Count;
use bench_core::transport::Completion;
use bench_kafka::KafkaPublisher;

/// The token of all of them. Those of the engine are below the limit on messages in flight.
const TOKEN: u32 = u32::MAX;

/// What arrives at real jobs: an object without the time, one that was cut off, text, a number where
/// text belongs, bytes that are no text, nothing.
const KINDS: [&[u8]; 6] = [
    br#"{"event_id":"malformed","user_id":1,"event_type":"click","value":1.0}"#,
    br#"{"event_id":"malformed","created_ts":17000000"#,
    b"malformed",
    br#"{"created_ts":"yesterday"}"#,
    b"\xff\xfe\x00{",
    b"",
];

/// Sends malformed events.
pub(crate) struct Malformed {
    share: f64,
    /// Those that are due, and a part of the next one.
    due: f64,
    next: usize,
    acked: Count,
}

impl Malformed {
    /// `share` of them for each event of the workload; `acked` counts those that arrived.
    pub(crate) fn new(share: f64, acked: Count) -> Self {
        Self { share, due: 0.0, next: 0, acked }
    }

    /// Sends what is due after so many more events. A full queue leaves it for the next call.
    pub(crate) fn follow(&mut self, events: usize, publisher: &mut KafkaPublisher) {
        self.due += events as f64 * self.share;
        while self.due >= 1.0 {
            let value = KINDS[self.next % KINDS.len()];
            if !publisher.submit_one(TOKEN, None, Some(value)) {
                return;
            }
            self.due -= 1.0;
            self.next += 1;
        }
    }

    /// Takes the completions of malformed events out of those of the workload.
    pub(crate) fn take(&self, completions: &mut Vec<Completion>) {
        completions.retain(|completion| {
            let is_own = completion.token == TOKEN;
            if is_own && completion.delivery.is_acknowledged() {
                self.acked.add(1);
            }
            !is_own
        });
    }
}
