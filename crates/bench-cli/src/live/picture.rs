//! Lines of text in colours, put together piece by piece.
//!
//! Not by ratatui: its inline viewport asks the terminal for the place of its cursor, and the answer comes
//! in the input that keys are read from (its issue 2640); and neither its height nor its width can change
//! (1964, 2086).

use crate::columns::{columns_of, cut};
use crate::printable;

/// A colour of a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colour {
    /// That of the terminal.
    #[default]
    Plain,
    /// All is well.
    Green,
    /// Something is wrong.
    Red,
    /// What goes on.
    Cyan,
    /// What matters less.
    Grey,
}

/// Lines that are not wider than a terminal.
#[derive(Debug)]
pub struct Picture {
    columns: usize,
    lines: Vec<Vec<Piece>>,
}

/// Text at a place of a line.
#[derive(Debug)]
struct Piece {
    column: usize,
    text: String,
    colour: Colour,
}

impl Picture {
    /// Without lines.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { columns, lines: Vec::new() }
    }

    /// How wide it is.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Begins a line.
    pub fn line(&mut self) {
        self.lines.push(Vec::new());
    }

    /// Puts text of anybody into the last line, right of what is there: from a column on, cut to so many
    /// columns. Returns the column after it.
    pub fn put(&mut self, column: usize, columns: usize, text: &str, colour: Colour) -> usize {
        let Some(line) = self.lines.last_mut() else { return column };
        let text = printable(text);
        let text = cut(&text, columns.min(self.columns.saturating_sub(column))).to_owned();
        let end = column + columns_of(&text);
        line.push(Piece { column, text, colour });
        end
    }

    /// The lines as text, without blanks at their ends.
    #[must_use]
    pub fn text(&self, has_colours: bool) -> Vec<String> {
        self.lines.iter().map(|line| text(line, has_colours)).collect()
    }
}

fn text(line: &[Piece], has_colours: bool) -> String {
    let mut line_text = String::new();
    let (mut column, mut now) = (0, Colour::Plain);
    for Piece { column: begin, text, colour } in line {
        line_text += &" ".repeat(begin.saturating_sub(column));
        if has_colours && *colour != now {
            now = *colour;
            line_text += now.sequence();
        }
        line_text += text;
        column = begin + columns_of(text);
    }
    line_text.truncate(line_text.trim_end_matches(' ').len());
    if now != Colour::Plain {
        line_text += Colour::Plain.sequence();
    }
    line_text
}

impl Colour {
    /// What switches a terminal to it (ECMA-48, SGR).
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "\x1b[0m",
            Self::Green => "\x1b[32m",
            Self::Red => "\x1b[31m",
            Self::Cyan => "\x1b[36m",
            Self::Grey => "\x1b[90m",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_coloured() {
        let mut picture = Picture::new(8);
        picture.line();
        picture.put(0, 3, "abcdef", Colour::Plain);
        picture.put(4, 9, "good news", Colour::Green);
        picture.line();
        picture.put(0, 3, "延遲", Colour::Plain);
        picture.put(4, 9, "\x1b[2J", Colour::Plain);
        assert_eq!(picture.text(false), ["abc good", "延  \\x1b"]);
        assert_eq!(picture.text(true), ["abc \x1b[32mgood\x1b[0m", "延  \\x1b"]);
    }
}
