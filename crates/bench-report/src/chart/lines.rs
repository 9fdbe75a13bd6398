//! Values over time, over percentiles, or over what was swept.

use serde_json::{Value, json};

use super::axis::Extent;
use super::{Axis, BELOW_PX, Caption, Chart, Entry, Scale, base, number};

/// The height of the drawing.
const HEIGHT_PX: u32 = 300;

/// Room for the bar below that zooms.
pub(super) const ZOOM_BAR_PX: u32 = 26;

/// A chart of lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// What it shows.
    pub caption: Caption,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Times in which something else was the case.
    pub spans: Vec<Span>,
    /// Values to compare with.
    pub levels: Vec<Level>,
    /// Where the horizontal axis ends at least, so that charts of one run all end where it does.
    pub until: Option<f64>,
    /// Charts of one name zoom together; without one a chart does not zoom.
    pub linked: Option<String>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in the legend. Lines of one name are switched together.
    pub name: String,
    /// Its points in the order of x; without a value there is a gap.
    pub points: Vec<(f64, Option<f64>)>,
    /// The least and the largest value around it at an x.
    pub band: Vec<(f64, f64, f64)>,
    /// Which colour and dash of the theme.
    pub colour: usize,
    /// How it stands out.
    pub look: Look,
}

/// How a line stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As a line.
    Plain,
    /// As a line with its points.
    Marked,
    /// Behind others.
    Faint,
}

/// A time in which something else was the case, such as a warm-up or a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What was the case.
    pub name: String,
    /// Its begin on the horizontal axis.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Which colour of the theme.
    pub colour: usize,
}

/// A value to compare with, such as a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// What it is.
    pub name: String,
    /// On the vertical axis.
    pub value: f64,
}

impl From<Lines> for Chart {
    fn from(lines: Lines) -> Self {
        let mut series: Vec<Value> = Vec::new();
        for line in &lines.lines {
            if !line.band.is_empty() {
                series.push(line.band_series());
            }
            series.push(line.series(&lines.y));
        }
        series.push(lines.marks());
        let mut option = base();
        let (x, y) = lines.extents();
        option["xAxis"] = lines.x.below(x);
        option["yAxis"] = lines.y.beside(y);
        option["series"] = json!(series);
        option["tooltip"] = json!({
            // HTML would break the page's policy.
            "renderMode": "richText",
            "trigger": "axis",
            "confine": true,
            "formatter": {
                "$fn": "tooltip", "x": lines.x.formatter_name(), "y": lines.y.formatter_name(),
            },
        });
        if lines.linked.is_some() {
            option["dataZoom"] = zoom(&lines.x);
            option["grid"]["bottom"] = json!(BELOW_PX + ZOOM_BAR_PX);
        }
        let zoom_bar_px = if lines.linked.is_some() { ZOOM_BAR_PX } else { 0 };
        Self {
            legend: legend(&lines.lines),
            shaded: lines.spans.iter().map(|span| span.entry(&lines.x)).collect(),
            title: lines.caption.title,
            note: lines.caption.note,
            description: lines.caption.description,
            linked: lines.linked,
            height_px: HEIGHT_PX + zoom_bar_px,
            option,
            table: None,
        }
    }
}

/// Zoom by the bar, by dragging, and by the wheel with the control key, so that a page still scrolls.
pub(super) fn zoom(x: &Axis) -> Value {
    json!([
        {"type": "inside", "filterMode": "none", "zoomOnMouseWheel": "ctrl"},
        {
            "type": "slider", "filterMode": "none", "height": 16, "bottom": 6, "brushSelect": false,
            "showDataShadow": false, "labelFormatter": x.formatter(),
        },
    ])
}

/// An entry for each name, in the order of the lines; none if there is one line alone.
fn legend(lines: &[Line]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in lines {
        if !entries.iter().any(|entry| entry.name == line.name) {
            entries.push(Entry { name: line.name.clone(), colour: line.colour });
        }
    }
    if entries.len() > 1 { entries } else { Vec::new() }
}

impl Span {
    fn entry(&self, x: &Axis) -> Entry {
        let ends = [self.from, self.to].map(|end| x.unit.shown(end));
        let name = format!("{}: {} to {}", self.name, ends[0], ends[1]);
        Entry { name, colour: self.colour }
    }
}

impl Line {
    fn series(&self, y: &Axis) -> Value {
        let is_log = y.scale == Scale::Log;
        let shown = |value: Option<f64>| value.filter(|value| !is_log || *value > 0.0);
        let points: Vec<Value> = self
            .points
            .iter()
            .map(|(x, y)| json!([number(*x), shown(*y).map_or(Value::Null, number)]))
            .collect();
        let is_marked = self.look == Look::Marked;
        let is_faint = self.look == Look::Faint;
        json!({
            "type": "line",
            "name": self.name,
            "data": points,
            "showSymbol": is_marked,
            "symbol": {"$symbol": self.colour},
            "symbolSize": 7,
            "color": {"$colour": self.colour},
            "lineStyle": {
                "width": if is_faint { 1.0 } else { 2.0 },
                "opacity": if is_faint { 0.55 } else { 1.0 },
                "type": {"$dash": self.colour},
            },
            "emphasis": {"disabled": true},
        })
    }

