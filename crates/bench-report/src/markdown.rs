//! A page as Markdown: its text and tables, without its charts.

use std::fmt::Write as _;

use crate::page::{Block, Page, Table};

impl Page {
    /// The page as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n", escaped(&self.title));
        for answer in &self.answers {
            let _ = write!(out, "\n**{}**\n", escaped(answer));
        }
        for section in &self.sections {
            let mut text = String::new();
            blocks(&mut text, &section.blocks, 3);
            if !text.is_empty() {
                let _ = write!(out, "\n## {}\n{text}", escaped(&section.title));
            }
        }
        out
    }
}

fn blocks(out: &mut String, blocks_of: &[Block], level: usize) {
    for block in blocks_of {
        match block {
            Block::Text(text) => {
                let _ = write!(out, "\n{}\n", escaped(text));
            }
            Block::List(items) => {
                out.push('\n');
                for item in items {
                    let _ = writeln!(out, "- {}", escaped(item));
                }
            }
            Block::Code(text) => {
                // Longer than any fence inside.
                let ticks = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
                let fence = "`".repeat(ticks.max(2) + 1);
                let _ = write!(out, "\n{fence}\n{text}\n{fence}\n");
            }
            Block::Table(one) => table(out, one),
            Block::Chart(chart) => {
                if let Some(one) = &chart.table {
                    table(out, one);
                }
            }
            Block::Folded { title, blocks: inner, .. } => {
                let mut text = String::new();
                blocks(&mut text, inner, level + 1);
                if !text.is_empty() {
                    let marks = "#".repeat(level.min(6));
                    let _ = write!(out, "\n{marks} {}\n{text}", escaped(title));
                }
            }
        }
    }
}

fn table(out: &mut String, table: &Table) {
    if !table.caption.is_empty() {
        let _ = write!(out, "\n{}:\n", escaped(&table.caption));
    }
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    out.push('\n');
    out.push_str(&line(&mut table.head.iter().map(|title| escaped(title))));
    let rule = |column| if table.has_numbers(column) { "---:" } else { "---" }.to_owned();
    out.push_str(&line(&mut (0..table.head.len()).map(rule)));
    for row in &table.rows {
        out.push_str(&line(&mut row.iter().map(|cell| escaped(&cell.text))));
    }
}

/// Text on one line, without what Markdown or HTML would interpret.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("<br>"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Cell, Section};

    #[test]
    fn text_and_tables_are_written() {
        let mut table = Table::new("figures", &["cell", "p99"]);
        table.rows = vec![vec![Cell::words("a|b"), Cell::number("4.20 ms")]];
        let page = Page {
            title: "try".to_owned(),
            answers: vec!["a is <faster>".to_owned()],
            sections: vec![Section {
                title: "Figures".to_owned(),
                blocks: vec![
                    Block::Folded {
                        title: "cells".to_owned(),
                        blocks: vec![Block::Table(table)],
                        is_open: false,
                    },
                    Block::Code("```".to_owned()),
                ],
            }],
            data: Vec::new(),
        };
        let expected = "# try\n\n**a is &lt;faster&gt;**\n\n## Figures\n\n### cells\n\nfigures:\n\n\
                        | cell | p99 |\n| --- | ---: |\n| a\\|b | 4.20 ms |\n\n````\n```\n````\n";
        assert_eq!(page.markdown(), expected);
    }
}
