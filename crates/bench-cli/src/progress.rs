//! Progress at the bottom of the terminal: one line or several, rewritten as the work proceeds. All that
//! was printed before scrolls up as usual.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use bench_core::system::{plain, shortened_lines};

use crate::columns::{columns_of, cut};
use crate::output::LAYOUT;
use crate::{printable, printable_except};

/// Moves to the first column and erases to the end of the line.
const ERASE_LINE: &str = "\r\x1b[K";

/// The assumed width in columns of a terminal that does not report it.
const COLUMNS_DEFAULT: usize = 80;

/// What is shown on standard error, so that other lines do not run into it.
static SHOWN_ON_STDERR: Shown = Shown::new();

/// Rewritten lines on standard error; nothing if that is not a terminal.
///
/// Dropping the value erases them. Failed writes are ignored: progress never stops the work.
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
            size: size_of_stderr,
            shown: &SHOWN_ON_STDERR,
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

    /// The columns and rows of the terminal, if progress is shown.
    #[must_use]
    pub fn size(&self) -> Option<(usize, usize)> {
        self.terminal.as_ref().map(|terminal| (terminal.size)())
    }

    /// Replaces what is shown by a line, cut to the width of the terminal.
    pub fn update(&mut self, line: &str) {
        if let Some(terminal) = &self.terminal {
            // A character in the last column would make some terminals wrap.
            let line = fit(line, (terminal.size)().0.saturating_sub(1));
            self.draw(&[line]);
        }
    }

    /// Replaces what is shown by lines that fit the terminal's [`Progress::size`] and hold no control
    /// characters but colours.
    pub fn draw(&mut self, lines: &[String]) {
        if let Some(terminal) = &mut self.terminal {
            let text = terminal.shown.replace(lines, (terminal.size)().0);
            terminal.write(&text);
        }
    }

    /// Prints a permanent line above the progress; does nothing if progress is hidden.
    pub fn print_line(&self, line: &str) {
        if self.is_visible() {
            print_line_on_stderr(line);
        }
    }

    /// Erases what is shown.
    pub fn clear(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            let erase = terminal.shown.erase((terminal.size)().0);
            if !erase.is_empty() {
                terminal.write(&erase);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The widths of the lines that are shown.
#[derive(Debug)]
struct Shown(Mutex<Vec<usize>>);

impl Shown {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// What erases them from a terminal of so many columns; empty if nothing is shown.
    fn erase(&self, columns: usize) -> String {
        let widths = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // A terminal that has become narrower has wrapped them.
        let rows: usize = widths.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        match rows {
            0 => String::new(),
            1 => ERASE_LINE.to_owned(),
            rows => format!("\r\x1b[{}A\x1b[J", rows - 1),
        }
    }

    /// What shows these instead.
    fn replace(&self, lines: &[String], columns: usize) -> String {
        let erase = self.erase(columns);
        let widths = lines.iter().map(|line| width(line)).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = widths;
        let erase = if erase.is_empty() { ERASE_LINE } else { &erase };
        format!("{erase}{}", lines.join("\r\n"))
    }
}

/// The columns that a line takes up, without its colours.
fn width(line: &str) -> usize {
    let mut parts = line.split(ESCAPE);
    let first = parts.next().map_or(0, columns_of);
    let rest = parts.map(|part| part.split_once('m').map_or(0, |(_, text)| columns_of(text)));
    first + rest.sum::<usize>()
}

struct Terminal {
    out: Box<dyn Write + Send>,
    /// Its columns and rows.
    size: fn() -> (usize, usize),
    shown: &'static Shown,
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

/// Prints a line on standard error, erasing the progress first.
pub(crate) fn print_line_on_stderr(line: &str) {
    let _ = writeln!(BesideProgress { colours: false }, "{line}");
}

/// Standard error for whole lines other than progress: erases the progress first, and escapes control
/// characters.
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
        stderr.write_all(SHOWN_ON_STDERR.erase(size_of_stderr().0).as_bytes())?;
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

/// Its columns and rows; one row if it does not tell them.
fn size_of_stderr() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (COLUMNS_DEFAULT, 1),
    }
}

/// The first `columns` of a line, on one line.
fn fit(line: &str, columns: usize) -> String {
    let one_line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(&printable(&one_line), columns).to_owned()
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
    fn progress(shown: &'static Shown) -> (Progress, Receiver<String>) {
        let (sender, screen) = channel();
        let terminal = Terminal { out: Box::new(Screen(sender)), size: || (10, 5), shown };
        (Progress { terminal: Some(terminal) }, screen)
    }

    #[test]
    fn line_is_rewritten_within_width_and_finally_erased() {
        static SHOWN: Shown = Shown::new();
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
        static SHOWN: Shown = Shown::new();
        let (mut progress, screen) = progress(&SHOWN);
        progress.clear();
        progress.update("a\tb");
        progress.clear();
        progress.clear();
        drop(progress);
        assert_eq!(screen.iter().collect::<Vec<_>>(), ["\r\x1b[Ka b", "\r\x1b[K"]);
    }

    #[test]
    fn several_lines_are_erased_as_high_as_they_are() {
        static SHOWN: Shown = Shown::new();
        let (mut progress, screen) = progress(&SHOWN);
        let lines = ["one".to_owned(), "\x1b[32mtwo\x1b[0m".to_owned()];
        progress.draw(&lines);
        progress.update("three");
        progress.draw(&lines);
        // A terminal of two columns has wrapped both lines to two rows each.
        assert_eq!(SHOWN.erase(2), "\r\x1b[3A\x1b[J");
        drop(progress);
        let written: Vec<_> = screen.iter().collect();
        let two = "one\r\n\x1b[32mtwo\x1b[0m";
        let expected =
            [format!("\r\x1b[K{two}"), "\r\x1b[1A\x1b[Jthree".to_owned(), format!("\r\x1b[K{two}")];
        assert_eq!(written, expected);
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
        assert_eq!(fit("延遲延遲", 5), "延遲", "not wider than its terminal");
    }

    #[test]
    fn closed_terminals_are_not_an_error() {
        static SHOWN: Shown = Shown::new();
        let (mut progress, screen) = progress(&SHOWN);
        drop(screen);
        progress.update("on");
        assert!(!Progress::hidden().is_visible());
    }
}
