//! Apache Kafka as a benchmark transport, on librdkafka.

pub mod admin;
mod answers;
pub mod config;
mod connection_error;
pub mod error;
mod health;
mod killable;
mod linger;
mod native;
pub mod options;
mod publish;
mod reading;
mod receive;
mod requests;

pub use connection_error::ConnectionError;
pub use killable::{Kill, KillableReceiver};
pub use native::{Record, RecordHeader, RecordTime};
pub use publish::{KafkaPublisher, SendPlan, SendRate, SizeLimit, TransactionPlan};
pub use receive::{KafkaReceiver, StartOffset};

/// Version of the client library.
#[must_use]
pub fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
