//! Lambda function that lands a Kinesis stream in DynamoDB.

fn main() {}
