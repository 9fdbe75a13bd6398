//! The experiment file: its form, and what is refused.

pub(crate) mod experiment;
pub(crate) mod fault;
pub(crate) mod fault_section;
pub(crate) mod local_section;
pub(crate) mod owner;
