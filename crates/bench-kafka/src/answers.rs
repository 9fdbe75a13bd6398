//! What brokers answer and the client library gives up with, in words that say what to do.
//!
//! librdkafka's own texts (`Local: Broker transport failure`) name neither the option nor the right
//! that is missing, so they are shown only for codes that no user can act on.

use std::borrow::Cow;

use rdkafka::types::RDKafkaErrorCode as Code;

/// What a request was about, so that the answer to it can name the right that is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The right on the topic that the request needs, as access lists name it.
    pub(crate) right: &'static str,
    /// The right on the cluster that may be needed besides.
    pub(crate) cluster_right: &'static str,
    pub(crate) topic: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) transactional_id: Option<String>,
}

impl Subject {
    /// A request about a topic, which needs this right on it.
    pub(crate) fn topic(right: &'static str, topic: &str) -> Self {
        Self { right, topic: Some(topic.to_owned()), ..Self::default() }
    }

    fn topic_name(&self) -> String {
        self.topic.as_ref().map_or_else(|| "the topic".to_owned(), |name| format!("topic '{name}'"))
    }

    fn group_name(&self) -> String {
        let name = self.group.as_ref().filter(|name| !name.is_empty());
        name.map_or_else(|| "the group".to_owned(), |name| format!("group '{name}'"))
    }

    fn transactional_name(&self) -> String {
        self.transactional_id.as_ref().map_or_else(
            || "its transactional.id".to_owned(),
            |id| format!("transactional.id '{id}'"),
        )
    }
}

/// One sentence: what the code means for `subject`, and what to do. `words` are the broker's own,
/// where it sent any.
pub(crate) fn sentence(code: Code, subject: &Subject, words: Option<&str>) -> String {
    let (meaning, remedy) = meaning(code, subject);
    // Of a missing right, brokers say only that it is missing.
    let words = words.filter(|_| rights(code, subject).is_none());
    let words = words.map(one_line).filter(|words| is_informative(words));
    let meaning = words.map_or(meaning, Cow::Owned);
    format!("{meaning} ({code:?}); {remedy}")
}

/// Whether the words are a broker's, rather than librdkafka's text for the code.
fn is_informative(words: &str) -> bool {
    !words.is_empty()
        && !["Broker: ", "Local: ", "Success"].iter().any(|own| words.starts_with(own))
}

/// On one line, without the full stop at the end.
fn one_line(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.strip_suffix('.').map(str::to_owned).unwrap_or(words)
}

/// What a code means, and what helps.
fn meaning(code: Code, subject: &Subject) -> (Cow<'static, str>, Cow<'static, str>) {
    let known = rights(code, subject)
        .or_else(|| messages(code))
        .or_else(|| groups(code, subject))
        .or_else(|| transactions(code, subject))
        .or_else(|| topics(code, subject))
        .or_else(|| availability(code))
        .or_else(|| connections(code));
    known.unwrap_or_else(|| {
        (library_text(code).into(), "see the logs of the brokers, and of this tool with -vv".into())
    })
}

type Meaning = Option<(Cow<'static, str>, Cow<'static, str>)>;

