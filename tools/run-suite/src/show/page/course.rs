//! How runs went over time, cell by cell.

use std::path::Path;

use bench_record::files::read_file;
use bench_record::intervals::{self, IntervalRow, RowLatency, RunUse};
use bench_record::{FaultRecord, LatencyKind, RunDocument, file_names};
use bench_report::chart::{
    Axis, Caption, Chart, HeatMap, Level, Line, Lines, Look, Scale, Span, Unit,
};
use bench_report::{Block, reduced};

use super::distribution;
use super::told::{Told, left_by};
use crate::run::analysis::Distributions;
use crate::show::summary::{CellSummary, RunSummary};

/// About as many lines belong to a run.
pub(super) const LINES_PER_RUN: usize = 6;

/// Colours of spans.
const WARM_UP: usize = 7;
const FAULT: usize = 1;
const RECOVERY: usize = 4;

/// More lines than this cannot be told apart, nor more than there are colours.
const LINES_MAX: usize = 8;

/// The colour of those behind.
const OTHERS: usize = 7;

/// The points of a line.
type Points = Vec<(f64, Option<f64>)>;

/// A line of rows: the value of each.
type Value = dyn Fn(&IntervalRow) -> Option<f64>;

/// One tool of one run.
struct Course {
    /// `repeat 2`
    name: String,
    document: RunDocument,
    rows: Vec<IntervalRow>,
    folder: std::path::PathBuf,
}

pub(super) fn blocks(told: &Told<'_>) -> Vec<Block> {
    let several = told.summary.cells.len() > 1;
    let mut blocks = Vec::new();
    for (index, cell) in told.summary.cells.iter().enumerate() {
        let inner = of_cell(told, index, cell);
        if several && !inner.is_empty() {
            let title = cell.label.clone();
            blocks.push(Block::Folded { title, blocks: inner, is_open: index == 0 });
        } else {
            blocks.extend(inner);
        }
    }
    blocks
}

fn of_cell(told: &Told<'_>, index: usize, cell: &CellSummary) -> Vec<Block> {
    let mut blocks = Vec::new();
    let tools = if told.summary.then.is_some() { 2 } else { 1 };
    let middle = told.middle_run(&told.cells[index]).map(|run| run.repeat);
    for tool in 0..tools {
        let courses: Vec<(u32, Course)> = cell
            .runs
            .iter()
            .filter_map(|run| Some((run.repeat, Course::of(run, tool)?)))
            .filter(|(_, course)| !course.rows.is_empty())
            .collect();
        let shown = courses.iter().find(|(repeat, _)| Some(*repeat) == middle).or(courses.first());
        let Some((_, shown)) = shown else { continue };
        let all: Vec<&Course> = courses.iter().map(|(_, course)| course).collect();
        let charts = Charts {
            all: &all,
            shown,
            tool: if tools > 1 { format!("{}: ", shown.document.tool.name) } else { String::new() },
            linked: format!("{}-{index}-{tool}", told.summary.name),
            points_max: told.points_max,
        };
        blocks.extend(charts.charts().into_iter().map(|chart| Block::Chart(Box::new(chart))));
    }
    let run = cell.runs.iter().find(|run| Some(run.repeat) == middle).or(cell.runs.first());
    blocks.extend(run.and_then(distribution::stages));
    blocks
}

impl Course {
    fn of(run: &RunSummary, tool: usize) -> Option<Self> {
        let (folder, document) = left_by(run.tools().nth(tool)?)?;
        let mark = if run.is_valid() { String::new() } else { format!(" ({})", run.word()) };
        Some(Self {
            name: format!("repeat {}{mark}", run.repeat),
            rows: rows(folder),
            document: document.clone(),
            folder: folder.to_path_buf(),
        })
    }

    fn points(&self, points_max: usize, value: &Value) -> Points {
        let points: Points = self.rows.iter().map(|row| (row.start_s, value(row))).collect();
        reduced(&without_short_gaps(points), points_max)
    }

    fn is_receiver(&self) -> bool {
        self.document.summary.as_ref().is_some_and(|summary| summary.consumed.is_some())
    }

    fn is_sender(&self) -> bool {
        self.rows.iter().any(|row| row.sent > 0)
    }

