//! From the totals of a run to its figures and its verdict.

use std::collections::BTreeMap;

use super::{
    AuditBasis, AuditSummary, ClockComparison, Consumed, EarlyStop, Guarantee, LatencySummary,
    LoadModel, Produced, ProducerAudit, Resources, SelfCheck, Summary, Verdict, VerdictOutcome,
};
use crate::audit::AckLedger;
use crate::durations::DurationHistograms;
use crate::engine::{Span, StageLatencies, Timeline, Totals, Volume};
use crate::latency::LatencyHistogram;
use crate::pacing::Schedule;

/// What a summary is made from.
pub struct SummaryInput<'a> {
    /// What happened.
    pub totals: &'a Totals,
    /// When.
    pub timeline: Timeline,
    /// The schedule; `None` for a run that sent nothing.
    pub schedule: Option<Schedule>,
    /// Whether the run received.
    pub consumed: bool,
    /// What received messages are held against; `None` when that is unknown.
    pub ledger: Option<&'a AckLedger>,
    /// Why that is not all that was acknowledged, where it is not.
    pub partial: Option<String>,
    /// Share of the messages that may go without an answer, 0 to 1.
    pub unanswered_max: f64,
    /// How many messages were to come; counts where there is no ledger.
    pub messages_expected: Option<u64>,
    /// What the consumers were promised.
    pub guarantee: Guarantee,
    /// Whether messages carried no header, so that there is no audit and no latency.
    pub raw: bool,
    /// What the process used.
    pub resources: Resources,
    /// Counts of the system's own, by name.
    pub counts: BTreeMap<String, u64>,
}

impl Summary {
    /// The figures of a run.
    #[must_use]
    pub fn new(input: SummaryInput<'_>) -> Self {
        let SummaryInput {
            totals,
            timeline,
            schedule,
            consumed,
            ledger,
            partial,
            unanswered_max,
            messages_expected,
            guarantee,
            raw,
            resources,
            counts,
        } = input;
        let load = match schedule {
            None => LoadModel::None,
            Some(schedule) if schedule.is_open_loop() => LoadModel::Open,
            Some(_) => LoadModel::Closed,
        };
        let start_ns = timeline.start_ns.cast_signed();
        let (first_ns, last_ns) = match totals.receiving {
            // What only reads a table reads what landed before, perhaps long ago.
            Some(Span { from_ns, to_ns }) if load == LoadModel::None => {
                (from_ns.min(start_ns), to_ns)
            }
            receiving => {
                let sent_ns = totals.last_acked_ns.max(totals.asked_until_ns).cast_signed();
                (start_ns, receiving.map_or(sent_ns, |span| span.to_ns.max(sent_ns)))
            }
        };
        let warm_up_ns = timeline.warm_up_end_ns.saturating_sub(timeline.start_ns);
        let latencies = &totals.latencies;
        let stages = latencies.stages.as_deref();
        let stage = |of: fn(&StageLatencies) -> &LatencyHistogram| of(stages?).summary();
        Self {
            load,
            elapsed_s: seconds_between(first_ns, last_ns),
            warm_up_s: warm_up_ns as f64 / 1e9,
            produced: schedule.map(|schedule| Produced {
                unanswered_max,
                ..produced(totals, timeline, schedule)
            }),
            consumed: consumed.then(|| consumed_figures(totals, timeline, schedule.is_some())),
            publish_latency: latencies.publish_latency.summary(),
            service_time: latencies.service_time.summary(),
            schedule_lag: latencies.schedule_lag.summary(),
            end_to_end_latency: latencies.end_to_end_latency.summary(),
            end_to_end_clock: (totals.monotonic + totals.wall > 0)
                .then_some(ClockComparison { monotonic: totals.monotonic, wall: totals.wall }),
            arrival_latency: stage(|stages| &stages.arrival_latency),
            landing_latency: stage(|stages| &stages.landing_latency),
            table_time: stage(|stages| &stages.table_time),
            audit: (consumed && (!raw || messages_expected.is_some())).then(|| {
                let audit = totals.audit.summary(ledger);
                // Without headers, only the number is known.
                let received = if raw { totals.received.messages } else { audit.received };
                let expected = messages_expected.filter(|_| ledger.is_none());
                let audit = AuditSummary { received, ..audit }.against_expected(expected);
                AuditSummary { partial, guarantee, ..audit.stopped(totals) }
            }),
            // Without a message there is nothing to judge.
            self_check: (load == LoadModel::Open && !latencies.schedule_lag.is_empty()).then(
                || {
                    let lag_p99_ns = latencies.schedule_lag.percentile_ns(99.0);
                    SelfCheck {
                        kept_schedule: lag_p99_ns < SelfCheck::LAG_P99_MAX_NS && totals.unsent == 0,
                        lag_p99_ns,
                        blocked_ns: totals.blocked_ns,
                        unsent: totals.unsent,
                    }
                },
            ),
            resources,
            counts,
            durations: durations(&totals.durations),
        }
    }

