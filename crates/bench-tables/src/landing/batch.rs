//! Messages on their way into the table, copied because the client library lends them only briefly.

use std::ops::Range;

use bench_core::clock::{ClockOrigin, InstantNs, Stamp};
use bench_core::message::{self, RunId};
use bench_core::transport::{Incoming, Timestamps};

use crate::row::{Row, Written};

/// Rows that are written by one call. The buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    rows: Vec<BatchRow>,
}

#[derive(Debug)]
struct BatchRow {
    /// Run, producer and sequence; `None` for a foreign message.
    name: Option<(RunId, u16, u64)>,
    key: Option<Range<usize>>,
    message: Range<usize>,
    partition: u32,
    received_ns: InstantNs,
    timestamps: Timestamps,
}

impl Batch {
    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// When the first message was received.
    pub(super) fn first_ns(&self) -> Option<InstantNs> {
        self.rows.first().map(|row| row.received_ns)
    }

    pub(super) fn push(&mut self, incoming: &Incoming<'_>) {
        let header = message::decode(incoming.value).ok();
        let mut copy = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        self.rows.push(BatchRow {
            name: header.map(|header| (header.run, header.producer, header.sequence)),
            key: incoming.key.map(&mut copy),
            message: copy(incoming.value),
            partition: incoming.partition,
            received_ns: incoming.received_ns,
            timestamps: incoming.timestamps,
        });
    }

    /// The rows in a writer's form, with instants of the clock with `origin`.
    pub(super) fn rows(&self, origin: ClockOrigin) -> Vec<Row<'_>> {
        let row = |row: &BatchRow| {
            let arrived_wall_ms = row.timestamps.arrived_ns.map(|arrived_ns| {
                arrived_ns.cast_signed().saturating_add(origin.wall_offset_ns) / 1_000_000
            });
            let (producer, sequence) =
                row.name.map_or((0, 0), |(_, producer, sequence)| (producer, sequence));
            Row {
                run: row.name.map(|(run, ..)| run),
                producer,
                sequence,
                key: row.key.clone().map(|key| &self.bytes[key]),
                message: &self.bytes[row.message.clone()],
                partition: row.partition,
                received: Stamp { instant_ns: row.received_ns, origin },
                arrived_wall_ms,
            }
        };
        self.rows.iter().map(row).collect()
    }

    /// Records which rows have landed; the others have not.
    pub(super) fn note(&mut self, written: &Written, origin: ClockOrigin) {
        for (rows, stamp) in &written.landed {
            let landed = self.rows.get_mut(rows.clone()).unwrap_or_default();
            for row in landed {
                row.timestamps.landed_ns = Some(stamp.to_clock(origin));
            }
        }
    }

    /// The number of landed rows before the first that has not landed.
    pub(super) fn landed_in_a_row(&self) -> usize {
        self.rows.iter().take_while(|row| row.timestamps.landed_ns.is_some()).count()
    }

    /// The landed messages, oldest first.
    pub(super) fn landed(&self) -> impl Iterator<Item = Incoming<'_>> {
        let landed = self.rows.iter().filter(|row| row.timestamps.landed_ns.is_some());
        landed.map(|row| Incoming {
            key: row.key.clone().map(|key| &self.bytes[key]),
            value: &self.bytes[row.message.clone()],
            partition: row.partition,
            received_ns: row.received_ns,
            timestamps: row.timestamps,
        })
    }

    /// Removes the rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }
}
