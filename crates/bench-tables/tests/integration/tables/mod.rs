//! The tables through the real clients: `DynamoDB` embedded in the test, `MySQL` on this machine.

mod faults;
mod faulty;
mod following;
mod place;
mod round_trip;
mod server;
