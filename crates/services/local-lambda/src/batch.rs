//! Decisions on a batch: pure functions, so that each can be tested without a stream.

use serde::Deserialize;

use super::event::{self, FRAME_BYTES};
use bench_service_lambda::MappingSettings;

/// A record on its way to the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Its position in the shard, counted by the mapping.
    pub(super) position: u64,
    pub(super) sequence_number: String,
    /// The record in the form of an event.
    pub(super) text: String,
    /// Its arrival in the stream, ms since 1970.
    pub(super) arrived_ms: i64,
}

/// Records that are handed to the function together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) records: Vec<Delivery>,
    /// Failed attempts in a row at its first record.
    pub(super) failures: u32,
}

impl Batch {
    pub(super) fn new(records: Vec<Delivery>) -> Self {
        Self { records, failures: 0 }
    }

    /// The event that the function gets.
    pub(super) fn event(&self) -> Vec<u8> {
        event::event(self.records.iter().map(|record| record.text.as_str()))
    }

    /// Removes records that arrived before `oldest_ms`.
    pub(super) fn take_expired(&mut self, oldest_ms: i64) -> Vec<Delivery> {
        self.records.extract_if(.., |record| record.arrived_ms < oldest_ms).collect()
    }
}

/// Size of an event with so many bytes of records, separators included.
pub(super) fn event_bytes(records_bytes: usize) -> usize {
    FRAME_BYTES + records_bytes
}

/// The function's answer to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// All records are done.
    Done,
    /// All records before this one are done.
    FailedFrom(usize),
    /// No record counts as done.
    Failed,
}

/// Reads an answer by the rules of `ReportBatchItemFailures`: the lowest sequence number counts; an
/// empty answer or list is a success; an unknown sequence number fails all records.
pub(super) fn read_answer(records: &[Delivery], answer: &[u8]) -> Answer {
    if answer.trim_ascii().is_empty() {
        return Answer::Done;
    }
    let Ok(answer) = serde_json::from_slice::<Option<Report>>(answer) else {
        return Answer::Failed;
    };
    let failures = answer.and_then(|report| report.batch_item_failures).unwrap_or_default();
    let mut lowest = None;
    for failure in failures {
        let identifier = failure.item_identifier.unwrap_or_default();
        match records.iter().position(|record| record.sequence_number == identifier) {
            Some(index) => lowest = Some(lowest.map_or(index, |other: usize| other.min(index))),
            None => return Answer::Failed,
        }
    }
    lowest.map_or(Answer::Done, Answer::FailedFrom)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    batch_item_failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: Option<String>,
}

/// The decision on a batch after an invocation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) done: Vec<Delivery>,
    /// Batches to retry, in this order.
    pub(super) again: Vec<Batch>,
    /// Records that are out of attempts.
    pub(super) given_up: Vec<Delivery>,
    /// Whether the batch was split in two.
    pub(super) bisected: bool,
}

