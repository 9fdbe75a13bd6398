//! Latency per window, in a separate file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::UsageError;
use bench_cli::quantity::{parse_count, parse_duration};
use bench_record::windows::{WindowLength, windows, write_csv};

use crate::options::WindowArgs;

/// The default window.
const WINDOW_DEFAULT: WindowLength = WindowLength::Time(Duration::from_secs(1));

/// The shortest window of time: one interval.
const WINDOW_MIN: Duration = Duration::from_millis(10);

/// Parses the window given by `--log-frequency`: a time with a unit, or a number of messages.
pub(crate) fn parse_window(text: &str) -> Result<WindowLength, String> {
    // `10m` means minutes, `10M` messages.
    if text.ends_with(|last: char| last.is_ascii_digit() || "kKMG".contains(last)) {
        return match parse_count(text).map_err(|error| error.to_string())? {
            0 => Err("a window needs at least 1 message".to_owned()),
            messages => Ok(WindowLength::Messages(messages)),
        };
    }
    let time = parse_duration(text)
        .map_err(|_| "use a time such as 10s, or a number of messages such as 10000".to_owned())?;
    if time < WINDOW_MIN {
        return Err(format!("too short to measure; use at least {WINDOW_MIN:?}"));
    }
    Ok(WindowLength::Time(time))
}

impl WindowArgs {
    /// The length of a window.
    pub(crate) fn length(&self) -> WindowLength {
        self.log_frequency.unwrap_or(WINDOW_DEFAULT)
    }

    /// The file to write at the end of the run. Created now, so that a run is not wasted.
    pub(crate) fn file(&self) -> Result<Option<WindowsFile>, UsageError> {
        let Some(path) = &self.output_path else { return Ok(None) };
        let created = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => std::fs::create_dir_all(parent).and_then(|()| File::create(path)),
            None => File::create(path),
        };
        let file = created.map_err(|error| {
            let problem = format!("failed to create {}: {error}", path.display());
            UsageError::new(
                "--output-path",
                problem,
                "use a file in a folder that you may write to",
            )
        })?;
        Ok(Some(WindowsFile { path: path.clone(), file, length: self.length() }))
    }
}

/// The CSV file of a run's windows.
pub(crate) struct WindowsFile {
    path: PathBuf,
    file: File,
    length: WindowLength,
}

impl WindowsFile {
    /// Writes the windows from the result folder.
    pub(crate) fn write(self, run_dir: &Path) -> Result<()> {
        let windows = windows(run_dir, self.length)?;
        let mut out = BufWriter::new(self.file);
        write_csv(&windows, &mut out)
            .and_then(|()| out.flush())
            .with_context(|| format!("--output-path: failed to write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_times_or_message_counts() {
        let time = |ms| Ok(WindowLength::Time(Duration::from_millis(ms)));
        for (text, window) in [
            ("10s", time(10_000)),
            ("500ms", time(500)),
            ("1m30s", time(90_000)),
            ("10m", time(600_000)),
            ("10000", Ok(WindowLength::Messages(10_000))),
            ("10k", Ok(WindowLength::Messages(10_000))),
            ("1M", Ok(WindowLength::Messages(1_000_000))),
        ] {
            assert_eq!(parse_window(text), window, "{text}");
        }
        for (text, hint) in [
            ("0", "at least 1"),
            ("1ms", "at least 10ms"),
            ("0s", "at least 10ms"),
            ("often", "10s"),
            ("-1", "count"),
        ] {
            let error = parse_window(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
