//! Figures over what was swept: a line for one option, a table in colours for two.

use std::collections::BTreeSet;

use bench_cli::quantity::{parse_duration, parse_rate, parse_size_bytes};
use bench_report::chart::{Axis, Caption, Chart, Line, Lines, Look, Unit};
use bench_report::{Block, Cell, Table, Tone};

use super::answers::capitalised;
use super::told::{Told, scale, unit};
use crate::file::figure::{Figure, Measure, Percentile};
use crate::run::comparison::estimate::Estimate;

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let columns = told.summary.columns.as_slice();
    match columns {
        [column] => Swept::of(told, column).map(|swept| swept.blocks(told)).unwrap_or_default(),
        [rows, across] => told
            .primary()
            .iter()
            .filter_map(|figure| Some(Block::Table(grid(told, rows, across, figure)?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The values of an option as numbers.
struct Swept {
    /// The option.
    name: String,
    unit: Unit,
    /// Of each cell, in their order.
    values: Vec<f64>,
}

impl Swept {
    /// `None` unless each cell has a number of its own, and there are three.
    fn of(told: &Told<'_>, name: &str) -> Option<Self> {
        let texts: Option<Vec<&String>> =
            told.summary.cells.iter().map(|cell| cell.values.first()?.as_ref()).collect();
        let texts = texts?;
        let read = |parse: &dyn Fn(&str) -> Option<f64>| {
            texts.iter().map(|text| parse(text)).collect::<Option<Vec<f64>>>()
        };
        let (unit, values) = [
            (Unit::Count, read(&|text| text.parse().ok())),
            (Unit::Rate, read(&|text| parse_rate(text).ok())),
            (Unit::Bytes, read(&|text| parse_size_bytes(text).ok().map(|size| size as f64))),
            (
                Unit::Nanoseconds,
                read(&|text| parse_duration(text).ok().map(|time| time.as_secs_f64() * 1e9)),
            ),
        ]
        .into_iter()
        .find_map(|(unit, values)| Some((unit, values?)))?;
        let different: BTreeSet<u64> = values.iter().map(|value| value.to_bits()).collect();
        let unit = if name.ends_with("rate") { Unit::Rate } else { unit };
        (different.len() == values.len() && values.len() > 2).then(|| Self {
            name: name.to_owned(),
            unit,
            values,
        })
    }

    fn blocks(&self, told: &Told<'_>) -> Vec<Block> {
        let latencies: Vec<Figure> = [Percentile::P50, Percentile::P99]
            .into_iter()
            .filter_map(|percentile| told.main_figure(percentile))
            .collect();
        let throughput =
            Figure { of_then: told.summary.then.is_some(), measure: Measure::Throughput };
        let mut others = told.primary();
        others.retain(|figure| !latencies.contains(figure) && *figure != throughput);
        let groups = [latencies, vec![throughput]].into_iter();
        let groups = groups.chain(others.into_iter().map(|figure| vec![figure]));
        groups
            .filter_map(|figures| Some(Block::Chart(Box::new(self.chart(told, &figures)?))))
            .collect()
    }

    /// Figures over the option, with the intervals as bands.
    fn chart(&self, told: &Told<'_>, figures: &[Figure]) -> Option<Chart> {
        let first = figures.first()?;
        let lines: Vec<Line> = figures
            .iter()
            .enumerate()
            .map(|(colour, figure)| self.line(told, figure, colour))
            .filter(|line| !line.points.is_empty())
            .collect();
        let values = || lines.iter().flat_map(|line| line.points.iter().filter_map(|it| it.1));
        let y_scale = scale(values());
        let what: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        let title = format!("{} against {}", what.join(" and "), self.name);
        if lines.is_empty() {
            return None;
        }
        // At a target rate, a system that keeps up lies on it.
        let is_target = self.unit == Unit::Rate && first.measure == Measure::Throughput;
        let mut lines = lines;
        if is_target {
            let mut points: Vec<(f64, Option<f64>)> =
                self.values.iter().map(|value| (*value, Some(*value))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (name, look) = ("target".to_owned(), Look::Faint);
            lines.push(Line { name, points, band: Vec::new(), colour: 7, look });
        }
        Some(
            Lines {
                caption: Caption::new(
                    capitalised(&title),
                    "The value of the run in the middle; the band is the 95 % interval.",
                    title,
                ),
                x: Axis {
                    name: self.name.clone(),
                    unit: self.unit,
                    scale: scale(self.values.iter().copied()),
                },
                y: Axis {
                    name: first.measure.kind_title(),
                    unit: unit(&first.measure),
                    scale: y_scale,
                },
                lines,
                spans: Vec::new(),
                levels: Vec::new(),
                until: None,
                linked: None,
            }
            .into(),
        )
    }

    fn line(&self, told: &Told<'_>, figure: &Figure, colour: usize) -> Line {
        let mut found: Vec<(f64, Estimate)> = self
            .values
            .iter()
            .zip(&told.cells)
            .map(|(value, cell)| (*value, Estimate::of(cell, figure)))
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let band = found.iter().filter_map(|(x, estimate)| {
            let interval = estimate.interval.filter(|it| it.high.is_finite())?;
            Some((*x, interval.low, interval.high))
        });
        Line {
            name: figure.title(told.then_tool()),
            band: band.collect(),
            points: found.iter().map(|(x, estimate)| (*x, estimate.value)).collect(),
            colour,
            look: Look::Marked,
        }
    }
}

/// A figure over two options.
fn grid(told: &Told<'_>, rows: &str, across: &str, figure: &Figure) -> Option<Table> {
    let of = |place: usize| {
        let mut seen: Vec<String> = Vec::new();
        for cell in &told.summary.cells {
            let value = cell.values.get(place)?.clone().unwrap_or_else(|| "default".to_owned());
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        Some(seen)
    };
    let (down, along) = (of(0)?, of(1)?);
    let figure_at = |row: &String, column: &String| {
        let is_it = |values: &[Option<String>]| {
            let text =
                |value: &Option<String>| value.clone().unwrap_or_else(|| "default".to_owned());
            values.iter().map(text).eq([row.clone(), column.clone()])
        };
        let cell = told.summary.cells.iter().position(|cell| is_it(&cell.values))?;
        let estimate = Estimate::of(&told.cells[cell], figure);
        Some((estimate.value?, super::answers::value(&estimate, figure)))
    };
    let all: Vec<f64> = down
        .iter()
        .flat_map(|row| along.iter().filter_map(|column| Some(figure_at(row, column)?.0)))
        .collect();
    let (least, most) =
        all.iter().fold((f64::INFINITY, 0.0_f64), |ends, it| (ends.0.min(*it), ends.1.max(*it)));
    let shade = |value: f64| {
        // Equal factors are equal steps.
        let share = if most > least && least > 0.0 {
            (value / least).ln() / (most / least).ln()
        } else {
            0.0
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 5")]
        let step = (share * f64::from(Tone::SHADES - 1)).round() as u8;
        Tone::Shade(step)
    };
    let title = figure.title(told.then_tool());
    let caption = format!("{title}: {rows} down, {across} across; the darker, the higher");
    let corner = format!("{rows} \\ {across}");
    let mut head = vec![corner.as_str()];
    head.extend(along.iter().map(String::as_str));
    let mut table = Table::new(caption, &head);
    for row in &down {
        let mut cells = vec![Cell::words(row)];
        cells.extend(along.iter().map(|column| match figure_at(row, column) {
            Some((value, text)) => Cell::toned(text, shade(value)),
            None => Cell::number("-"),
        }));
        table.rows.push(cells);
    }
    (!all.is_empty()).then_some(table)
}
