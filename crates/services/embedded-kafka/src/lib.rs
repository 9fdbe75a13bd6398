//! The process of the embedded Kafka broker.

use std::io::{self, BufRead};

use bench_service_kafka::stand_in::{EMBEDDED_BROKERS_MAX, PARTITIONS_MAX, Request};
use bench_stand_in::Reply;
use bench_stand_in_host::{HostError, argument, say, say_up};
use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_group_initial_rebalance_delay_ms,
};
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaType};

/// Time that the first member of a group waits for others. The mock's 3 s would be added to every
/// run, and on real brokers it is set to 0 for benchmarks; this is enough for consumers that start
/// together to share one rebalance.
const REBALANCE_DELAY_MS: i32 = 300;

/// Runs a cluster until standard input ends.
pub fn serve(text: &str) -> Result<(), HostError> {
    let brokers = argument(text)?;
    if !(1..=EMBEDDED_BROKERS_MAX).contains(&brokers) {
        return say(&Reply::Failed(format!("a cluster has 1 to {EMBEDDED_BROKERS_MAX} brokers")));
    }
    let client = mock_client(brokers).map_err(|error| start_error(&error))?;
    let Some(cluster) = client.mock_cluster() else {
        return say(&Reply::Failed("this librdkafka has no mock cluster".to_owned()));
    };
    say_up(cluster.bootstrap_servers())?;
    for line in io::stdin().lock().lines() {
        let reply = match serde_json::from_str(&line.map_err(HostError::Pipe)?) {
            Ok(Request::CreateTopic { name, partitions, replication }) => {
                create_topic(&cluster, brokers, &name, partitions, replication)
            }
            Err(error) => Err(error.to_string()),
        };
        say(&reply.map_or_else(Reply::Failed, |()| Reply::Done))?;
    }
    // An orderly shutdown would wait for open connections; no client is left, so exit.
    std::process::exit(0)
}

fn start_error(error: &KafkaError) -> HostError {
    HostError::service(format!("failed to start the mock cluster: {error}"))
}

/// A client whose cluster is a mock, with a short delay for new groups.
fn mock_client(brokers: u32) -> Result<Client<DefaultClientContext>, KafkaError> {
    let mut config = ClientConfig::new();
    config.set("test.mock.num.brokers", brokers.to_string());
    let native = config.create_native_config()?;
    let kind = RDKafkaType::RD_KAFKA_PRODUCER;
    let client = Client::new(&config, native, kind, DefaultClientContext)?;
    #[expect(
        unsafe_code,
        reason = "the one setting that the safe interface lacks; it saves 3 s of every run. The \
                  pointers come from a live client and from the library's own function"
    )]
    unsafe {
        let cluster = rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, REBALANCE_DELAY_MS);
        }
    }
    Ok(client)
}

/// Creates a topic after checks that the mock leaves out: it aborts on what it cannot do.
fn create_topic(
    cluster: &MockCluster<'_, DefaultClientContext>,
    brokers: u32,
    name: &str,
    partitions: u32,
    replication: u32,
) -> Result<(), String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || !name.chars().all(is_legal) {
        return Err("a name is 1 to 249 letters, digits, dots, underscores and hyphens".to_owned());
    }
    if !(1..=PARTITIONS_MAX).contains(&partitions) {
        return Err(format!("a topic has 1 to {PARTITIONS_MAX} partitions"));
    }
    if !(1..=brokers).contains(&replication) {
        return Err(format!("a topic has 1 to {brokers} replicas, one per broker"));
    }
    let native = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    match cluster.create_topic(name, native(partitions), native(replication)) {
        Ok(()) => Ok(()),
        Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => {
            Err("it exists already".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}