/// Decides on a batch. By AWS's rules, splitting it does not count as a retry, and the count starts
/// over once some records were done.
pub(super) fn settle(batch: Batch, answer: Answer, settings: &MappingSettings) -> Settled {
    let Batch { mut records, failures } = batch;
    let first_failed = match answer {
        Answer::Done => records.len(),
        Answer::FailedFrom(index) => index.min(records.len()),
        Answer::Failed => 0,
    };
    let mut failed = records.split_off(first_failed);
    let mut settled = Settled { done: records, ..Settled::default() };
    if failed.is_empty() {
        return settled;
    }
    let is_whole = first_failed == 0;
    let failures_now = if is_whole { failures.saturating_add(1) } else { 1 };
    let retries_max = u32::try_from(settings.maximum_retry_attempts).ok();
    let is_exhausted = retries_max.is_some_and(|retries| failures_now > retries);
    let can_split = settings.bisect_batch_on_function_error && failed.len() > 1;
    if can_split && (is_whole || is_exhausted) {
        let second = failed.split_off(failed.len() / 2);
        let failures = if is_whole { failures } else { 0 };
        settled.again = [failed, second].map(|records| Batch { records, failures }).into();
        settled.bisected = true;
    } else if is_exhausted {
        settled.given_up = failed;
    } else {
        settled.again.push(Batch { records: failed, failures: failures_now });
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(positions: std::ops::Range<u64>) -> Vec<Delivery> {
        positions
            .map(|position| Delivery {
                position,
                sequence_number: format!("seq-{position}"),
                text: format!("{{\"n\":{position}}}"),
                arrived_ms: i64::try_from(position).expect("small") * 1_000,
            })
            .collect()
    }

    fn settings(retries: i32, bisect: bool) -> MappingSettings {
        MappingSettings {
            maximum_retry_attempts: retries,
            bisect_batch_on_function_error: bisect,
            ..MappingSettings::default()
        }
    }

    #[test]
    fn answers_are_read_as_aws_reads_them() {
        let batch = records(0..4);
        let read = |answer: &str| read_answer(&batch, answer.as_bytes());
        for success in
            ["", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#]
        {
            assert_eq!(read(success), Answer::Done, "{success}");
        }
        for failure in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"identifier":"seq-1"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"seq-9"}]}"#,
            r#"{"batchItemFailures":7}"#,
            "no JSON",
        ] {
            assert_eq!(read(failure), Answer::Failed, "{failure}");
        }
        let two =
            r#"{"batchItemFailures":[{"itemIdentifier":"seq-3"},{"itemIdentifier":"seq-2"}]}"#;
        assert_eq!(read(two), Answer::FailedFrom(2), "the lowest counts");
    }

    #[test]
    fn partial_failures_retry_from_the_lowest() {
        let settled = settle(Batch::new(records(0..4)), Answer::FailedFrom(1), &settings(1, false));
        assert_eq!(settled.done, records(0..1));
        assert_eq!(settled.again, [Batch { records: records(1..4), failures: 1 }]);
        assert!(settled.given_up.is_empty() && !settled.bisected);
    }

    #[test]
    fn batches_are_given_up_after_their_retries() {
        let mut batch = Batch::new(records(0..3));
        for failures in 1..=2 {
            let settled = settle(batch, Answer::Failed, &settings(2, false));
            assert_eq!(settled.again, [Batch { records: records(0..3), failures }]);
            batch = settled.again.into_iter().next().expect("one");
        }
        let settled = settle(batch.clone(), Answer::Failed, &settings(2, false));
        assert_eq!(settled.given_up, records(0..3));
        let for_ever = Batch { failures: 100_000, ..batch };
        let settled = settle(for_ever, Answer::Failed, &settings(-1, false));
        assert_eq!(settled.again.len(), 1);
    }

    /// Delivers until nothing is left, with a function that fails on these positions.
    fn deliver(
        first: Batch,
        settings: &MappingSettings,
        reports: bool,
        poison: &[u64],
    ) -> (Vec<u64>, Vec<u64>, u32) {
        let (mut done, mut given_up, mut invocations) = (Vec::new(), Vec::new(), 0);
        let mut todo = std::collections::VecDeque::from([first]);
        while let Some(batch) = todo.pop_front() {
            invocations += 1;
            let failed = batch.records.iter().position(|r| poison.contains(&r.position));
            let answer = match failed {
                None => Answer::Done,
                Some(index) if reports => Answer::FailedFrom(index),
                Some(_) => Answer::Failed,
            };
            let settled = settle(batch, answer, settings);
            done.extend(settled.done.iter().map(|record| record.position));
            given_up.extend(settled.given_up.iter().map(|record| record.position));
            for batch in settled.again.into_iter().rev() {
                todo.push_front(batch);
            }
        }
        (done, given_up, invocations)
    }

    #[test]
    fn bisecting_isolates_the_poisoned_record() {
        for reports in [false, true] {
            let poison = [0, 37, 38, 99];
            let (done, given_up, invocations) =
                deliver(Batch::new(records(0..100)), &settings(0, true), reports, &poison);
            assert_eq!(given_up, poison, "reported: {reports}");
            let expected: Vec<u64> = (0..100).filter(|n| !poison.contains(n)).collect();
            assert_eq!(done, expected, "in order, each once");
            assert!(invocations < 60, "{invocations}");
        }
    }

    #[test]
    fn unbisected_batch_is_given_up_whole() {
        let (done, given_up, _) =
            deliver(Batch::new(records(0..5)), &settings(1, false), true, &[2]);
        assert_eq!((done, given_up), (vec![0, 1], vec![2, 3, 4]));
    }

    #[test]
    fn old_records_are_removed() {
        let mut batch = Batch::new(records(0..5));
        assert_eq!(batch.take_expired(2_000), records(0..2));
        assert_eq!(batch.records, records(2..5));
        assert_eq!(batch.event(), br#"{"Records":[{"n":2},{"n":3},{"n":4}]}"#);
    }
}
