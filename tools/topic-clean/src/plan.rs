//! Deciding what to do with each topic. Nothing here accesses Kafka.

use bench_cli::UsageError;
use bench_kafka::admin::{PartitionWatermarks, SampledMessage, TopicInfo};
use globset::GlobBuilder;

/// The topics that match the patterns of the command line, each once, in the cluster's order.
///
/// Every pattern must match something, or a misspelt name would pass for an empty topic. Patterns
/// skip Kafka's own topics; naming one is an error.
pub(crate) fn select(
    patterns: &[String],
    topics: Vec<TopicInfo>,
) -> Result<Vec<TopicInfo>, UsageError> {
    let mut is_selected = vec![false; topics.len()];
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).build().map_err(|error| {
            let remedy = "use a name, or a pattern with *, ?, [a-z] or {a,b}";
            UsageError::new("TOPIC", error, remedy)
        })?;
        let matcher = glob.compile_matcher();
        let mut found = Matched::Nothing;
        for (topic, is_selected) in topics.iter().zip(&mut is_selected) {
            if !matcher.is_match(&topic.name) {
                continue;
            }
            if topic.internal {
                found = found.max(Matched::OnlyInternal);
            } else {
                found = Matched::Topics;
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
enum Matched {
    Nothing,
    OnlyInternal,
    Topics,
}

impl Matched {
    fn check(self, pattern: &str) -> Result<(), UsageError> {
        match self {
            Self::Topics => Ok(()),
            Self::OnlyInternal => Err(UsageError::new(
                "TOPIC",
                format!("'{pattern}' is Kafka's own, and emptying it would break the cluster"),
                "use a topic of the benchmark",
            )),
            Self::Nothing => Err(UsageError::new(
                "TOPIC",
                format!("no topic matches '{pattern}'"),
                "see `topic-clean list`",
            )),
        }
    }
}

/// The options that decide what is done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CleanArgs {
    pub(crate) recreate: bool,
    pub(crate) force: bool,
}

/// The state of a topic.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TopicState {
    /// Offsets between the watermarks of all partitions, which is an upper bound of its messages.
    pub(crate) messages: u64,
    /// Whether it is only compacted, so that its records cannot be deleted.
    pub(crate) is_compacted: bool,
    /// A message that this benchmark did not write.
    pub(crate) foreign: Option<MessagePosition>,
}

/// The position of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessagePosition {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicStep {
    /// Nothing: it is empty.
    Nothing,
    /// Delete its records; if the broker refuses, recreate it.
    DeleteRecords,
    /// Delete it and create it again.
    Recreate,
    /// Leave it alone: the message at this position is not the benchmark's.
    Refuse(MessagePosition),
}

/// A topic, its state, and what to do with it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) topic: TopicInfo,
    pub(crate) messages: u64,
    pub(crate) step: TopicStep,
}

/// Decides what to do with a topic.
pub(crate) fn decide(args: CleanArgs, seen: TopicState) -> TopicStep {
    match seen {
        TopicState { foreign: Some(place), .. } if !args.force => TopicStep::Refuse(place),
        _ if args.recreate => TopicStep::Recreate,
        TopicState { messages: 0, .. } => TopicStep::Nothing,
        TopicState { is_compacted: true, .. } => TopicStep::Recreate,
        _ => TopicStep::DeleteRecords,
    }
}

/// Whether a topic's settings forbid deleting its records.
pub(crate) fn is_compacted(cleanup_policy: Option<&str>) -> bool {
    cleanup_policy.is_some_and(|policy| {
        let mut words = policy.split(',').map(str::trim);
        policy.contains("compact") && !words.any(|word| word == "delete")
    })
}

/// Whether this benchmark wrote the message, and it is intact.
pub(crate) fn is_ours(message: &SampledMessage) -> bool {
    message.payload.as_deref().is_some_and(|value| bench_core::message::decode(value).is_ok())
}

/// An upper bound of the messages between the watermarks.
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
    fn patterns_select_each_topic_once() {
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
    fn kafka_topics_are_refused() {
        for pattern in ["__consumer_offsets", "__*"] {
            let error = selected(&["orders", pattern]).expect_err("internal");
            assert!(error.contains("Kafka's own"), "{error}");
        }
    }

    const FULL: TopicState = TopicState { messages: 10, is_compacted: false, foreign: None };
    const PLACE: MessagePosition = MessagePosition { partition: 3, offset: 7 };

    #[test]
    fn records_are_deleted_if_possible() {
        let args = CleanArgs::default();
        assert_eq!(decide(args, FULL), TopicStep::DeleteRecords);
        assert_eq!(decide(args, TopicState { messages: 0, ..FULL }), TopicStep::Nothing);
        assert_eq!(decide(args, TopicState { is_compacted: true, ..FULL }), TopicStep::Recreate);
    }

    #[test]
    fn recreate_applies_to_empty_topics() {
        let args = CleanArgs { recreate: true, force: false };
        assert_eq!(decide(args, FULL), TopicStep::Recreate);
        assert_eq!(decide(args, TopicState { messages: 0, ..FULL }), TopicStep::Recreate);
    }

    #[test]
    fn foreign_messages_require_force() {
        let seen = TopicState { foreign: Some(PLACE), ..FULL };
        for recreate in [false, true] {
            assert_eq!(
                decide(CleanArgs { recreate, force: false }, seen),
                TopicStep::Refuse(PLACE)
            );
        }
        assert_eq!(
            decide(CleanArgs { recreate: false, force: true }, seen),
            TopicStep::DeleteRecords
        );
    }

    #[test]
    fn only_pure_compaction_forbids_deleting_records() {
        assert!(is_compacted(Some("compact")));
        assert!(!is_compacted(Some("compact, delete")));
        assert!(!is_compacted(Some("delete")));
        assert!(!is_compacted(None));
    }

    #[test]
    fn json_messages_are_ours() {
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
    fn only_intact_messages_are_ours() {
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
