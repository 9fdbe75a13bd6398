//! The picture of an experiment at work, at the bottom of a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use bench_cli::live::{Colour, NAME_COLUMNS, Picture, draw_course};

use super::board::{Board, BoardCell, Now};
use crate::run::run_state::RunStatus;

/// The most cells that are listed: those around the current one.
const CELLS_MAX: usize = 8;

/// Lines that are no cells.
const OTHER_LINES: usize = 11;

/// The most flags that are shown.
const FLAGS_MAX: usize = 2;

/// The lines of the picture.
pub(super) fn lines(
    board: &Board,
    now: &Now<'_>,
    columns: usize,
    rows: usize,
    has_colours: bool,
) -> Vec<String> {
    let mut picture = Picture::new(columns);
    picture.line();
    let time = format!("  {}", time(board, now));
    let end = picture.put(0, columns.saturating_sub(time.len()), &board.title, Colour::Cyan);
    picture.put(end, columns, &time, Colour::Cyan);
    let room = CELLS_MAX.min(rows.saturating_sub(OTHER_LINES)).max(1);
    for (is_current, cell) in board.around(room) {
        picture.line();
        let colour = if is_current { Colour::Cyan } else { Colour::Plain };
        let name = format!("{} {}", if is_current { ">" } else { " " }, cell.label);
        picture.put(0, NAME_COLUMNS - 1, &name, colour);
        for (place, status) in (NAME_COLUMNS..columns).step_by(2).zip(&cell.repeats) {
            let (mark, colour) = mark(*status);
            picture.put(place, 1, mark, colour);
        }
    }
    draw_course(now.rows, board.target_per_s, &mut picture);
    for flag in now.flags.iter().take(FLAGS_MAX) {
        picture.line();
        picture.put(0, columns, &format!("! {}", flag.note), Colour::Red);
    }
    picture.line();
    picture.put(0, columns, "q or Ctrl-C: end in good order", Colour::Grey);
    picture.text(has_colours)
}

impl Board {
    /// So many cells with the current one among them, and whether each is that.
    fn around(&self, count: usize) -> Vec<(bool, &BoardCell)> {
        let last_begin = self.cells.len().saturating_sub(count);
        let begin = self.current.saturating_sub(count / 2).min(last_begin);
        let cells = self.cells.iter().enumerate().skip(begin).take(count);
        cells.map(|(index, cell)| (index == self.current, cell)).collect()
    }
}

/// `12 s of 25 s, the others take 1m 40s at least`
fn time(board: &Board, now: &Now<'_>) -> String {
    let mut text = duration_text(now.elapsed);
    if let Some(expected) = now.expected {
        let _ = write!(text, " of {}", duration_text(expected));
    }
    if !board.others_take.is_zero() {
        let _ = write!(text, ", the others take {} at least", duration_text(board.others_take));
    }
    text
}

/// `45 s`, `3m 20s`, `1h 5m`
fn duration_text(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

/// How a run is marked. The mark says it without its colour.
fn mark(status: RunStatus) -> (&'static str, Colour) {
    match status {
        RunStatus::Complete => ("+", Colour::Green),
        RunStatus::Running => (">", Colour::Cyan),
        RunStatus::Pending => (".", Colour::Grey),
        RunStatus::NotNeeded => ("-", Colour::Grey),
        RunStatus::Invalid | RunStatus::Partial => ("!", Colour::Red),
        RunStatus::Failed
        | RunStatus::TimedOut
        | RunStatus::Interrupted
        | RunStatus::GateFailed
        | RunStatus::Unreadable => ("x", Colour::Red),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bench_record::LatencyKind;
    use bench_record::intervals::{IntervalRow, RowLatency};

    use super::*;
    use crate::run::health::{Flag, FlagKind};

    fn board(cells: usize) -> Board {
        let cell = |index: usize| BoardCell {
            label: format!("rate={index}k/s \u{1b}[2J"),
            repeats: vec![RunStatus::Complete, RunStatus::Running, RunStatus::Pending],
        };
        Board {
            title: "[2/9] try".to_owned(),
            cells: (0..cells).map(cell).collect(),
            current: cells - 1,
            others_take: Duration::from_secs(200),
            target_per_s: Some(1_000.0),
        }
    }

    fn rows(seconds: u32) -> Vec<IntervalRow> {
        let latency = |second: u32| RowLatency {
            p50_ns: 1_000_000,
            p99_ns: u64::from(second % 7 + 1) * 1_000_000,
            max_ns: 9_000_000,
        };
        let row = |second: u32| IntervalRow {
            start_s: second.into(),
            end_s: f64::from(second) + 1.0,
            sent: 1_000,
            failed: 1,
            received_per_s: 990.0,
            latencies: BTreeMap::from([(LatencyKind::EndToEnd, latency(second))]),
            ..IntervalRow::default()
        };
        (0..seconds).map(row).collect()
    }

    fn picture(cells: usize, columns: usize, rows_of: usize, has_colours: bool) -> Vec<String> {
        let rows = rows(300);
        let flags = [Flag { kind: FlagKind::Backlog, note: "the backlog grew".to_owned() }];
        let now = Now {
            flags: &flags,
            elapsed: Duration::from_secs(12),
            expected: Some(Duration::from_secs(25)),
            rows: &rows,
        };
        lines(&board(cells), &now, columns, rows_of, has_colours)
    }

    #[test]
    fn pictures_fit_small_and_large_terminals() {
        for (columns, rows) in [(79, 24), (199, 60), (60, 16)] {
            let lines = picture(12, columns, rows, false);
            assert!(lines.len() < rows, "{lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
            assert!(lines[0].starts_with("[2/9] try  12 s of 25 s, the others take 3m 20s"));
            let current = lines.iter().find(|line| line.starts_with('>')).expect("the current one");
            assert!(current.starts_with("> rate=11k/s \\x1b[2J"), "{current}");
            assert!(current.ends_with("+ > ."), "{current}");
            assert!(
                lines.iter().any(|line| line.contains("990 msg/s of 1.00 k msg/s")),
                "{lines:?}"
            );
            assert!(lines.iter().any(|line| line.contains("300 in the time shown")), "{lines:?}");
            assert!(lines.iter().any(|line| line.starts_with("! the backlog grew")), "{lines:?}");
            assert!(lines.iter().any(|line| line.contains("6.00 ms (p50 1.00 ms)")), "{lines:?}");
            assert!(
                lines.iter().any(|line| line.contains("3,000 more than at first")),
                "{lines:?}"
            );
            assert!(lines.iter().any(|line| line.contains('\u{2588}')), "a chart: {lines:?}");
        }
    }

    #[test]
    fn colours_are_left_out_on_request() {
        let plain = picture(2, 80, 24, false).concat();
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        let coloured = picture(2, 80, 24, true).concat();
        assert!(coloured.contains("\x1b[32m+ \x1b[36m>"), "{coloured:?}");
    }

    #[test]
    fn runs_without_intervals_have_no_charts() {
        let now = Now { elapsed: Duration::ZERO, expected: None, rows: &[], flags: &[] };
        let lines = lines(&board(1), &now, 80, 24, false);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("[2/9] try  0 s, the others"), "{lines:?}");
    }
}
