//! What to do with each table, decided from what is known of it. Nothing here talks to a service.

use bench_tables::{Obstacle, TableInfo};
use serde::Serialize;

use crate::options::Action;

/// What is to be done with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Nothing: it is as it should be.
    Nothing,
    /// Create it, or what is missing of it.
    Create,
    /// Delete it.
    Delete,
    /// Delete it and create it anew.
    Recreate,
    /// Nothing at all, to any table: this one is to be left alone.
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
    /// Why it is left alone, if it is.
    pub(crate) refusal: Option<Refusal>,
}

/// Why a table is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the table is or has, as in `is a view`.
    pub(crate) reason: String,
    /// Whether `--force` helps.
    pub(crate) yields_to_force: bool,
}

impl Plan {
    pub(crate) fn new(table: &str, found: Option<TableInfo>, action: Action, force: bool) -> Self {
        let refusal = found.as_ref().and_then(|found| refusal(found, action));
        let refusal = refusal.filter(|refusal| !(force && refusal.yields_to_force));
        let step = match (action, &found) {
            _ if refusal.is_some() => Step::Refuse,
            (Action::Create | Action::Recreate, None) => Step::Create,
            (Action::Create, Some(info)) if !info.is_usable => Step::Create,
            (Action::Create, Some(_)) | (Action::Delete, None) => Step::Nothing,
            (Action::Delete, Some(_)) => Step::Delete,
            (Action::Recreate, Some(_)) => Step::Recreate,
        };
        Self { table: table.to_owned(), found, step, refusal }
    }
}

/// Why what was found is to be left alone.
fn refusal(found: &TableInfo, action: Action) -> Option<Refusal> {
    let (reason, yields_to_force) = match &found.obstacle {
        Some(Obstacle::NoTable(reason)) => (reason.as_str(), false),
        _ if action == Action::Create => return None,
        Some(Obstacle::Bound(reason)) => (reason.as_str(), false),
        _ if !found.is_marked => ("was not created by this benchmark", true),
        Some(Obstacle::Extra(reason)) => (reason.as_str(), true),
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
    fn only_the_benchmarks_own_tables_are_deleted_unless_forced() {
        let info = |is_marked| info(is_marked, None);
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
    #[test]
    fn obstacles_are_refused_and_force_helps_where_it_can() {
        let view = || Obstacle::NoTable("is a view".to_owned());
        let bound = || Obstacle::Bound("is protected".to_owned());
        let extra = || Obstacle::Extra("has a trigger".to_owned());
        for (obstacle, create, recreate, forced) in [
            (view(), Step::Refuse, Step::Refuse, Step::Refuse),
            (bound(), Step::Nothing, Step::Refuse, Step::Refuse),
            (extra(), Step::Nothing, Step::Refuse, Step::Recreate),
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
    fn what_is_missing_of_a_table_is_created() {
        let half = TableInfo { is_usable: false, ..info(true, None) };
        let step = |action| Plan::new("t", Some(half.clone()), action, false).step;
        assert_eq!(step(Action::Create), Step::Create);
        assert_eq!(step(Action::Recreate), Step::Recreate);
    }
}
