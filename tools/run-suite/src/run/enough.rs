//! Whether the repeats so far are enough for what the experiment asks. From the folder alone, so an
//! interrupted experiment ends as it would have.

use std::path::Path;

use super::comparison::side::cells_of;
use super::comparison::{Comparison, Criteria};
use super::folder::State;
use crate::file::repeats::Until;

/// Whether the run at `index` of the experiment in `folder`, and all after it, need not be made.
pub(super) fn is_enough(folder: &Path, state: &State, index: usize) -> bool {
    let plan = &state.plan;
    let Some(enough) = &plan.enough else { return false };
    let repeat = plan.runs[index].repeat;
    let begins_block = index > 0 && plan.runs[index - 1].repeat != repeat;
    if !begins_block || !enough.looks(plan.repeats()).contains(&(repeat - 1)) {
        return false;
    }
    let cells = cells_of(folder, state.clone());
    let criteria = Criteria::default();
    match &enough.until {
        Until::Precise { figure, half_width } => cells.iter().all(|cell| {
            cell.half_width(figure, criteria.confidence).is_some_and(|found| found <= *half_width)
        }),
        Until::Decided => {
            let mut cells = cells.into_iter();
            let Some(base) = cells.next() else { return false };
            let pairs: Vec<_> = cells.map(|cell| (base.clone(), cell)).collect();
            let comparison = Comparison::of(&pairs, Vec::new(), &criteria);
            comparison.is_ok_and(|comparison| comparison.is_decided())
        }
    }
}
