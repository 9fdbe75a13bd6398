//! Asks for confirmation before irreversible actions.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

use crate::output::LAYOUT;
use crate::{UsageError, printable_except};

/// Asks on the terminal whether to go ahead; true only for `y` or `yes`. Without a terminal,
/// returns a usage error that names `--yes` and `--dry-run`, options that every tool that asks must
/// have.
pub fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let remedy = "add it to go ahead, or use --dry-run to look first";
        return Err(UsageError::new("--yes", "no terminal to ask for confirmation", remedy).into());
    }
    let question = format!("{} [y/N] ", printable_except(question, &LAYOUT));
    io::stderr().write_all(question.as_bytes()).context("failed to ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("failed to read the answer")?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for answer in ["y\n", "Y", " yes \r\n"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n", "yy", "sure"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