#[expect(clippy::unnecessary_wraps, reason = "for the arms of a match that may find nothing")]
fn told(meaning: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Meaning {
    Some((meaning.into(), remedy.into()))
}

fn rights(code: Code, subject: &Subject) -> Meaning {
    const GRANT: &str = "grant it with Kafka's kafka-acls, or use another user";
    let lacks = |right: &str, resource: &str| {
        let right = if right.is_empty() { "a right" } else { right };
        format!("the user lacks {right} on {resource}")
    };
    match code {
        Code::TopicAuthorizationFailed => told(lacks(subject.right, &subject.topic_name()), GRANT),
        Code::GroupAuthorizationFailed => told(
            lacks("READ", &subject.group_name()),
            "grant it with Kafka's kafka-acls, use a --group that the user may use, or read without a \
             group",
        ),
        Code::ClusterAuthorizationFailed => {
            let right = if subject.cluster_right.is_empty() {
                subject.right
            } else {
                subject.cluster_right
            };
            told(lacks(right, "the cluster"), GRANT)
        }
        Code::TransactionalIdAuthorizationFailed => {
            told(lacks("WRITE and DESCRIBE", &subject.transactional_name()), GRANT)
        }
        _ => None,
    }
}

/// Answers to what a message is like.
fn messages(code: Code) -> Meaning {
    match code {
        Code::MessageSizeTooLarge => told(
            "the batch is larger than max.message.bytes of the topic",
            "lower --batch-size or --record-size, or raise max.message.bytes of the topic",
        ),
        Code::MessageBatchTooLarge => told(
            "the batch is larger than segment.bytes of the topic",
            "lower --batch-size, or raise segment.bytes of the topic",
        ),
        Code::InvalidRecord => told(
            "the broker refuses the record, as a compacted topic does one without a key",
            "give every message a key, or use a topic whose cleanup.policy is delete",
        ),
        Code::InvalidTimestamp => told(
            "the broker refuses the timestamp: too far from its own time",
            "set the clock of this machine, or raise message.timestamp.before.max.ms and \
             message.timestamp.after.max.ms of the topic",
        ),
        Code::InvalidDifferentRecord => told(
            "another message of the same batch was refused",
            "see the refusal of that one, or lower --batch-size",
        ),
        Code::InvalidMessage | Code::InvalidMessageSize => told(
            "the batch arrived damaged, or in a form that the topic does not take",
            "check the network, and give every message a key if the topic is compacted",
        ),
        Code::UnsupportedCompressionType => told(
            "the broker does not know the compression",
            "use another --compression (zstd needs Kafka 2.1), or none",
        ),
        Code::UnsupportedForMessageFormat => told(
            "the topic stores messages in a format too old for this",
            "leave out --idempotent, --transactional and headers, or raise the topic's message format",
        ),
        Code::InvalidRequiredAcks => {
            told("the broker does not take this number of acknowledgements", "use --acks all")
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::ISRInsufficient => {
            told(
                "fewer replicas are in sync than min.insync.replicas of the topic",
                "start the missing brokers, lower min.insync.replicas, or use --acks 1",
            )
        }
        Code::OffsetOutOfRange => told(
            "the messages at this offset have been deleted",
            "start again, at the beginning that is left; raise the topic's retention if this recurs",
        ),
        Code::BadMessage | Code::BadCompression => told(
            "what the broker sent is damaged",
            "check the network, and the broker's disk with Kafka's kafka-dump-log",
        ),
        _ => None,
    }
}

fn groups(code: Code, subject: &Subject) -> Meaning {
    match code {
        Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedInstanceId
        | Code::UnreleasedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::NonEmptyGroup
        | Code::RebalanceInProgress => told(
            format!("{} is in use by other members", subject.group_name()),
            "stop them and wait for their session to end, or use another --group",
        ),
        Code::InconsistentGroupProtocol | Code::UnsupportedAssignor => told(
            format!("members of {} share partitions out in another way", subject.group_name()),
            "use another --group, or their group.protocol and partition.assignment.strategy",
        ),
        Code::InvalidGroupId => told(
            format!("{} has a name that the broker does not take", subject.group_name()),
            "use another --group",
        ),
        Code::InvalidSessionTimeout => told(
            "session.timeout.ms is outside group.min.session.timeout.ms to \
             group.max.session.timeout.ms of the broker",
            "set one within these with --config session.timeout.ms=N",
        ),
        Code::GroupMaxSizeReached => told(
            format!("{} has as many members as the broker allows", subject.group_name()),
            "lower --consumers, or raise group.max.size of the broker",
        ),
        Code::PollExceeded => told(
            "the group gave the partitions to others, since this consumer was busy for longer than \
             max.poll.interval.ms",
            "raise it with --config max.poll.interval.ms=N",
        ),
        Code::AutoOffsetReset | Code::NoOffset => {
            told("there is no offset to begin at", "use --from beginning or --from latest")
        }
        _ => None,
    }
}

fn transactions(code: Code, subject: &Subject) -> Meaning {
    match code {
        Code::ProducerFenced
        | Code::Fenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced => told(
            format!("another producer has taken over {}", subject.transactional_name()),
            "stop it, or use another --config transactional.id=NAME",
        ),
        Code::ConcurrentTransactions => told(
            format!("a transaction of {} is still ending", subject.transactional_name()),
            "try again, or use another --config transactional.id=NAME",
        ),
        Code::InvalidTransactionTimeout => told(
            "transaction.timeout.ms is more than transaction.max.timeout.ms of the broker",
            "lower it with --config transaction.timeout.ms=N",
        ),
        Code::InvalidTransactionalState | Code::InvalidProducerIdMapping => told(
            "the broker has no such transaction open: it has timed out, perhaps",
            "start again, and raise --config transaction.timeout.ms=N if this recurs",
        ),
        Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::DuplicateSequenceNumber
        | Code::GaplessGuarantee => told(
            "messages before this one were lost, and an idempotent producer leaves no gap",
            "start again, and check the topic's retention and the brokers' logs",
        ),
        _ => None,
    }
}

/// Answers to requests about topics.
fn topics(code: Code, subject: &Subject) -> Meaning {
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::UnknownPartition => told(
            format!(
                "{} does not exist, or no more: it may just have been deleted",
                subject.topic_name()
            ),
            "check --topic, and create it with `topic-clean create`",
        ),
        Code::TopicAlreadyExists => told(
            format!("{} exists already, or is still being deleted", subject.topic_name()),
            "use another name, empty it with topic-clean, or wait until it is gone",
        ),
        Code::InvalidTopic => told(
            format!("{} has a name that the broker does not take", subject.topic_name()),
            "use another name, of 1 to 249 letters, digits, dots, underscores and hyphens",
        ),
        Code::InvalidConfig => told(
            "the broker refuses a setting of the topic",
            "correct the value of that setting (--topic-config), or leave it out",
        ),
        Code::InvalidReplicationFactor => told(
            "the replication factor is more than the number of brokers that are up",
            "lower --replication-factor, or start more brokers",
        ),
        Code::InvalidReplicaAssignment => told(
            "the brokers cannot hold replicas so",
            "lower --replication-factor, or check that all brokers are up",
        ),
        Code::InvalidPartitions => told(
            "the broker does not take this number of partitions",
            "use a --partitions of at least 1 and not below what the topic has",
        ),
        Code::PolicyViolation => told(
            "a policy of the cluster forbids it",
            "follow the policy, or ask who administers the cluster",
        ),
        Code::ThrottlingQuotaExceeded => told(
            "the user has used up a quota of the cluster",
            "wait a while and try again, or raise the quota",
        ),
        Code::TopicDeletionDisabled => told(
            "the brokers do not let topics be deleted",
            "set delete.topic.enable=true on them, or use another topic",
        ),
        Code::ReassignmentInProgress => told(
            format!("partitions of {} are being moved", subject.topic_name()),
            "wait until that has ended",
        ),
        Code::InvalidRequest => {
            told("the broker refuses the request", "see the log of the broker for its reason")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => told(
            "this broker (an embedded one, perhaps) is too old for the request or cannot do it",
            "use another broker, or leave out the option that needs it",
        ),
        _ => None,
    }
}

fn availability(code: Code) -> Meaning {
    match code {
        Code::OperationTimedOut | Code::RequestTimedOut => {
            told("no answer in time", "raise --timeout, or look into the state of the cluster")
        }
        Code::MessageTimedOut | Code::TimedOutQueue => told(
            "not confirmed within delivery.timeout.ms",
            "check that the brokers keep up, or raise it with --config delivery.timeout.ms=N",
        ),
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::BrokerNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::EligibleLeadersNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::OffsetNotAvailable => told(
            "no broker leads the partition at the moment",
            "check that all brokers are up, and try again",
        ),
        Code::NotController => {
            told("the cluster has no controller at the moment", "check that all brokers are up")
        }
        Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::WaitingForCoordinator => told(
            "no broker coordinates the group or transaction at the moment",
            "check that all brokers are up, and that __consumer_offsets and __transaction_state can \
             have their replicas",
        ),
        Code::KafkaStorageError | Code::LogDirNotFound => told(
            "a disk of the broker fails",
            "see the log of the broker, and free or replace the disk",
        ),
        Code::PurgeQueue | Code::PurgeInflight => told(
            "given up at the end, before the broker had answered",
            "raise --grace, or lower the rate",
        ),
        Code::QueueFull => told(
            "the client's queue is full",
            "lower --in-flight, or raise --config queue.buffering.max.messages=N",
        ),
        _ => None,
    }
}

fn connections(code: Code) -> Meaning {
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::NetworkException
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::NodeUpdate
        | Code::Fail => told(
            "the connection to the broker broke or could not be made",
            "check that the brokers are up, --bootstrap-servers and security.protocol",
        ),
        Code::Resolve => told(
            "the broker's host name was not found",
            "check --bootstrap-servers and the brokers' advertised.listeners",
        ),
        Code::Authentication | Code::SaslAuthenticationFailed => told(
            "the broker refused the login",
            "check sasl.mechanism, sasl.username and sasl.password",
        ),
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => told(
            "the broker does not take this kind of login",
            "check security.protocol and sasl.mechanism",
        ),
        Code::SSL => told(
            "TLS with the broker failed",
            "check security.protocol and ssl.ca.location, and for client certificates \
             ssl.certificate.location",
        ),
        _ => None,
    }
}

/// librdkafka's text without its `Local: ` or `Broker: `.
fn library_text(code: Code) -> String {
    let text = code.to_string();
    let text = text.split_once(" (").map_or(text.as_str(), |(_, text)| text);
    let text = text.strip_suffix(')').unwrap_or(text);
    let text =
        ["Local: ", "Broker: "].iter().find_map(|own| text.strip_prefix(own)).unwrap_or(text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + characters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    /// Every code of the client library and of the protocol that it knows.
    fn codes() -> Vec<Code> {
        (-199..=130)
            .filter_map(|number| RDKafkaRespErr::try_from(number).ok())
            .map(Code::from)
            .filter(|code| !matches!(code, Code::NoError | Code::Begin | Code::End | Code::EndAll))
            .collect()
    }

    #[test]
    fn every_code_reads_as_one_sentence_with_a_remedy() {
        let all = codes();
        assert!(all.len() > 120, "{}", all.len());
        for code in all {
            let text = sentence(code, &Subject::default(), None);
            assert!(!text.contains("Local:") && !text.contains("Broker:"), "{text}");
            assert!(text.contains(&format!("({code:?}); ")) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn authorization_failures_name_right_and_resource() {
        let subject = Subject {
            cluster_right: "IDEMPOTENT_WRITE",
            group: Some("g".to_owned()),
            transactional_id: Some("x".to_owned()),
            ..Subject::topic("WRITE", "t")
        };
        for (code, needle) in [
            (Code::TopicAuthorizationFailed, "the user lacks WRITE on topic 't'"),
            (Code::GroupAuthorizationFailed, "the user lacks READ on group 'g'"),
            (Code::ClusterAuthorizationFailed, "the user lacks IDEMPOTENT_WRITE on the cluster"),
            (
                Code::TransactionalIdAuthorizationFailed,
                "the user lacks WRITE and DESCRIBE on transactional.id 'x'",
            ),
        ] {
            let text = sentence(code, &subject, None);
            assert!(text.starts_with(needle) && text.contains("kafka-acls"), "{text}");
        }
    }

    #[test]
    fn answers_that_users_can_act_on_name_the_option() {
        for (code, options) in [
            (
                Code::MessageSizeTooLarge,
                &["--batch-size", "--record-size", "max.message.bytes"][..],
            ),
            (Code::UnknownMemberId, &["--group"]),
            (Code::FencedInstanceId, &["--group"]),
            (Code::ProducerFenced, &["transactional.id"]),
            (Code::InvalidRecord, &["key"]),
            (Code::InvalidTimestamp, &["message.timestamp.before.max.ms"]),
            (Code::InvalidReplicationFactor, &["--replication-factor"]),
            (Code::InvalidPartitions, &["--partitions"]),
            (Code::InvalidConfig, &["--topic-config"]),
            (Code::NotEnoughReplicas, &["min.insync.replicas", "--acks"]),
            (Code::UnsupportedCompressionType, &["--compression"]),
            (Code::UnknownTopicId, &["--topic", "topic-clean create"]),
            (Code::ThrottlingQuotaExceeded, &["quota"]),
        ] {
            let text = sentence(code, &Subject::default(), None);
            for option in options {
                assert!(text.contains(option), "{option}: {text}");
            }
        }
    }

    #[test]
    fn the_brokers_own_words_replace_the_general_ones() {
        let words = "Topic 'a.b' collides with existing topic: a_b.\n";
        let text = sentence(Code::InvalidTopic, &Subject::default(), Some(words));
        assert!(
            text.starts_with("Topic 'a.b' collides with existing topic: a_b (InvalidTopic); use")
        );
        let text =
            sentence(Code::InvalidConfig, &Subject::default(), Some("Broker: Configuration"));
        assert!(text.starts_with("the broker refuses a setting"), "{text}");
    }
}
