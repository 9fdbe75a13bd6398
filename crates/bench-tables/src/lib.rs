//! The landing table, in DynamoDB and in MySQL.
