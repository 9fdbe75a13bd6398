//! What to do with each topic, decided from what was seen of it. Nothing here talks to Kafka.

use bench_cli::UsageError;
use bench_kafka::admin::{PartitionWatermarks, SampledMessage, TopicInfo};
use globset::GlobBuilder;

/// The topics that the patterns of the command line name, each once, in the cluster's order.
///
/// Every pattern must match something, or a misspelt name would pass for an empty topic. Patterns
/// pass over Kafka's own topics; naming one is an error.
pub(crate) fn select(
    patterns: &[String],
    topics: Vec<TopicInfo>,
) -> Result<Vec<TopicInfo>, UsageError> {
    let mut is_selected = vec![false; topics.len()];
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).build().map_err(|error| {
            let remedy = "write a name, or a pattern with *, ?, [a-z] or {a,b}";
            UsageError::new("TOPIC", error, remedy)
        })?;
        let matcher = glob.compile_matcher();
        let mut found = Found::Nothing;
        for (topic, is_selected) in topics.iter().zip(&mut is_selected) {
            if !matcher.is_match(&topic.name) {
                continue;
            }
            if topic.internal {
                found = found.max(Found::OnlyInternal);
            } else {
                found = Found::Topics;
                *is_selected = true;
            }
        }
        found.check(pattern)?;
    }
    let selected = topics.into_iter().zip(is_selected);
    Ok(selected.filter(|(_, is_selected)| *is_selected).map(|(topic, _)| topic).collect())
}

/// What a pattern matched.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    OnlyInternal,
    Topics,
}

impl Found {
    fn check(self, pattern: &str) -> Result<(), UsageError> {
        match self {
            Self::Topics => Ok(()),
            Self::OnlyInternal => Err(UsageError::new(
                "TOPIC",
                format!("'{pattern}' is Kafka's own, and emptying it would break the cluster"),
                "name a topic of the benchmark",
            )),
            Self::Nothing => Err(UsageError::new(
                "TOPIC",
                format!("no topic matches '{pattern}'"),
                "see `topic-clean list`",
            )),
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wishes {
    pub(crate) recreate: bool,
    pub(crate) force: bool,
}

/// What was seen of a topic.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Offsets between the watermarks of all partitions: its messages, at the most.
    pub(crate) messages: u64,
    /// Whether it is compacted and nothing else, so that its records cannot be deleted.
    pub(crate) is_compacted: bool,
    /// A message that this benchmark did not write.
    pub(crate) foreign: Option<Place>,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What is to be done with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is empty as it is.
    Nothing,
    /// Delete its records; if the broker refuses, recreate it.
    DeleteRecords,
    /// Delete it and create it anew.
    Recreate,
    /// Leave it alone: somebody else wrote the message at this place.
    Refuse(Place),
}

/// A topic, what was seen of it and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) topic: TopicInfo,
    pub(crate) messages: u64,
    pub(crate) step: Step,
}

/// Decides what to do with a topic.
pub(crate) fn decide(wishes: Wishes, seen: Seen) -> Step {
    match seen {
        Seen { foreign: Some(place), .. } if !wishes.force => Step::Refuse(place),
        _ if wishes.recreate => Step::Recreate,
        Seen { messages: 0, .. } => Step::Nothing,
        Seen { is_compacted: true, .. } => Step::Recreate,
        _ => Step::DeleteRecords,
    }
}

/// Whether the settings of a topic forbid deleting its records.
pub(crate) fn is_compacted(cleanup_policy: Option<&str>) -> bool {
    cleanup_policy.is_some_and(|policy| {
        let mut words = policy.split(',').map(str::trim);
        policy.contains("compact") && !words.any(|word| word == "delete")
    })
}

/// Whether this benchmark wrote a message, whole and undamaged.
pub(crate) fn is_ours(message: &SampledMessage) -> bool {
    message.payload.as_deref().is_some_and(|value| bench_core::message::decode(value).is_ok())
}

/// How many messages lie between the watermarks, at the most.
pub(crate) fn messages(watermarks: &[PartitionWatermarks]) -> u64 {
    watermarks.iter().map(PartitionWatermarks::offsets).sum()
}

#[cfg(test)]
mod tests {
    use bench_core::clock::{BootId, ClockOrigin};
    use bench_core::message::header::{HEADER_BYTES, HeaderWriter};
    use bench_core::message::{
        Content, KeyDistribution, MessageFactory, MessageFormat, MessageSpec, RunId,
        SizeDistribution,
    };
    use bench_core::pacing::Share;
    use bench_core::transport::Batch;

    use super::*;

