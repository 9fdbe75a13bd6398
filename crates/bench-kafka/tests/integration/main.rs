//! The adapter on brokers in memory, whose answers the tests choose, and on real Kafka.

mod answers;
mod mock;
mod outage;
mod rebalance;
mod transactions;
