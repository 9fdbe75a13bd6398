//! The adapter against an embedded Kinesis, through the real client.

mod admin;
mod publish;
mod receive;
mod stream;
