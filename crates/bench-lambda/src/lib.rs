//! What the Lambda functions do with a Kinesis event.
