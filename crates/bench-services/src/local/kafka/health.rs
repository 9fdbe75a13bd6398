//! Whether a broker does its work, as a client sees it.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bench_core::system::cause;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use super::super::process::{Process, ProcessState};
use super::super::server::Site;
use super::config::Listener;
use super::{cluster, number};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Whether a broker answers, and sees itself and all others whose processes run. Where too few run
/// for a majority, none can do more than run.
pub(super) fn check(node: &Site<'_>) -> Result<(), String> {
    let all = cluster(node);
    let running: Vec<&Site<'_>> = all.iter().filter(|node| runs(node)).collect();
    if running.len() <= all.len() / 2 && running.iter().any(|other| other.node == node.node) {
        return Ok(());
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node.port(Listener::Plaintext.name())));
    TcpStream::connect_timeout(&address, TIMEOUT)
        .map_err(|error| format!("no client can reach {address}: {}", cause(&error)))?;
    // What the client library says of it is that there was no answer.
    let seen = brokers(address)
        .map_err(|_| format!("{address} takes connections and does not answer as a broker yet"))?;
    let missing = running.iter().find(|other| {
        let id = i32::try_from(number(other)).unwrap_or_default();
        !seen.contains(&id)
    });
    match missing {
        Some(missing) => Err(format!("{} is not in the cluster yet", missing.node.name)),
        None => Ok(()),
    }
}

fn runs(node: &Site<'_>) -> bool {
    node.node.process.as_ref().map(Process::state) == Some(ProcessState::Running)
}

/// The ids of the brokers of the cluster.
fn brokers(address: SocketAddr) -> Result<Vec<i32>, KafkaError> {
    let consumer: BaseConsumer<Silent> = ClientConfig::new()
        .set("bootstrap.servers", address.to_string())
        .set_log_level(RDKafkaLogLevel::Emerg)
        .create_with_context(Silent)?;
    let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
    Ok(metadata.brokers().iter().map(rdkafka::metadata::MetadataBroker::id).collect())
}

/// That a broker cannot be reached yet is nothing to log.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Silent {}
