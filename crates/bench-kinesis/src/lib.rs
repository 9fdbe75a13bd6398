//! Amazon Kinesis adapter.
