//! The progress line: one line at the bottom of the terminal, rewritten as the work proceeds.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use bench_core::system::{plain, shortened_lines};

use crate::output::LAYOUT;
use crate::{printable, printable_except};

/// Moves to the first column and erases to the end of the line.
const ERASE_LINE: &str = "\r\x1b[K";

/// The assumed width in columns of a terminal that does not report it.
const COLUMNS_DEFAULT: usize = 80;

/// Whether a progress line is shown on standard error, so that other lines do not run into it.
static LINE_ON_STDERR: AtomicBool = AtomicBool::new(false);

/// One rewritten line on standard error; nothing if that is not a terminal.
///
/// Dropping the value erases the line. Failed writes are ignored: progress never stops the work.
#[derive(Debug)]
pub struct Progress {
    terminal: Option<Terminal>,
}

impl Progress {
    /// Shows progress if standard error is a terminal.
    #[must_use]
    pub(crate) fn on_stderr() -> Self {
        let terminal = io::stderr().is_terminal().then(|| Terminal {
            out: Box::new(io::stderr()),
            columns: columns_of_stderr,
            shown: &LINE_ON_STDERR,
        });
        Self { terminal }
    }

    /// Shows nothing.
    #[must_use]
    pub fn hidden() -> Self {
        Self { terminal: None }
    }

    /// Whether progress is shown, so that composing a line is worthwhile.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.terminal.is_some()
    }

    /// Replaces the line, cut to the width of the terminal.
    pub fn update(&mut self, line: &str) {
        if let Some(terminal) = &mut self.terminal {
            // A character in the last column would make some terminals wrap.
            let line = fit(line, (terminal.columns)().saturating_sub(1));
            terminal.shown.store(true, Ordering::Relaxed);
            terminal.write(&format!("{ERASE_LINE}{line}"));
        }
    }

    /// Prints a permanent line above the progress line; does nothing if progress is hidden.
    pub fn print_line(&self, line: &str) {
        if self.is_visible() {
            print_line_on_stderr(line);
        }
    }

    /// Erases the line.
    pub fn clear(&mut self) {
        if let Some(terminal) = &mut self.terminal
            && terminal.shown.swap(false, Ordering::Relaxed)
        {
            terminal.write(ERASE_LINE);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

struct Terminal {
    out: Box<dyn Write + Send>,
    columns: fn() -> usize,
    shown: &'static AtomicBool,
}

impl Terminal {
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Prints a line on standard error, erasing the progress line first.
pub(crate) fn print_line_on_stderr(line: &str) {
    let _ = writeln!(BesideProgress { colours: false }, "{line}");
}

/// Standard error for whole lines other than progress: erases the progress line first, and escapes
/// control characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BesideProgress {
    /// Whether the text contains our own colours.
    pub(crate) colours: bool,
}

impl Write for BesideProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        if LINE_ON_STDERR.swap(false, Ordering::Relaxed) {
            stderr.write_all(ERASE_LINE.as_bytes())?;
        }
        stderr.write_all(safe(bytes, self.colours).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Makes lines safe for a terminal: shortens overlong ones and escapes control characters, except
/// our own colours.
fn safe(bytes: &[u8], colours: bool) -> String {
    let text = plain(&String::from_utf8_lossy(bytes));
    let text = shortened_lines(&text);
    if !colours {
        return printable_except(&text, &LAYOUT).into_owned();
    }
    let mut parts = text.split(ESCAPE);
    let mut shown = printable_except(parts.next().unwrap_or_default(), &LAYOUT).into_owned();
    for part in parts {
        let colour = part.find('m').filter(|end| {
            part.starts_with('[') && part[1..*end].chars().all(|c| c.is_ascii_digit() || c == ';')
        });
        let (colour, rest) = part.split_at(colour.map_or(0, |end| end + 1));
        // Other escape sequences are shown escaped.
        shown.push_str(if colour.is_empty() { "\\x1b" } else { "\x1b" });
        shown.push_str(colour);
        shown.push_str(&printable_except(rest, &LAYOUT));
    }
    shown
}

/// The start of a colour sequence.
const ESCAPE: char = '\x1b';

fn columns_of_stderr() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS_DEFAULT,
    }
}

/// The first `columns` characters, on one line.
fn fit(line: &str, columns: usize) -> String {
    let one_line: String =
        line.chars().take(columns).map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable(&one_line).chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Screen(Sender<String>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Progress on a fake terminal of ten columns.
    fn progress(shown: &'static AtomicBool) -> (Progress, Receiver<String>) {
        let (sender, screen) = channel();
        let terminal = Terminal { out: Box::new(Screen(sender)), columns: || 10, shown };
        (Progress { terminal: Some(terminal) }, screen)
    }

    #[test]
    fn line_is_rewritten_within_width_and_finally_erased() {
        static SHOWN: AtomicBool = AtomicBool::new(false);
        let (mut progress, screen) = progress(&SHOWN);
        progress.update("sent 12");
        progress.update("äöü 456789 123\n");
        assert!(progress.is_visible());
        drop(progress);
        let written: Vec<_> = screen.iter().collect();
        assert_eq!(written, ["\r\x1b[Ksent 12", "\r\x1b[Käöü 45678", "\r\x1b[K"]);
    }

    #[test]
    fn only_a_shown_line_is_cleared() {
        static SHOWN: AtomicBool = AtomicBool::new(false);
        let (mut progress, screen) = progress(&SHOWN);
        progress.clear();
        progress.update("a\tb");
        progress.clear();
        progress.clear();
        drop(progress);
        assert_eq!(screen.iter().collect::<Vec<_>>(), ["\r\x1b[Ka b", "\r\x1b[K"]);
    }

    #[test]
    fn everything_but_our_colours_is_escaped() {
        let line = "\x1b[2m0.1s\x1b[0m \x1b[31;1m WARN\x1b[0m a\x1b[2Jb\x1b]0;t\x07\u{202e}c\td\n";
        assert_eq!(
            safe(line.as_bytes(), true),
            "\x1b[2m0.1s\x1b[0m \x1b[31;1m WARN\x1b[0m a\\x1b[2Jb\\x1b]0;t\\x07\\u{202e}c\td\n"
        );
        assert_eq!(safe(b"\x1b[2mx", false), "\\x1b[2mx");
        let plain = safe(b"x: No such file or directory (os error 2)\n", false);
        assert_eq!(plain, "x: no such file or folder\n");
        assert_eq!(safe(b"\x1b[2", true), "\\x1b[2");
    }

    #[test]
    fn progress_lines_escape_direction_overrides() {
        assert_eq!(fit("a\u{202e}b", 20), "a\\u{202e}b");
    }

    #[test]
    fn closed_terminals_are_not_an_error() {
        static SHOWN: AtomicBool = AtomicBool::new(false);
        let (mut progress, screen) = progress(&SHOWN);
        drop(screen);
        progress.update("on");
        assert!(!Progress::hidden().is_visible());
    }
}
