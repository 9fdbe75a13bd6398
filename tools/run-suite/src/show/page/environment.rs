//! Where an experiment ran and with what, and how to run it again.

use std::collections::BTreeMap;

use bench_report::{Block, Cell, Table};

use super::told::Told;
use crate::plan::tool::command_line;
use crate::run::comparison::differences::common;
use crate::run::comparison::side::Side;

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let of_cells: Vec<BTreeMap<String, Option<String>>> =
        told.cells.iter().filter(|cell| !cell.runs.is_empty()).map(common).collect();
    let Some((first, others)) = of_cells.split_first() else { return Vec::new() };
    let is_same = |what: &String, value: &Option<String>| {
        others.iter().all(|other| other.get(what) == Some(value))
    };
    let mut same = Table::new("The same in every run", &["what", "value"]);
    for (what, value) in first {
        if let Some(value) = value.as_ref().filter(|_| is_same(what, &first[what])) {
            same.rows.push(vec![Cell::words(what), Cell::words(value)]);
        }
    }
    let mut blocks = Vec::new();
    blocks.extend(differing(told, &of_cells).map(Block::Table));
    blocks.push(Block::Folded {
        title: "Machine, versions and options".to_owned(),
        blocks: vec![Block::Table(same)],
        is_open: true,
    });
    blocks
}

/// What has one value in all runs of a cell, and another one in another cell.
fn differing(told: &Told<'_>, of_cells: &[BTreeMap<String, Option<String>>]) -> Option<Table> {
    let labels = told.cells.iter().filter(|cell| !cell.runs.is_empty()).map(Side::label);
    let mut head = vec!["what"];
    head.extend(labels);
    let mut table = Table::new("What differs between the cells", &head);
    let names: std::collections::BTreeSet<&String> =
        of_cells.iter().flat_map(BTreeMap::keys).collect();
    for what in names {
        let values: Vec<&str> = of_cells
            .iter()
            .map(|facts| facts.get(what).and_then(|value| value.as_deref()).unwrap_or_default())
            .collect();
        let is_known = of_cells.iter().all(|facts| facts.get(what) != Some(&None));
        if is_known && values.iter().any(|value| *value != values[0]) {
            let mut row = vec![Cell::words(what)];
            row.extend(values.into_iter().map(Cell::words));
            table.rows.push(row);
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// The command lines of the first run of each cell, and the one that runs it all again.
pub(super) fn commands(told: &Told<'_>) -> Vec<Block> {
    let plan = &told.state.plan;
    if plan.is_one_run {
        return Vec::new();
    }
    let folder = &told.summary.folder;
    let mut lines = Vec::new();
    for (index, cell) in plan.cells.iter().enumerate() {
        let Some(run) = plan.runs.iter().find(|run| run.cell == index) else { continue };
        lines.push(format!("# {}", cell.label));
        lines.extend(
            cell.environment()
                .iter()
                .map(|(name, value)| command_line("export", &[format!("{name}={value}")])),
        );
        for invoked in std::iter::once(plan.first(*run, folder)).chain(plan.second(*run, folder)) {
            lines.push(command_line(invoked.tool, &invoked.arguments));
        }
    }
    let whole = command_line("run-suite run", &[folder.join("experiment.toml")]);
    vec![
        Block::Text("All of it again, from the copy of the file in the folder:".to_owned()),
        Block::Code(whole),
        Block::Folded {
            title: "One run of each cell".to_owned(),
            blocks: vec![Block::Code(lines.join("\n"))],
            is_open: false,
        },
    ]
}
