//! The picture of an experiment at work, at the bottom of a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use bench_cli::quantity::{count, duration_ns, rate};
use bench_record::LatencyKind;
use bench_record::intervals::IntervalRow;

use super::board::{Board, BoardCell, Now};
use super::picture::{Colour, Picture};
use crate::run::run_state::RunStatus;

/// The columns of the names before cells and charts, and of the figures after them.
const NAME_COLUMNS: usize = 26;
const FIGURE_COLUMNS: usize = 30;

/// The most cells that are listed: those around the current one.
const CELLS_MAX: usize = 8;

/// Lines that are no cells.
const OTHER_LINES: usize = 8;

/// A chart of the run: its name, its latest value in words, and its values.
struct Chart {
    name: &'static str,
    figure: String,
    values: Vec<u64>,
}

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
    let title = format!("{}  {}", board.title, time(board, now));
    picture.put(0, columns, &title, Colour::Cyan);
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
    for chart in charts(now.rows) {
        picture.line();
        chart.draw(&mut picture, columns);
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

/// `12 s of 25 s, then 1m 40s`
fn time(board: &Board, now: &Now<'_>) -> String {
    let shown = |time: Duration| {
        let whole = Duration::from_secs(time.as_secs());
        duration_text(whole)
    };
    let mut text = shown(now.elapsed);
    if let Some(expected) = now.expected {
        let _ = write!(text, " of {}", shown(expected));
    }
    if !board.others_take.is_zero() {
        let _ = write!(text, ", the others take {} at least", shown(board.others_take));
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
        | RunStatus::Unreadable => ("x", Colour::Red),
    }
}

/// Throughput, latency and backlog of the run.
fn charts(rows: &[IntervalRow]) -> Vec<Chart> {
    let Some(last) = rows.last() else { return Vec::new() };
    let receives = rows.iter().any(|row| row.received_per_s > 0.0);
    let per_s = |row: &IntervalRow| if receives { row.received_per_s } else { row.acked_per_s };
    let mut charts = vec![Chart {
        name: if receives { "received" } else { "acknowledged" },
        figure: rate(per_s(last)),
        values: rows.iter().map(|row| whole(per_s(row))).collect(),
    }];
    let ways = [
        LatencyKind::Landing,
        LatencyKind::EndToEnd,
        LatencyKind::Publish,
        LatencyKind::ServiceTime,
    ];
    let kind =
        ways.into_iter().find(|kind| rows.iter().any(|row| row.latencies.contains_key(kind)));
    if let Some(kind) = kind {
        let p99 = |row: &IntervalRow| row.latencies.get(&kind).map_or(0, |it| it.p99_ns);
        let latest = rows.iter().rev().find_map(|row| row.latencies.get(&kind));
        charts.push(Chart {
            name: match kind {
                LatencyKind::Landing => "landing p99",
                LatencyKind::EndToEnd => "end-to-end p99",
                LatencyKind::Publish => "publish p99",
                _ => "service time p99",
            },
            figure: latest.map_or_else(String::new, |latency| {
                let (p50, p99) = (duration_ns(latency.p50_ns), duration_ns(latency.p99_ns));
                format!("{p99} (p50 {p50})")
            }),
            values: rows.iter().map(p99).collect(),
        });
    }
    if receives && rows.iter().any(|row| row.sent > 0) {
        let values = backlog(rows);
        let figure = format!("{} more than at first", count(values.last().copied().unwrap_or(0)));
        charts.push(Chart { name: "backlog", figure, values });
    }
    charts
}

/// How much more was sent than received since the first of these rows; where it shrank, 0.
fn backlog(rows: &[IntervalRow]) -> Vec<u64> {
    let mut ahead = 0.0;
    let add = |row: &IntervalRow| {
        ahead += row.sent as f64 - row.received_per_s * (row.end_s - row.start_s);
        whole(ahead)
    };
    rows.iter().map(add).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 for what is below")]
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

impl Chart {
    fn draw(&self, picture: &mut Picture, columns: usize) {
        picture.put(2, NAME_COLUMNS - 3, self.name, Colour::Plain);
        let room = columns.saturating_sub(NAME_COLUMNS + FIGURE_COLUMNS);
        // The latest values; older ones have left the picture.
        let begin = self.values.len().saturating_sub(room);
        picture.put(NAME_COLUMNS, room, &bars(&self.values[begin..]), Colour::Cyan);
        picture.put(NAME_COLUMNS + room + 1, FIGURE_COLUMNS - 1, &self.figure, Colour::Plain);
    }
}

/// A bar for each value, as high as its share of the largest.
fn bars(values: &[u64]) -> String {
    const LEVELS: [char; 9] = [
        ' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}',
        '\u{2588}',
    ];
    let most = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 8")]
    let level = |value: &u64| (8.0 * *value as f64 / most).round() as usize;
    values.iter().map(|value| LEVELS[level(value).min(8)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bench_record::intervals::RowLatency;

    use super::*;

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
            received_per_s: 990.0,
            latencies: BTreeMap::from([(LatencyKind::EndToEnd, latency(second))]),
            ..IntervalRow::default()
        };
        (0..seconds).map(row).collect()
    }

    fn picture(cells: usize, columns: usize, rows_of: usize, has_colours: bool) -> Vec<String> {
        let rows = rows(300);
        let now = Now {
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
            assert!(lines.iter().any(|line| line.contains("990 msg/s")), "{lines:?}");
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
        let now = Now { elapsed: Duration::ZERO, expected: None, rows: &[] };
        let lines = lines(&board(1), &now, 80, 24, false);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("[2/9] try  0 s, the others"), "{lines:?}");
    }
}
