//! Warnings for the reader of a run's figures.

use bench_record::{AuditBasis, LoadModel, SelfCheck, Summary};

/// Warnings for a reader of the figures, one sentence each.
#[must_use]
pub fn warnings(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |when: bool, text: String| {
        if when {
            warnings.push(text);
        }
    };
    if let Some(produced) = &summary.produced {
        for (reason, count) in &produced.failures {
            warn(true, format!("{count} messages failed: {reason}"));
        }
        let unresolved = produced.unresolved;
        warn(unresolved > 0, format!("{unresolved} messages were unacknowledged at the end"));
    }
    if let Some(check) = summary.self_check.as_ref().filter(|check| !check.kept_schedule) {
        warn(true, late_schedule(check, summary.elapsed_s - summary.warm_up_s));
    }
    for warning in missing_figures(summary) {
        warn(true, warning);
    }
    if let Some(audit) = &summary.audit {
        warn(
            audit.against == AuditBasis::Sequences && audit.lost + audit.unread > 0,
            format!(
                "{} sequence numbers are missing between the first and the last received; \
                 hold the messages against the run that sent them to tell whether they are lost",
                audit.lost + audit.unread
            ),
        );
    }
    if let Some(clock) = summary.end_to_end_clock.as_ref().filter(|clock| clock.wall > 0) {
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
        (f64::MIN_POSITIVE..1.0).contains(&(summary.elapsed_s - summary.warm_up_s)),
        "less than a second was measured: the figures are rough".to_owned(),
    );
    warnings
}

/// Why figures are missing that a run of this kind usually has.
fn missing_figures(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    let sent = summary.produced.as_ref().map_or(0, |produced| produced.sent);
    let rates = summary.produced.as_ref().map(|produced| produced.rate_msg_per_s);
    if summary.service_time.is_none() && summary.warm_up_s > 0.0 && sent > 0 {
        warnings.push(format!(
            "no message was due after the warm-up of {} s, so there is no rate, latency or \
             schedule check; shorten --warm-up, or send for longer",
            summary.warm_up_s
        ));
    } else if rates == Some(None) {
        warnings.push(
            "no time passed between the first and the last message, so there is no sending \
             rate; send more messages"
                .to_owned(),
        );
    }
    let consumed = summary.consumed.as_ref().filter(|consumed| consumed.received > 0);
    if summary.load == LoadModel::None && consumed.is_some_and(|c| c.rate_msg_per_s.is_none()) {
        warnings.push(
            "all messages arrived at the same instant, so there is no receiving rate; read \
             more messages"
                .to_owned(),
        );
    }
    warnings
}

/// Why the schedule was not kept. The generator cannot send while the system's queue is full: 1 % of the
/// time is enough to show in the 99th percentile.
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

#[cfg(test)]
mod tests {
    use bench_record::VerdictOutcome;

    use super::*;
    use crate::clock::SECOND_NS;
    use crate::engine::{Totals, Volume};
    use crate::results::summary::tests::{input, sent_1000};
    use crate::results::verdict;

    #[test]
    fn a_schedule_held_up_by_the_system_is_named() {
        for (blocked_ms, blamed) in [(0, "the generator did not keep"), (50, "the system held up")]
        {
            let mut totals = Totals { blocked_ns: blocked_ms * 1_000_000, ..sent_1000() };
            totals.asked_until_ns = 6 * SECOND_NS;
            totals.latencies.schedule_lag.record(5_000_000);
            let warnings = warnings(&input(&totals).summarize()).join("\n");
            assert!(warnings.contains(blamed), "{blocked_ms}: {warnings}");
        }
    }

    #[test]
    fn a_slow_generator_is_a_warning() {
        let received = Volume { messages: 5, bytes: 0 };
        let mut totals = Totals { unsent: 7, received, ..Totals::default() };
        totals.latencies.schedule_lag.record(1);
        let summary = input(&totals).summarize();
        assert!(!summary.self_check.as_ref().expect("open loop").kept_schedule);
        let warnings = warnings(&summary).join("\n");
        assert!(warnings.contains("7 messages were never sent"), "{warnings}");
        assert_eq!(verdict(&summary).outcome, VerdictOutcome::Valid);
    }
}
