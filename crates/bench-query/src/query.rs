//! Reading to the end and printing the statistics.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use bench_cli::{Exit, OutputFormat, Shutdown, ToolId, output};
use bench_core::audit::{AckLedger, Expected};
use bench_core::clock::{Clock as _, InstantNs, SECOND_NS, SystemClock};
use bench_core::engine::{
    self, ConsumerConfig, Interval, IntervalSink, Plan, RunControl, SystemFigures,
};
use bench_core::message::RunId;
use bench_core::transport::{Incoming, NoConnection, Receive, TransportError};
use bench_record::EarlyStop;

use crate::QueryArgs;
use crate::figures::Figures;
use crate::records::{Observation, Reading};
use crate::report::QueryReport;

/// The source of the records.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its kind: stream, table or topic. Also the name of the field with its name in JSON.
    pub kind: &'static str,
    /// Its name.
    pub name: &'a str,
}

/// A query that is ready to run.
pub struct Query<'a, R> {
    /// The tool.
    pub tool: ToolId,
    /// Its options.
    pub args: &'a QueryArgs,
    /// Its source.
    pub subject: Subject<'a>,
    /// Receivers connected to the source.
    pub receivers: Vec<R>,
    /// When they stop, and how many records must come. Records are accepted in any format.
    pub consumer: ConsumerConfig,
    /// Stops reading on an interrupt.
    pub shutdown: &'a Shutdown,
    /// The receivers' clock.
    pub clock: SystemClock,
    /// The form of the output.
    pub output: OutputFormat,
}

impl<R: Receive + Send> Query<'_, R> {
    /// Reads to the end and prints the statistics of `field`.
    pub fn run(self, field: &str) -> Result<Exit> {
        let Self { args, clock, shutdown, .. } = self;
        let reading = Reading { field: field.to_owned(), group_by: args.group_by.clone() };
        let reading = Arc::new(reading);
        let (records_max, expected) =
            (self.consumer.messages_max, self.consumer.messages_expected.unwrap_or(0));
        let figures = Figures::new(&args.stats, reading.group_by.is_some(), records_max);
        let shared = Arc::new(Mutex::new(Shared { figures, last_ns: 0 }));
        let observing = |receiver| ObservingReceiver {
            receiver,
            clock,
            reading: Arc::clone(&reading),
            shared: Arc::clone(&shared),
            observations: Vec::new(),
        };
        let consumers: Vec<_> = self.receivers.into_iter().map(observing).collect();
        let started_ns = clock.now_ns();
        let consumer = ConsumerConfig { raw: true, ..self.consumer };
        let control = RunControl::new(0, consumers.len(), None);
        let done = engine::run(
            &Plan::receiving(RunId::random(), started_ns, SECOND_NS, Expected::Any, consumer),
            clock,
            &control,
            (Vec::<NoConnection>::new(), consumers),
            SystemFigures::default(),
            NoRecord,
            |_, _| {
                if shutdown.is_requested() {
                    control.stop_consuming();
                }
            },
        );
        let (totals, error) = done?;
        let fell_silent = totals.is_behind && totals.early_stop == Some(EarlyStop::Silence);
        let received = totals.received.messages;
        let is_short = received < expected;
        let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = QueryReport {
            tool: self.tool,
            subject: self.subject,
            reading: &reading,
            stats: &args.stats,
            figures: &shared.figures,
            is_complete: error.is_none() && !fell_silent && !is_short && !shutdown.is_requested(),
            elapsed_ns: shared.last_ns.saturating_sub(started_ns),
        };
        let text = answer.text(self.output)?;
        output::print_result(self.output, &text).context("failed to print the result")?;
        if let Some(error) = error {
            return Err(error.into());
        }
        if shutdown.is_requested() {
            return Ok(Exit::Interrupted);
        }
        if is_short {
            tracing::error!(
                "{received} of {expected} expected records were received: check their producer, or \
                 raise --drain-timeout"
            );
            return Ok(Exit::Invalid);
        }
        if fell_silent {
            bail!(
                "reading stopped before the end, since nothing arrived for --drain-timeout; raise it"
            );
        }
        if let Some(problem) = answer.problem() {
            bail!(problem);
        }
        Ok(Exit::Good)
    }
}

/// The figures of all consumers together.
struct Shared {
    figures: Figures,
    /// When the last record arrived; 0 before the first.
    last_ns: InstantNs,
}

/// A receiver that inspects the messages it passes on.
struct ObservingReceiver<R> {
    receiver: R,
    clock: SystemClock,
    reading: Arc<Reading>,
    /// Locked once per batch.
    shared: Arc<Mutex<Shared>>,
    /// Reused for each batch.
    observations: Vec<Observation>,
}

