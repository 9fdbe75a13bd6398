//! How many samples had which value at which time.

use serde_json::{Value, json};

use super::axis::Extent;
use super::lines::{ZOOM_BAR_PX, zoom};
use super::{Axis, BELOW_PX, Caption, Chart, base, number};

/// The height of the drawing.
const HEIGHT_PX: u32 = 340;

/// A heat map over time. It is drawn as one shape per colour: the library's own heat map takes seconds,
/// and is blank in print.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// What it shows.
    pub caption: Caption,
    /// The vertical axis, logarithmic.
    pub y: Axis,
    /// Where the columns begin, and where the last one ends.
    pub columns: Vec<f64>,
    /// Where the rows begin, and where the last one ends.
    pub rows: Vec<f64>,
    /// The cells that have samples: column, row, samples.
    pub cells: Vec<(u32, u32, u64)>,
    /// Charts of one name zoom together.
    pub linked: Option<String>,
}

impl From<HeatMap> for Chart {
    fn from(map: HeatMap) -> Self {
        let x = Axis::time();
        let ends = |edges: &[f64]| {
            let end = |edge: Option<&f64>| number(edge.copied().unwrap_or_default());
            (end(edges.first()), end(edges.last()))
        };
        let ((left, right), (low, high)) = (ends(&map.columns), ends(&map.rows));
        let numbers = |values: &[f64]| values.iter().copied().map(number).collect::<Vec<Value>>();
        let mut option = base();
        option["xAxis"] = x.below(None);
        option["xAxis"]["max"] = right.clone();
        option["yAxis"] = map.y.beside(Extent::of(map.rows.iter().copied()));
        option["grid"]["bottom"] = json!(BELOW_PX + ZOOM_BAR_PX);
        option["dataZoom"] = zoom(&x);
        option["tooltip"] = json!({"show": false});
        option["series"] = json!([{
            "type": "custom",
            "name": map.caption.title,
            "clip": true,
            "silent": true,
            "encode": {"x": [0, 2], "y": [1, 3]},
            "data": [[left, low, right, high]],
            "renderItem": {
                "$fn": "heat",
                "columns": numbers(&map.columns),
                "rows": numbers(&map.rows),
                "cells": map.cells,
                "unit": map.y.formatter_name(),
            },
        }]);
        Self {
            title: map.caption.title,
            note: map.caption.note,
            description: map.caption.description,
            linked: map.linked,
            height_px: HEIGHT_PX,
            option,
            legend: Vec::new(),
            shaded: Vec::new(),
            table: None,
        }
    }
}
