//! Tables for people: aligned columns of text.

use std::fmt::Write as _;

use crate::columns::columns_of;

/// The side of a column that its cells are aligned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// Lays out rows in columns that are two spaces apart. The heading, if there is one, is the first row.
/// A cell may have several lines. Every line of the result ends with a line feed and without spaces.
pub fn table(rows: &[Vec<String>], align: impl Fn(usize) -> Align) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.flat_map(|cell| cell.lines()).map(columns_of).max().unwrap_or(0)
    };
    let columns: Vec<(usize, Align)> = (0..columns).map(|at| (width(at), align(at))).collect();
    let mut text = String::new();
    for row in rows {
        let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
        for at in 0..height {
            for (column, (cell, &(width, align))) in row.iter().zip(&columns).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let line = cell.lines().nth(at).unwrap_or_default();
                let room = " ".repeat(width - columns_of(line));
                let _ = match align {
                    Align::Left => write!(text, "{gap}{line}{room}"),
                    Align::Right => write!(text, "{gap}{room}{line}"),
                };
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_have_lines() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["", "msg/s", "runs"]),
            row(["größe=1", "1.10 k\n1.00-1.20", "2 valid"]),
            row(["b", "", ""]),
            row(["延遲", "1", "x"]),
            row(["", "", ""]),
        ];
        let right = |column| if column == 1 { Align::Right } else { Align::Left };
        let expected = [
            "             msg/s  runs",
            "größe=1     1.10 k  2 valid",
            "         1.00-1.20",
            "b",
            "延遲             1  x",
            "",
            "",
        ];
        assert_eq!(table(&rows, right), expected.join("\n"));
        assert_eq!(table(&[], right), "");
    }
}
