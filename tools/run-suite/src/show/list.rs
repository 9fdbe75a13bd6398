//! `run-suite list`: the experiment files of a folder with their questions.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bench_cli::UsageError;
use bench_core::system::{cause, explain, shortened};
use bench_record::files::read_file;

use crate::file::experiment::Experiment;

/// A paragraph per file; a file that is not an experiment is listed with its error.
pub(crate) fn human(dir: &Path) -> Result<String> {
    let mut text = String::new();
    for path in files(dir)? {
        let description = match read_file(&path).map(String::from_utf8) {
            Ok(Ok(text)) => match Experiment::parse(&text) {
                Ok(experiment) => {
                    format!("{} ({})", shortened(&experiment.question), experiment.tool)
                }
                Err(error) => format!("not an experiment: {error}"),
            },
            Ok(Err(error)) => format!("not an experiment: {error}"),
            Err(error) => format!("not readable: {}", explain(&error)),
        };
        let _ = writeln!(text, "{}\n    {description}", path.display());
    }
    Ok(text)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let unusable = |problem: &str| {
        UsageError::new(
            &dir.display().to_string(),
            problem,
            "give the folder of the experiment files: `run-suite list DIR`",
        )
    };
    let unreadable =
        |error: std::io::Error| unusable(&format!("cannot be read ({})", cause(&error)));
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, std::io::Error>>()
        .map_err(unreadable)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    if files.is_empty() {
        return Err(unusable("has no experiment files (*.toml)").into());
    }
    files.sort();
    Ok(files)
}