    /// The longest way that has samples.
    fn latency(&self) -> Option<LatencyKind> {
        let has = |kind: &LatencyKind| self.rows.iter().any(|row| row.latencies.contains_key(kind));
        LatencyKind::WAYS.into_iter().find(has)
    }

    /// The warm-up, the faults, and the recoveries from them.
    fn spans(&self) -> Vec<Span> {
        let end_s = self.rows.last().map_or(0.0, |row| row.end_s);
        let summary = self.document.summary.as_ref();
        let warm_up_s = summary.map_or(0.0, |summary| summary.warm_up_s);
        let span = |name: &str, from: f64, to: f64, colour| Span {
            name: name.to_owned(),
            from,
            to,
            colour,
        };
        let mut spans = Vec::new();
        if warm_up_s > 0.0 {
            spans.push(span("warm-up", 0.0, warm_up_s.min(end_s), WARM_UP));
        }
        for fault in &self.document.faults {
            spans.extend(
                fault_spans(fault, end_s)
                    .into_iter()
                    .map(|(name, from, to, colour)| span(&name, from, to.min(end_s), colour)),
            );
        }
        spans
    }
}

/// Without the intervals that had no sample, where the next one comes as soon as usual: a system that
/// works in batches has samples in a few intervals only. Longer gaps stay.
fn without_short_gaps(points: Points) -> Points {
    const USUAL_TIMES: f64 = 3.0;
    let measured: Vec<f64> =
        points.iter().filter(|(_, value)| value.is_some()).map(|(x, _)| *x).collect();
    let mut distances: Vec<f64> = measured.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_by(f64::total_cmp);
    let Some(usual) = distances.get(distances.len() / 2).copied() else {
        return points.into_iter().filter(|(_, value)| value.is_some()).collect();
    };
    let mut kept = Points::new();
    for (x, value) in points.into_iter().filter(|(_, value)| value.is_some()) {
        if let Some((before, _)) = kept.last().copied()
            && x - before > USUAL_TIMES * usual
        {
            kept.push((f64::midpoint(before, x), None));
        }
        kept.push((x, value));
    }
    kept
}

/// The time of a fault, and the time that the recovery took after it.
fn fault_spans(fault: &FaultRecord, end_s: f64) -> Vec<(String, f64, f64, usize)> {
    let Some(begin_s) = fault.begin_s else { return Vec::new() };
    // One that takes no time is still seen.
    let over_s = fault.end_s.unwrap_or(end_s).max(begin_s + end_s / 400.0);
    let mut spans = vec![(fault.name(), begin_s, over_s, FAULT)];
    if let Some(recovered_s) = fault.recovery_s.map(|recovery_s| begin_s + recovery_s)
        && recovered_s > over_s
    {
        spans.push(("recovery".to_owned(), over_s, recovered_s, RECOVERY));
    }
    spans
}

fn rows(folder: &Path) -> Vec<IntervalRow> {
    let table = read_file(&folder.join(file_names::INTERVALS));
    let mut rows = table.and_then(|table| intervals::read(&table)).unwrap_or_default();
    // The last interval is cut short, and its rates are over its full length.
    if rows.len() > 2 {
        rows.pop();
    }
    rows
}

/// The charts of one tool of a cell. They zoom together.
struct Charts<'a> {
    /// Its runs.
    all: &'a [&'a Course],
    /// The one in the middle.
    shown: &'a Course,
    /// Its name before titles, if there is another one.
    tool: String,
    linked: String,
    points_max: usize,
}

