//! Systems side by side: only cells of the same rate, size and guarantee, each with where its services
//! came from.

use std::collections::BTreeMap;

use bench_cli::quantity::{bytes, rate};
use bench_record::{Guarantee, RunDocument, ServiceOrigin};
use bench_report::chart::{Axis, Caption, Intervals, Scale, Unit};
use bench_report::{Block, Cell, Section, Table};

use super::answers::value;
use super::figures;
use super::told::Told;
use crate::file::figure::Percentile;
use crate::run::comparison::estimate::Estimate;
use crate::run::comparison::side::{Side, SideRun};

/// What must be the same for figures to be put side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Conditions {
    /// Messages per second, rounded: 0 without a target.
    rate: u64,
    /// Bytes of a message, rounded.
    size_bytes: u64,
    guarantee: Guarantee,
}

/// A cell of one of the experiments.
type Placed<'a> = (&'a Told<'a>, &'a Side);

/// The groups of cells that can be compared; none if no two experiments have one in common.
pub(super) fn section(all: &[Told<'_>]) -> Option<Section> {
    let mut groups: BTreeMap<Conditions, Vec<Placed<'_>>> = BTreeMap::new();
    for told in all {
        for cell in &told.cells {
            if let Some(conditions) = Conditions::of(cell) {
                groups.entry(conditions).or_default().push((told, cell));
            }
        }
    }
    groups.retain(|_, cells| {
        cells.iter().any(|(told, _)| !std::ptr::eq(*told, cells[0].0)) && cells.len() > 1
    });
    let blocks: Vec<Block> = groups
        .iter()
        .map(|(conditions, cells)| Block::Chart(Box::new(chart(conditions, cells).into())))
        .collect();
    (!blocks.is_empty()).then(|| Section { title: "Side by side".to_owned(), blocks })
}

impl Conditions {
    /// Those of a cell: of a run without a target rate, nothing is known that another could have too.
    fn of(cell: &Side) -> Option<Self> {
        let documents = || cell.runs.iter().flat_map(SideRun::documents);
        let produced = documents()
            .find_map(|document: &RunDocument| document.summary.as_ref()?.produced.as_ref())?;
        let audit = documents().find_map(|document| document.summary.as_ref()?.audit.as_ref())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
        let rate = produced.target_rate_msg_per_s?.round() as u64;
        let size_bytes = produced.acked_bytes.checked_div(produced.acked)?;
        Some(Self { rate, size_bytes, guarantee: audit.guarantee })
    }

    fn title(&self) -> String {
        let guarantee = match self.guarantee {
            Guarantee::AtLeastOnce => "at least once",
            Guarantee::Committed => "committed",
            Guarantee::ExactlyOnce => "exactly once",
        };
        format!("{}, {} a message, {guarantee}", rate(self.rate as f64), bytes(self.size_bytes))
    }
}

fn chart(conditions: &Conditions, cells: &[Placed<'_>]) -> Intervals {
    let mut table = Table::new(conditions.title(), &["cell", "services", "latency", "p50", "p99"]);
    let mut rows = Vec::new();
    for (index, (told, cell)) in cells.iter().enumerate() {
        let name = if told.cells.len() > 1 {
            format!("{} {}", told.summary.name, cell.label())
        } else {
            told.summary.name.clone()
        };
        let latency = told.main_latency().map_or("", |(_, kind)| kind.title());
        let mut row = vec![Cell::words(&name), Cell::words(origins(cell)), Cell::words(latency)];
        for percentile in [Percentile::P50, Percentile::P99] {
            let Some(figure) = told.main_figure(percentile) else { continue };
            let estimate = Estimate::of(cell, &figure);
            row.push(Cell::number(value(&estimate, &figure)));
            let title = figure.title(None);
            rows.push(figures::row(
                format!("{name}, {title} ({})", origins(cell)),
                cell,
                &figure,
                index,
            ));
        }
        table.rows.push(row);
    }
    let title = format!("Latency at {}", conditions.title());
    Intervals {
        caption: Caption::new(
            title.clone(),
            "Stand-ins (embedded) show the client's ceiling, not a system. A dot is a run, the diamond \
             the run in the middle, the bar its 95 % interval.",
            title,
        ),
        x: Axis { name: "latency".to_owned(), unit: Unit::Nanoseconds, scale: Scale::Log },
        rows,
        reference: None,
        table,
    }
}

/// Where the services of a cell came from.
fn origins(cell: &Side) -> String {
    let used = ServiceOrigin::ALL.into_iter().filter(|origin| cell.uses(*origin));
    used.map(|origin| origin.to_string()).collect::<Vec<_>>().join(", ")
}
