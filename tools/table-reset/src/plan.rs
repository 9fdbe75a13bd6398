//! Deciding what to do with each table. Nothing here accesses a service.

use bench_tables::{Obstacle, TableInfo};
use serde::Serialize;

use crate::options::Action;

/// What to do with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TableStep {
    /// Nothing: it is as requested.
    Nothing,
    /// Create it, or its missing parts.
    Create,
    /// Delete it.
    Delete,
    /// Delete it and create it again.
    Recreate,
    /// Nothing to any table, because this one must be left alone.
    Refuse,
}

impl TableStep {
    /// Whether rows are lost.
    pub(crate) fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::Recreate)
    }
}

/// A table and what to do with it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) table: String,
    /// `None` if the table does not exist.
    pub(crate) found: Option<TableInfo>,
    pub(crate) step: TableStep,
    /// Why it is left alone, if it is.
    pub(crate) refusal: Option<Refusal>,
}

/// Why a table is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the table is or has, such as `is a view`.
    pub(crate) reason: String,
    /// Whether `--force` helps.
    pub(crate) yields_to_force: bool,
}

impl Plan {
    pub(crate) fn new(table: &str, found: Option<TableInfo>, action: Action, force: bool) -> Self {
        let refusal = found.as_ref().and_then(|found| refusal(found, action));
        let refusal = refusal.filter(|refusal| !(force && refusal.yields_to_force));
        let step = match (action, &found) {
            _ if refusal.is_some() => TableStep::Refuse,
            (Action::Create | Action::Recreate, None) => TableStep::Create,
            (Action::Create, Some(info)) if !info.is_usable => TableStep::Create,
            (Action::Create, Some(_)) | (Action::Delete, None) => TableStep::Nothing,
            (Action::Delete, Some(_)) => TableStep::Delete,
            (Action::Recreate, Some(_)) => TableStep::Recreate,
        };
        Self { table: table.to_owned(), found, step, refusal }
    }
}

/// Why an existing table must be left alone.
fn refusal(found: &TableInfo, action: Action) -> Option<Refusal> {
    let (reason, yields_to_force) = match &found.obstacle {
        Some(Obstacle::NotATable(reason)) => (reason.as_str(), false),
        _ if action == Action::Create => return None,
        Some(Obstacle::Undeletable(reason)) => (reason.as_str(), false),
        _ if !found.is_marked => ("was not created by this benchmark", true),
        Some(Obstacle::Irreplaceable(reason)) => (reason.as_str(), true),
        None => return None,
    };
    Some(Refusal { reason: reason.to_owned(), yields_to_force })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(is_marked: bool, obstacle: Option<Obstacle>) -> TableInfo {
        let name = "t".to_owned();
        TableInfo { name, rows: Some(1), is_marked, is_usable: true, obstacle }
    }

    #[test]
    fn foreign_tables_are_deleted_only_with_force() {
        let info = |is_marked| info(is_marked, None);
        let step = |action, found, force| Plan::new("t", found, action, force).step;
        for (action, missing, ours, foreign, forced) in [
            (
                Action::Recreate,
                TableStep::Create,
                TableStep::Recreate,
                TableStep::Refuse,
                TableStep::Recreate,
            ),
            (
                Action::Create,
                TableStep::Create,
                TableStep::Nothing,
                TableStep::Nothing,
                TableStep::Nothing,
            ),
            (
                Action::Delete,
                TableStep::Nothing,
                TableStep::Delete,
                TableStep::Refuse,
                TableStep::Delete,
            ),
        ] {
            assert_eq!(step(action, None, false), missing);
            assert_eq!(step(action, Some(info(true)), false), ours);
            assert_eq!(step(action, Some(info(false)), false), foreign);
            assert_eq!(step(action, Some(info(false)), true), forced);
        }
    }
    #[test]
    fn force_overcomes_only_some_obstacles() {
        let view = || Obstacle::NotATable("is a view".to_owned());
        let bound = || Obstacle::Undeletable("is protected".to_owned());
        let extra = || Obstacle::Irreplaceable("has a trigger".to_owned());
        for (obstacle, create, recreate, forced) in [
            (view(), TableStep::Refuse, TableStep::Refuse, TableStep::Refuse),
            (bound(), TableStep::Nothing, TableStep::Refuse, TableStep::Refuse),
            (extra(), TableStep::Nothing, TableStep::Refuse, TableStep::Recreate),
        ] {
            for is_marked in [true, false] {
                let found = || Some(info(is_marked, Some(obstacle.clone())));
                let step = |action, force| Plan::new("t", found(), action, force).step;
                assert_eq!(step(Action::Create, false), create, "{obstacle}");
                assert_eq!(step(Action::Recreate, false), recreate, "{obstacle}");
                assert_eq!(step(Action::Delete, false), recreate, "{obstacle}");
                assert_eq!(step(Action::Recreate, true), forced, "{obstacle}");
            }
        }
        let refusal =
            Plan::new("t", Some(info(true, Some(extra()))), Action::Delete, false).refusal;
        assert_eq!(refusal.expect("refused").reason, "has a trigger");
    }

    #[test]
    fn missing_parts_are_created() {
        let half = TableInfo { is_usable: false, ..info(true, None) };
        let step = |action| Plan::new("t", Some(half.clone()), action, false).step;
        assert_eq!(step(Action::Create), TableStep::Create);
        assert_eq!(step(Action::Recreate), TableStep::Recreate);
    }
}