impl Charts<'_> {
    fn charts(&self) -> Vec<Chart> {
        let mut charts = vec![self.throughput()];
        charts.extend(self.latency_of_all());
        charts.extend(self.latency());
        charts.extend(self.heat_map());
        charts.extend(self.backlog());
        charts.extend(self.schedule_lag());
        charts.extend(self.processor_time());
        charts.extend(self.memory());
        charts
    }

    fn chart(&self, title: &str, note: &str, y: Axis, lines: Vec<Line>) -> Option<Chart> {
        let has_values = |line: &Line| line.points.iter().any(|(_, value)| value.is_some());
        let lines: Vec<Line> = lines.into_iter().filter(has_values).collect();
        let title = format!("{}{title}", self.tool);
        let caption = Caption::new(title.clone(), note, title);
        let spans = self.shown.spans();
        let linked = Some(self.linked.clone());
        let (levels, until) = (Vec::new(), self.until());
        let chart = Lines { caption, x: Axis::time(), y, lines, spans, levels, until, linked };
        (!chart.lines.is_empty()).then(|| chart.into())
    }

    /// The end of the run in the middle.
    fn until(&self) -> Option<f64> {
        self.shown.rows.last().map(|row| row.end_s)
    }

    /// A line for each run.
    fn of_all(&self, value: &Value) -> Vec<Line> {
        self.lines(&|course| course.points(self.points_max, value))
    }

    /// A line for each run; where there are many, the one in the middle before the others.
    fn lines(&self, points: &dyn Fn(&Course) -> Points) -> Vec<Line> {
        let are_many = self.all.len() > LINES_MAX;
        let line = |(colour, course): (usize, &&Course)| {
            let is_behind = are_many && course.name != self.shown.name;
            let (name, colour, look) = match (is_behind, are_many) {
                (true, _) => ("other runs".to_owned(), OTHERS, Look::Faint),
                (false, true) => (course.name.clone(), 0, Look::Plain),
                (false, false) => (course.name.clone(), colour, Look::Plain),
            };
            Line { name, points: points(course), band: Vec::new(), colour, look }
        };
        let mut lines: Vec<Line> = self.all.iter().enumerate().map(line).collect();
        lines.sort_by_key(|line| line.look != Look::Faint);
        lines
    }

    /// Lines of the run in the middle.
    fn of_shown(&self, values: &[(&str, &Value)]) -> Vec<Line> {
        let line = |(colour, (name, value)): (usize, &(&str, &Value))| Line {
            name: (*name).to_owned(),
            points: self.shown.points(self.points_max, *value),
            band: Vec::new(),
            colour,
            look: Look::Plain,
        };
        values.iter().enumerate().map(line).collect()
    }

    /// `: the run in the middle, repeat 2`, if there are several.
    fn of_which(&self) -> String {
        if self.all.len() > 1 { format!(", {}", self.shown.name) } else { String::new() }
    }

    fn throughput(&self) -> Chart {
        let receives = self.shown.is_receiver();
        let value = move |row: &IntervalRow| {
            Some(if receives { row.received_per_s } else { row.acked_per_s })
        };
        let summary = self.shown.document.summary.as_ref();
        let target = summary.and_then(|summary| summary.produced.as_ref()?.target_rate_msg_per_s);
        let what = if receives { "Messages received" } else { "Messages acknowledged" };
        let title = format!("{}{what} per second", self.tool);
        Lines {
            caption: Caption::new(title.clone(), "", title),
            x: Axis::time(),
            y: Axis::linear("throughput", Unit::Rate),
            lines: self.of_all(&value),
            spans: self.shown.spans(),
            levels: target
                .into_iter()
                .map(|value| Level { name: "target".to_owned(), value })
                .collect(),
            until: self.until(),
            linked: Some(self.linked.clone()),
        }
        .into()
    }

    fn latency_of_all(&self) -> Option<Chart> {
        let kind = self.shown.latency().filter(|_| self.all.len() > 1)?;
        let lines = self.of_all(&move |row| Some(row.latencies.get(&kind)?.p99_ns as f64));
        let title = format!("p99 of the {}, every run", kind.title());
        self.chart(&title, "Of the messages of each interval.", latency_axis(kind), lines)
    }

    fn latency(&self) -> Option<Chart> {
        let kind = self.shown.latency()?;
        let of = |figure: fn(&RowLatency) -> u64| {
            move |row: &IntervalRow| Some(figure(row.latencies.get(&kind)?) as f64)
        };
        let (p50, p99, max) = (of(|it| it.p50_ns), of(|it| it.p99_ns), of(|it| it.max_ns));
        let lines = self.of_shown(&[("p50", &p50), ("p99", &p99), ("max", &max)]);
        let title = format!("Percentiles of the {}{}", kind.title(), self.of_which());
        self.chart(&title, "Of the messages of each interval.", latency_axis(kind), lines)
    }

    fn heat_map(&self) -> Option<Chart> {
        let kind = self.shown.latency()?;
        let all = Distributions::of(&self.shown.folder, &self.shown.document);
        let density = all.latency(kind)?.density.clone()?;
        let title = format!("{}Where the {} lay{}", self.tool, kind.title(), self.of_which());
        let note = "The darker, the more messages; point at a cell for its number.";
        Some(
            HeatMap {
                caption: Caption::new(title.clone(), note, title),
                y: latency_axis(kind),
                columns: density.columns_s,
                rows: density.rows_ns,
                cells: density.cells,
                linked: Some(self.linked.clone()),
            }
            .into(),
        )
    }

    /// What was sent and not yet received.
    fn backlog(&self) -> Option<Chart> {
        let has_both = self.shown.is_receiver() && self.shown.is_sender();
        let lines = self.lines(&|course| {
            let mut ahead = 0.0;
            let points: Points = course
                .rows
                .iter()
                .map(|row| {
                    ahead += row.sent as f64 - row.received_per_s * (row.end_s - row.start_s);
                    (row.start_s, Some(f64::max(ahead, 0.0)))
                })
                .collect();
            reduced(&points, self.points_max)
        });
        let lines = if has_both { lines } else { Vec::new() };
        let y = Axis::linear("backlog, messages", Unit::Count);
        self.chart("Messages sent and not yet received", "", y, lines)
    }

    fn schedule_lag(&self) -> Option<Chart> {
        let of = |figure: fn(&RowLatency) -> u64| {
            move |row: &IntervalRow| {
                Some(figure(row.latencies.get(&LatencyKind::ScheduleLag)?) as f64)
            }
        };
        let (p99, max) = (of(|it| it.p99_ns), of(|it| it.max_ns));
        let lines = self.of_shown(&[("p99", &p99), ("max", &max)]);
        let title = format!("Schedule lag{}", self.of_which());
        let note = "How late the generator itself was.";
        self.chart(&title, note, latency_axis(LatencyKind::ScheduleLag), lines)
    }

    fn processor_time(&self) -> Option<Chart> {
        let tool = |row: &IntervalRow| Some(row.machine?.run?.tool);
        let servers = |row: &IntervalRow| Some(servers(row)?.servers);
        let others = |row: &IntervalRow| Some(row.machine?.others);
        let stolen = |row: &IntervalRow| Some(row.machine?.stolen);
        let waiting = |row: &IntervalRow| row.machine?.waiting;
        let lines = self.of_shown(&[
            ("this tool", &tool),
            ("servers of the run", &servers),
            ("other processes", &others),
            ("other machines of the hypervisor", &stolen),
            ("some process waits for a processor", &waiting),
        ]);
        let y = Axis { name: "share of time".to_owned(), unit: Unit::Share, scale: Scale::Linear };
        let title = format!("Processor time{}", self.of_which());
        self.chart(&title, "Shares of the time of all processors.", y, lines)
    }

    fn memory(&self) -> Option<Chart> {
        let tool = |row: &IntervalRow| Some(row.machine?.run?.tool_memory_bytes);
        let servers = |row: &IntervalRow| Some(servers(row)?.servers_memory_bytes);
        let lines = self.of_shown(&[("this tool", &tool), ("servers of the run", &servers)]);
        let title = format!("Memory{}", self.of_which());
        self.chart(&title, "", Axis::linear("memory", Unit::Bytes), lines)
    }
}

/// What the servers of the run used, if it has some.
fn servers(row: &IntervalRow) -> Option<RunUse> {
    row.machine?.run.filter(|run| run.servers_memory_bytes > 0.0)
}

fn latency_axis(kind: LatencyKind) -> Axis {
    Axis::log(kind.title(), Unit::Nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_only_where_they_are_longer_than_usual() {
        let points = |seconds: &[u32]| -> Points {
            (0..40)
                .map(|second| (f64::from(second), seconds.contains(&second).then_some(1.0)))
                .collect()
        };
        // Batches of 5 s, of which two are missing.
        let kept = without_short_gaps(points(&[5, 10, 15, 35]));
        let times: Vec<(f64, bool)> = kept.iter().map(|(x, it)| (*x, it.is_some())).collect();
        let expected = [(5.0, true), (10.0, true), (15.0, true), (25.0, false), (35.0, true)];
        assert_eq!(times, expected);
        assert_eq!(without_short_gaps(points(&[7])), [(7.0, Some(1.0))]);
        assert_eq!(without_short_gaps(points(&[])), []);
    }
}
