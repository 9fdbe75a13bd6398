//! From the totals of a run to its figures and its verdict.

use std::collections::BTreeMap;

use super::{
    AuditBasis, AuditSummary, ClockComparison, Consumed, Guarantee, LatencySummary, LoadModel,
    Produced, Resources, SelfCheck, Summary, Verdict, VerdictOutcome,
};
use crate::audit::AckLedger;
use crate::clock::InstantNs;
use crate::durations::DurationHistograms;
use crate::engine::{StageLatencies, Timeline, Totals, Volume};
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
        // What only reads a table reads what landed before, perhaps long ago.
        let first_ns = match totals.first_received_ns {
            first_ns @ 1.. if load == LoadModel::None => first_ns.min(timeline.start_ns),
            _ => timeline.start_ns,
        };
        let last_ns = totals.last_acked_ns.max(totals.last_received_ns);
        let warm_up_ns = timeline.warm_up_end_ns.saturating_sub(timeline.start_ns);
        let latencies = &totals.latencies;
        let stages = latencies.stages.as_deref();
        let stage = |of: fn(&StageLatencies) -> &LatencyHistogram| of(stages?).summary();
        Self {
            load,
            elapsed_s: seconds_between(first_ns, last_ns),
            warm_up_s: warm_up_ns as f64 / 1e9,
            produced: schedule.map(|schedule| produced(totals, timeline, schedule)),
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
            audit: (consumed && !raw).then(|| {
                let audit = totals.audit.summary(ledger);
                let expected = messages_expected.filter(|_| ledger.is_none());
                AuditSummary { guarantee, ..audit.against_expected(expected) }
            }),
            self_check: (load == LoadModel::Open).then(|| {
                let lag_p99_ns = latencies.schedule_lag.percentile_ns(99.0);
                SelfCheck {
                    kept_schedule: lag_p99_ns < SelfCheck::LAG_P99_MAX_NS && totals.unsent == 0,
                    lag_p99_ns,
                    blocked_ns: totals.blocked_ns,
                    unsent: totals.unsent,
                }
            }),
            resources,
            counts,
            durations: durations(&totals.durations),
        }
    }

    /// What the figures are worth: a run with loss or corruption is invalid, and so is one that
    /// sent and got nothing confirmed, or that broke what its readers were promised beyond that.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let landed = self.consumed.as_ref().is_some_and(|consumed| consumed.landed > 0);
        let missed = if landed { "did not land" } else { "were not received" };
        let audit = self.audit.as_ref();
        let mut reasons = audit.map(|audit| invalid_reasons(audit, missed)).unwrap_or_default();
        if let Some(produced) = self.produced.as_ref().filter(|p| p.sent > 0 && p.acked == 0) {
            reasons.push(format!("not one of {} messages sent was confirmed", produced.sent));
        }
        let outcome =
            if reasons.is_empty() { VerdictOutcome::Valid } else { VerdictOutcome::Invalid };
        Verdict { outcome, reasons }
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
            warn(
                true,
                format!(
                    "the generator did not keep its schedule: {} messages were never sent, the 99th \
                     percentile of the lag was {:.3} ms, and producers waited {:.3} s for the system",
                    check.unsent,
                    check.lag_p99_ns as f64 / 1e6,
                    check.blocked_ns as f64 / 1e9
                ),
            );
        }
        if let Some(audit) = &self.audit {
            warn(
                audit.against == AuditBasis::Sequences && audit.lost > 0,
                format!(
                    "{} sequence numbers are missing between the first and the last received; \
                     hold the messages against the run that sent them to tell whether they are lost",
                    audit.lost
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
        let nothing = self.consumed.as_ref().is_some_and(|consumed| consumed.received == 0);
        warn(nothing, "nothing was received".to_owned());
        warn(
            self.elapsed_s > 0.0 && self.elapsed_s - self.warm_up_s < 1.0,
            "less than a second was measured: the figures are rough".to_owned(),
        );
        warnings
    }
}

fn durations(histograms: &DurationHistograms) -> BTreeMap<String, LatencySummary> {
    let measured = |(name, histogram): (&&str, &LatencyHistogram)| {
        Some(((*name).to_owned(), histogram.summary()?))
    };
    histograms.iter().filter_map(measured).collect()
}

fn produced(totals: &Totals, timeline: Timeline, schedule: Schedule) -> Produced {
    let from_ns = timeline.warm_up_end_ns.max(timeline.start_ns);
    let (rate_msg_per_s, rate_bytes_per_s) =
        rates(totals.measured_acked, from_ns, totals.last_acked_ns);
    let mut failures: BTreeMap<String, u64> = BTreeMap::new();
    for (code, count) in &totals.failures {
        let reason = totals.explanations.get(code).cloned();
        *failures.entry(reason.unwrap_or_else(|| format!("code {code}"))).or_default() += count;
    }
    Produced {
        sent: totals.sent,
        acked: totals.acked.messages,
        failed: totals.failures.values().sum(),
        unresolved: totals.unresolved,
        failures,
        acked_bytes: totals.acked.bytes,
        rate_msg_per_s,
        rate_bytes_per_s,
        target_rate_msg_per_s: schedule.target_rate_per_s(),
    }
}

fn consumed_figures(totals: &Totals, timeline: Timeline, produced_too: bool) -> Consumed {
    // Messages that were there before count from the first one: joining a group takes seconds.
    let from_ns = if produced_too {
        timeline.warm_up_end_ns.max(timeline.start_ns)
    } else {
        totals.first_received_ns
    };
    let (rate_msg_per_s, rate_bytes_per_s) =
        rates(totals.measured_received, from_ns, totals.last_received_ns);
    Consumed {
        received: totals.received.messages,
        received_bytes: totals.received.bytes,
        landed: totals.landed,
        rate_msg_per_s,
        rate_bytes_per_s,
    }
}

/// Messages and bytes a second; 0 for a time of no length.
fn rates(volume: Volume, from_ns: InstantNs, to_ns: InstantNs) -> (f64, f64) {
    let seconds = seconds_between(from_ns, to_ns);
    if seconds > 0.0 {
        (volume.messages as f64 / seconds, volume.bytes as f64 / seconds)
    } else {
        (0.0, 0.0)
    }
}

fn seconds_between(from_ns: InstantNs, to_ns: InstantNs) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

impl AuditSummary {
    /// The same where so many messages were to come, if that is known.
    fn against_expected(self, messages_expected: Option<u64>) -> Self {
        let Some(expected) = messages_expected else { return self };
        let lost = self.lost.max(expected.saturating_sub(self.received));
        Self { against: AuditBasis::Expected, lost, ..self }
    }
}

fn invalid_reasons(audit: &AuditSummary, missed: &str) -> Vec<String> {
    let mut reasons = Vec::new();
    let whose = match audit.against {
        AuditBasis::Acked => Some("acknowledged messages"),
        AuditBasis::Expected => Some("of the messages expected"),
        AuditBasis::Sequences => None,
    };
    if let Some(whose) = whose.filter(|_| audit.lost > 0) {
        let ranges = audit.producers.iter().flat_map(|producer| {
            producer
                .lost_ranges
                .iter()
                .map(|(first, last)| format!("{first}..={last} of producer {}", producer.producer))
        });
        let some: Vec<String> = ranges.take(3).collect();
        let first = if some.is_empty() { "" } else { ", the first of them " };
        reasons.push(format!("{} {whose} {missed}{first}{}", audit.lost, some.join(", ")));
    }
    if audit.corrupt > 0 {
        reasons.push(format!(
            "{} messages arrived damaged, or were not written by this benchmark",
            audit.corrupt
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Audit, Expected, ReceiveAudit, ReceiveDelta, StreamId};
    use crate::clock::{BootId, ClockOrigin, SECOND_NS};
    use crate::message::RunId;
    use crate::message::header::Header;

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
        assert_eq!((produced.acked, produced.rate_msg_per_s), (500, 100.0));
        assert!((produced.rate_bytes_per_s - 10_000.0).abs() < 1e-9);
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
            let totals = Totals { audit: audit_of(received), ..Totals::default() };
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
        let totals = Totals {
            measured_received: Volume { messages: 40, bytes: 400 },
            first_received_ns: SECOND_NS / 2,
            last_received_ns: SECOND_NS / 2 + 4 * SECOND_NS,
            ..Totals::default()
        };
        let summary = Summary::new(SummaryInput { schedule: None, ..input(&totals) });
        assert!((summary.elapsed_s - 4.0).abs() < 1e-9, "{}", summary.elapsed_s);
        assert!((summary.consumed.expect("consumed").rate_msg_per_s - 10.0).abs() < 1e-9);
    }

    #[test]
    fn aborted_messages_and_repeats_invalidate_a_run_that_promised_there_would_be_none() {
        let mut summary = Summary::new(input(&Totals::default()));
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
    fn a_run_that_got_nothing_confirmed_is_invalid() {
        let totals = Totals { sent: 3, failures: BTreeMap::from([(7, 3)]), ..Totals::default() };
        let summary = Summary::new(input(&totals));
        assert_eq!(summary.verdict().reasons, ["not one of 3 messages sent was confirmed"]);
        assert!(summary.warnings().contains(&"3 messages failed: code 7".to_owned()));
    }

    #[test]
    fn a_generator_that_was_too_slow_says_so() {
        let totals = Totals { unsent: 7, ..Totals::default() };
        let summary = Summary::new(input(&totals));
        assert!(!summary.self_check.as_ref().expect("open loop").kept_schedule);
        let warnings = summary.warnings().join("\n");
        assert!(warnings.contains("7 messages were never sent"), "{warnings}");
        assert_eq!(summary.verdict().outcome, VerdictOutcome::Valid);
    }
}
