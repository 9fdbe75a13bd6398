//! What to do with each table, decided from what is known of it. Nothing here talks to a service.

use bench_tables::TableInfo;
use serde::Serialize;

use crate::options::Action;

/// What is to be done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Nothing: it is as it should be.
    Nothing,
    /// Create it.
    Create,
    /// Delete it.
    Delete,
    /// Delete it and create it anew.
    Recreate,
    /// Nothing at all, to any table: this one is not the benchmark's.
    Refuse,
}

impl Step {
    /// Whether rows are lost.
    pub(crate) fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::Recreate)
    }
}

/// A table and what is to be done with it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) table: String,
    /// Nothing if there is no such table.
    pub(crate) found: Option<TableInfo>,
    pub(crate) step: Step,
}

impl Plan {
    pub(crate) fn new(table: &str, found: Option<TableInfo>, action: Action, force: bool) -> Self {
        let step = match (action, &found) {
            (Action::Create | Action::Recreate, None) => Step::Create,
            (Action::Create, Some(_)) | (Action::Delete, None) => Step::Nothing,
            (_, Some(info)) if !info.is_marked && !force => Step::Refuse,
            (Action::Delete, Some(_)) => Step::Delete,
            (Action::Recreate, Some(_)) => Step::Recreate,
        };
        Self { table: table.to_owned(), found, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_benchmarks_own_tables_are_deleted_unless_forced() {
        let info = |is_marked| TableInfo {
            name: "t".to_owned(),
            rows: Some(1),
            is_marked,
            is_usable: true,
        };
        let step = |action, found, force| Plan::new("t", found, action, force).step;
        for (action, missing, ours, foreign, forced) in [
            (Action::Recreate, Step::Create, Step::Recreate, Step::Refuse, Step::Recreate),
            (Action::Create, Step::Create, Step::Nothing, Step::Nothing, Step::Nothing),
            (Action::Delete, Step::Nothing, Step::Delete, Step::Refuse, Step::Delete),
        ] {
            assert_eq!(step(action, None, false), missing);
            assert_eq!(step(action, Some(info(true)), false), ours);
            assert_eq!(step(action, Some(info(false)), false), foreign);
            assert_eq!(step(action, Some(info(false)), true), forced);
        }
    }
}
