//! What an experiment file means: its tools, its services, its cells, and the order of its runs.

pub(crate) mod cells;
pub(crate) mod delta_sweep;
pub(crate) mod dry_run;
mod estimate;
pub(crate) mod experiment_plan;
pub(crate) mod noise_plan;
pub(crate) mod planning;
pub(crate) mod quick;
mod settings;
pub(crate) mod stack_plan;
pub(crate) mod sweep;
pub(crate) mod tool;
pub(crate) mod tools;
