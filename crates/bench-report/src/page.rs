//! What a page consists of.

use crate::chart::Chart;

/// A report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Its name.
    pub title: String,
    /// What it says first, in one sentence each.
    pub answers: Vec<String>,
    /// Everything else, in this order.
    pub sections: Vec<Section>,
    /// The data behind it, for other programs.
    pub data: Vec<DataFile>,
}

/// A part of a page, with an entry in its table of contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What it holds, in this order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// Short paragraphs that belong together.
    List(Vec<String>),
    /// Text as it is, such as command lines.
    Code(String),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Box<Chart>),
    /// Blocks that a reader opens, under a heading of their own.
    Folded {
        /// The heading.
        title: String,
        /// What it holds.
        blocks: Vec<Block>,
        /// Whether it is open at first.
        is_open: bool,
    },
}

/// A table with a row of headings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The headings of its columns.
    pub head: Vec<String>,
    /// Its rows, each with a cell for every heading.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it says it.
    pub tone: Tone,
}

/// What a cell means to its reader. Colour is never the only sign: the text says it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Words, which begin on the left.
    Words,
    /// A number, which ends on the right.
    Number,
    /// Words that say that all is well.
    Good,
    /// Words that say that something is wrong.
    Bad,
    /// A number that says that something is wrong.
    BadNumber,
    /// Words that leave something open.
    Open,
    /// A number on a scale from 0 (low) to [`Tone::SHADES`] - 1 (high).
    Shade(u8),
}

/// A table for other programs.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Its name as a file: `figures.csv`.
    pub name: String,
    /// What it holds.
    pub about: String,
    /// Its text.
    pub text: String,
}

impl Tone {
    /// The number of shades.
    pub const SHADES: u8 = 6;
}

impl Cell {
    /// Words.
    #[must_use]
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Words }
    }

    /// A number with its unit.
    #[must_use]
    pub fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Number }
    }

    /// Text in a tone.
    #[must_use]
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl Table {
    /// Without rows.
    #[must_use]
    pub fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|title| (*title).to_owned()).collect();
        Self { caption: caption.into(), head, rows: Vec::new() }
    }

    /// Whether a column has numbers, by its first cell.
    pub(crate) fn has_numbers(&self, column: usize) -> bool {
        let first = self.rows.first().and_then(|row| row.get(column));
        let tone = first.map_or(Tone::Words, |cell| cell.tone);
        matches!(tone, Tone::Number | Tone::BadNumber | Tone::Shade(_))
    }

    /// Leaves out columns whose cells are all empty, other than the first.
    #[must_use]
    pub fn without_empty_columns(mut self) -> Self {
        let is_kept = |column: usize| {
            column == 0
                || self.rows.iter().any(|row| row.get(column).is_some_and(|it| !it.text.is_empty()))
        };
        let kept: Vec<bool> = (0..self.head.len()).map(is_kept).collect();
        let mut columns = kept.iter();
        self.head.retain(|_| columns.next().copied().unwrap_or(true));
        for row in &mut self.rows {
            let mut columns = kept.iter();
            row.retain(|_| columns.next().copied().unwrap_or(true));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new("", &["cell", "a", "b"]);
        let row = |a: &str, b: &str| [Cell::words("x"), Cell::number(a), Cell::number(b)].to_vec();
        table.rows = vec![row("", "1"), row("", "")];
        let table = table.without_empty_columns();
        assert_eq!(table.head, ["cell", "b"]);
        assert_eq!(table.rows[0][1].text, "1");
        assert_eq!(table.rows[1].len(), 2);
    }
}
