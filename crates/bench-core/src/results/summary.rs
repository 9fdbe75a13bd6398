//! From the totals of a run to its figures.

use std::collections::BTreeMap;

use bench_record::{
    AuditBasis, AuditSummary, ClockComparison, Consumed, EarlyStop, Guarantee, LatencyKind,
    LatencySummary, LoadModel, Produced, ProducerAudit, Resources, SelfCheck, Summary,
};

use crate::audit::AckLedger;
use crate::durations::DurationHistograms;
use crate::engine::{Span, Timeline, Totals, Volume};
use crate::latency::LatencyHistogram;
use crate::pacing::Schedule;

/// Input of a summary.
pub struct SummaryInput<'a> {
    /// Totals of the run.
    pub totals: &'a Totals,
    /// The instants that divide the run.
    pub timeline: Timeline,
    /// The schedule; `None` for a run that sent nothing.
    pub schedule: Option<Schedule>,
    /// Whether the run received messages.
    pub consumed: bool,
    /// The acknowledged messages that received ones are checked against; `None` if unknown.
    pub ledger: Option<&'a AckLedger>,
    /// Why the ledger is incomplete, if it is.
    pub partial: Option<String>,
    /// Share of the messages that may remain unanswered, 0 to 1.
    pub unanswered_max: f64,
    /// Number of messages expected; used without a ledger.
    pub messages_expected: Option<u64>,
    /// The guarantee that consumers were promised.
    pub guarantee: Guarantee,
    /// Whether messages had no header, so that there is no audit and no latency.
    pub raw: bool,
    /// Resources that the process used.
    pub resources: Resources,
    /// The system's own counts, by name.
    pub counts: BTreeMap<String, u64>,
}

impl SummaryInput<'_> {
    /// The figures of the run.
    #[must_use]
    pub fn summarize(self) -> Summary {
        let Self { totals, timeline, schedule, consumed, .. } = self;
        let load = match schedule {
            None => LoadModel::None,
            Some(schedule) if schedule.is_open_loop() => LoadModel::Open,
            Some(_) => LoadModel::Closed,
        };
        let warm_up_ns = timeline.warm_up_end_ns.saturating_sub(timeline.start_ns);
        let latency = |kind| totals.latencies.get(kind).and_then(LatencyHistogram::summary);
        Summary {
            load,
            elapsed_s: elapsed_s(totals, timeline, load),
            warm_up_s: warm_up_ns as f64 / 1e9,
            produced: schedule.map(|schedule| Produced {
                unanswered_max: self.unanswered_max,
                ..produced(totals, timeline, schedule)
            }),
            consumed: consumed.then(|| consumed_figures(totals, timeline, schedule.is_some())),
            publish_latency: latency(LatencyKind::Publish),
            service_time: latency(LatencyKind::ServiceTime),
            schedule_lag: latency(LatencyKind::ScheduleLag),
            end_to_end_latency: latency(LatencyKind::EndToEnd),
            end_to_end_clock: (totals.monotonic + totals.wall > 0)
                .then_some(ClockComparison { monotonic: totals.monotonic, wall: totals.wall }),
            arrival_latency: latency(LatencyKind::Arrival),
            landing_latency: latency(LatencyKind::Landing),
            table_time: latency(LatencyKind::TableTime),
            audit: (consumed && (!self.raw || self.messages_expected.is_some())).then(|| {
                let expected = self.messages_expected.filter(|_| self.ledger.is_none());
                let audit = totals.audit.summary(self.ledger);
                // Without headers, only the number is known.
                let received = if self.raw { totals.received.messages } else { audit.received };
                let audit = against_expected(AuditSummary { received, ..audit }, expected);
                let (partial, guarantee) = (self.partial, self.guarantee);
                AuditSummary { partial, guarantee, ..until_stopped(audit, totals) }
            }),
            self_check: (load == LoadModel::Open).then(|| self_check(totals)).flatten(),
            resources: self.resources,
            counts: self.counts,
            durations: durations(&totals.durations),
        }
    }
}

