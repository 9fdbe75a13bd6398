//! Measures what has landed in DynamoDB.

fn main() {}
