//! `timings.csv`: one line for each message, as the earlier timings script printed them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use bench_core::clock::InstantNs;
use bench_kinesis::publish::Timing;

/// The file in a result folder.
pub(crate) const FILE: &str = "timings.csv";

/// Writes the timings of a run, on a thread of its own.
pub(crate) struct TimingsWriter {
    thread: JoinHandle<io::Result<()>>,
}

impl TimingsWriter {
    /// Makes the file in `folder`. Times in it count from `start_ns`. The writer ends when the last
    /// sender is gone.
    pub(crate) fn start(folder: &Path, start_ns: InstantNs) -> Result<(Self, Sender<Timing>)> {
        let path = folder.join(FILE);
        let file = File::create(&path)
            .with_context(|| format!("--timings: failed to create {}", path.display()))?;
        let (sender, timings) = channel();
        let writer = move || write(file, &timings, start_ns);
        let thread = std::thread::Builder::new().name("timings".to_owned()).spawn(writer);
        Ok((Self { thread: thread.context("failed to start a thread for --timings")? }, sender))
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
    }
}

const COLUMNS: [&str; 11] = [
    "producer",
    "sequence",
    "size_bytes",
    "created_s",
    "sent_s",
    "done_s",
    "latency_ms",
    "tries",
    "confirmed",
    "shard",
    "kinesis_sequence",
];

fn write(out: impl Write, timings: &Receiver<Timing>, start_ns: InstantNs) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for timing in timings {
        csv.write_record(cells(timing, start_ns))?;
    }
    csv.flush()
}

/// The cells of a message, in the order of [`COLUMNS`].
fn cells(timing: Timing, start_ns: InstantNs) -> [String; 11] {
    let (producer, sequence) = match timing.sequence {
        Some((producer, sequence)) => (producer.to_string(), sequence.to_string()),
        None => Default::default(),
    };
    // Before the start, for a message that is due at once, by a few nanoseconds at most.
    let since_start_s =
        |at_ns: InstantNs| format!("{:.6}", at_ns.saturating_sub(start_ns) as f64 / 1e9);
    let latency_ms = timing.done_ns.saturating_sub(timing.intended_ns) as f64 / 1e6;
    let confirmed = timing.place.is_some();
    let (shard, kinesis_sequence) = timing.place.unwrap_or_default();
    [
        producer,
        sequence,
        timing.size_bytes.to_string(),
        since_start_s(timing.intended_ns),
        since_start_s(timing.sent_ns),
        since_start_s(timing.done_ns),
        format!("{latency_ms:.3}"),
        timing.tries.to_string(),
        confirmed.to_string(),
        shard,
        kinesis_sequence,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_the_start_and_latency_from_the_creation() {
        let (sender, timings) = channel();
        let confirmed = Timing {
            sequence: Some((2, 7)),
            size_bytes: 100,
            intended_ns: 2_000_000_000,
            sent_ns: 2_001_000_000,
            done_ns: 2_031_500_000,
            tries: 2,
            place: Some(("shardId-000000000001".to_owned(), "4965".to_owned())),
        };
        let failed = Timing { sequence: None, place: None, ..confirmed.clone() };
        for timing in [confirmed, failed] {
            sender.send(timing).expect("is listened to");
        }
        drop(sender);
        let mut out = Vec::new();
        write(&mut out, &timings, 1_000_000_000).expect("written");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "2,7,100,1.000000,1.001000,1.031500,31.500,2,true,shardId-000000000001,4965",
                ",,100,1.000000,1.001000,1.031500,31.500,2,false,,",
            ]
        );
    }
}
