//! An experiment at work, as a terminal shows it.

mod board;
mod view;

pub(super) use self::board::Board;
