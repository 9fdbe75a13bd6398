//! Explains error codes of brokers and of the client library, each with a remedy.
//!
//! librdkafka's own texts (`Local: Broker transport failure`) name neither the option nor the
//! missing permission, so they are shown only for codes that a user cannot act on.

use std::borrow::Cow;

use rdkafka::types::RDKafkaErrorCode as Code;

/// What a request was about, so that an error can name the missing permission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Operation on the topic that the request needs, as ACLs name it.
    pub(crate) right: &'static str,
    /// Operation on the cluster that the request may need as well.
    pub(crate) cluster_right: &'static str,
    pub(crate) topic: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) transactional_id: Option<String>,
}

impl Subject {
    /// A request that needs this operation on a topic.
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

/// Explains in one sentence what the code means for `subject` and what to do. `words` is the
/// broker's own message, if it sent one.
pub(crate) fn sentence(code: Code, subject: &Subject, words: Option<&str>) -> String {
    let (meaning, remedy) = meaning(code, subject);
    // Brokers do not say which permission is missing.
    let words = words.filter(|_| rights(code, subject).is_none());
    let words = words.map(one_line).filter(|words| is_informative(words));
    let meaning = words.map_or(meaning, Cow::Owned);
    format!("{meaning} ({code:?}); {remedy}")
}

/// Whether a broker sent this message; otherwise it is librdkafka's text for the code.
fn is_informative(words: &str) -> bool {
    !words.is_empty()
        && !["Broker: ", "Local: ", "Success"].iter().any(|own| words.starts_with(own))
}

/// Joins the lines and drops the final full stop.
fn one_line(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    words.strip_suffix('.').map(str::to_owned).unwrap_or(words)
}

/// What a code means and its remedy.
fn meaning(code: Code, subject: &Subject) -> (Cow<'static, str>, Cow<'static, str>) {
    let known = rights(code, subject)
        .or_else(|| messages(code))
        .or_else(|| groups(code, subject))
        .or_else(|| transactions(code, subject))
        .or_else(|| topics(code, subject))
        .or_else(|| availability(code))
        .or_else(|| connections(code));
    known.unwrap_or_else(|| {
        (library_text(code).into(), "see the brokers' logs, and run this tool with -vv".into())
    })
}

type Meaning = Option<(Cow<'static, str>, Cow<'static, str>)>;

#[expect(clippy::unnecessary_wraps, reason = "match arms that may find nothing need an Option")]
fn means(meaning: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Meaning {
    Some((meaning.into(), remedy.into()))
}

fn rights(code: Code, subject: &Subject) -> Meaning {
    const GRANT: &str = "grant it with kafka-acls, or use another user";
    let lacks = |right: &str, resource: &str| {
        let right = if right.is_empty() { "a permission" } else { right };
        format!("the user lacks {right} on {resource}")
    };
    match code {
        Code::TopicAuthorizationFailed => means(lacks(subject.right, &subject.topic_name()), GRANT),
        Code::GroupAuthorizationFailed => means(
            lacks("READ", &subject.group_name()),
            "grant it with kafka-acls, use a --group that the user may read, or read without a \
             group",
        ),
        Code::ClusterAuthorizationFailed => {
            let right = if subject.cluster_right.is_empty() {
                subject.right
            } else {
                subject.cluster_right
            };
            means(lacks(right, "the cluster"), GRANT)
        }
        Code::TransactionalIdAuthorizationFailed => {
            means(lacks("WRITE and DESCRIBE", &subject.transactional_name()), GRANT)
        }
        _ => None,
    }
}

/// Errors caused by the messages themselves.
fn messages(code: Code) -> Meaning {
    match code {
        Code::MessageSizeTooLarge => means(
            "the batch is larger than the topic's max.message.bytes",
            "lower --batch-size or --record-size, or raise the topic's max.message.bytes",
        ),
        Code::MessageBatchTooLarge => means(
            "the batch is larger than the topic's segment.bytes",
            "lower --batch-size, or raise the topic's segment.bytes",
        ),
        Code::InvalidRecord => means(
            "the broker rejected the record; compacted topics reject records without a key",
            "give every message a key, or use a topic whose cleanup.policy is delete",
        ),
        Code::InvalidTimestamp => means(
            "the broker rejected the timestamp: too far from its own clock",
            "set this machine's clock, or raise the topic's message.timestamp.before.max.ms and \
             message.timestamp.after.max.ms",
        ),
        Code::InvalidDifferentRecord => means(
            "another message in the same batch was rejected",
            "see that message's error, or lower --batch-size",
        ),
        Code::InvalidMessage | Code::InvalidMessageSize => means(
            "the batch arrived corrupt, or in a format that the topic does not accept",
            "check the network, and give every message a key if the topic is compacted",
        ),
        Code::UnsupportedCompressionType => means(
            "the broker does not support the compression",
            "use another --compression (zstd needs Kafka 2.1), or none",
        ),
        Code::UnsupportedForMessageFormat => means(
            "the topic's message format is too old for this",
            "remove --idempotent, --transactional and headers, or upgrade the topic's message \
             format",
        ),
        Code::InvalidRequiredAcks => {
            means("the broker does not support this number of acknowledgements", "use --acks all")
        }
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::ISRInsufficient => {
            means(
                "fewer replicas are in sync than the topic's min.insync.replicas",
                "start the missing brokers, lower min.insync.replicas, or use --acks 1",
            )
        }
        Code::OffsetOutOfRange => means(
            "the messages at this offset have been deleted",
            "start again from the earliest offset; raise the topic's retention if this recurs",
        ),
        Code::BadMessage | Code::BadCompression => means(
            "the broker sent corrupt data",
            "check the network, and the broker's disk with kafka-dump-log",
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
        | Code::RebalanceInProgress => means(
            format!("{} is in use by other members", subject.group_name()),
            "stop them and wait for their session to end, or use another --group",
        ),
        Code::InconsistentGroupProtocol | Code::UnsupportedAssignor => means(
            format!("members of {} assign partitions in another way", subject.group_name()),
            "use another --group, or their group.protocol and partition.assignment.strategy",
        ),
        Code::InvalidGroupId => means(
            format!("the broker rejected the name of {}", subject.group_name()),
            "use another --group",
        ),
        Code::InvalidSessionTimeout => means(
            "session.timeout.ms is outside the broker's group.min.session.timeout.ms to \
             group.max.session.timeout.ms",
            "set a value in that range with --config session.timeout.ms=N",
        ),
        Code::GroupMaxSizeReached => means(
            format!("{} already has as many members as the broker allows", subject.group_name()),
            "lower --consumers, or raise the broker's group.max.size",
        ),
        Code::PollExceeded => means(
            "the group reassigned the partitions: this consumer was busy for longer than \
             max.poll.interval.ms",
            "raise it with --config max.poll.interval.ms=N",
        ),
        Code::AutoOffsetReset | Code::NoOffset => {
            means("there is no offset to start from", "use --from beginning or --from latest")
        }
        _ => None,
    }
}

fn transactions(code: Code, subject: &Subject) -> Meaning {
    match code {
        Code::ProducerFenced
        | Code::Fenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced => means(
            format!("another producer has taken over {}", subject.transactional_name()),
            "stop it, or use another --config transactional.id=NAME",
        ),
        Code::ConcurrentTransactions => means(
            format!("a transaction of {} is still ending", subject.transactional_name()),
            "retry, or use another --config transactional.id=NAME",
        ),
        Code::InvalidTransactionTimeout => means(
            "transaction.timeout.ms is more than the broker's transaction.max.timeout.ms",
            "lower it with --config transaction.timeout.ms=N",
        ),
        Code::InvalidTransactionalState | Code::InvalidProducerIdMapping => means(
            "the broker has no such open transaction; it may have timed out",
            "start again, and raise --config transaction.timeout.ms=N if this recurs",
        ),
        Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::DuplicateSequenceNumber
        | Code::GaplessGuarantee => means(
            "messages before this one were lost, and idempotent producers allow no gaps",
            "start again, and check the topic's retention and the brokers' logs",
        ),
        _ => None,
    }
}

/// Errors of requests about topics.
fn topics(code: Code, subject: &Subject) -> Meaning {
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::UnknownPartition => means(
            format!("{} does not exist; it may just have been deleted", subject.topic_name()),
            "check --topic, and create it with `topic-clean create`",
        ),
        Code::TopicAlreadyExists => means(
            format!("{} already exists, or is still being deleted", subject.topic_name()),
            "use another name, empty it with topic-clean, or wait until it is gone",
        ),
        Code::InvalidTopic => means(
            format!("the broker rejected the name of {}", subject.topic_name()),
            "use another name, of 1 to 249 letters, digits, dots, underscores and hyphens",
        ),
        Code::InvalidConfig => means(
            "the broker rejected a setting of the topic",
            "correct the value of that setting (--topic-config), or remove it",
        ),
        Code::InvalidReplicationFactor => means(
            "the replication factor is more than the number of brokers that are up",
            "lower --replication-factor, or start more brokers",
        ),
        Code::InvalidReplicaAssignment => means(
            "the brokers cannot place the replicas",
            "lower --replication-factor, or check that all brokers are up",
        ),
        Code::InvalidPartitions => means(
            "the broker rejected this number of partitions",
            "--partitions must be at least 1 and not below the topic's current number",
        ),
        Code::PolicyViolation => means(
            "a policy of the cluster forbids it",
            "follow the policy, or ask the cluster's administrator",
        ),
        Code::ThrottlingQuotaExceeded => means(
            "the user has used up a quota of the cluster",
            "wait and retry, or raise the quota",
        ),
        Code::TopicDeletionDisabled => means(
            "the brokers do not allow topics to be deleted",
            "set delete.topic.enable=true on them, or use another topic",
        ),
        Code::ReassignmentInProgress => means(
            format!("partitions of {} are being moved", subject.topic_name()),
            "wait until the reassignment has finished",
        ),
        Code::InvalidRequest => {
            means("the broker rejected the request", "see the broker's log for the reason")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => means(
            "this broker does not support the request; it may be too old, or embedded",
            "use another broker, or remove the option that needs it",
        ),
        _ => None,
    }
}

fn availability(code: Code) -> Meaning {
    match code {
        Code::OperationTimedOut | Code::RequestTimedOut => {
            means("no answer in time", "raise --timeout, or check the state of the cluster")
        }
        Code::MessageTimedOut | Code::TimedOutQueue => means(
            "not acknowledged within delivery.timeout.ms",
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
        | Code::OffsetNotAvailable => means(
            "the partition has no leader at the moment",
            "check that all brokers are up, and retry",
        ),
        Code::NotController => {
            means("the cluster has no controller at the moment", "check that all brokers are up")
        }
        Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::WaitingForCoordinator => means(
            "no broker coordinates the group or transaction at the moment",
            "check that all brokers are up, and that there are enough of them for the replicas of \
             __consumer_offsets and __transaction_state",
        ),
        Code::KafkaStorageError | Code::LogDirNotFound => means(
            "a disk of the broker is failing",
            "see the broker's log, and free up or replace the disk",
        ),
        Code::PurgeQueue | Code::PurgeInflight => means(
            "abandoned at the end of the run, before the broker had answered",
            "raise --grace, or lower the rate",
        ),
        Code::QueueFull => means(
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
        | Code::Fail => means(
            "the connection to the broker failed",
            "check that the brokers are up, --bootstrap-servers and security.protocol",
        ),
        Code::Resolve => means(
            "the broker's host name was not found",
            "check --bootstrap-servers and the brokers' advertised.listeners",
        ),
        Code::Authentication | Code::SaslAuthenticationFailed => means(
            "the broker rejected the login",
            "check sasl.mechanism, sasl.username and sasl.password",
        ),
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState => means(
            "the broker does not support this kind of login",
            "check security.protocol and sasl.mechanism",
        ),
        Code::SSL => means(
            "TLS with the broker failed",
            "check security.protocol, ssl.ca.location and, for client certificates, \
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

    /// Every code that the client library knows, its own and the protocol's.
    fn codes() -> Vec<Code> {
        (-199..=130)
            .filter_map(|number| RDKafkaRespErr::try_from(number).ok())
            .map(Code::from)
            .filter(|code| !matches!(code, Code::NoError | Code::Begin | Code::End | Code::EndAll))
            .collect()
    }

    #[test]
    fn every_code_is_one_sentence_with_a_remedy() {
        let all = codes();
        assert!(all.len() > 120, "{}", all.len());
        for code in all {
            let text = sentence(code, &Subject::default(), None);
            assert!(!text.contains("Local:") && !text.contains("Broker:"), "{text}");
            assert!(text.contains(&format!("({code:?}); ")) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn authorization_failures_name_permission_and_resource() {
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
    fn actionable_errors_name_the_option() {
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
    fn broker_messages_replace_general_ones() {
        let words = "Topic 'a.b' collides with existing topic: a_b.\n";
        let text = sentence(Code::InvalidTopic, &Subject::default(), Some(words));
        assert!(
            text.starts_with("Topic 'a.b' collides with existing topic: a_b (InvalidTopic); use")
        );
        let text =
            sentence(Code::InvalidConfig, &Subject::default(), Some("Broker: Configuration"));
        assert!(text.starts_with("the broker rejected a setting"), "{text}");
    }
}