    /// The band as a drawing of its own: stacked lines, the library's way, are wrong on a log axis.
    fn band_series(&self) -> Value {
        let points: Vec<Value> = self
            .band
            .iter()
            .map(|(x, low, high)| json!([number(*x), number(*low), number(*high)]))
            .collect();
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            let (least, most) =
                values.fold((f64::INFINITY, 0.0_f64), |ends, it| (ends.0.min(it), ends.1.max(it)));
            (number(least), number(most))
        };
        let (left, right) = ends(&mut self.band.iter().map(|(x, _, _)| *x));
        let (low, high) = ends(&mut self.band.iter().flat_map(|(_, low, high)| [*low, *high]));
        json!({
            "type": "custom",
            "name": self.name,
            "silent": true,
            "clip": true,
            "color": {"$colour": self.colour},
            // One item, as wide and high as the band, so that the axes leave room for it.
            "data": [[left, right, low, high]],
            "encode": {"x": [0, 1], "y": [2, 3]},
            "renderItem": {"$fn": "band", "points": points},
            "tooltip": {"show": false},
        })
    }
}

impl Lines {
    /// The extents of all lines and bands on both axes.
    fn extents(&self) -> (Option<Extent>, Option<Extent>) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let bands = || self.lines.iter().flat_map(|line| &line.band);
        let levels = self.levels.iter().map(|level| level.value);
        let x = points().map(|(x, _)| *x).chain(bands().map(|(x, _, _)| *x)).chain(self.until);
        let y = points()
            .filter_map(|(_, y)| *y)
            .chain(bands().flat_map(|(_, low, high)| [*low, *high]));
        (Extent::of(x), Extent::of(y.chain(levels)))
    }

    /// Spans and levels, on a line of their own, so that no legend switches them off.
    fn marks(&self) -> Value {
        let spans: Vec<Value> = self
            .spans
            .iter()
            .map(|span| {
                let style = json!({"color": {"$colour": span.colour}, "opacity": 0.14});
                let begin = json!({"xAxis": number(span.from), "itemStyle": style});
                json!([begin, {"xAxis": number(span.to)}])
            })
            .collect();
        let levels: Vec<Value> = self
            .levels
            .iter()
            .map(|level| json!({"name": level.name, "yAxis": number(level.value)}))
            .collect();
        json!({
            "type": "line",
            "name": "",
            "data": [],
            "silent": true,
            "markArea": {
                "silent": true,
                "data": spans,
                // Names of short ones would cover each other: they stand below the chart.
                "label": {"show": false},
            },
            "markLine": {
                "silent": true,
                "symbol": "none",
                "data": levels,
                "lineStyle": {"type": "dotted", "color": {"$colour": "text"}},
                "label": {"position": "insideEndTop", "formatter": "{b}", "color": {"$colour": "text"}},
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Unit;

    fn line(name: &str, points: &[(f64, Option<f64>)]) -> Line {
        Line {
            name: name.to_owned(),
            points: points.to_vec(),
            band: vec![(1.0, 2.0, 3.0)],
            colour: 1,
            look: Look::Plain,
        }
    }

    fn chart(lines: Vec<Line>, y: Axis) -> Chart {
        Lines {
            caption: Caption::new("t", "", "d"),
            x: Axis::time(),
            y,
            lines,
            spans: vec![Span { name: "warm-up".to_owned(), from: 0.0, to: 5.0, colour: 0 }],
            levels: vec![Level { name: "target".to_owned(), value: 10.0 }],
            until: Some(30.0),
            linked: Some("run".to_owned()),
        }
        .into()
    }

    #[test]
    fn lines_have_bands_gaps_and_marks() {
        let latency = Axis::log("latency", Unit::Nanoseconds);
        let points = [(0.0, Some(0.0)), (1.0, None), (2.0, Some(5.0))];
        let chart = chart(vec![line("a", &points), line("b", &points)], latency);
        let series = chart.option["series"].as_array().expect("series");
        let names: Vec<&str> = series.iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["a", "a", "b", "b", ""]);
        assert_eq!(series[0]["renderItem"]["points"], json!([[1, 2, 3]]));
        // A logarithmic axis has no 0.
        assert_eq!(series[1]["data"], json!([[0, null], [1, null], [2, 5]]));
        assert_eq!(chart.option["xAxis"]["max"], 30, "where the run ends");
        assert_eq!(series[4]["markArea"]["data"][0][1]["xAxis"], 5);
        assert_eq!(series[4]["markLine"]["data"][0]["yAxis"], 10);
        assert_eq!(chart.legend.len(), 2);
    }

    #[test]
    fn a_line_alone_has_no_legend() {
        let rate = Axis::linear("rate", Unit::Rate);
        let chart = chart(vec![line("a", &[]), line("a", &[])], rate);
        assert_eq!(chart.legend, []);
    }
}
