//! Files of books for the books study: generated, and merged from files with different headings.

mod generate;
mod merge;

use anyhow::Result;
use bench_cli::Exit;

use crate::options::BooksCommand;

pub(crate) fn run(command: &BooksCommand) -> Result<Exit> {
    match command {
        BooksCommand::Merge(args) => merge::run(args),
        BooksCommand::Generate(args) => generate::run(args),
    }
}