impl<R: Receive> Receive for ObservingReceiver<R> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let (reading, observations) = (&self.reading, &mut self.observations);
        let received = self.receiver.receive(until_ns, |incoming| {
            observations.push(reading.observe(incoming.value));
            sink(incoming);
        });
        // Messages before an error count as well.
        if !observations.is_empty() {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            for observation in observations.drain(..) {
                shared.figures.add(observation);
            }
            shared.last_ns = self.clock.now_ns();
        }
        received
    }

    fn at_end(&self) -> bool {
        self.receiver.at_end()
    }

    fn is_behind(&self) -> bool {
        self.receiver.is_behind()
    }

    fn waits_for(&self) -> Option<String> {
        self.receiver.waits_for()
    }

    fn hold_back(&mut self) {
        self.receiver.hold_back();
    }

    fn settle(&mut self, messages: usize) {
        self.receiver.settle(messages);
    }
}

/// A query leaves no result folder.
struct NoRecord;

impl IntervalSink for NoRecord {
    fn interval(&mut self, _: &Interval) {}

    fn acked(&mut self, _: &AckLedger, _: bool) {}
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bench_core::transport::Timestamps;
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Options {
        #[command(flatten)]
        query: QueryArgs,
        #[arg(long)]
        from_run: Option<String>,
        #[arg(long)]
        raw: bool,
    }

    /// One record, followed by silence although there is more.
    struct Stuck {
        clock: SystemClock,
        has_come: bool,
    }

    impl Receive for Stuck {
        fn receive(
            &mut self,
            until_ns: InstantNs,
            mut sink: impl FnMut(Incoming<'_>),
        ) -> Result<usize, TransportError> {
            if self.has_come {
                self.clock.sleep_until_ns(until_ns);
                return Ok(0);
            }
            self.has_come = true;
            sink(Incoming {
                key: None,
                value: br#"{"n": 1}"#,
                partition: 0,
                received_ns: self.clock.now_ns(),
                timestamps: Timestamps::default(),
            });
            Ok(1)
        }

        fn is_behind(&self) -> bool {
            true
        }

        fn at_end(&self) -> bool {
            false
        }

        fn waits_for(&self) -> Option<String> {
            None
        }

        fn hold_back(&mut self) {}

        fn settle(&mut self, _: usize) {}
    }

    /// Answers true and notes every call.
    #[derive(Default)]
    struct Recorder {
        calls: RefCell<Vec<&'static str>>,
    }

    impl Receive for Recorder {
        fn receive(
            &mut self,
            _: InstantNs,
            _: impl FnMut(Incoming<'_>),
        ) -> Result<usize, TransportError> {
            self.calls.borrow_mut().push("receive");
            Ok(7)
        }

        fn at_end(&self) -> bool {
            self.calls.borrow_mut().push("at_end");
            true
        }

        fn is_behind(&self) -> bool {
            self.calls.borrow_mut().push("is_behind");
            true
        }

        fn waits_for(&self) -> Option<String> {
            self.calls.borrow_mut().push("waits_for");
            Some("a commit".to_owned())
        }

        fn hold_back(&mut self) {
            self.calls.borrow_mut().push("hold_back");
        }

        fn settle(&mut self, messages: usize) {
            assert_eq!(messages, 3);
            self.calls.borrow_mut().push("settle");
        }
    }

    #[test]
    fn observing_receiver_passes_every_call_on() {
        let figures = Figures::new(&[], false, None);
        let mut observing = ObservingReceiver {
            receiver: Recorder::default(),
            clock: SystemClock::new(),
            reading: Arc::new(Reading { field: "n".to_owned(), group_by: None }),
            shared: Arc::new(Mutex::new(Shared { figures, last_ns: 0 })),
            observations: Vec::new(),
        };
        assert_eq!(observing.receive(0, |_| ()).expect("receives"), 7);
        assert!(observing.at_end() && observing.is_behind());
        assert_eq!(observing.waits_for().as_deref(), Some("a commit"));
        observing.hold_back();
        observing.settle(3);
        let calls = ["receive", "at_end", "is_behind", "waits_for", "hold_back", "settle"];
        assert_eq!(observing.receiver.calls.into_inner(), calls);
    }

    #[test]
    fn silence_before_end_is_an_error() {
        let options = Options::parse_from(["test", "--query", "n"]);
        assert!(options.from_run.is_none() && !options.raw);
        let clock = SystemClock::new();
        let query = Query {
            tool: ToolId { name: "test", version: "0" },
            args: &options.query,
            subject: Subject { kind: "topic", name: "t" },
            receivers: vec![Stuck { clock, has_come: false }],
            consumer: ConsumerConfig { drain_timeout_ns: 1_000_000, ..Default::default() },
            shutdown: &Shutdown::without_signals(),
            clock,
            output: OutputFormat::Json,
        };
        let error = query.run("n").expect_err("incomplete").to_string();
        assert!(error.contains("--drain-timeout"), "{error}");
    }
}