/// From the first instant of the run to its last.
fn elapsed_s(totals: &Totals, timeline: Timeline, load: LoadModel) -> f64 {
    let start_ns = timeline.start_ns.cast_signed();
    let (first_ns, last_ns) = match totals.receiving {
        // A run that only reads a table reads rows that landed before, perhaps long ago.
        Some(Span { from_ns, to_ns }) if load == LoadModel::None => (from_ns.min(start_ns), to_ns),
        receiving => {
            let sent_ns = totals.last_acked_ns.max(totals.asked_until_ns).cast_signed();
            (start_ns, receiving.map_or(sent_ns, |span| span.to_ns.max(sent_ns)))
        }
    };
    seconds_between(first_ns, last_ns)
}

/// Whether the generator kept its schedule; `None` when no message was measured.
fn self_check(totals: &Totals) -> Option<SelfCheck> {
    let lag = &totals.latencies.schedule_lag;
    let lag_p99_ns = (!lag.is_empty()).then(|| lag.percentile_ns(99.0))?;
    Some(SelfCheck {
        kept_schedule: lag_p99_ns < SelfCheck::LAG_P99_MAX_NS && totals.unsent == 0,
        lag_p99_ns,
        blocked_ns: totals.blocked_ns,
        unsent: totals.unsent,
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
    // The time goes on when a system stops answering.
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

/// The audit where a number of messages was expected, if it was.
fn against_expected(audit: AuditSummary, messages_expected: Option<u64>) -> AuditSummary {
    let Some(expected) = messages_expected else { return audit };
    let lost = audit.lost.max(expected.saturating_sub(audit.received));
    AuditSummary { against: AuditBasis::Expected, lost, ..audit }
}

/// The audit where reading may have stopped before the end: missing messages may then lie ahead.
fn until_stopped(audit: AuditSummary, totals: &Totals) -> AuditSummary {
    // Once as many have come as were expected, those that are missing are not among them.
    let is_count = totals.early_stop == Some(EarlyStop::Count);
    if !totals.is_behind || (is_count && audit.against == AuditBasis::Expected) {
        return audit;
    }
    let unread =
        |producer: ProducerAudit| ProducerAudit { lost: 0, unread: producer.lost, ..producer };
    let producers = audit.producers.into_iter().map(unread).collect();
    AuditSummary { lost: 0, unread: audit.lost, producers, ..audit }
}

#[cfg(test)]
pub(super) mod tests {
    use bench_record::VerdictOutcome;

    use super::*;
    use crate::audit::{Audit, Expected, ReceiveAudit, ReceiveDelta};
    use crate::clock::{BootId, ClockOrigin, SECOND_NS};
    use crate::message::RunId;
    use crate::message::header::Header;
    use crate::results::verdict;

    pub(crate) fn input(totals: &Totals) -> SummaryInput<'_> {
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
        let summary = input(&totals).summarize();
        let produced = summary.produced.expect("it produced");
        assert_eq!((produced.acked, produced.rate_msg_per_s), (500, Some(100.0)));
        assert_eq!(produced.rate_bytes_per_s, Some(10_000.0));
        assert!((summary.elapsed_s - 5.0).abs() < 1e-9 && (summary.warm_up_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn gaps_and_a_missing_end_of_expected_messages_are_lost() {
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
            let summary = input.summarize();
            let audit = summary.audit.as_ref().expect("is audited");
            assert_eq!((audit.against, audit.lost), (AuditBasis::Expected, lost), "{received:?}");
            let is_valid = verdict(&summary).outcome == VerdictOutcome::Valid;
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
    fn reading_old_rows_counts_the_time_of_landing() {
        // The last time lies before this host was booted.
        for from_ns in [SECOND_NS.cast_signed() / 2, -9 * SECOND_NS.cast_signed()] {
            let to_ns = from_ns + 4 * SECOND_NS.cast_signed();
            let totals = Totals {
                measured_received: Volume { messages: 40, bytes: 400 },
                receiving: Some(Span { from_ns, to_ns }),
                ..Totals::default()
            };
            let summary = SummaryInput { schedule: None, ..input(&totals) }.summarize();
            assert!((summary.elapsed_s - 4.0).abs() < 1e-9, "{}", summary.elapsed_s);
            assert_eq!(summary.consumed.expect("consumed").rate_msg_per_s, Some(10.0));
        }
    }

    /// A run that sent 1,000 messages and received one.
    pub(crate) fn sent_1000() -> Totals {
        let received = Volume { messages: 1, bytes: 0 };
        Totals { sent: 1_000, received, ..Totals::default() }
    }
}
