//! A system that stops to answer for good: what nobody answered counts with the time that it waited.

use bench_record::VerdictOutcome;

use super::*;
use crate::latency::LatencyHistogram;

/// 500 messages per second for six seconds, with a grace of five seconds.
fn plan_of_500() -> Plan {
    let mut plan = constant(500.0, 6);
    plan.grace_ns = 5 * SECOND_NS;
    plan
}

/// From here on nothing is confirmed or delivered.
const OUTAGE_NS: InstantNs = START_NS + 3 * SECOND_NS;

/// When the producer ends: the last message is due 2 ms before the end.
const PRODUCER_END_NS: InstantNs = START_NS + 6 * SECOND_NS - 2 * MS + 5 * SECOND_NS;

fn break_down(system: &mut System) {
    // Nothing of the simulation lasts that long.
    system.stall = OUTAGE_NS..u64::MAX / 2;
}

/// For each message what `answered_after_ns` it would have, or how long it has waited at `end_ns`.
fn expected(answered_after_ns: u64, end_ns: InstantNs) -> Vec<u64> {
    let due = (0..3_000).map(|k| START_NS + k * 2 * MS);
    let latency = |due_ns| {
        if due_ns + answered_after_ns < OUTAGE_NS { answered_after_ns } else { end_ns - due_ns }
    };
    due.map(latency).collect()
}

fn summary(plan: &Plan, totals: &Totals) -> Summary {
    summarise(plan.timeline, Some(plan.schedule), totals, Some(&totals.ledger))
}

#[test]
fn unanswered_messages_count_with_the_time_that_they_waited() {
    let outcome = simulate(&plan_of_500(), break_down, |_| {}, None);
    let totals = &outcome.totals;
    // The confirmation takes 2 ms, the delivery 5 ms.
    let unanswered = 1_501;
    assert_eq!((totals.acked.messages, totals.unresolved), (3_000 - unanswered, unanswered));
    let latencies = &totals.latencies;
    assert_percentiles(&latencies.publish_latency, expected(2 * MS, PRODUCER_END_NS));
    assert_percentiles(&latencies.service_time, expected(2 * MS, PRODUCER_END_NS));
    // One message was confirmed and not delivered: it is lost, and the verdict says so. The others
    // wait until the consumer stops.
    let end_ns = outcome.stopped_ns;
    let mut waited = expected(DELIVER_NS, end_ns);
    let lost_due_ns = OUTAGE_NS - 4 * MS;
    waited.retain(|waited_ns| *waited_ns != end_ns - lost_due_ns);
    assert_percentiles(&latencies.end_to_end_latency, waited);
    assert_eq!(outcome.audit.lost, 1);

    let publish = latencies.publish_latency.summary().expect("samples");
    assert_eq!((publish.count, publish.unanswered), (3_000, unanswered));
    let marked =
        [publish.p50_ns, publish.p99_ns, publish.max_ns].map(|p| publish.is_lower_bound(p));
    assert_eq!(marked, [true; 3]);
    assert!(!publish.is_lower_bound(latencies.publish_latency.percentile_ns(49.0)));
}

#[test]
fn messages_in_the_intervals_add_up_with_the_unanswered_ones() {
    let outcome = simulate(&plan_of_500(), break_down, |_| {}, None);
    for of in [
        |interval: &Interval| interval.latencies.publish_latency.clone(),
        |interval: &Interval| interval.latencies.end_to_end_latency.clone(),
    ] {
        let mut merged = LatencyHistogram::new();
        outcome.intervals.iter().for_each(|interval| merged.merge(&of(interval)));
        assert!(merged.summary().expect("samples").unanswered >= 1_500);
    }
}

#[test]
fn messages_that_found_no_room_behind_unanswered_ones_count_too() {
    let mut plan = plan_of_500();
    plan.in_flight_max = 10;
    let outcome = simulate(&plan, break_down, |_| {}, None);
    let totals = &outcome.totals;
    assert_eq!((totals.acked.messages, totals.unresolved), (1_499, 10));
    assert_eq!((totals.unsent, totals.held_up), (1_491, 1_491));
    // Sending goes on until the grace is over, and then answers are waited for as long again.
    let end_ns = START_NS + 6 * SECOND_NS + 2 * plan.grace_ns;
    assert_percentiles(&totals.latencies.publish_latency, expected(2 * MS, end_ns));

    let summary = summary(&plan, totals);
    let produced = summary.produced.as_ref().expect("it sent");
    assert!((produced.unanswered_share - 1_501.0 / 3_000.0).abs() < 1e-9);
    let warnings = warnings(&summary).join("\n");
    assert!(warnings.contains("the system held up the generator"), "{warnings}");
    assert!(!warnings.contains("the generator did not keep"), "{warnings}");
}

