//! `run-suite noise` as text.

use std::fmt::Write as _;

use bench_cli::{Align, table};

use super::percent;
use crate::run::noise::{FigureNoise, Noise, REPEATS};

/// A row per figure: spread, drift, and what numbers of repeats show.
pub(crate) fn human(noise: &Noise) -> String {
    let mut header: Vec<String> =
        ["", "runs differ by", "A again / A", "drift per run"].map(str::to_owned).into();
    header.extend(REPEATS.map(|repeats| format!("{repeats} repeats show")));
    let rows: Vec<Vec<String>> =
        std::iter::once(header).chain(noise.figures.iter().map(row)).collect();
    let align = |column| if column == 0 { Align::Left } else { Align::Right };
    let mut text = table(&rows, align);
    let _ = writeln!(
        text,
        "\na change above the figure in the last columns is shown with a chance of 80 %, if both sides run \
         in blocks; * marks the figures that conclusions rest on"
    );
    text
}

fn row(figure: &FigureNoise) -> Vec<String> {
    let mark = if figure.primary { "* " } else { "" };
    let drift = figure.drift.map_or_else(
        || "-".to_owned(),
        |drift| {
            let sure = if drift.interval.holds(0.0) { " (chance)" } else { "" };
            format!("{:+.2} %{sure}", 100.0 * drift.slope)
        },
    );
    let interval = figure.change.interval;
    let mut row = vec![
        format!("{mark}{}", figure.figure.title(None)),
        percent(figure.spread.exp_m1()),
        format!("{:.3} ({:.3} to {:.3})", figure.change.ratio, interval.low, interval.high),
        drift,
    ];
    row.extend(REPEATS.map(|repeats| figure.shown_by(repeats).map_or_else(String::new, percent)));
    row
}

/// What a plan of so many repeats shows by what is known of the noise, a line per primary figure.
pub(crate) fn foretold(noise: &Noise, repeats: u32) -> String {
    let mut text = String::new();
    for figure in noise.figures.iter().filter(|figure| figure.primary) {
        if let Some(shown) = figure.shown_by(repeats as usize) {
            let _ = writeln!(
                text,
                "with {repeats} repeats this shows changes of {} above {}",
                figure.figure.title(None),
                percent(shown)
            );
        }
    }
    text
}
