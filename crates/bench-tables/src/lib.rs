//! The landing table, in `DynamoDB` and in `MySQL`: one row for each message that has come through.
//!
//! [`TableWriter`] writes rows and says when they were confirmed, [`TableReceiver`] reads them, and
//! [`LandingReceiver`] lands what another receiver passes on. [`Tables`] makes, describes and deletes
//! tables for programs without a runtime. `docs/tables.md` describes the schema.

mod admin;
pub mod dynamodb;
mod error;
mod landing;
pub mod mysql;
mod pending;
mod receiver;
mod row;
mod stored;
mod writer;
mod writing;

pub use admin::{KAFKA_TABLE, KINESIS_TABLE, MARK, Obstacle, TableInfo, Tables};
pub use error::TableError;
pub use landing::{LINGER, LandingReceiver};
pub use receiver::{Selection, TableReceiver, Until};
pub use row::{BatchId, ConfirmedBatch, Row, WriterOptions, Written};
pub use writer::TableWriter;
