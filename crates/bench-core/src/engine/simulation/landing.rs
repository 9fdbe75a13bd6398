//! Messages that land in a table on their way: what the stages must read, exactly.

use super::*;
use crate::transport::Timestamps;

/// What the stream takes to take a message in.
const ARRIVE_NS: u64 = MS;

/// What writing a row takes.
const WRITE_NS: u64 = 8 * MS;

/// Hands messages over when their rows are written, in the order of their receipt.
struct Table {
    clock: VirtualClock,
    rows: std::collections::VecDeque<Row>,
}

struct Row {
    value: Vec<u8>,
    received_ns: InstantNs,
    timestamps: Timestamps,
    /// When the reader sees it.
    visible_ns: InstantNs,
}

impl Receive for Table {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let first_ns = self.rows.front().map_or(until_ns, |row| row.visible_ns);
        self.clock.advance_to_ns(first_ns.min(until_ns));
        let now_ns = self.clock.now_ns();
        let mut count = 0;
        while let Some(row) = self.rows.pop_front_if(|row| row.visible_ns <= now_ns) {
            let Row { value, received_ns, timestamps, .. } = &row;
            let (received_ns, timestamps) = (*received_ns, *timestamps);
            sink(Incoming { key: None, value, partition: 0, received_ns, timestamps });
            count += 1;
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

/// A table that writes each message when it was delivered, and in `stall` completes no write.
fn table(
    clock: VirtualClock,
    log: Vec<(InstantNs, Vec<u8>)>,
    stall: &std::ops::Range<InstantNs>,
) -> Table {
    let row = |(received_ns, value): (InstantNs, Vec<u8>)| {
        let landed_ns = received_ns + WRITE_NS;
        let landed_ns = if stall.contains(&landed_ns) { stall.end } else { landed_ns };
        let timestamps = Timestamps {
            arrived_ns: Some(received_ns - DELIVER_NS + ARRIVE_NS),
            landed_ns: Some(landed_ns),
            by_wall_clock: false,
        };
        Row { value, received_ns, timestamps, visible_ns: landed_ns }
    };
    Table { clock, rows: log.into_iter().map(row).collect() }
}

const NO_STALL: std::ops::Range<InstantNs> = 0..0;

#[test]
fn a_stall_of_the_table_shows_in_landing_latency_and_in_what_the_table_costs_alone() {
    // 10,000 messages a second for ten seconds; no write is confirmed from 3 s to 5 s.
    let plan = constant(10_000.0, 10);
    let stall = START_NS + 3 * SECOND_NS..START_NS + 5 * SECOND_NS;
    let outcome = simulate_with(&plan, |_| {}, |clock, log| table(clock, log, &stall), None);

    let landing: Vec<u64> = (0..100_000)
        .map(|k| START_NS + k * 100_000)
        .map(|due_ns| {
            let landed_ns = due_ns + DELIVER_NS + WRITE_NS;
            if stall.contains(&landed_ns) { stall.end - due_ns } else { landed_ns - due_ns }
        })
        .collect();
    let in_table = landing.iter().map(|landing_ns| landing_ns - DELIVER_NS).collect();
    let latencies = &outcome.totals.latencies;
    let stages = latencies.stages.as_deref().expect("stages");
    assert_percentiles(&stages.arrival_latency, vec![ARRIVE_NS; 100_000]);
    assert_percentiles(&stages.landing_latency, landing);
    assert_percentiles(&stages.table_time, in_table);
    assert_percentiles(&latencies.end_to_end_latency, vec![DELIVER_NS; 100_000]);
    assert_eq!((outcome.totals.landed, outcome.totals.received.messages), (100_000, 100_000));
    assert_eq!((outcome.totals.monotonic, outcome.totals.wall), (100_000, 0));
    assert_eq!(outcome.audit.lost + outcome.audit.duplicated + outcome.audit.reordered, 0);
    // Nothing counts as received before it has landed.
    assert_eq!(outcome.intervals[3].received.messages, 0);
}

#[test]
fn a_row_that_was_never_written_is_lost_and_a_table_is_not_held_to_an_order() {
    let mut plan = constant(1_000.0, 2);
    plan.consumer.unordered = true;
    let tamper = |clock, mut log: Vec<(InstantNs, Vec<u8>)>| {
        log.remove(700);
        let (first, second) = log.split_at_mut(200);
        std::mem::swap(&mut first[100].1, &mut second[0].1);
        table(clock, log, &NO_STALL)
    };
    let outcome = simulate_with(&plan, |_| {}, tamper, None);
    assert_eq!((outcome.audit.lost, outcome.audit.reordered), (1, 0));
    assert_eq!(outcome.audit.producers[0].lost_ranges, [(700, 700)]);
}

#[test]
fn instants_of_another_hosts_clock_make_the_samples_those_of_the_wall_clock() {
    let by_wall_clock = |clock, log| {
        let mut table = table(clock, log, &NO_STALL);
        table.rows.iter_mut().for_each(|row| row.timestamps.by_wall_clock = true);
        table
    };
    let outcome = simulate_with(&constant(1_000.0, 1), |_| {}, by_wall_clock, None);
    assert_eq!((outcome.totals.monotonic, outcome.totals.wall), (0, 1_000));
}

#[test]
fn rows_that_landed_long_ago_are_read_to_the_last_and_keep_their_instants() {
    // Each second's rows are read in two and a half: their instants fall behind by more than the
    // reader waits in vain.
    let read_later = |clock: VirtualClock, log| {
        let mut table = table(clock, log, &NO_STALL);
        for (position, row) in (0..).zip(&mut table.rows) {
            row.visible_ns = START_NS + 2 * SECOND_NS + (position / 100) * 2_500 * MS;
        }
        table
    };
    let outcome = simulate_with(&constant(100.0, 10), |_| {}, read_later, None);
    assert_eq!(outcome.audit.lost, 0);
    let totals = &outcome.totals;
    // From when the first message was there to be written.
    let receiving = totals.receiving.expect("messages");
    assert_eq!(receiving.from_ns.cast_unsigned(), START_NS + DELIVER_NS);
    let stages = totals.latencies.stages.as_deref().expect("stages");
    assert_percentiles(&stages.landing_latency, vec![DELIVER_NS + WRITE_NS; 1_000]);
}
