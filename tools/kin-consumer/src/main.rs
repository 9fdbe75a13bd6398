//! Measures reading an Amazon Kinesis stream.

fn main() {}
