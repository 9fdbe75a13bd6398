//! Receiving: the shards of a stream as the engine's `Receive` transport.
