//! Files of books, as the study of a books data set sends them: made up, and merged from files with
//! different headings.

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
