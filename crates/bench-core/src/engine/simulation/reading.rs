//! Runs that only read: where their time begins, and what is known when they stop.

use bench_record::EarlyStop;

use super::*;

/// A log whose reader knows where it ends.
struct Topic {
    log: Log,
    /// Messages that will come.
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

/// The same, each coming when `at_ns` says of its number.
fn coming(
    run: u64,
    count: u64,
    at_ns: impl Fn(u64) -> InstantNs,
) -> impl Iterator<Item = (InstantNs, Vec<u8>)> {
    (0..).map(at_ns).zip(messages_of(run, count))
}

/// Reads what comes when, from [`START_NS`] on.
fn read(
    messages: Vec<(InstantNs, Vec<u8>)>,
    config: ConsumerConfig,
    expected: Expected,
) -> (Totals, InstantNs) {
    read_from(|log| Topic { left: log.messages.len(), log }, messages, config, expected)
}

/// The same through a receiver that is made of the log.
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
    let (mut collector, mut outboxes) =
        Collector::new(run, plan.timeline, 0, 1, Intervals::default());
    let consumer = Consumer {
        clock: &clock,
        transport: receiver(Log { clock: clock.clone(), messages: messages.into() }),
        config: plan.consumer.clone(),
        audit: ReceiveAudit::new(plan.expected),
        timeline: plan.timeline,
        control: &control,
        outbox: outboxes.consumers.pop().expect("one consumer"),
    };
    consumer.run().expect("the log never gives up");
    collector.collect(Duration::ZERO);
    (collector.finish(), clock.now_ns())
}

fn config() -> ConsumerConfig {
    ConsumerConfig { drain_timeout_ns: SECOND_NS, stop_at_end: true, ..ConsumerConfig::default() }
}

fn summary(totals: &Totals, ledger: Option<&AckLedger>) -> Summary {
    let timeline = Timeline { start_ns: START_NS, warm_up_end_ns: 0, interval_ns: SECOND_NS };
    summarise(timeline, None, totals, ledger)
}

/// That the messages 0 to `count - 1` of the run were acknowledged.
fn acked(count: u64) -> AckLedger {
    let mut ledger = AckLedger::default();
    let stream = crate::audit::StreamId { run: RunId::from_bits(RUN), producer: 0 };
    ledger.insert_range(stream, 0, count - 1);
    ledger
}

#[test]
fn the_rate_of_a_reader_counts_from_when_the_first_batch_was_waited_for() {
    // Messages in batches of 100, the first of them after 2.02 s: a wait of 20 ms brings it.
    let at_ns = |k: u64| START_NS + 2 * SECOND_NS + (k / 100 + 2) * 10 * MS;
    for (batches, stop_at_end, seconds) in [
        // What is there may have been on its way since it was first asked for.
        (1, true, 2.02),
        (11, true, 2.12),
        // What comes when it is sent counts from the wait that brought it.
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
fn messages_of_one_instant_give_no_rate_but_the_reason() {
    let messages = coming(RUN, 500, |_| START_NS).collect();
    let (totals, _) = read(messages, config(), Expected::Any);
    let summary = summary(&totals, None);
    let consumed = summary.consumed.as_ref().expect("it received");
    assert_eq!((consumed.received, consumed.rate_msg_per_s), (500, None));
    let warnings = warnings(&summary).join("\n");
    assert!(warnings.contains("no time over which to count a rate"), "{warnings}");
}

#[test]
fn messages_of_another_run_before_the_end_are_no_silence() {
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
fn messages_of_another_run_behind_the_end_are_silence() {
    let mut config = config();
    config.stop_at_end = false;
    // One each 100 ms, with the end reached after each: they would keep the run going for ever.
    let foreign = coming(RUN + 1, 600, |k| START_NS + k * 100 * MS).collect();
    let expected = Expected::Run(RunId::from_bits(RUN));
    let (_, ended_ns) = read_from(|log| Trickle(log, false), foreign, config, expected);
    assert!(ended_ns <= START_NS + 2 * SECOND_NS, "{ended_ns}");
}

/// Each message lies at the end: the call after it finds nothing more.
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
}

#[test]
fn what_lies_behind_an_early_stop_is_unread_and_not_lost() {
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
fn a_reader_of_unknown_messages_that_falls_silent_before_the_end_is_not_valid() {
    let at_ns = |k| START_NS + if k < 600 { k * MS } else { 60 * SECOND_NS };
    for (messages_max, reasons) in [
        (None, "reading stopped before the end, since nothing had come"),
        // That is what was asked for.
        (Some(100), ""),
    ] {
        let config = ConsumerConfig { messages_max, ..config() };
        let (totals, _) = read(coming(RUN, 1_000, at_ns).collect(), config, Expected::Any);
        let verdict = verdict(&summary(&totals, None));
        assert_eq!(verdict.reasons.is_empty(), reasons.is_empty(), "{verdict:?}");
        assert!(verdict.reasons.concat().starts_with(reasons), "{verdict:?}");
    }
}
