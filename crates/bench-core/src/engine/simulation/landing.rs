//! Messages that land in a table: the exact latencies of the stages.

use super::*;
use crate::transport::Timestamps;

/// Time the stream takes to accept a message.
const ARRIVE_NS: u64 = MS;

/// Time to write a row.
const WRITE_NS: u64 = 8 * MS;

/// Hands messages over when their rows are written, in the order in which they were received.
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

/// A table that writes each message on delivery, and completes no write during `stall`.
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
fn table_stalls_show_only_in_table_stages() {
    // 10,000 messages per second for 10 s; no write is confirmed from 3 s to 5 s.
    let plan = constant(10_000.0, 10);
    let stall = START_NS + 3 * SECOND_NS..START_NS + 5 * SECOND_NS;
    let run = simulate_with(&plan, |_| {}, |clock, log| table(clock, log, &stall), None);

    let landing: Vec<u64> = (0..100_000)
        .map(|k| START_NS + k * 100_000)
        .map(|due_ns| {
            let landed_ns = due_ns + DELIVER_NS + WRITE_NS;
            if stall.contains(&landed_ns) { stall.end - due_ns } else { landed_ns - due_ns }
        })
        .collect();
    let in_table = landing.iter().map(|landing_ns| landing_ns - DELIVER_NS).collect();
    let latencies = &run.totals.latencies;
    let stages = latencies.stages.as_deref().expect("stages");
    assert_percentiles(&stages.arrival_latency, vec![ARRIVE_NS; 100_000]);
    assert_percentiles(&stages.landing_latency, landing);
    assert_percentiles(&stages.table_time, in_table);
    assert_percentiles(&latencies.end_to_end_latency, vec![DELIVER_NS; 100_000]);
    assert_eq!((run.totals.landed, run.totals.received.messages), (100_000, 100_000));
    assert_eq!((run.totals.monotonic, run.totals.wall), (100_000, 0));
    assert_eq!(run.audit.lost + run.audit.duplicated + run.audit.reordered, 0);
    // Nothing counts as received before it has landed.
    assert_eq!(run.intervals[3].received.messages, 0);
}

#[test]
fn tables_lose_unwritten_rows_but_reorder_nothing() {
    let mut plan = constant(1_000.0, 2);
    plan.consumer.unordered = true;
    let tamper = |clock, mut log: Vec<(InstantNs, Vec<u8>)>| {
        log.remove(700);
        let (first, second) = log.split_at_mut(200);
        std::mem::swap(&mut first[100].1, &mut second[0].1);
        table(clock, log, &NO_STALL)
    };
    let run = simulate_with(&plan, |_| {}, tamper, None);
    assert_eq!((run.audit.lost, run.audit.reordered), (1, 0));
    assert_eq!(run.audit.producers[0].lost_ranges, [(700, 700)]);
}

#[test]
fn other_hosts_instants_are_wall_clock_samples() {
    let by_wall_clock = |clock, log| {
        let mut table = table(clock, log, &NO_STALL);
        table.rows.iter_mut().for_each(|row| row.timestamps.by_wall_clock = true);
        table
    };
    let run = simulate_with(&constant(1_000.0, 1), |_| {}, by_wall_clock, None);
    assert_eq!((run.totals.monotonic, run.totals.wall), (0, 1_000));
}

#[test]
fn old_rows_are_read_and_keep_their_instants() {
    // One second's rows take two and a half to read: their instants fall behind by more than the
    // drain timeout.
    let read_later = |clock: VirtualClock, log| {
        let mut table = table(clock, log, &NO_STALL);
        for (position, row) in (0..).zip(&mut table.rows) {
            row.visible_ns = START_NS + 2 * SECOND_NS + (position / 100) * 2_500 * MS;
        }
        table
    };
    let run = simulate_with(&constant(100.0, 10), |_| {}, read_later, None);
    assert_eq!(run.audit.lost, 0);
    let totals = &run.totals;
    // From when the writer got the first message.
    let receiving = totals.receiving.expect("messages");
    assert_eq!(receiving.from_ns.cast_unsigned(), START_NS + DELIVER_NS);
    let stages = totals.latencies.stages.as_deref().expect("stages");
    assert_percentiles(&stages.landing_latency, vec![DELIVER_NS + WRITE_NS; 1_000]);
}