#[test]
fn an_outage_makes_the_run_invalid_and_does_not_stop_the_time_of_its_rates() {
    let plan = plan_of_500();
    let outcome = simulate(&plan, break_down, |_| {}, None);
    let summary = summary(&plan, &outcome.totals);
    let verdict = verdict(&summary);
    assert_eq!(verdict.outcome, VerdictOutcome::Invalid);
    let reason = "1499 messages were confirmed, and 50.033 % of those due got no answer, where \
                  --unanswered-max allows 1 %: it stands still";
    assert!(verdict.reasons.contains(&reason.to_owned()), "{verdict:?}");
    let rate = |rate: Option<f64>| rate.expect("six seconds");
    let produced = summary.produced.expect("it sent");
    assert!((rate(produced.rate_msg_per_s) - 1_499.0 / 6.0).abs() < 1e-9, "{produced:?}");
    let consumed = summary.consumed.expect("it received");
    assert!((rate(consumed.rate_msg_per_s) - 1_498.0 / 6.0).abs() < 1e-9, "{consumed:?}");
    assert!((summary.elapsed_s - 6.0).abs() < 1e-9, "{}", summary.elapsed_s);
}

#[test]
fn a_warm_up_that_leaves_nothing_gives_no_figures() {
    let schedule = Schedule::Constant { rate_per_s: 1_000.0 };
    let plan = plan(schedule, Limit::Messages(1_000), 5 * SECOND_NS);
    let outcome = simulate(&plan, |_| {}, |_| {}, None);
    let summary = summary(&plan, &outcome.totals);
    let (produced, consumed) = (summary.produced.as_ref(), summary.consumed.as_ref());
    assert_eq!(produced.map(|p| (p.acked, p.rate_msg_per_s)), Some((1_000, None)));
    assert_eq!(consumed.map(|c| (c.received, c.rate_msg_per_s)), Some((1_000, None)));
    assert_eq!((&summary.self_check, &summary.publish_latency), (&None, &None));
    let warnings = warnings(&summary).join("\n");
    assert!(warnings.contains("shorten --warm-up"), "{warnings}");
}

#[test]
fn a_number_of_messages_is_given_up_when_the_outage_outlasts_the_grace() {
    for schedule in [Schedule::Unpaced, Schedule::Constant { rate_per_s: 500.0 }] {
        let mut plan = plan(schedule, Limit::Messages(10_000_000), 0);
        (plan.in_flight_max, plan.grace_ns) = (10, 5 * SECOND_NS);
        let outcome = simulate(&plan, break_down, |_| {}, None);
        let totals = &outcome.totals;
        assert_eq!((totals.unresolved, totals.outage.as_deref()), (10, Some("it stands still")));
        // The grace, and then the wait for answers and for what is received.
        let most_ns = OUTAGE_NS + 2 * plan.grace_ns + plan.consumer.drain_timeout_ns + SECOND_NS;
        assert!(outcome.stopped_ns <= most_ns, "{schedule:?}: {}", outcome.stopped_ns);
    }
}

#[test]
fn an_outage_that_ends_within_the_grace_is_waited_for() {
    let mut plan = plan(Schedule::Constant { rate_per_s: 500.0 }, Limit::Messages(3_000), 0);
    (plan.in_flight_max, plan.grace_ns) = (10, 5 * SECOND_NS);
    let stall = OUTAGE_NS..OUTAGE_NS + 4 * SECOND_NS;
    let outcome = simulate(&plan, |system| system.stall = stall, |_| {}, None);
    assert_eq!(outcome.totals.acked.messages, 3_000);
    assert_eq!((outcome.totals.outage.as_deref(), outcome.audit.lost), (None, 0));
}
