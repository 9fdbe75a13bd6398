//! Statistics over a field of JSON records.

mod distribution;
mod figures;
mod number;
mod records;
mod report;

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use bench_cli::{Exit, Expecting, Shutdown, output};
use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::counts::Counts;
use bench_core::durations::Durations;
use bench_core::engine::{self, ConsumerConfig, Interval, IntervalSink, Plan, RunControl};
use bench_core::message::RunId;
use bench_core::transport::{Incoming, NoConnection, Receive, TransportError};

pub(crate) use figures::Stat;

use crate::options::Options;
use crate::source::{Connected, Source};
use figures::Figures;
use records::{Observation, Reading};
use report::Answer;

/// Reads the stream and prints the statistics of `field`.
pub(crate) fn query(options: &Options, field: &str) -> Result<Exit> {
    options.end.check()?;
    let shutdown = Shutdown::install().context("failed to listen for signals")?;
    let source = Source::named(options, &shutdown)?;
    let (clock, run) = (SystemClock::new(), RunId::random());
    let Connected { receivers, fan_out } = source.connect(run, clock, &Counts::default())?;
    let reading =
        Arc::new(Reading { field: field.to_owned(), group_by: options.query.group_by.clone() });
    let figures =
        Figures::new(&options.query.stats, reading.group_by.is_some(), options.end.messages);
    let figures = Arc::new(Mutex::new(figures));
    let asking = |receiver| Asking {
        receiver,
        reading: Arc::clone(&reading),
        figures: Arc::clone(&figures),
        observations: Vec::new(),
    };
    let receivers: Vec<_> = receivers.into_iter().map(asking).collect();
    let (end, started_ns) = (&options.end, clock.now_ns());
    let consumer = ConsumerConfig { raw: true, ..end.consumer_config(clock) };
    let consumers = Expecting::all(receivers, end.expectation(0), end.drain_timeout, clock);
    let control = RunControl::new(0, consumers.len(), None);
    let done = engine::run(
        &Plan::receiving(run, clock.now_ns(), SECOND_NS, Expected::Any, consumer),
        clock,
        &control,
        (Vec::<NoConnection>::new(), consumers),
        Durations::default(),
        NoRecord,
        |_, _| {
            if shutdown.is_requested() {
                control.stop_consuming();
            }
        },
    );
    drop(fan_out);
    let (totals, error) = done?;
    let figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = Answer {
        stream: &options.reading.stream,
        reading: &reading,
        stats: &options.query.stats,
        figures: &figures,
        is_complete: error.is_none() && !shutdown.is_requested(),
        elapsed_ns: totals
            .receiving
            .map_or(0, |receiving| receiving.to_ns.cast_unsigned().saturating_sub(started_ns)),
    };
    let format = options.output.output;
    let text = answer.text(format)?;
    output::print_result(format, &text).context("failed to print the result")?;
    if let Some(error) = error {
        return Err(error.into());
    }
    if shutdown.is_requested() {
        return Ok(Exit::Interrupted);
    }
    if let Some(problem) = answer.problem() {
        bail!(problem);
    }
    Ok(Exit::Good)
}

/// A consumer that looks into the messages it passes on.
struct Asking<R> {
    receiver: R,
    reading: Arc<Reading>,
    /// Of all consumers; locked once for each batch.
    figures: Arc<Mutex<Figures>>,
    /// Used again for each batch.
    observations: Vec<Observation>,
}

impl<R: Receive> Receive for Asking<R> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let (reading, observations) = (&self.reading, &mut self.observations);
        let messages = self.receiver.receive(until_ns, |incoming| {
            observations.push(reading.observe(incoming.value));
            sink(incoming);
        })?;
        if !observations.is_empty() {
            let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
            for observation in observations.drain(..) {
                figures.add(observation);
            }
        }
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.receiver.at_end()
    }

    fn is_behind(&self) -> bool {
        self.receiver.is_behind()
    }
}

/// Statistics leave no result folder.
struct NoRecord;

impl IntervalSink for NoRecord {
    fn interval(&mut self, _: &Interval) {}

    fn acked(&mut self, _: &AckLedger, _: bool) {}
}
