//! The adapter on a broker in memory whose answers the tests choose.

mod answers;
mod mock;
mod outage;
mod transactions;
