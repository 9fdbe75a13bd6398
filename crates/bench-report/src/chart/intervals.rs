//! Values side by side, each with its interval and the runs that it comes from.

use serde_json::{Value, json};

use super::axis::Extent;
use super::{Axis, Caption, Chart, base, number};
use crate::page::Table;

/// Room for a row, and for everything around the rows.
const ROW_PX: u32 = 30;
const AROUND_PX: u32 = 90;

/// A chart of intervals, one below the other: figures of cells, or differences (a forest plot).
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// What it shows.
    pub caption: Caption,
    /// The axis of the values.
    pub x: Axis,
    /// What is side by side.
    pub rows: Vec<Interval>,
    /// A value that the others are compared with, and the margin around it in which they are equal.
    pub reference: Option<(f64, f64, f64)>,
    /// The same in numbers.
    pub table: Table,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Its name.
    pub label: String,
    /// The value in the middle.
    pub value: Option<f64>,
    /// The interval around it; without an upper end it is open.
    pub interval: Option<(f64, Option<f64>)>,
    /// The single values.
    pub runs: Vec<f64>,
    /// Which colour of the theme.
    pub colour: usize,
}

impl From<Intervals> for Chart {
    fn from(chart: Intervals) -> Self {
        let labels: Vec<&str> = chart.rows.iter().map(|row| row.label.as_str()).collect();
        let mut option = base();
        let values = chart.rows.iter().flat_map(|row| {
            let interval = row.interval.into_iter().flat_map(|(low, high)| [Some(low), high]);
            interval.flatten().chain(row.value).chain(row.runs.iter().copied())
        });
        option["xAxis"] = chart.x.below(Extent::of(values));
        option["yAxis"] = json!({
            "type": "category",
            "inverse": true,
            "data": labels,
            "axisLabel": {"$labels": true, "interval": 0},
            "axisTick": {"show": false},
        });
        option["tooltip"] = json!({
            "renderMode": "richText",
            "trigger": "item",
            "confine": true,
            "formatter": {"$fn": "itemTooltip", "x": chart.x.formatter_name()},
        });
        option["series"] = json!([
            series(&chart.rows, "interval", |row, index| {
                row.interval.iter().map(|(low, high)| whisker(index, row, *low, *high)).collect()
            }),
            series(&chart.rows, "runs", |row, index| {
                row.runs.iter().map(|value| point(index, row, *value)).collect()
            }),
            series(&chart.rows, "middle", |row, index| {
                row.value.iter().map(|value| point(index, row, *value)).collect()
            }),
            chart.reference_series(),
        ]);
        let rows = u32::try_from(chart.rows.len()).unwrap_or(u32::MAX);
        Self {
            title: chart.caption.title,
            note: chart.caption.note,
            description: chart.caption.description,
            linked: None,
            height_px: rows.saturating_mul(ROW_PX).saturating_add(AROUND_PX),
            option,
            legend: Vec::new(),
            shaded: Vec::new(),
            table: Some(chart.table),
        }
    }
}

/// The items of one kind in all rows.
fn series(rows: &[Interval], kind: &str, items: impl Fn(&Interval, usize) -> Vec<Value>) -> Value {
    let data: Vec<Value> =
        rows.iter().enumerate().flat_map(|(index, row)| items(row, index)).collect();
    let mut series = json!({"name": kind, "data": data, "emphasis": {"disabled": true}});
    match kind {
        "interval" => {
            series["type"] = json!("custom");
            series["renderItem"] = json!({"$fn": "whisker"});
            series["encode"] = json!({"x": [0, 1], "y": 2});
        }
        "runs" => {
            series["type"] = json!("scatter");
            series["symbolSize"] = json!(7);
            series["itemStyle"] = json!({"opacity": 0.55});
        }
        _ => {
            series["type"] = json!("scatter");
            series["symbol"] = json!("diamond");
            series["symbolSize"] = json!(13);
        }
    }
    series
}

fn point(index: usize, row: &Interval, value: f64) -> Value {
    json!({
        "value": [number(value), index],
        "name": row.label,
        "itemStyle": {"color": {"$colour": row.colour}},
    })
}

/// An open interval ends beyond every axis.
fn whisker(index: usize, row: &Interval, low: f64, high: Option<f64>) -> Value {
    json!({
        "value": [number(low), high.map_or(Value::Null, number), index],
        "name": row.label,
        "itemStyle": {"color": {"$colour": row.colour}},
    })
}

impl Intervals {
    fn reference_series(&self) -> Value {
        let mut series =
            json!({"type": "scatter", "name": "reference", "data": [], "silent": true});
        if let Some((value, low, high)) = self.reference {
            series["markLine"] = json!({
                "silent": true, "symbol": "none", "label": {"show": false},
                "lineStyle": {"type": "solid", "color": {"$colour": "text"}},
                "data": [{"xAxis": number(value)}],
            });
            let style = json!({"color": {"$colour": "text"}, "opacity": 0.12});
            series["markArea"] = json!({
                "silent": true, "label": {"show": false}, "itemStyle": style,
                "data": [[{"xAxis": number(low)}, {"xAxis": number(high)}]],
            });
        }
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Unit;

    #[test]
    fn rows_have_runs_a_middle_and_an_interval() {
        let row = |label: &str, high| Interval {
            label: label.to_owned(),
            value: Some(2.0),
            interval: Some((1.0, high)),
            runs: vec![1.5, 2.0, 2.5],
            colour: 0,
        };
        let chart: Chart = Intervals {
            caption: Caption::new("t", "", "d"),
            x: Axis::log("p99", Unit::Nanoseconds),
            rows: vec![row("a", Some(3.0)), row("b", None)],
            reference: Some((1.0, 0.95, 1.05)),
            table: Table::new("t", &["cell"]),
        }
        .into();
        let series = chart.option["series"].as_array().expect("series");
        let lengths: Vec<usize> =
            series.iter().map(|one| one["data"].as_array().expect("data").len()).collect();
        assert_eq!(lengths, [2, 6, 2, 0]);
        assert_eq!(series[0]["data"][1]["value"], json!([1, null, 1]));
        assert_eq!(series[3]["markArea"]["data"][0][0]["xAxis"], 0.95);
        assert_eq!(chart.height_px, 2 * ROW_PX + AROUND_PX);
    }
}
