//! Lines of text in colours, put together piece by piece.

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

/// Lines of the same width.
#[derive(Debug)]
pub struct Picture {
    columns: usize,
    lines: Vec<Vec<(char, Colour)>>,
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
        self.lines.push(vec![(' ', Colour::Plain); self.columns]);
    }

    /// Puts text of anybody into the last line from a column on, cut to so many columns.
    pub fn put(&mut self, column: usize, columns: usize, text: &str, colour: Colour) {
        let Some(line) = self.lines.last_mut() else { return };
        let places = line.iter_mut().skip(column).take(columns);
        for (place, c) in places.zip(printable(text).chars()) {
            *place = (c, colour);
        }
    }

    /// The lines as text, without blanks at their ends.
    #[must_use]
    pub fn text(&self, has_colours: bool) -> Vec<String> {
        self.lines.iter().map(|line| text(line, has_colours)).collect()
    }
}

fn text(line: &[(char, Colour)], has_colours: bool) -> String {
    let mut text = String::new();
    let mut now = Colour::Plain;
    let end = line.iter().rposition(|(c, _)| *c != ' ').map_or(0, |last| last + 1);
    for &(c, colour) in &line[..end] {
        if has_colours && colour != now && c != ' ' {
            now = colour;
            text.push_str(now.sequence());
        }
        text.push(c);
    }
    if now != Colour::Plain {
        text.push_str(Colour::Plain.sequence());
    }
    text
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
        assert_eq!(picture.text(false), ["abc good", ""]);
        assert_eq!(picture.text(true), ["abc \x1b[32mgood\x1b[0m", ""]);
    }
}
