//! The landing table, in `DynamoDB` and in `MySQL`: one row per message that arrived.
//!
//! [`TableWriter`] writes rows and reports when they were confirmed, [`TableReceiver`] reads them,
//! and [`LandingReceiver`] lands the messages of another receiver. [`Tables`] creates, describes
//! and deletes tables for programs without a runtime. `docs/tables.md` describes the schema.

mod admin;
pub mod dynamodb;
mod error;
mod info;
mod landing;
pub mod mysql;
mod pending;
mod receiver;
mod row;
mod selection;
mod stored;
mod writer;
mod writing;

pub use admin::{KAFKA_TABLE, KINESIS_TABLE, Tables};
pub use error::TableError;
pub use info::{MARK, Obstacle, TableInfo};
pub use landing::{LINGER, LandingReceiver};
pub use receiver::TableReceiver;
pub use row::{BatchId, ConfirmedBatch, Row, WriterOptions, Written};
pub use selection::{Selection, Until};
pub use writer::TableWriter;
