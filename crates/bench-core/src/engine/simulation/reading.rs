//! Runs that only read: when their time begins, and what is known when they stop.

use std::cell::RefCell;
use std::sync::Arc;

use bench_record::{EarlyStop, VerdictOutcome};

use super::*;
use crate::engine::run::stop_when_satisfied;

/// A log with a known end.
struct Topic {
    log: Log,
    /// Messages still to come.
    left: usize,
}

impl Receive for Topic {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let messages = self.log.receive(until_ns, sink)?;
        self.left -= messages;
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.left == 0
    }

    fn is_behind(&self) -> bool {
        self.left > 0
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

/// The first messages of a run.
fn messages_of(run: u64, count: u64) -> Vec<Vec<u8>> {
    let spec = constant(1.0, 1).messages;
    let origin = ClockOrigin { boot: BootId::from_hash(0), wall_offset_ns: 0 };
    let mut factory = MessageFactory::new(&spec, RunId::from_bits(run), Share::WHOLE, origin)
        .expect("a valid plan");
    let mut batch = Batch::default();
    for sequence in 0..count {
        factory.push(&mut batch, 0, sequence, 0, 0);
    }
    batch.iter().map(|message| message.value.to_vec()).collect()
}

/// The first messages of a run, each arriving at the instant that `at_ns` returns for its number.
fn coming(
    run: u64,
    count: u64,
    at_ns: impl Fn(u64) -> InstantNs,
) -> impl Iterator<Item = (InstantNs, Vec<u8>)> {
    (0..).map(at_ns).zip(messages_of(run, count))
}

/// Reads messages with their instants of arrival, starting at [`START_NS`].
fn read(
    messages: Vec<(InstantNs, Vec<u8>)>,
    config: ConsumerConfig,
    expected: Expected,
) -> (Totals, InstantNs) {
    read_from(|log| Topic { left: log.messages.len(), log }, messages, config, expected)
}

/// Like [`read`], through a receiver made from the log.
fn read_from<R: Receive>(
    receiver: impl FnOnce(Log) -> R,
    messages: Vec<(InstantNs, Vec<u8>)>,
    config: ConsumerConfig,
    expected: Expected,
) -> (Totals, InstantNs) {
    let clock = VirtualClock::starting_at(START_NS);
    let run = RunId::from_bits(RUN);
    let plan = Plan::receiving(run, START_NS, SECOND_NS, expected, config);
    let control = RunControl::new(0, 1, None);
    control.set_awaiting(plan.consumer.requires_messages());
    let (collector, mut outboxes) = Collector::new(run, plan.timeline, 0, 1, Intervals::default());
    let collector = RefCell::new(collector);
    let consumer = Consumer {
        clock: &clock,
        transport: Supervised {
            receiver: receiver(Log { clock: clock.clone(), messages: messages.into() }),
            supervise: || {
                let mut collector = collector.borrow_mut();
                collector.collect(Duration::ZERO);
                stop_when_satisfied(&plan.consumer, &control, collector.totals());
            },
        },
        config: plan.consumer.clone(),
        audit: ReceiveAudit::new(plan.expected),
        timeline: plan.timeline,
        control: &control,
        outbox: outboxes.consumers.pop().expect("one consumer"),
    };
    consumer.run().expect("the log never fails");
    let mut collector = collector.into_inner();
    collector.collect(Duration::ZERO);
    (collector.finish(), clock.now_ns())
}

/// A receiver on whose thread the run is supervised, too.
struct Supervised<R, F> {
    receiver: R,
    supervise: F,
}

impl<R: Receive, F: FnMut()> Receive for Supervised<R, F> {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        (self.supervise)();
        self.receiver.receive(until_ns, sink)
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

fn config() -> ConsumerConfig {
    ConsumerConfig { drain_timeout_ns: SECOND_NS, stop_at_end: true, ..ConsumerConfig::default() }
}

fn summary(totals: &Totals, ledger: Option<&AckLedger>) -> Summary {
    let timeline = Timeline { start_ns: START_NS, warm_up_end_ns: 0, interval_ns: SECOND_NS };
    summarise(timeline, None, totals, ledger)
}

/// A ledger in which the messages 0 to `count - 1` of the run are acknowledged.
fn acked(count: u64) -> AckLedger {
    let mut ledger = AckLedger::default();
    let stream = crate::audit::StreamId { run: RunId::from_bits(RUN), producer: 0 };
    ledger.insert_range(stream, 0, count - 1);
    ledger
}

#[test]
fn reading_rates_count_from_the_first_wait() {
    // Messages in batches of 100, the first of them after 2.02 s, in a wait of 20 ms.
    let at_ns = |k: u64| START_NS + 2 * SECOND_NS + (k / 100 + 2) * 10 * MS;
    for (batches, stop_at_end, seconds) in [
        // Existing messages may have been on their way since the first request.
        (1, true, 2.02),
        (11, true, 2.12),
        // Messages that arrive when sent count from the wait that brought them.
        (1, false, 0.02),
        (11, false, 0.12),
    ] {
        let messages = coming(RUN, batches * 100, at_ns).collect();
        let config = ConsumerConfig { drain_timeout_ns: 3 * SECOND_NS, stop_at_end, ..config() };
        let (totals, _) = read(messages, config, Expected::Any);
        let consumed = summary(&totals, None).consumed.expect("it received");
        let rate = batches as f64 * 100.0 / seconds;
        let measured = consumed.rate_msg_per_s.expect("time passed");
        assert!((measured - rate).abs() < 1e-6, "{measured} for {rate}");
    }
}

#[test]
fn simultaneous_messages_give_a_reason_not_a_rate() {
    let messages = coming(RUN, 500, |_| START_NS).collect();
    let (totals, _) = read(messages, config(), Expected::Any);
    let summary = summary(&totals, None);
    let consumed = summary.consumed.as_ref().expect("it received");
    assert_eq!((consumed.received, consumed.rate_msg_per_s), (500, None));
    let warnings = warnings(&summary).join("\n");
    assert!(warnings.contains("so there is no receiving rate"), "{warnings}");
}

#[test]
fn foreign_messages_before_the_end_are_not_silence() {
    // Ten seconds of them, and a drain timeout of one.
    let foreign = coming(RUN + 1, 10_000, |k| START_NS + k * MS);
    let ours = coming(RUN, 1_000, |k| START_NS + 10 * SECOND_NS + k * MS);
    let messages = foreign.chain(ours).collect();
    let (totals, _) = read(messages, config(), Expected::Run(RunId::from_bits(RUN)));
    let ledger = acked(1_000);
    let summary = summary(&totals, Some(&ledger));
    let audit = summary.audit.expect("audited");
    assert_eq!((audit.received, audit.lost, audit.unread), (1_000, 0, 0));
    assert_eq!((audit.foreign, summary.consumed.expect("it read").early_stop), (10_000, None));
}

#[test]
fn foreign_messages_at_the_end_are_silence() {
    let mut config = config();
    config.stop_at_end = false;
    // One per 100 ms, with the end reached after each: they would keep the run going forever.
    let foreign = coming(RUN + 1, 600, |k| START_NS + k * 100 * MS).collect();
    let expected = Expected::Run(RunId::from_bits(RUN));
    let (_, ended_ns) = read_from(|log| Trickle(log, false), foreign, config, expected);
    assert!(ended_ns <= START_NS + 2 * SECOND_NS, "{ended_ns}");
}

/// A log in which each message is at the end: the call after it finds no more.
struct Trickle(Log, bool);

impl Receive for Trickle {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let messages = self.0.receive(until_ns, sink)?;
        self.1 = messages == 0;
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.1
    }

    fn is_behind(&self) -> bool {
        !self.1
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

#[test]
fn messages_after_an_early_stop_are_unread() {
    let at_ns = |k| START_NS + if k < 600 { k * MS } else { 60 * SECOND_NS };
    let by_count = ConsumerConfig { messages_max: Some(600), ..config() };
    let by_deadline = ConsumerConfig { deadline_ns: Some(START_NS + 1_200 * MS), ..config() };
    for (config, stop, cause) in [
        (config(), EarlyStop::Silence, "--drain-timeout; raise it"),
        (by_count, EarlyStop::Count, "--messages was reached"),
        (by_deadline, EarlyStop::Deadline, "--duration was over"),
    ] {
        let (totals, ended_ns) =
            read(coming(RUN, 1_000, at_ns).collect(), config, Expected::Run(RunId::from_bits(RUN)));
        assert!(ended_ns < START_NS + 2 * SECOND_NS, "{stop:?}: {ended_ns}");
        let ledger = acked(1_000);
        let summary = summary(&totals, Some(&ledger));
        let audit = summary.audit.as_ref().expect("audited");
        assert_eq!((audit.lost, audit.unread), (0, 400));
        assert_eq!(summary.consumed.as_ref().and_then(|read| read.early_stop), Some(stop));
        assert_eq!(audit.producers[0].lost_ranges, [(600, 999)]);
        let reasons = verdict(&summary).reasons;
        let [reason] = &reasons[..] else { panic!("one reason: {reasons:?}") };
        let unread = "400 acknowledged messages were not read, the first of them 600..=999";
        assert!(reason.starts_with(unread) && reason.contains(cause), "{reason}");
    }
}

#[test]
fn silence_before_the_end_is_invalid() {
    let at_ns = |k| START_NS + if k < 600 { k * MS } else { 60 * SECOND_NS };
    for (messages_max, reasons) in [
        (None, "reading stopped before the end, since no message arrived"),
        // As requested.
        (Some(100), ""),
    ] {
        let config = ConsumerConfig { messages_max, ..config() };
        let (totals, _) = read(coming(RUN, 1_000, at_ns).collect(), config, Expected::Any);
        let verdict = verdict(&summary(&totals, None));
        assert_eq!(verdict.reasons.is_empty(), reasons.is_empty(), "{verdict:?}");
        assert!(verdict.reasons.concat().starts_with(reasons), "{verdict:?}");
    }
}

#[test]
fn expected_messages_are_awaited_beyond_end() {
    // Half of them come two seconds after the end was reached.
    let at_ns = |k| START_NS + if k < 500 { k * MS } else { 2 * SECOND_NS + k * MS };
    let messages = || coming(RUN, 1_000, at_ns).collect();
    let ended_early = |log| EndsEarly { log, read: 0, end: 500 };
    let acked = || Some(Arc::new(acked(1_000)));
    let patient = ConsumerConfig { drain_timeout_ns: 5 * SECOND_NS, ..config() };
    for config in [
        ConsumerConfig { messages_expected: Some(1_000), ..patient.clone() },
        ConsumerConfig { acked: acked(), ..patient.clone() },
        ConsumerConfig { acked: acked(), stop_at_end: false, ..patient },
    ] {
        let expected = Expected::Run(RunId::from_bits(RUN));
        let (totals, ended_ns) = read_from(ended_early, messages(), config.clone(), expected);
        assert_eq!(totals.received.messages, 1_000, "{config:?}");
        assert!(ended_ns < START_NS + 4 * SECOND_NS, "not by silence: {ended_ns}");
        let count = config.messages_expected.map(|_| EarlyStop::Count);
        assert_eq!(totals.early_stop, count, "{config:?}");
    }
}

#[test]
fn missing_expected_messages_end_reading_by_silence() {
    let messages = || coming(RUN, 600, |k| START_NS + k * MS).collect();
    for config in [
        ConsumerConfig { messages_expected: Some(1_000), ..config() },
        ConsumerConfig { acked: Some(Arc::new(acked(1_000))), ..config() },
        ConsumerConfig { messages_expected: Some(1_000), raw: true, ..config() },
    ] {
        let (totals, ended_ns) = read(messages(), config.clone(), Expected::Any);
        assert_eq!((totals.received.messages, totals.early_stop), (600, Some(EarlyStop::Silence)));
        assert!(ended_ns > START_NS + SECOND_NS + 500 * MS, "{ended_ns}");
        let timeline = Timeline { start_ns: START_NS, warm_up_end_ns: 0, interval_ns: SECOND_NS };
        let summary = SummaryInput {
            messages_expected: config.messages_expected,
            raw: config.raw,
            ..summary_input(timeline, None, &totals, config.acked.as_deref())
        }
        .summarize();
        let audit = summary.audit.as_ref().expect("audited");
        assert_eq!((audit.received, audit.lost), (600, 400), "{config:?}");
        assert_eq!(verdict(&summary).outcome, VerdictOutcome::Invalid, "{config:?}");
    }
}

/// A log whose reader is at the end after so many messages, and again after the last.
struct EndsEarly {
    log: Log,
    read: usize,
    end: usize,
}

impl Receive for EndsEarly {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let messages = self.log.receive(until_ns, sink)?;
        self.read += messages;
        Ok(messages)
    }

    fn at_end(&self) -> bool {
        self.read == self.end || self.log.messages.is_empty()
    }

    fn is_behind(&self) -> bool {
        !self.at_end()
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}
