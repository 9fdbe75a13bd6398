//! An experiment at work, as a terminal shows it.

mod board;
mod trouble;
mod view;

pub(super) use self::board::{Board, Now};
pub(super) use self::trouble::Trouble;
