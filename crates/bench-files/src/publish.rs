//! The sending end: messages appended to a file.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::transport::{Batch, Completion, Delivery, Failure, Publish, Token, TransportError};

use crate::error::{FileError, io_error};

/// The failure of a message that contains a line break.
const LINE_BREAK: Failure = Failure::Unsent(1);

/// Appends messages to a file, one line per message.
///
/// A batch is one write, and a message counts as confirmed once that write has returned: the line
/// is then visible to every reader, but would not survive a power failure.
#[derive(Debug)]
pub struct LinePublisher {
    clock: SystemClock,
    file: File,
    path: PathBuf,
    /// The lines of a batch; reused.
    lines: Vec<u8>,
    /// Results of messages, until the engine polls.
    answers: Vec<Completion>,
}

impl LinePublisher {
    /// Opens `path` for appending; creates the file if it does not exist.
    pub fn open(path: &Path, clock: SystemClock) -> Result<Self, FileError> {
        let failed = || io_error("append to", path);
        // Only regular files: opening a pipe would wait for its reader.
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(FileError::NotAFile { path: path.to_owned() });
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path).map_err(failed())?;
        let size_bytes = file.metadata().map_err(failed())?.len();
        if !starts_a_line(&file, size_bytes).map_err(failed())? {
            return Err(FileError::Unended { path: path.to_owned() });
        }
        let path = path.to_owned();
        Ok(Self { clock, file, path, lines: Vec::new(), answers: Vec::new() })
    }

    fn answer(&mut self, token: Token, delivery: Delivery) {
        // The instant is set when the write has returned.
        self.answers.push(Completion { token, at_ns: 0, delivery });
    }
}

impl Publish for LinePublisher {
    fn submit(&mut self, batch: &mut Batch) -> Result<(), TransportError> {
        let answered = self.answers.len();
        self.lines.clear();
        for message in batch.iter() {
            if message.value.contains(&b'\n') {
                self.answer(message.token, Delivery::Failed(LINE_BREAK));
                continue;
            }
            self.lines.extend_from_slice(message.value);
            self.lines.push(b'\n');
            self.answer(message.token, Delivery::Acknowledged);
        }
        self.file.write_all(&self.lines).map_err(|error| {
            let path = self.path.display();
            TransportError::new(format!("failed to append to {path}: {error}; check its disk"))
        })?;
        let at_ns = self.clock.now_ns();
        for answer in &mut self.answers[answered..] {
            answer.at_ns = at_ns;
        }
        batch.clear();
        Ok(())
    }

    fn poll(
        &mut self,
        until_ns: InstantNs,
        completions: &mut Vec<Completion>,
    ) -> Result<(), TransportError> {
        if self.answers.is_empty() {
            // Every write completes at once, so nothing can arrive during this wait.
            self.clock.sleep_until_ns(until_ns);
        }
        completions.append(&mut self.answers);
        Ok(())
    }

    fn explain(&self, failure: Failure) -> String {
        match failure {
            LINE_BREAK => "the message contains a line break".to_owned(),
            _ => format!("code {}", failure.code()),
        }
    }
}

/// Whether a line starts at `offset` of the file.
pub(crate) fn starts_a_line(file: &File, offset: u64) -> std::io::Result<bool> {
    let Some(before) = offset.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    Ok(file.read_at(&mut byte, before)? == 1 && byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(values: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        for (token, value) in (0..).zip(values) {
            batch.push(token, |_| false, |out, _| out.extend_from_slice(value));
        }
        batch
    }

    #[test]
    fn batches_become_lines_with_one_completion_each() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source.txt");
        std::fs::write(&path, "old\n").expect("written");
        let clock = SystemClock::new();
        let mut publisher = LinePublisher::open(&path, clock).expect("opened");
        let before_ns = clock.now_ns();
        publisher.submit(&mut batch(&[b"one", b"", b"t\nwo"])).expect("written");
        publisher.submit(&mut batch(&[b"three"])).expect("written");

        assert_eq!(std::fs::read(&path).expect("read"), b"old\none\n\nthree\n");
        let mut completions = Vec::new();
        publisher.poll(clock.now_ns(), &mut completions).expect("answered");
        let answers: Vec<_> = completions.iter().map(|c| (c.token, c.delivery.failure())).collect();
        assert_eq!(answers, [(0, None), (1, None), (2, Some(LINE_BREAK)), (0, None)]);
        assert!(completions.iter().all(|c| (before_ns..=clock.now_ns()).contains(&c.at_ns)));
        assert!(publisher.explain(LINE_BREAK).contains("line break"));

        completions.clear();
        let until_ns = clock.now_ns() + 1_000_000;
        publisher.poll(until_ns, &mut completions).expect("no completions");
        assert!(completions.is_empty() && clock.now_ns() >= until_ns, "it waits");
    }

    #[test]
    fn unusable_files_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path| {
            let error = LinePublisher::open(path, SystemClock::new()).expect_err("refused");
            error.to_string()
        };
        let unended = folder.path().join("unended");
        std::fs::write(&unended, "half a li").expect("written");
        assert!(
            refused(&unended).ends_with("unended ends in the middle of a line; add a line break")
        );
        assert!(refused(folder.path()).contains("is not a regular file"));
        assert!(refused(&folder.path().join("no/such")).starts_with("failed to append to "));
    }
}
