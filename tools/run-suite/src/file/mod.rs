//! The experiment file: its form, and what is refused.

pub(crate) mod experiment;
pub(crate) mod fault;
mod faults;
pub(crate) mod form;
mod local;
pub(crate) mod options;
pub(crate) mod owner;
pub(crate) mod refusal;
pub(crate) mod services;
