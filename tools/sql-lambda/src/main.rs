//! Lambda function that lands a Kinesis stream in MySQL.

fn main() {}
