//! Tables through the real clients: `DynamoDB` embedded in the test, `MySQL` on this machine.

mod backend;
mod faults;
mod faulty;
mod following;
mod round_trip;
mod server;
