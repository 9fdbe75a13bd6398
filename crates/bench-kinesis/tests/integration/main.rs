//! The adapter on embedded streams, through the real client.

mod aggregation_python;
mod embedded;
mod receive;
mod stream;
