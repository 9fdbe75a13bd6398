//! Sending: PutRecord and PutRecords as the engine's `Publish` transport.
