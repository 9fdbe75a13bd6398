//! What others have published, in a table of its own: never on the axes of what was measured.

use anyhow::{Context, Result};
use bench_report::{Block, Cell, Section, Table};
use serde::Deserialize;

/// The figures, and when they were collected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct References {
    collected: String,
    reference: Vec<Reference>,
}

/// One figure, and what it means.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    system: String,
    setting: String,
    figure: String,
    hardware: String,
    source: String,
    /// Between which instants, by which clock.
    clock: String,
    /// Over what a percentile was taken.
    percentile: String,
}

/// The table.
pub(super) fn section() -> Result<Section> {
    let References { collected, reference } =
        toml::from_str(include_str!("references.toml")).context("references.toml")?;
    let caption = format!("Published elsewhere, not measured here (collected {collected})");
    let head = ["system", "setting", "figure", "hardware", "clock", "percentiles", "source"];
    let mut table = Table::new(caption, &head);
    table.rows = reference
        .into_iter()
        .map(|it| {
            let cells =
                [it.system, it.setting, it.figure, it.hardware, it.clock, it.percentile, it.source];
            cells.map(Cell::words).to_vec()
        })
        .collect();
    let note = "Other hardware, other settings, and often other definitions: not to be compared with \
                the figures above as they stand.";
    Ok(Section {
        title: "Published elsewhere".to_owned(),
        blocks: vec![Block::Text(note.to_owned()), Block::Table(table)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_says_what_it_means() {
        let section = section().expect("readable");
        let Block::Table(table) = &section.blocks[1] else { panic!("a table") };
        assert!(table.rows.len() > 3);
        assert!(table.rows.iter().flatten().all(|cell| !cell.text.is_empty()));
    }
}
