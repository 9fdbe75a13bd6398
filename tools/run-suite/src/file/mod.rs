//! The experiment file: its form, and what is refused.

pub(crate) mod experiment;
pub(crate) mod fault;
mod faults;
pub(crate) mod figure;
pub(crate) mod form;
pub(crate) mod gate;
mod local;
pub(crate) mod options;
pub(crate) mod owner;
pub(crate) mod refusal;
pub(crate) mod repeats;
pub(crate) mod services;