    fn topic(name: &str) -> TopicInfo {
        let internal = name.starts_with("__");
        TopicInfo { name: name.to_owned(), partitions: 1, replication: 1, internal }
    }

    fn selected(patterns: &[&str]) -> Result<Vec<String>, String> {
        let topics = ["__consumer_offsets", "bench-1", "bench-2", "orders"].map(topic);
        let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        match select(&patterns, topics.into()) {
            Ok(topics) => Ok(topics.into_iter().map(|topic| topic.name).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn names_and_patterns_select_each_topic_once() {
        assert_eq!(selected(&["bench-2", "bench-*"]).expect("found"), ["bench-1", "bench-2"]);
        assert_eq!(selected(&["*"]).expect("found"), ["bench-1", "bench-2", "orders"]);
        assert_eq!(selected(&["{orders,bench-[2-9]}"]).expect("found"), ["bench-2", "orders"]);
    }

    #[test]
    fn every_pattern_must_match() {
        let error = selected(&["orders", "order"]).expect_err("no such topic");
        assert!(error.contains("no topic matches 'order'") && error.contains("list"), "{error}");
        assert!(selected(&["["]).expect_err("no pattern").contains("TOPIC: "));
    }

    #[test]
    fn what_belongs_to_kafka_is_refused() {
        for pattern in ["__consumer_offsets", "__*"] {
            let error = selected(&["orders", pattern]).expect_err("internal");
            assert!(error.contains("Kafka's own"), "{error}");
        }
    }

    const FULL: Seen = Seen { messages: 10, is_compacted: false, foreign: None };
    const PLACE: Place = Place { partition: 3, offset: 7 };

    #[test]
    fn records_are_deleted_where_that_works() {
        let wishes = Wishes::default();
        assert_eq!(decide(wishes, FULL), Step::DeleteRecords);
        assert_eq!(decide(wishes, Seen { messages: 0, ..FULL }), Step::Nothing);
        assert_eq!(decide(wishes, Seen { is_compacted: true, ..FULL }), Step::Recreate);
    }

    #[test]
    fn recreating_is_done_even_to_an_empty_topic() {
        let wishes = Wishes { recreate: true, force: false };
        assert_eq!(decide(wishes, FULL), Step::Recreate);
        assert_eq!(decide(wishes, Seen { messages: 0, ..FULL }), Step::Recreate);
    }

    #[test]
    fn foreign_messages_stop_everything_but_force() {
        let seen = Seen { foreign: Some(PLACE), ..FULL };
        for recreate in [false, true] {
            assert_eq!(decide(Wishes { recreate, force: false }, seen), Step::Refuse(PLACE));
        }
        assert_eq!(decide(Wishes { recreate: false, force: true }, seen), Step::DeleteRecords);
    }

    #[test]
    fn only_pure_compaction_forbids_deleting_records() {
        assert!(is_compacted(Some("compact")));
        assert!(!is_compacted(Some("compact, delete")));
        assert!(!is_compacted(Some("delete")));
        assert!(!is_compacted(None));
    }

    #[test]
    fn messages_in_json_are_ours_too() {
        let sizes = SizeDistribution::Fixed { size_bytes: 300 };
        let spec = MessageSpec {
            format: MessageFormat::Json,
            content: Content::Generated { sizes, compressibility: 0.5 },
            keys: KeyDistribution::None,
            seed: 1,
        };
        let share = Share { index: 0, count: 1 };
        let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 0 };
        let mut factory =
            MessageFactory::new(&spec, RunId::from_bits(1), share, origin).expect("valid");
        let mut batch = Batch::default();
        factory.push(&mut batch, 0, 0, 0, 0);
        let value = batch.iter().next().expect("a message").value.to_vec();
        assert!(is_ours(&SampledMessage { partition: 0, offset: 0, payload: Some(value) }));
    }

    #[test]
    fn only_whole_messages_of_the_benchmark_are_ours() {
        let origin = ClockOrigin { boot: BootId::from_hash(1), wall_offset_ns: 0 };
        let mut whole = vec![0; HEADER_BYTES + 10];
        HeaderWriter::new(RunId::from_bits(1), 0, origin).seal(&mut whole, 0, 0, 0);
        let mut damaged = whole.clone();
        damaged[HEADER_BYTES] ^= 1;
        let ours = |payload: Option<&[u8]>| {
            let payload = payload.map(<[u8]>::to_vec);
            is_ours(&SampledMessage { partition: 0, offset: 0, payload })
        };
        assert!(ours(Some(&whole)));
        assert!(!ours(Some(&damaged)));
        assert!(!ours(Some(b"{\"order\": 17}")));
        assert!(!ours(Some(b"")));
        assert!(!ours(None), "a tombstone is somebody's compaction");
    }
}
