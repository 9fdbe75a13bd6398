//! The machine of a run, and whether the runs of a cell had the same one.

use std::collections::BTreeMap;

use bench_record::{HostInfo, RunDocument};

use super::health::{Flag, FlagKind};

/// What is known about a machine, by name.
pub(super) fn facts(host: &HostInfo) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from(
        [
            ("name", host.name.clone()),
            ("system", host.os.clone()),
            ("processor", host.cpu.clone()),
            ("processors", host.cpus.to_string()),
            ("memory", format!("{} bytes", host.memory_bytes)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let settings = host.settings.iter();
    facts.extend(settings.map(|(name, value)| (name.replace('_', " "), value.clone())));
    facts.retain(|_, value| !value.is_empty());
    facts
}

/// The machine of the first run of each cell.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    of_cells: BTreeMap<usize, (u32, BTreeMap<String, String>)>,
}

impl Machines {
    /// The flag of a run whose machine differs from that of the first one of its cell.
    pub(crate) fn flag(
        &mut self,
        cell: usize,
        repeat: u32,
        document: &RunDocument,
    ) -> Option<Flag> {
        let facts = facts(&document.host);
        let (first, known) = self.of_cells.entry(cell).or_insert_with(|| (repeat, facts.clone()));
        let names = known.keys().chain(facts.keys().filter(|name| !known.contains_key(*name)));
        let shown = |value: Option<&String>| value.map_or("unknown", String::as_str).to_owned();
        let differing: Vec<String> = names
            .filter(|name| known.get(*name) != facts.get(*name))
            .map(|name| {
                let (was, is) = (shown(known.get(name)), shown(facts.get(name)));
                format!("{name} {is} instead of {was}")
            })
            .collect();
        let note =
            format!("its machine differs from that of repeat {first}: {}", differing.join(", "));
        (!differing.is_empty()).then_some(Flag { kind: FlagKind::Machine, note })
    }
}
