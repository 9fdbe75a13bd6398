//! The receiving end: follows a growing file line by line.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bench_core::clock::{Clock as _, InstantNs, SystemClock};
use bench_core::message::MESSAGE_BYTES_MAX;
use bench_core::transport::{Incoming, Receive, Timestamps, TransportError};

use crate::error::{FileError, io_error};
use crate::publish::starts_a_line;

/// Time between polls of the file while nothing arrives, which is the longest delay before a line
/// counts as received.
const POLL_NS: u64 = 1_000_000;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// The longest line: the largest message with every character escaped.
const LINE_BYTES_MAX: usize = 6 * MESSAGE_BYTES_MAX;

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the first line.
    Beginning,
    /// After the file's current content. A line being written is skipped as a whole.
    End,
}

/// Follows a growing file line by line.
///
/// A line counts once its end has arrived; until then its start is kept, up to 384 MiB. Waits for a
/// file that does not exist yet. A truncated, deleted or replaced file is an error, since lines may
/// have been missed; a file that is truncated and outgrows its old size within a millisecond goes
/// unnoticed.
#[derive(Debug)]
pub struct LineReceiver {
    clock: SystemClock,
    path: PathBuf,
    /// `None` until the file exists.
    file: Option<File>,
    /// Bytes of the file read so far.
    offset: u64,
    /// The start of a line, read but not yet handed over.
    pending: Vec<u8>,
    /// Whether reading started in the middle of a line, the rest of which is not a message.
    within_line: bool,
}

impl LineReceiver {
    /// Follows the file at `path` from `position`, or from its beginning if it is created later.
    pub fn open(path: &Path, position: Position, clock: SystemClock) -> Result<Self, FileError> {
        let mut receiver = Self {
            clock,
            path: path.to_owned(),
            file: None,
            offset: 0,
            pending: Vec::new(),
            within_line: false,
        };
        let Some(mut file) = open_if_there(path)? else { return Ok(receiver) };
        if position == Position::End {
            let failed = || io_error("follow", path);
            receiver.offset = file.seek(SeekFrom::End(0)).map_err(failed())?;
            receiver.within_line = !starts_a_line(&file, receiver.offset).map_err(failed())?;
        }
        receiver.file = Some(file);
        Ok(receiver)
    }

    /// Reads what was appended to the file, up to [`READ_BYTES`]; returns the number of bytes.
    fn read(&mut self) -> Result<usize, TransportError> {
        if self.file.is_none() {
            self.file = open_if_there(&self.path).map_err(|error| transport_error(&error))?;
        }
        let Some(file) = &mut self.file else { return Ok(0) };
        match file.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.pending) {
            Ok(0) => self.check_unchanged().map(|()| 0),
            Ok(bytes) => {
                self.offset += bytes as u64;
                Ok(bytes)
            }
            Err(error) => Err(transport_error(&io_error("follow", &self.path)(error))),
        }
    }

    /// Checks that the path still leads to the file being read, and that it still holds what was
    /// read.
    fn check_unchanged(&self) -> Result<(), TransportError> {
        let Some(file) = &self.file else { return Ok(()) };
        let failed = |error| transport_error(&io_error("follow", &self.path)(error));
        let own = file.metadata().map_err(failed)?;
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        let change = match self.path.metadata() {
            Ok(now) if identity(&now) != identity(&own) => "was replaced",
            Ok(now) if now.len() < self.offset => "was truncated",
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => "was deleted",
            Err(error) => return Err(failed(error)),
        };
        let path = self.path.display();
        Err(TransportError::new(format!(
            "{path} {change} while it was being followed, so lines may have been missed; leave it \
             alone during a run"
        )))
    }

    /// Hands over complete lines and keeps the rest. The last `fresh` bytes have not been searched
    /// before.
    fn hand_over(
        &mut self,
        fresh: usize,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        let old = self.pending.len() - fresh;
        let Some(last) = self.pending[old..].iter().rposition(|byte| *byte == b'\n') else {
            if self.within_line {
                self.pending.clear();
            }
            return self.check_line_length().map(|()| 0);
        };
        let end = old + last + 1;
        let received_ns = self.clock.now_ns();
        let mut count = 0;
        for line in self.pending[..end].split_inclusive(|byte| *byte == b'\n') {
            if std::mem::take(&mut self.within_line) {
                continue;
            }
            let value = &line[..line.len() - 1];
            sink(Incoming {
                key: None,
                value,
                partition: 0,
                received_ns,
                timestamps: Timestamps::default(),
            });
            count += 1;
        }
        self.pending.drain(..end);
        Ok(count)
    }

    fn check_line_length(&self) -> Result<(), TransportError> {
        if self.pending.len() <= LINE_BYTES_MAX {
            return Ok(());
        }
        let path = self.path.display();
        Err(TransportError::new(format!(
            "{path} contains a line of more than {LINE_BYTES_MAX} bytes, which is not a message; \
             use the file that the pipeline writes its lines to"
        )))
    }
}

