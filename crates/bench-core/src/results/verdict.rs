//! The verdict: whether a run's figures count.

use bench_record::{
    AuditBasis, AuditSummary, EarlyStop, Guarantee, Produced, Summary, Verdict, VerdictOutcome,
};

/// Judges a run by its figures. It is invalid if messages were lost or corrupt, if it was to receive
/// and received nothing, if no message or too few were confirmed, and if it broke the guarantee given
/// to its readers. Otherwise it is partial if the record that it is checked against is incomplete.
#[must_use]
pub fn verdict(summary: &Summary) -> Verdict {
    let audit = summary.audit.as_ref();
    let mut reasons = audit.map(|audit| invalid_reasons(summary, audit)).unwrap_or_default();
    reasons.extend(unread_reason(summary));
    reasons.extend(summary.produced.as_ref().and_then(unconfirmed_reason));
    reasons.extend(raw_loss_reason(summary));
    let received = summary.consumed.as_ref().map(|consumed| consumed.received);
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

/// Violations that the audit found.
fn invalid_reasons(summary: &Summary, audit: &AuditSummary) -> Vec<String> {
    let landed = summary.consumed.as_ref().is_some_and(|consumed| consumed.landed > 0);
    let missed = if landed { "did not land" } else { "were not received" };
    let mut reasons = Vec::new();
    if let Some(whose) = expected_messages(audit).filter(|_| audit.lost > 0) {
        reasons.push(format!("{} {whose} {missed}{}", audit.lost, first_ranges(audit)));
    }
    if audit.corrupt > 0 {
        reasons.push(format!(
            "{} messages arrived damaged, or were not written by this benchmark{}",
            audit.corrupt,
            headerless_remedy(summary, audit)
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
fn headerless_remedy(summary: &Summary, audit: &AuditSummary) -> &'static str {
    let with_header = audit.received + audit.duplicated + audit.foreign;
    if summary.produced.is_none() && with_header == 0 {
        "; if others wrote them, use --raw, or --query FIELD"
    } else {
        ""
    }
}

/// Why reading ended early, if messages are missing or the system fell silent.
fn unread_reason(summary: &Summary) -> Option<String> {
    let consumed = summary.consumed.as_ref().filter(|consumed| consumed.is_behind)?;
    let cause = match consumed.early_stop {
        Some(EarlyStop::Silence) => ", since no message arrived within --drain-timeout; raise it",
        Some(EarlyStop::Count) => ", since --messages was reached",
        Some(EarlyStop::Deadline) => ", since --duration was over",
        None => "",
    };
    let audit = summary.audit.as_ref().filter(|audit| audit.unread > 0);
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

/// The loss of raw messages, which only their numbers show: fewer arrived than were confirmed.
fn raw_loss_reason(summary: &Summary) -> Option<String> {
    let (produced, consumed) = (summary.produced.as_ref()?, summary.consumed.as_ref()?);
    let lost = produced.acked.checked_sub(consumed.received).filter(|lost| *lost > 0)?;
    summary.audit.is_none().then(|| {
        format!("{lost} fewer messages were received than the {} acknowledged", produced.acked)
    })
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

/// The messages that were expected, if they are known.
fn expected_messages(audit: &AuditSummary) -> Option<&'static str> {
    match audit.against {
        AuditBasis::Acked => Some("acknowledged messages"),
        AuditBasis::Expected => Some("of the messages expected"),
        AuditBasis::Sequences => None,
    }
}

/// The first ranges of missing messages.
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
    use std::collections::BTreeMap;

    use bench_record::Guarantee;

    use super::*;
    use crate::audit::StreamId;
    use crate::engine::{Totals, Volume};
    use crate::message::RunId;
    use crate::pacing::Schedule;
    use crate::results::summary::tests::{input, sent_1000};
    use crate::results::{SummaryInput, warnings};
    use crate::transport::Failure;

    #[test]
    fn losses_invalidate_a_run_and_are_named() {
        let mut totals = Totals::default();
        let stream = StreamId { run: RunId::from_bits(1), producer: 3 };
        totals.ledger.insert_range(stream, 10, 14);
        let verdict = verdict(&input(&totals).summarize());
        assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
        assert_eq!(
            verdict.reasons,
            ["5 acknowledged messages were not received, the first of them 10..=14 of producer 3"]
        );
    }

    #[test]
    fn messages_that_did_not_land_are_named() {
        let mut totals = Totals { landed: 1, ..Totals::default() };
        let stream = StreamId { run: RunId::from_bits(1), producer: 0 };
        totals.ledger.insert_range(stream, 3, 3);
        let verdict = verdict(&input(&totals).summarize());
        let reason = "1 acknowledged messages did not land, the first of them 3..=3 of producer 0";
        assert_eq!(verdict.reasons, [reason]);
    }

    #[test]
    fn broken_promises_of_transactions_invalidate_a_run() {
        let received = Volume { messages: 5, bytes: 0 };
        let mut summary = input(&Totals { received, ..Totals::default() }).summarize();
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
            assert_eq!(verdict(&summary).reasons, reasons, "{guarantee:?}");
        }
    }

    #[test]
    fn readers_without_any_header_get_a_remedy() {
        let received = Volume { messages: 7, bytes: 70 };
        let totals = Totals { received, ..Totals::default() };
        let reasons = |schedule, received, foreign| {
            let mut summary = SummaryInput { schedule, ..input(&totals) }.summarize();
            let audit = summary.audit.as_mut().expect("is audited");
            (audit.corrupt, audit.received, audit.foreign) = (7, received, foreign);
            verdict(&summary).reasons[0].clone()
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
    fn a_run_without_confirmations_is_invalid() {
        let totals = Totals {
            sent: 3,
            failures: BTreeMap::from([(Failure::Refused(7), 3)]),
            ..Totals::default()
        };
        let summary = input(&totals).summarize();
        assert_eq!(verdict(&summary).reasons, ["none of the 3 messages sent was confirmed"]);
        assert!(warnings(&summary).contains(&"3 messages failed: code 7".to_owned()));
    }

    #[test]
    fn too_many_unanswered_messages_invalidate_a_run() {
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
                let summary = SummaryInput { unanswered_max, ..input(totals) }.summarize();
                let produced = summary.produced.as_ref().expect("it sent");
                assert!((produced.unanswered_share - share).abs() < 1e-9, "{produced:?}");
                let verdict = verdict(&summary);
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
            let reasons = verdict(&input(&totals).summarize()).reasons;
            assert!(reasons[0].starts_with(reason), "{reasons:?}");
            assert!(reasons[0].ends_with(": all brokers are down"), "{reasons:?}");
        }
    }

    #[test]
    fn a_consuming_run_that_received_nothing_is_invalid() {
        let totals = Totals::default();
        for raw in [false, true] {
            let verdict = verdict(&SummaryInput { raw, ..input(&totals) }.summarize());
            assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
            assert_eq!(verdict.reasons, ["nothing was received"]);
        }
        let sent_only = SummaryInput { consumed: false, ..input(&totals) };
        assert_eq!(verdict(&sent_only.summarize()).outcome, VerdictOutcome::Valid);
    }

    #[test]
    fn a_lower_count_of_raw_messages_is_a_loss() {
        let acked = Volume { messages: 1_000, bytes: 0 };
        for (received, reasons) in [
            (1_000, vec![]),
            (1_001, vec![]),
            (999, vec!["1 fewer messages were received than the 1000 acknowledged"]),
        ] {
            let received = Volume { messages: received, bytes: 0 };
            let totals = Totals { acked, received, ..sent_1000() };
            let summary = SummaryInput { raw: true, ..input(&totals) }.summarize();
            assert_eq!(verdict(&summary).reasons, reasons);
        }
    }

    #[test]
    fn an_incomplete_record_makes_a_run_partial() {
        let received = Volume { messages: 1, bytes: 0 };
        let mut totals = Totals { received, ..Totals::default() };
        let partial = "the record is incomplete".to_owned();
        let verdict = |totals: &Totals| {
            verdict(&SummaryInput { partial: Some(partial.clone()), ..input(totals) }.summarize())
        };
        let Verdict { outcome, reasons } = verdict(&totals);
        assert_eq!((outcome, reasons), (VerdictOutcome::Partial, vec![partial.clone()]));
        let stream = StreamId { run: RunId::from_bits(1), producer: 3 };
        totals.ledger.insert_range(stream, 10, 14);
        assert_eq!(verdict(&totals).outcome, VerdictOutcome::Invalid, "a loss is a loss");
    }
}
