//! Derives the figures and the verdict of a run from its totals.

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

/// The input of a summary.
pub struct SummaryInput<'a> {
    /// What happened in the run.
    pub totals: &'a Totals,
    /// The instants that divide it.
    pub timeline: Timeline,
    /// The schedule; `None` for a run that sent nothing.
    pub schedule: Option<Schedule>,
    /// Whether the run received messages.
    pub consumed: bool,
    /// The acknowledged messages to compare received ones with; `None` if unknown.
    pub ledger: Option<&'a AckLedger>,
    /// Why that record is incomplete, if it is.
    pub partial: Option<String>,
    /// Maximum share of messages that may go unacknowledged, 0 to 1.
    pub unanswered_max: f64,
    /// Number of messages expected; used if there is no ledger.
    pub messages_expected: Option<u64>,
    /// The guarantee given to the consumers.
    pub guarantee: Guarantee,
    /// Whether messages had no header, so that there is neither audit nor latency.
    pub raw: bool,
    /// Resources used by the process.
    pub resources: Resources,
    /// System-specific counts, by name.
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
            // A run that only reads a table reads rows that landed earlier, perhaps long ago.
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
            // Without messages there is nothing to check.
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

    /// The verdict. A run is invalid if messages were lost or corrupted, if it should have received
    /// messages but received none, if none or too few were confirmed, or if it violated the
    /// guarantee given to its readers. Otherwise it is partial if the record of acknowledged
    /// messages is incomplete.
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

    /// The audit's reasons for an invalid run.
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
                "{} messages were received more than once, although exactly-once was required",
                audit.duplicated
            ));
        }
        reasons
    }

    /// The remedy if no message had a header, in a run that did not send them itself.
    fn headerless_remedy(&self, audit: &AuditSummary) -> &'static str {
        let with_header = audit.received + audit.duplicated + audit.foreign;
        if self.produced.is_none() && with_header == 0 {
            "; if others wrote them, use --raw, or --query FIELD"
        } else {
            ""
        }
    }

    /// Why reading did not reach the end, if it should have: messages are missing, or no more
    /// arrived.
    fn unread_reason(&self) -> Option<String> {
        let consumed = self.consumed.as_ref().filter(|consumed| consumed.is_behind)?;
        let cause = match consumed.early_stop {
            Some(EarlyStop::Silence) => {
                ", since no message arrived within --drain-timeout; raise it"
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

    /// Whether fewer messages were received than confirmed, for messages without sequence numbers.
    fn raw_loss_reason(&self) -> Option<String> {
        let (produced, consumed) = (self.produced.as_ref()?, self.consumed.as_ref()?);
        let lost = produced.acked.checked_sub(consumed.received).filter(|lost| *lost > 0)?;
        self.audit.is_none().then(|| {
            format!("{lost} fewer messages were received than the {} acknowledged", produced.acked)
        })
    }

    /// Warnings for the reader of the figures.
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
            warn(unresolved > 0, format!("{unresolved} messages were unacknowledged at the end"));
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
                     check against the run that sent the messages to tell whether they are lost",
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

    /// Why expected figures are missing.
    fn missing_figures(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let sent = self.produced.as_ref().map_or(0, |produced| produced.sent);
        let rates = self.produced.as_ref().map(|produced| produced.rate_msg_per_s);
        if self.service_time.is_none() && self.warm_up_s > 0.0 && sent > 0 {
            warnings.push(format!(
                "no message was due after the warm-up of {} s, so there is no rate, latency or \
                 schedule check; shorten --warm-up, or send for longer",
                self.warm_up_s
            ));
        } else if rates == Some(None) {
            warnings.push(
                "no time passed between the first and the last message, so there is no sending \
                 rate; send more messages"
                    .to_owned(),
            );
        }
        let consumed = self.consumed.as_ref().filter(|consumed| consumed.received > 0);
        if self.load == LoadModel::None && consumed.is_some_and(|c| c.rate_msg_per_s.is_none()) {
            warnings.push(
                "all messages arrived at the same instant, so there is no receiving rate; read \
                 more messages"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Why the schedule was not kept. The generator cannot send if the system leaves no room; one per
/// cent of the time is enough to show at the 99th percentile.
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
        return Some(format!("none of the {} messages sent was confirmed{because}", produced.sent));
    }
    let (share, most) = (produced.unanswered_share, produced.unanswered_max);
    (share > most).then(|| {
        format!(
            "{} messages were confirmed, but {:.3} % of those due went unacknowledged \
             (--unanswered-max is {} %){because}",
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
    // The time goes on even if the system stops responding.
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
    // A run that only reads may take seconds to join a group before it waits for messages.
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

/// Messages and bytes per second; `None` for an empty time.
fn rates(volume: Volume, from_ns: i64, to_ns: i64) -> (Option<f64>, Option<f64>) {
    let seconds = seconds_between(from_ns, to_ns);
    let per_second = |amount: u64| (seconds > 0.0).then(|| amount as f64 / seconds);
    (per_second(volume.messages), per_second(volume.bytes))
}

/// Seconds between two instants; 0 if the end is before the beginning.
fn seconds_between(from_ns: i64, to_ns: i64) -> f64 {
    to_ns.saturating_sub(from_ns).max(0) as f64 / 1e9
}

impl AuditSummary {
    /// Compares with the expected number of messages, if known.
    fn against_expected(self, messages_expected: Option<u64>) -> Self {
        let Some(expected) = messages_expected else { return self };
        let lost = self.lost.max(expected.saturating_sub(self.received));
        Self { against: AuditBasis::Expected, lost, ..self }
    }

    /// Counts missing messages as unread if reading stopped before the end.
    fn stopped(self, totals: &Totals) -> Self {
        // If the expected number has arrived, missing messages are lost rather than unread.
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

/// The expected messages, if they are known.
fn expected_messages(audit: &AuditSummary) -> Option<&'static str> {
    match audit.against {
        AuditBasis::Acked => Some("acknowledged messages"),
        AuditBasis::Expected => Some("of the messages expected"),
        AuditBasis::Sequences => None,
    }
}

/// The first few ranges of missing messages.
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
    fn rates_exclude_the_warm_up() {
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
    fn losses_invalidate_a_run_and_are_named() {
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
    fn gaps_and_shortfalls_of_expected_messages_are_lost() {
        // Sequence numbers received, number expected, number lost.
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

    /// The audit of a consumer that received these sequence numbers from one producer.
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
    fn missing_rows_did_not_land() {
        let mut totals = Totals { landed: 1, ..Totals::default() };
        let stream = StreamId { run: RunId::from_bits(1), producer: 0 };
        totals.ledger.insert_range(stream, 3, 3);
        let verdict = Summary::new(input(&totals)).verdict();
        let reason = "1 acknowledged messages did not land, the first of them 3..=3 of producer 0";
        assert_eq!(verdict.reasons, [reason]);
    }

    #[test]
    fn reading_old_rows_is_timed_by_their_landing() {
        // The second time is before this host's boot.
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
    fn violated_guarantees_invalidate_a_run() {
        let received = Volume { messages: 5, bytes: 0 };
        let mut summary = Summary::new(input(&Totals { received, ..Totals::default() }));
        let audit = summary.audit.as_mut().expect("is audited");
        (audit.aborted_received, audit.duplicated) = (3, 2);
        let aborted = "3 messages of aborted transactions were received";
        let repeated =
            "2 messages were received more than once, although exactly-once was required";
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
    fn readers_without_any_header_get_a_remedy() {
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
    fn runs_without_confirmations_are_invalid() {
        let totals = Totals {
            sent: 3,
            failures: BTreeMap::from([(Failure::Refused(7), 3)]),
            ..Totals::default()
        };
        let summary = Summary::new(input(&totals));
        assert_eq!(summary.verdict().reasons, ["none of the 3 messages sent was confirmed"]);
        assert!(summary.warnings().contains(&"3 messages failed: code 7".to_owned()));
    }

    /// A run that sent 1,000 messages and received one.
    fn sent_1000() -> Totals {
        let received = Volume { messages: 1, bytes: 0 };
        Totals { sent: 1_000, received, ..Totals::default() }
    }

    #[test]
    fn too_many_unanswered_messages_make_a_run_invalid() {
        let acked = |messages| Volume { messages, bytes: 0 };
        let failed = |count| BTreeMap::from([(Failure::Refused(7), count)]);
        let totals = [
            (Totals { acked: acked(990), unresolved: 10, ..sent_1000() }, 0.01),
            (Totals { acked: acked(989), unresolved: 11, ..sent_1000() }, 0.011),
            (
                Totals { acked: acked(989), failures: failed(11), timed_out: 11, ..sent_1000() },
                0.011,
            ),
            // Due messages without room behind unanswered ones count.
            (Totals { acked: acked(995), unresolved: 5, held_up: 1_000, ..sent_1000() }, 0.5025),
            // Refusals and aborted transactions do not count as unanswered.
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
    fn outages_are_named_as_the_reason() {
        let outage = Some("all brokers are down".to_owned());
        for (acked, reason) in
            [(0, "none of the 1000 messages"), (10, "10 messages were confirmed")]
        {
            let acked = Volume { messages: acked, bytes: 0 };
            let totals = Totals { acked, unresolved: 990, outage: outage.clone(), ..sent_1000() };
            let reasons = Summary::new(input(&totals)).verdict().reasons;
            assert!(reasons[0].starts_with(reason), "{reasons:?}");
            assert!(reasons[0].ends_with(": all brokers are down"), "{reasons:?}");
        }
    }

    #[test]
    fn receiving_nothing_is_invalid() {
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
    fn raw_losses_show_in_the_message_counts() {
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
    fn incomplete_records_make_a_run_partial() {
        let received = Volume { messages: 1, bytes: 0 };
        let mut totals = Totals { received, ..Totals::default() };
        let partial = "the record is incomplete".to_owned();
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
    fn system_delays_are_not_blamed_on_the_generator() {
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
    fn slow_generators_are_reported() {
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