    /// What the figures are worth. A run is invalid with loss or corruption, when it received nothing
    /// of what it was to receive, when nothing was confirmed or more than may be was not, and when
    /// it broke what its readers were promised beyond that. Of what is left, a run is partial when
    /// not all is known that it is held against.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let audit = self.audit.as_ref();
        let mut reasons = audit.map(|audit| self.invalid_reasons(audit)).unwrap_or_default();
        reasons.extend(self.unread_reason());
        reasons.extend(self.produced.as_ref().and_then(unconfirmed_reason));
        reasons.extend(self.raw_loss_reason());
        let received = self.consumed.as_ref().map(|consumed| consumed.received);
        if reasons.is_empty() && received == Some(0) {
            reasons.push("nothing was received".to_owned());
        }
        let partial = audit.and_then(|audit| audit.partial.clone());
        let outcome = match (reasons.is_empty(), partial) {
            (true, None) => VerdictOutcome::Valid,
            (true, Some(partial)) => {
                reasons.push(partial);
                VerdictOutcome::Partial
            }
            (false, partial) => {
                reasons.extend(partial);
                VerdictOutcome::Invalid
            }
        };
        Verdict { outcome, reasons }
    }

    /// What the audit found that must not be.
    fn invalid_reasons(&self, audit: &AuditSummary) -> Vec<String> {
        let landed = self.consumed.as_ref().is_some_and(|consumed| consumed.landed > 0);
        let missed = if landed { "did not land" } else { "were not received" };
        let mut reasons = Vec::new();
        if let Some(whose) = expected_messages(audit).filter(|_| audit.lost > 0) {
            reasons.push(format!("{} {whose} {missed}{}", audit.lost, first_ranges(audit)));
        }
        if audit.corrupt > 0 {
            reasons.push(format!(
                "{} messages arrived damaged, or were not written by this benchmark{}",
                audit.corrupt,
                self.headerless_remedy(audit)
            ));
        }
        if audit.guarantee >= Guarantee::Committed && audit.aborted_received > 0 {
            reasons.push(format!(
                "{} messages of aborted transactions were received",
                audit.aborted_received
            ));
        }
        if audit.guarantee >= Guarantee::ExactlyOnce && audit.duplicated > 0 {
            reasons.push(format!(
                "{} messages were received again, where exactly once was asked for",
                audit.duplicated
            ));
        }
        reasons
    }

    /// What helps where no message at all had a header, in a run that did not send them itself.
    fn headerless_remedy(&self, audit: &AuditSummary) -> &'static str {
        let with_header = audit.received + audit.duplicated + audit.foreign;
        if self.produced.is_none() && with_header == 0 {
            "; if others wrote them, use --raw, or --query FIELD"
        } else {
            ""
        }
    }

    /// Why reading did not come to the end, if it was to: messages are missing, or the system fell
    /// silent.
    fn unread_reason(&self) -> Option<String> {
        let consumed = self.consumed.as_ref().filter(|consumed| consumed.is_behind)?;
        let cause = match consumed.early_stop {
            Some(EarlyStop::Silence) => {
                ", since nothing had come for the time of --drain-timeout; raise it"
            }
            Some(EarlyStop::Count) => ", since --messages was reached",
            Some(EarlyStop::Deadline) => ", since --duration was over",
            None => "",
        };
        let audit = self.audit.as_ref().filter(|audit| audit.unread > 0);
        match audit.and_then(|audit| Some((audit, expected_messages(audit)?))) {
            Some((audit, whose)) => Some(format!(
                "{} {whose} were not read{}: reading stopped before the end{cause}",
                audit.unread,
                first_ranges(audit)
            )),
            None if consumed.early_stop == Some(EarlyStop::Silence) => {
                Some(format!("reading stopped before the end{cause}"))
            }
            None => None,
        }
    }

    /// What the numbers alone say of messages that carry none: that fewer came than were confirmed.
    fn raw_loss_reason(&self) -> Option<String> {
        let (produced, consumed) = (self.produced.as_ref()?, self.consumed.as_ref()?);
        let lost = produced.acked.checked_sub(consumed.received).filter(|lost| *lost > 0)?;
        self.audit.is_none().then(|| {
            format!("{lost} fewer messages were received than the {} acknowledged", produced.acked)
        })
    }

    /// What a reader of the figures must know.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |when: bool, text: String| {
            if when {
                warnings.push(text);
            }
        };
        if let Some(produced) = &self.produced {
            for (reason, count) in &produced.failures {
                warn(true, format!("{count} messages failed: {reason}"));
            }
            let unresolved = produced.unresolved;
            warn(unresolved > 0, format!("{unresolved} messages had no answer when the run ended"));
        }
        if let Some(check) = self.self_check.as_ref().filter(|check| !check.kept_schedule) {
            warn(true, late_schedule(check, self.elapsed_s - self.warm_up_s));
        }
        for warning in self.missing_figures() {
            warn(true, warning);
        }
        if let Some(audit) = &self.audit {
            warn(
                audit.against == AuditBasis::Sequences && audit.lost + audit.unread > 0,
                format!(
                    "{} sequence numbers are missing between the first and the last received; \
                     hold the messages against the run that sent them to tell whether they are lost",
                    audit.lost + audit.unread
                ),
            );
        }
        if let Some(clock) = self.end_to_end_clock.as_ref().filter(|clock| clock.wall > 0) {
            warn(
                true,
                format!(
                    "{} end-to-end samples compare the wall clocks of two hosts, whose offset was \
                     not estimated",
                    clock.wall
                ),
            );
        }
        warn(
            (f64::MIN_POSITIVE..1.0).contains(&(self.elapsed_s - self.warm_up_s)),
            "less than a second was measured: the figures are rough".to_owned(),
        );
        warnings
    }

    /// Why there are no figures where there could be some.
    fn missing_figures(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let sent = self.produced.as_ref().map_or(0, |produced| produced.sent);
        let rates = self.produced.as_ref().map(|produced| produced.rate_msg_per_s);
        if self.service_time.is_none() && self.warm_up_s > 0.0 && sent > 0 {
            warnings.push(format!(
                "no message was due after the warm-up of {} s: there is no rate, no latency, and no \
                 verdict on the schedule; shorten --warm-up, or send for longer",
                self.warm_up_s
            ));
        } else if rates == Some(None) {
            warnings.push(
                "no time passed between the first and the last message: there is no rate \
                           of sending; send more messages"
                    .to_owned(),
            );
        }
        let consumed = self.consumed.as_ref().filter(|consumed| consumed.received > 0);
        if self.load == LoadModel::None && consumed.is_some_and(|c| c.rate_msg_per_s.is_none()) {
            warnings.push(
                "all messages came at one instant: there is no time over which to count a \
                           rate of receiving; read more messages"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Why the schedule was not kept. The generator cannot send what the system leaves no room for: one
/// per cent of the time is enough to be seen at the 99th percentile.
fn late_schedule(check: &SelfCheck, measured_s: f64) -> String {
    let (lag_ms, blocked_s) = (check.lag_p99_ns as f64 / 1e6, check.blocked_ns as f64 / 1e9);
    let unsent = check.unsent;
    if blocked_s > 0.0 && blocked_s >= measured_s / 100.0 {
        return format!(
            "the system held up the generator, for {blocked_s:.3} s: {unsent} messages were never \
             sent, and the 99th percentile of the schedule lag was {lag_ms:.3} ms"
        );
    }
    format!(
        "the generator did not keep its schedule: {unsent} messages were never sent, the 99th \
         percentile of the lag was {lag_ms:.3} ms, and producers waited {blocked_s:.3} s for the \
         system"
    )
}

/// Why too few messages were confirmed, if they were.
fn unconfirmed_reason(produced: &Produced) -> Option<String> {
    let because = produced.outage.as_ref().map_or_else(String::new, |outage| format!(": {outage}"));
    if produced.sent > 0 && produced.acked == 0 {
        return Some(format!("not one of {} messages sent was confirmed{because}", produced.sent));
    }
    let (share, most) = (produced.unanswered_share, produced.unanswered_max);
    (share > most).then(|| {
        format!(
            "{} messages were confirmed, and {:.3} % of those due got no answer, where \
             --unanswered-max allows {} %{because}",
            produced.acked,
            share * 100.0,
            most * 100.0
        )
    })
}

fn durations(histograms: &DurationHistograms) -> BTreeMap<String, LatencySummary> {
    let measured = |(name, histogram): (&&str, &LatencyHistogram)| {
        Some(((*name).to_owned(), histogram.summary()?))
    };
    histograms.iter().filter_map(measured).collect()
}

fn produced(totals: &Totals, timeline: Timeline, schedule: Schedule) -> Produced {
    let from_ns = timeline.warm_up_end_ns.max(timeline.start_ns);
    // A system that stops to answer does not stop the time.
    let until_ns = totals.last_acked_ns.max(totals.asked_until_ns);
    let (rate_msg_per_s, rate_bytes_per_s) =
        rates(totals.measured_acked, from_ns.cast_signed(), until_ns.cast_signed());
    let unanswered = totals.unresolved + totals.timed_out + totals.held_up;
    let due = totals.sent + totals.held_up;
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for (failure, count) in &totals.failures {
        let reason = totals.explanations.get(failure).cloned();
        let reason = reason.unwrap_or_else(|| format!("code {}", failure.code()));
        *failures.entry(reason).or_default() += count;
    }
    Produced {
        sent: totals.sent,
        acked: totals.acked.messages,
        failed: totals.failures.values().sum(),
        unresolved: totals.unresolved,
        failures,
        acked_bytes: totals.acked.bytes,
        unanswered_share: unanswered as f64 / due.max(1) as f64,
        unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
        outage: totals.outage.clone(),
        rate_msg_per_s,
        rate_bytes_per_s,
        target_rate_msg_per_s: schedule.target_rate_per_s(),
    }
}

fn consumed_figures(totals: &Totals, timeline: Timeline, produced_too: bool) -> Consumed {
    // A run that only reads may join a group for seconds before it waits for the first message.
    let (from_ns, until_ns) = if produced_too {
        let from_ns = timeline.warm_up_end_ns.max(timeline.start_ns);
        let until_ns = totals.asked_until_ns.cast_signed();
        let until_ns = totals.receiving.map_or(until_ns, |span| span.to_ns.max(until_ns));
        (from_ns.cast_signed(), until_ns)
    } else {
        totals.receiving.map_or((0, 0), |span| (span.from_ns, span.to_ns))
    };
    let (rate_msg_per_s, rate_bytes_per_s) = rates(totals.measured_received, from_ns, until_ns);
    Consumed {
        received: totals.received.messages,
        received_bytes: totals.received.bytes,
        landed: totals.landed,
        rate_msg_per_s,
        rate_bytes_per_s,
        early_stop: totals.early_stop,
        is_behind: totals.is_behind,
    }
}

/// Messages and bytes per second; `None` for a time of no length.
fn rates(volume: Volume, from_ns: i64, to_ns: i64) -> (Option<f64>, Option<f64>) {
    let seconds = seconds_between(from_ns, to_ns);
    let per_second = |amount: u64| (seconds > 0.0).then(|| amount as f64 / seconds);
    (per_second(volume.messages), per_second(volume.bytes))
}

/// 0 where the end lies before the beginning.
fn seconds_between(from_ns: i64, to_ns: i64) -> f64 {
    to_ns.saturating_sub(from_ns).max(0) as f64 / 1e9
}

impl AuditSummary {
    /// The same where so many messages were to come, if that is known.
    fn against_expected(self, messages_expected: Option<u64>) -> Self {
        let Some(expected) = messages_expected else { return self };
        let lost = self.lost.max(expected.saturating_sub(self.received));
        Self { against: AuditBasis::Expected, lost, ..self }
    }

    /// The same where reading may have stopped before the end: what is missing may lie ahead then.
    fn stopped(self, totals: &Totals) -> Self {
        // When as many have come as were to come, those that are missing are not among them.
        let is_count = totals.early_stop == Some(EarlyStop::Count);
        if !totals.is_behind || (is_count && self.against == AuditBasis::Expected) {
            return self;
        }
        let unread =
            |producer: ProducerAudit| ProducerAudit { lost: 0, unread: producer.lost, ..producer };
        let producers = self.producers.into_iter().map(unread).collect();
        Self { lost: 0, unread: self.lost, producers, ..self }
    }
}

/// The messages that were to come, where they are known.
fn expected_messages(audit: &AuditSummary) -> Option<&'static str> {
    match audit.against {
        AuditBasis::Acked => Some("acknowledged messages"),
        AuditBasis::Expected => Some("of the messages expected"),
        AuditBasis::Sequences => None,
    }
}

/// Which messages are missing: the first few ranges of them.
fn first_ranges(audit: &AuditSummary) -> String {
    let ranges = audit.producers.iter().flat_map(|producer| {
        let named = |(first, last): &(u64, u64)| {
            format!("{first}..={last} of producer {}", producer.producer)
        };
        producer.lost_ranges.iter().map(named)
    });
    let some: Vec<String> = ranges.take(3).collect();
    if some.is_empty() { String::new() } else { format!(", the first of them {}", some.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Audit, Expected, ReceiveAudit, ReceiveDelta, StreamId};
    use crate::clock::{BootId, ClockOrigin, SECOND_NS};
    use crate::message::RunId;
    use crate::message::header::Header;
    use crate::transport::Failure;

    fn input(totals: &Totals) -> SummaryInput<'_> {
        SummaryInput {
            totals,
            timeline: Timeline {
                start_ns: SECOND_NS,
                warm_up_end_ns: 2 * SECOND_NS,
                interval_ns: SECOND_NS,
            },
            schedule: Some(Schedule::Constant { rate_per_s: 100.0 }),
            consumed: true,
            ledger: Some(&totals.ledger),
            partial: None,
            unanswered_max: Produced::UNANSWERED_MAX_DEFAULT,
            messages_expected: None,
            guarantee: Guarantee::AtLeastOnce,
            raw: false,
            resources: Resources::default(),
            counts: BTreeMap::new(),
        }
    }

    #[test]
    fn rates_leave_the_warm_up_out() {
        let totals = Totals {
            acked: Volume { messages: 500, bytes: 50_000 },
            measured_acked: Volume { messages: 400, bytes: 40_000 },
            last_acked_ns: 6 * SECOND_NS,
            ..Totals::default()
        };
        let summary = Summary::new(input(&totals));
        let produced = summary.produced.expect("it produced");
        assert_eq!((produced.acked, produced.rate_msg_per_s), (500, Some(100.0)));
        assert_eq!(produced.rate_bytes_per_s, Some(10_000.0));
        assert!((summary.elapsed_s - 5.0).abs() < 1e-9 && (summary.warm_up_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn loss_invalidates_a_run_and_is_named() {
        let mut totals = Totals::default();
        let stream = StreamId { run: RunId::from_bits(1), producer: 3 };
        totals.ledger.insert_range(stream, 10, 14);
        let verdict = Summary::new(input(&totals)).verdict();
        assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
        assert_eq!(
            verdict.reasons,
            ["5 acknowledged messages were not received, the first of them 10..=14 of producer 3"]
        );
    }

    #[test]
    fn of_a_number_of_messages_that_was_expected_gaps_and_a_missing_end_are_lost() {
        // Received, how many were expected, lost of them.
        for (received, expected, lost) in [
            (&[0, 1, 2, 3][..], 4, 0),
            (&[0, 1, 3], 4, 1),
            (&[0, 1, 2], 4, 1),
            (&[0, 3], 3, 2),
            (&[], 4, 4),
        ] {
            let volume = Volume { messages: received.len() as u64, bytes: 0 };
            let audit = audit_of(received);
            let totals = Totals { audit, received: volume, ..Totals::default() };
            let messages_expected = Some(expected);
            let input = SummaryInput { ledger: None, messages_expected, ..input(&totals) };
            let summary = Summary::new(input);
            let audit = summary.audit.as_ref().expect("is audited");
            assert_eq!((audit.against, audit.lost), (AuditBasis::Expected, lost), "{received:?}");
            let is_valid = summary.verdict().outcome == VerdictOutcome::Valid;
            assert_eq!(is_valid, lost == 0, "{received:?}");
        }
    }

    /// The audit of a consumer that got these sequence numbers of one producer.
    fn audit_of(sequences: &[u64]) -> Audit {
        let (mut audit, mut delta) = (Audit::default(), ReceiveDelta::default());
        let mut consumer = ReceiveAudit::new(Expected::Any);
        for &sequence in sequences {
            let origin = ClockOrigin { boot: BootId::from_hash(0), wall_offset_ns: 0 };
            let run = RunId::from_bits(1);
            let header = Header { run, producer: 0, sequence, intended_ns: 0, sent_ns: 0, origin };
            consumer.received(&header, 0);
        }
        consumer.hand_over(&mut delta);
        audit.absorb(&mut delta);
        audit
    }

    #[test]
    fn of_what_was_to_land_the_verdict_says_that_it_did_not() {
        let mut totals = Totals { landed: 1, ..Totals::default() };
        let stream = StreamId { run: RunId::from_bits(1), producer: 0 };
        totals.ledger.insert_range(stream, 3, 3);
        let verdict = Summary::new(input(&totals)).verdict();
        let reason = "1 acknowledged messages did not land, the first of them 3..=3 of producer 0";
        assert_eq!(verdict.reasons, [reason]);
    }

    #[test]
    fn the_time_of_a_run_that_reads_old_rows_is_that_in_which_they_landed() {
        // The last time lies before this host was booted.
        for from_ns in [SECOND_NS.cast_signed() / 2, -9 * SECOND_NS.cast_signed()] {
            let to_ns = from_ns + 4 * SECOND_NS.cast_signed();
            let totals = Totals {
                measured_received: Volume { messages: 40, bytes: 400 },
                receiving: Some(Span { from_ns, to_ns }),
                ..Totals::default()
            };
            let summary = Summary::new(SummaryInput { schedule: None, ..input(&totals) });
            assert!((summary.elapsed_s - 4.0).abs() < 1e-9, "{}", summary.elapsed_s);
            assert_eq!(summary.consumed.expect("consumed").rate_msg_per_s, Some(10.0));
        }
    }

    #[test]
    fn aborted_messages_and_repeats_invalidate_a_run_that_promised_there_would_be_none() {
        let received = Volume { messages: 5, bytes: 0 };
        let mut summary = Summary::new(input(&Totals { received, ..Totals::default() }));
        let audit = summary.audit.as_mut().expect("is audited");
        (audit.aborted_received, audit.duplicated) = (3, 2);
        let aborted = "3 messages of aborted transactions were received";
        let repeated = "2 messages were received again, where exactly once was asked for";
        let promised = [
            (Guarantee::AtLeastOnce, vec![]),
            (Guarantee::Committed, vec![aborted]),
            (Guarantee::ExactlyOnce, vec![aborted, repeated]),
        ];
        for (guarantee, reasons) in promised {
            summary.audit.as_mut().expect("is audited").guarantee = guarantee;
            assert_eq!(summary.verdict().reasons, reasons, "{guarantee:?}");
        }
    }

    #[test]
    fn reader_without_any_header_names_what_helps() {
        let received = Volume { messages: 7, bytes: 70 };
        let totals = Totals { received, ..Totals::default() };
        let reasons = |schedule, received, foreign| {
            let mut summary = Summary::new(SummaryInput { schedule, ..input(&totals) });
            let audit = summary.audit.as_mut().expect("is audited");
            (audit.corrupt, audit.received, audit.foreign) = (7, received, foreign);
            summary.verdict().reasons[0].clone()
        };
        let damaged = "7 messages arrived damaged, or were not written by this benchmark";
        let remedy = "; if others wrote them, use --raw, or --query FIELD";
        assert_eq!(reasons(None, 0, 0), format!("{damaged}{remedy}"));
        assert_eq!(reasons(None, 1, 0), damaged);
        assert_eq!(reasons(None, 0, 1), damaged);
        let produced = Some(Schedule::Constant { rate_per_s: 100.0 });
        assert_eq!(reasons(produced, 0, 0), damaged, "a run that sends knows who wrote");
    }

    #[test]
    fn a_run_that_got_nothing_confirmed_is_invalid() {
        let totals = Totals {
            sent: 3,
            failures: BTreeMap::from([(Failure::Refused(7), 3)]),
            ..Totals::default()
        };
        let summary = Summary::new(input(&totals));
        assert_eq!(summary.verdict().reasons, ["not one of 3 messages sent was confirmed"]);
        assert!(summary.warnings().contains(&"3 messages failed: code 7".to_owned()));
    }

    /// A run that sent 1,000 messages and received one.
    fn sent_1000() -> Totals {
        let received = Volume { messages: 1, bytes: 0 };
        Totals { sent: 1_000, received, ..Totals::default() }
    }

    #[test]
    fn more_unanswered_messages_than_may_be_make_a_run_invalid() {
        let acked = |messages| Volume { messages, bytes: 0 };
        let failed = |count| BTreeMap::from([(Failure::Refused(7), count)]);
        let totals = [
            (Totals { acked: acked(990), unresolved: 10, ..sent_1000() }, 0.01),
            (Totals { acked: acked(989), unresolved: 11, ..sent_1000() }, 0.011),
            (
                Totals { acked: acked(989), failures: failed(11), timed_out: 11, ..sent_1000() },
                0.011,
            ),
            // What was due and found no room behind unanswered messages counts.
            (Totals { acked: acked(995), unresolved: 5, held_up: 1_000, ..sent_1000() }, 0.5025),
            // A refusal is an answer, and so is an aborted transaction.
            (Totals { acked: acked(500), failures: failed(500), ..sent_1000() }, 0.0),
        ];
        for (totals, share) in &totals {
            for (unanswered_max, is_named) in [(0.01, *share > 0.01), (1.0, false)] {
                let summary = Summary::new(SummaryInput { unanswered_max, ..input(totals) });
                let produced = summary.produced.as_ref().expect("it sent");
                assert!((produced.unanswered_share - share).abs() < 1e-9, "{produced:?}");
                let verdict = summary.verdict();
                let reason = verdict.reasons.iter().any(|r| r.contains("--unanswered-max"));
                assert_eq!(reason, is_named, "{share}, {unanswered_max}: {verdict:?}");
                let expected =
                    if is_named { VerdictOutcome::Invalid } else { VerdictOutcome::Valid };
                assert_eq!(verdict.outcome, expected);
            }
        }
    }

    #[test]
    fn an_outage_is_named_as_the_reason() {
        let outage = Some("all brokers are down".to_owned());
        for (acked, reason) in [(0, "not one of 1000 messages"), (10, "10 messages were confirmed")]
        {
            let acked = Volume { messages: acked, bytes: 0 };
            let totals = Totals { acked, unresolved: 990, outage: outage.clone(), ..sent_1000() };
            let reasons = Summary::new(input(&totals)).verdict().reasons;
            assert!(reasons[0].starts_with(reason), "{reasons:?}");
            assert!(reasons[0].ends_with(": all brokers are down"), "{reasons:?}");
        }
    }

    #[test]
    fn a_run_that_was_to_receive_and_received_nothing_is_not_valid() {
        let totals = Totals::default();
        for raw in [false, true] {
            let verdict = Summary::new(SummaryInput { raw, ..input(&totals) }).verdict();
            assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
            assert_eq!(verdict.reasons, ["nothing was received"]);
        }
        let sent_only = SummaryInput { consumed: false, ..input(&totals) };
        assert_eq!(Summary::new(sent_only).verdict().outcome, VerdictOutcome::Valid);
    }

    #[test]
    fn of_raw_messages_the_numbers_show_a_loss() {
        let acked = Volume { messages: 1_000, bytes: 0 };
        for (received, reasons) in [
            (1_000, vec![]),
            (1_001, vec![]),
            (999, vec!["1 fewer messages were received than the 1000 acknowledged"]),
        ] {
            let received = Volume { messages: received, bytes: 0 };
            let totals = Totals { acked, received, ..sent_1000() };
            let summary = Summary::new(SummaryInput { raw: true, ..input(&totals) });
            assert_eq!(summary.verdict().reasons, reasons);
        }
    }

    #[test]
    fn a_run_held_against_a_record_that_is_not_whole_is_at_most_partial() {
        let received = Volume { messages: 1, bytes: 0 };
        let mut totals = Totals { received, ..Totals::default() };
        let partial = "the record is not whole".to_owned();
        let verdict = |totals: &Totals| {
            Summary::new(SummaryInput { partial: Some(partial.clone()), ..input(totals) }).verdict()
        };
        let Verdict { outcome, reasons } = verdict(&totals);
        assert_eq!((outcome, reasons), (VerdictOutcome::Partial, vec![partial.clone()]));
        let stream = StreamId { run: RunId::from_bits(1), producer: 3 };
        totals.ledger.insert_range(stream, 10, 14);
        assert_eq!(verdict(&totals).outcome, VerdictOutcome::Invalid, "a loss is a loss");
    }

    #[test]
    fn a_schedule_that_the_system_held_up_is_not_blamed_on_the_generator() {
        for (blocked_ms, blamed) in [(0, "the generator did not keep"), (50, "the system held up")]
        {
            let mut totals = Totals { blocked_ns: blocked_ms * 1_000_000, ..sent_1000() };
            totals.asked_until_ns = 6 * SECOND_NS;
            totals.latencies.schedule_lag.record(5_000_000);
            let warnings = Summary::new(input(&totals)).warnings().join("\n");
            assert!(warnings.contains(blamed), "{blocked_ms}: {warnings}");
        }
    }

    #[test]
    fn a_generator_that_was_too_slow_says_so() {
        let received = Volume { messages: 5, bytes: 0 };
        let mut totals = Totals { unsent: 7, received, ..Totals::default() };
        totals.latencies.schedule_lag.record(1);
        let summary = Summary::new(input(&totals));
        assert!(!summary.self_check.as_ref().expect("open loop").kept_schedule);
        let warnings = summary.warnings().join("\n");
        assert!(warnings.contains("7 messages were never sent"), "{warnings}");
        assert_eq!(summary.verdict().outcome, VerdictOutcome::Valid);
    }
}
