//! The course of a run as small charts.

use bench_record::LatencyKind;
use bench_record::intervals::IntervalRow;

use super::picture::{Colour, Picture};
use crate::quantity::{count, duration_ns, rate};

/// The columns of the names before the charts.
pub const NAME_COLUMNS: usize = 26;

/// The columns of the figures after them.
const FIGURE_COLUMNS: usize = 30;

/// The columns of the narrowest terminal with room for both, and for bars.
pub const COLUMNS_MIN: usize = 60;

/// A chart: its name, its latest value in words, and its values.
struct Chart {
    name: String,
    figure: String,
    values: Vec<u64>,
}

/// Adds a line each for throughput, latency, backlog and failures, as far as the run has them.
/// `target_per_s` is the rate that its schedule asks for.
pub fn draw_course(rows: &[IntervalRow], target_per_s: Option<f64>, picture: &mut Picture) {
    for chart in charts(rows, target_per_s) {
        picture.line();
        chart.draw(picture);
    }
}

fn charts(rows: &[IntervalRow], target_per_s: Option<f64>) -> Vec<Chart> {
    let Some(last) = rows.last() else { return Vec::new() };
    let receives = rows.iter().any(|row| row.received_per_s > 0.0);
    let per_s = |row: &IntervalRow| if receives { row.received_per_s } else { row.acked_per_s };
    let mut charts = vec![Chart {
        name: if receives { "received" } else { "acknowledged" }.to_owned(),
        figure: match target_per_s {
            Some(target) => format!("{} of {}", rate(per_s(last)), rate(target)),
            None => rate(per_s(last)),
        },
        values: rows.iter().map(|row| whole(per_s(row))).collect(),
    }];
    let has = |kind: &LatencyKind| rows.iter().any(|row| row.latencies.contains_key(kind));
    if let Some(kind) = LatencyKind::WAYS.into_iter().find(has) {
        let p99 = |row: &IntervalRow| row.latencies.get(&kind).map_or(0, |it| it.p99_ns);
        let latest = rows.iter().rev().find_map(|row| row.latencies.get(&kind));
        charts.push(Chart {
            name: format!("{} p99", kind.short_title()),
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
        charts.push(Chart { name: "backlog".to_owned(), figure, values });
    }
    let failed: u64 = rows.iter().map(|row| row.failed).sum();
    if failed > 0 {
        charts.push(Chart {
            name: "failed".to_owned(),
            figure: format!("{} in the time shown", count(failed)),
            values: rows.iter().map(|row| row.failed).collect(),
        });
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
    fn draw(&self, picture: &mut Picture) {
        let columns = picture.columns();
        picture.put(2, NAME_COLUMNS - 3, &self.name, Colour::Plain);
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
