//! Measures publishing to an Amazon Kinesis stream.

fn main() {}
