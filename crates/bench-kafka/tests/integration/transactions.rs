//! A producer that sends in transactions.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_core::clock::{Clock as _, SECOND_NS, SystemClock};
use bench_core::transport::{Batch, Completion, Failure, Publish as _};
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaPublisher, SendPlan, TransactionPlan};
use rdkafka::mocking::MockCluster;

fn publisher(servers: &str, clock: SystemClock, transaction: TransactionPlan) -> KafkaPublisher {
    let plan = SendPlan { transaction: Some(transaction), ..SendPlan::default() };
    let mut config = KafkaConfig::new();
    config.set("bootstrap.servers", servers);
    config.set("transactional.id", "the-only-one");
    let timeout = Duration::from_secs(10);
    KafkaPublisher::connect(&config, "t", clock, plan, timeout).expect("a producer")
}

/// The next completions, all of them acknowledged.
fn confirmed(publisher: &mut KafkaPublisher, clock: SystemClock) -> Vec<Completion> {
    let mut completions = Vec::new();
    publisher.poll(clock.now_ns() + 30 * SECOND_NS, &mut completions).expect("polls");
    assert!(completions.iter().all(|done| done.delivery.is_acknowledged()), "{completions:?}");
    completions
}

fn batch_of(messages: u32) -> Batch {
    let mut batch = Batch::default();
    for token in 0..messages {
        batch.push(token, |_| false, |out, _| out.extend_from_slice(&token.to_le_bytes()));
    }
    batch
}

#[test]
fn full_transactions_acknowledge_all_messages_at_commit() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("t", 2, 1).expect("created");
    let clock = SystemClock::new();
    // No transaction is committed because of its age.
    let plan = TransactionPlan { messages: 10, age_max_ns: u64::MAX, abort_every: None };
    let mut publisher = publisher(&cluster.bootstrap_servers(), clock, plan);
    let mut batch = batch_of(25);
    let mut next = 0;
    for left in [15, 5] {
        publisher.submit(&mut batch).expect("submits");
        assert_eq!(batch.len(), left, "the rest stays in the batch");
        let done = confirmed(&mut publisher, clock);
        let mut tokens: Vec<_> = done.iter().map(|done| done.token).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, (next..next + 10).collect::<Vec<_>>());
        assert!(done.iter().all(|other| other.at_ns == done[0].at_ns), "at the commit");
        next += 10;
    }
    publisher.submit(&mut batch).expect("submits");
    assert!(batch.is_empty());
    let mut completions = Vec::new();
    publisher.poll(clock.now_ns() + SECOND_NS / 5, &mut completions).expect("polls");
    assert_eq!(completions, [], "delivered but not committed");
    publisher.finish().expect("commits");
    assert_eq!(confirmed(&mut publisher, clock).len(), 5);
}

#[test]
fn partial_transactions_commit_at_their_maximum_age() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("t", 1, 1).expect("created");
    let clock = SystemClock::new();
    let plan = TransactionPlan { messages: 1_000, age_max_ns: SECOND_NS / 10, abort_every: None };
    let mut publisher = publisher(&cluster.bootstrap_servers(), clock, plan);
    let begun_ns = clock.now_ns();
    publisher.submit(&mut batch_of(3)).expect("submits");
    let done = confirmed(&mut publisher, clock);
    assert_eq!(done.len(), 3);
    assert!(done[0].at_ns >= begun_ns + SECOND_NS / 10, "committed too early");
}

#[test]
fn every_third_transaction_is_aborted_on_purpose() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("t", 1, 1).expect("created");
    let clock = SystemClock::new();
    let abort_every = NonZeroU32::new(3);
    let plan = TransactionPlan { messages: 10, age_max_ns: u64::MAX, abort_every };
    let mut publisher = publisher(&cluster.bootstrap_servers(), clock, plan);
    let mut batch = batch_of(70);
    for transaction in 1..=7_u32 {
        publisher.submit(&mut batch).expect("submits");
        let mut completions = Vec::new();
        publisher.poll(clock.now_ns() + 30 * SECOND_NS, &mut completions).expect("polls");
        assert_eq!(completions.len(), 10);
        for done in completions {
            assert_eq!(done.token / 10, transaction - 1);
            let failure = done.delivery.failure();
            assert_eq!(failure.is_some(), transaction % 3 == 0, "transaction {transaction}");
            if let Some(failure) = failure {
                assert!(matches!(failure, Failure::Aborted(_)));
                assert_eq!(publisher.explain(failure), "aborted on purpose");
            }
        }
    }
}
