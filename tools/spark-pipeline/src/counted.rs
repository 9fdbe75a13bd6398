//! The results of `--work aggregate`: counts of events, which stand for the events themselves.

use std::borrow::Cow;
use std::collections::HashMap;

use bench_core::clock::{ClockOrigin, InstantNs};
use bench_core::counts::Count;
use bench_core::durations::DurationRecorder;
use bench_core::message;
use bench_core::transport::{Incoming, Receive, TransportError};
use serde::Deserialize;

/// The type of the probe's event, which is not part of the workload.
pub(crate) const PROBE_TYPE: &str = "probe";

/// A count: of the events of one type in one window, at the time when the result was written.
#[derive(Deserialize)]
struct CountRow<'a> {
    window_start_ms: i64,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    events: u64,
}

/// A receiver that passes on a message for each event that the counts have grown by, so that the
/// number of messages received is that of the events counted. Of a result, the first such message
/// has the bytes and the others none.
pub(crate) struct CountedReceiver<R> {
    inner: R,
    /// The largest count so far, by start of the window and type of event. A replayed batch repeats
    /// smaller ones.
    counted: HashMap<(i64, String), u64>,
    figures: Figures,
    origin: ClockOrigin,
}

/// What is recorded of results.
pub(crate) struct Figures {
    /// From the instant at which the newest event of a result was due until the result was read.
    pub(crate) result_time: DurationRecorder,
    pub(crate) results: Count,
    pub(crate) unreadable: Count,
}

impl<R> CountedReceiver<R> {
    pub(crate) fn new(inner: R, figures: Figures, origin: ClockOrigin) -> Self {
        Self { inner, counted: HashMap::new(), figures, origin }
    }
}

/// By how much a result raises what has been counted.
fn growth(counted: &mut HashMap<(i64, String), u64>, row: &CountRow<'_>) -> u64 {
    if row.event_type == PROBE_TYPE {
        return 0;
    }
    let before = counted.entry((row.window_start_ms, row.event_type.to_string())).or_default();
    let grown = row.events.saturating_sub(*before);
    *before += grown;
    grown
}

impl Figures {
    fn record(&self, incoming: &Incoming<'_>, origin: ClockOrigin) {
        self.results.add(1);
        // By the clock of this host alone: the events were sent by this process.
        if let Ok(newest) = message::decode(incoming.value)
            && newest.origin.boot == origin.boot
        {
            self.result_time.record(incoming.received_ns.saturating_sub(newest.intended_ns));
        }
    }
}

impl<R: Receive> Receive for CountedReceiver<R> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let Self { inner, counted, figures, origin } = self;
        let mut events = 0;
        inner.receive(until_ns, |incoming| {
            let Ok(row) = serde_json::from_slice::<CountRow<'_>>(incoming.value) else {
                figures.unreadable.add(1);
                return;
            };
            let grown = growth(counted, &row);
            if grown == 0 {
                return;
            }
            figures.record(&incoming, *origin);
            sink(incoming);
            (1..grown).for_each(|_| sink(Incoming { key: None, value: &[], ..incoming }));
            events += usize::try_from(grown).unwrap_or(usize::MAX);
        })?;
        Ok(events)
    }

    fn at_end(&self) -> bool {
        self.inner.at_end()
    }

    fn is_behind(&self) -> bool {
        self.inner.is_behind()
    }

    fn waits_for(&self) -> Option<String> {
        self.inner.waits_for()
    }

    fn hold_back(&mut self) {
        self.inner.hold_back();
    }

    fn settle(&mut self, messages: usize) {
        self.inner.settle(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_by_what_was_not_counted_before() {
        let mut counted = HashMap::new();
        let mut grow = |window_start_ms, event_type: &'static str, events| {
            let event_type = Cow::Borrowed(event_type);
            growth(&mut counted, &CountRow { window_start_ms, event_type, events })
        };
        assert_eq!(grow(0, "click", 3), 3);
        assert_eq!(grow(0, "view", 2), 2);
        assert_eq!(grow(0, "click", 5), 2);
        assert_eq!(grow(0, "click", 3), 0, "a batch was replayed");
        assert_eq!(grow(10_000, "click", 1), 1, "another window");
        assert_eq!(grow(0, PROBE_TYPE, 1), 0);
    }

    #[test]
    fn results_of_the_job_are_read() {
        let text = r#"{"run":"00000000ab","window_start_ms":10,"event_type":"view","events":7}"#;
        let row: CountRow<'_> = serde_json::from_str(text).expect("a result");
        assert_eq!((row.window_start_ms, &*row.event_type, row.events), (10, "view", 7));
    }
}