impl Receive for LineReceiver {
    fn receive(
        &mut self,
        until_ns: InstantNs,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, TransportError> {
        loop {
            let fresh = self.read()?;
            if fresh > 0 {
                let count = self.hand_over(fresh, &mut sink)?;
                if count > 0 {
                    return Ok(count);
                }
            }
            let now_ns = self.clock.now_ns();
            if now_ns >= until_ns {
                return Ok(0);
            }
            if fresh == 0 {
                self.clock.sleep_until_ns(until_ns.min(now_ns + POLL_NS));
            }
        }
    }

    fn at_end(&self) -> bool {
        false
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn waits_for(&self) -> Option<String> {
        None
    }

    fn hold_back(&mut self) {}

    fn settle(&mut self, _: usize) {}
}

/// The file, if it exists by now.
fn open_if_there(path: &Path) -> Result<Option<File>, FileError> {
    let failed = || io_error("follow", path);
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(FileError::NotAFile { path: path.to_owned() }),
        Ok(_) => File::open(path).map(Some).map_err(failed()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed()(error)),
    }
}

fn transport_error(error: &FileError) -> TransportError {
    let cause = std::error::Error::source(error);
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    TransportError::new(format!("{error}{cause}"))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// Long enough for existing lines to be received, and for others not to appear.
    const WAIT_NS: u64 = 20_000_000;

    struct Sink {
        folder: TempDir,
        clock: SystemClock,
    }

    impl Sink {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            Self { folder, clock: SystemClock::new() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("sink.txt")
        }

        fn append(&self, bytes: &[u8]) {
            let mut options = OpenOptions::new();
            let mut file = options.append(true).create(true).open(self.path()).expect("opened");
            file.write_all(bytes).expect("written");
        }

        fn follow(&self, position: Position) -> LineReceiver {
            LineReceiver::open(&self.path(), position, self.clock).expect("followed")
        }

        /// The lines received within a short time.
        fn try_lines(&self, receiver: &mut LineReceiver) -> Result<Vec<String>, TransportError> {
            let mut lines = Vec::new();
            loop {
                let count = receiver.receive(self.clock.now_ns() + WAIT_NS, |incoming| {
                    lines.push(String::from_utf8(incoming.value.to_vec()).expect("text"));
                })?;
                if count == 0 {
                    return Ok(lines);
                }
            }
        }

        fn lines(&self, receiver: &mut LineReceiver) -> Vec<String> {
            self.try_lines(receiver).expect("lines")
        }
    }

    #[test]
    fn lines_count_once_complete() {
        let sink = Sink::new();
        let mut receiver = sink.follow(Position::Beginning);
        assert_eq!(sink.lines(&mut receiver), [""; 0], "no file yet");
        sink.append(b"one\ntw");
        assert_eq!(sink.lines(&mut receiver), ["one"]);
        sink.append(b"o");
        assert_eq!(sink.lines(&mut receiver), [""; 0]);
        sink.append(b"\n\nthree\n");
        assert_eq!(sink.lines(&mut receiver), ["two", "", "three"]);
    }

    #[test]
    fn following_from_the_end_skips_existing_lines() {
        let sink = Sink::new();
        sink.append(b"old\n");
        let mut at_a_line = sink.follow(Position::End);
        sink.append(b"half");
        let mut within_a_line = sink.follow(Position::End);
        sink.append(b" a line\nnew\n");
        assert_eq!(sink.lines(&mut at_a_line), ["half a line", "new"]);
        assert_eq!(sink.lines(&mut within_a_line), ["new"]);
        assert_eq!(sink.lines(&mut sink.follow(Position::Beginning)).len(), 3);
    }

    #[test]
    fn bursts_keep_order_and_little_memory() {
        let sink = Sink::new();
        let mut receiver = sink.follow(Position::Beginning);
        let count = 100_000;
        let path = sink.path();
        let writer = std::thread::spawn(move || {
            let mut file = File::create(path).expect("made");
            let lines: Vec<_> = (0..count).map(|number| format!("line {number}\n")).collect();
            // In pieces that do not match lines.
            for piece in lines.concat().as_bytes().chunks(7_777) {
                file.write_all(piece).expect("written");
            }
        });
        let mut next = 0;
        while next < count {
            let until_ns = sink.clock.now_ns() + 10_000_000_000;
            let count_now = receiver.receive(until_ns, |incoming| {
                assert_eq!(incoming.value, format!("line {next}").as_bytes());
                next += 1;
            });
            assert!(count_now.expect("lines") > 0, "nothing after line {next}");
        }
        writer.join().expect("written");
        assert!(receiver.pending.capacity() <= 4 * READ_BYTES, "bounded");
    }

    #[test]
    fn long_lines_arrive_whole() {
        let sink = Sink::new();
        let long = "x".repeat(3 * READ_BYTES + 1);
        sink.append(format!("{long}\nshort\n").as_bytes());
        assert_eq!(sink.lines(&mut sink.follow(Position::Beginning)), [long.as_str(), "short"]);
    }

    type Tamper = fn(&Sink) -> std::io::Result<()>;

    #[test]
    fn tampered_files_are_errors() {
        let truncate = |sink: &Sink| File::create(sink.path()).map(drop);
        let delete = |sink: &Sink| std::fs::remove_file(sink.path());
        let replace = |sink: &Sink| {
            let other = sink.folder.path().join("other");
            std::fs::write(&other, "another file, which is longer\n")?;
            std::fs::rename(other, sink.path())
        };
        let cases: [(&str, Tamper); 3] =
            [("truncated", truncate), ("deleted", delete), ("replaced", replace)];
        for (what, tamper) in cases {
            let sink = Sink::new();
            sink.append(b"one\ntwo\n");
            let mut receiver = sink.follow(Position::Beginning);
            assert_eq!(sink.lines(&mut receiver), ["one", "two"]);
            tamper(&sink).expect("done");
            let error = sink.try_lines(&mut receiver).expect_err(what).to_string();
            assert!(error.contains(&format!("sink.txt was {what} while")), "{error}");
        }
        let sink = Sink::new();
        let error = LineReceiver::open(sink.folder.path(), Position::End, sink.clock);
        assert!(matches!(error, Err(FileError::NotAFile { .. })), "{error:?}");
    }

    #[test]
    fn waiting_ends_on_time() {
        let sink = Sink::new();
        sink.append(b"no end");
        let mut receiver = sink.follow(Position::Beginning);
        let until_ns = sink.clock.now_ns() + WAIT_NS;
        let count = receiver.receive(until_ns, |_| panic!("no line"));
        assert_eq!(count.expect("waited"), 0);
        assert!(sink.clock.now_ns() >= until_ns);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn lines_arrive_whole_however_written(
            text in "[ab\n]{0,40}",
            sizes in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let sink = Sink::new();
            let mut receiver = sink.follow(Position::Beginning);
            let mut lines = Vec::new();
            let mut rest = text.as_bytes();
            for size in sizes {
                let (piece, left) = rest.split_at(size.min(rest.len()));
                sink.append(piece);
                rest = left;
                let now_ns = sink.clock.now_ns();
                receiver.receive(now_ns, |line| lines.push(line.value.to_vec())).expect("lines");
            }
            let written = &text.as_bytes()[..text.len() - rest.len()];
            let mut expected: Vec<_> = written.split(|byte| *byte == b'\n').collect();
            expected.pop();
            prop_assert_eq!(lines, expected);
        }
    }
}
