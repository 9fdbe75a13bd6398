//! What an experiment file means: its tools, its cells, and the order of its runs.

pub(crate) mod experiment_plan;
pub(crate) mod quick;
pub(crate) mod sweep;
pub(crate) mod tool;
pub(crate) mod tools;
