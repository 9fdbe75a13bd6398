//! `intervals.csv`: one row per interval of a run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use csv::StringRecord;
use hdrhistogram::Histogram;

use crate::faults::FaultRecord;
use crate::files;
use crate::latency::{LatencyKind, percentile_ns};

/// The columns before those of latencies and durations.
const COUNTS: [&str; 12] = [
    "interval",
    "start_s",
    "end_s",
    "warm_up",
    "sent",
    "acked",
    "failed",
    "acked_bytes",
    "acked_per_s",
    "received",
    "received_bytes",
    "received_per_s",
];

/// What was used of the machine, behind all other figures.
const MACHINE: [&str; 7] = [
    "others_cpu_share",
    "stolen_cpu_share",
    "waiting_for_cpu_share",
    "tool_cpu_share",
    "servers_cpu_share",
    "tool_memory_bytes",
    "servers_memory_bytes",
];

/// The figures of a latency or duration: ends of the names of its columns, and the percentiles.
const FIGURES: [(&str, f64); 3] = [("p50_ns", 50.0), ("p99_ns", 99.0), ("max_ns", 100.0)];

/// The column that names the faults in force.
const FAULT: &str = "fault";

/// The table of a run that is being written.
pub struct IntervalTable {
    writer: csv::Writer<File>,
    columns: SystemColumns,
}

/// Names of the system's own figures, which have columns behind those of the latencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemColumns {
    /// Counts and gauges.
    pub counts: Vec<&'static str>,
    /// Durations.
    pub durations: Vec<&'static str>,
}

/// Counts of one interval, and when it was: seconds from the start of the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct IntervalCounts {
    /// Position, from 0.
    pub index: u64,
    /// Its first instant.
    pub start_s: f64,
    /// Its end.
    pub end_s: f64,
    /// Whether it begins in the warm-up.
    pub warm_up: bool,
    /// Messages handed to the client library.
    pub sent: u64,
    /// Messages confirmed.
    pub acked: u64,
    /// Messages refused or timed out.
    pub failed: u64,
    /// Bytes of the confirmed messages.
    pub acked_bytes: u64,
    /// Messages received.
    pub received: u64,
    /// Bytes of the messages received.
    pub received_bytes: u64,
    /// What was used of the machine, if that was measured.
    pub machine: Option<MachineUse>,
}

/// What was used of the machine: shares of the time of all processors, 0 to 1, and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MachineUse {
    /// Processor time of processes that do not belong to the run. Those that a driver has started for it,
    /// such as servers, belong to it.
    pub others: f64,
    /// Processor time that the hypervisor gave to other machines.
    pub stolen: f64,
    /// Time in which some process waited for a processor, whosever, as a share of the interval; absent
    /// where the kernel does not count it.
    pub waiting: Option<f64>,
    /// What the run itself used; absent from tables of earlier versions.
    pub run: Option<RunUse>,
}

/// What the processes of a run use of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RunUse {
    /// Processor time of the tool.
    pub tool: f64,
    /// Processor time of the servers that were started for the run.
    pub servers: f64,
    /// Memory of the tool at the end of the interval, bytes.
    pub tool_memory_bytes: f64,
    /// That of the servers, bytes; what several of them share counts for each.
    pub servers_memory_bytes: f64,
}

impl MachineUse {
    /// Its cells, in the order of [`MACHINE`].
    fn cells(machine: Option<Self>) -> [String; 7] {
        let Some(Self { others, stolen, waiting, run }) = machine else {
            return Default::default();
        };
        let share =
            |share: Option<f64>| share.map_or_else(String::new, |share| format!("{share:.3}"));
        let bytes =
            |bytes: Option<f64>| bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}"));
        [
            share(Some(others)),
            share(Some(stolen)),
            share(waiting),
            share(run.map(|run| run.tool)),
            share(run.map(|run| run.servers)),
            bytes(run.map(|run| run.tool_memory_bytes)),
            bytes(run.map(|run| run.servers_memory_bytes)),
        ]
    }

    /// From the cells in the order of [`MACHINE`].
    fn of(cells: [Option<f64>; 7]) -> Option<Self> {
        let [others, stolen, waiting, tool, servers, tool_memory, servers_memory] = cells;
        let run = || {
            Some(RunUse {
                tool: tool?,
                servers: servers?,
                tool_memory_bytes: tool_memory?,
                servers_memory_bytes: servers_memory?,
            })
        };
        Some(Self { others: others?, stolen: stolen?, waiting, run: run() })
    }
}

impl IntervalTable {
    /// Creates the table with its header, in place of one that an earlier attempt has left.
    pub fn create(path: &Path, columns: SystemColumns) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(files::create_new(path)?);
        writer.write_record(header(&columns))?;
        writer.flush()?;
        Ok(Self { writer, columns })
    }

    /// Adds a row. `latency` and `duration` return the samples of the interval, if there are any,
    /// and `count` the system's own counts.
    pub fn write<'a>(
        &mut self,
        counts: &IntervalCounts,
        latency: impl Fn(LatencyKind) -> Option<&'a Histogram<u64>>,
        count: impl Fn(&str) -> u64,
        duration: impl Fn(&str) -> Option<&'a Histogram<u64>>,
    ) -> io::Result<()> {
        let mut row = counts.cells();
        for kind in LatencyKind::ALL {
            row.extend(figures(latency(kind)));
        }
        row.extend(self.columns.counts.iter().map(|name| count(name).to_string()));
        for name in &self.columns.durations {
            let samples = duration(name);
            row.push(samples.map_or(0, Histogram::len).to_string());
            row.extend(figures(samples));
        }
        row.extend(MachineUse::cells(counts.machine));
        self.writer.write_record(row)?;
        self.writer.flush()
    }
}

fn header(system: &SystemColumns) -> Vec<String> {
    let figures = |prefix: &str| FIGURES.map(|(figure, _)| format!("{prefix}_{figure}"));
    let mut columns = COUNTS.map(str::to_owned).to_vec();
    columns.extend(LatencyKind::ALL.iter().flat_map(|kind| figures(kind.column())));
    columns.extend(system.counts.iter().map(|&name| name.to_owned()));
    for name in &system.durations {
        columns.push(format!("{name}_count"));
        columns.extend(figures(name));
    }
    columns.extend(MACHINE.map(str::to_owned));
    columns
}

impl IntervalCounts {
    /// Its cells, in the order of [`COUNTS`].
    fn cells(&self) -> Vec<String> {
        let time = |time_s: f64| format!("{time_s:.3}");
        let per_s = |messages: u64| format!("{:.1}", messages as f64 / (self.end_s - self.start_s));
        vec![
            self.index.to_string(),
            time(self.start_s),
            time(self.end_s),
            self.warm_up.to_string(),
            self.sent.to_string(),
            self.acked.to_string(),
            self.failed.to_string(),
            self.acked_bytes.to_string(),
            per_s(self.acked),
            self.received.to_string(),
            self.received_bytes.to_string(),
            per_s(self.received),
        ]
    }
}

/// The cells of a latency or duration; empty without a sample.
fn figures(samples: Option<&Histogram<u64>>) -> [String; 3] {
    let samples = samples.filter(|samples| !samples.is_empty());
    FIGURES.map(|(_, percentile)| {
        samples.map_or_else(String::new, |samples| percentile_ns(samples, percentile).to_string())
    })
}

/// A row as it is read: its time, its rates and its latencies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IntervalRow {
    /// Its first instant, seconds from the start of the schedule.
    pub start_s: f64,
    /// Its end, seconds from the start of the schedule.
    pub end_s: f64,
    /// Whether it began in the warm-up.
    pub warm_up: bool,
    /// Messages sent.
    pub sent: u64,
    /// Messages refused or given up.
    pub failed: u64,
    /// Messages acknowledged per second.
    pub acked_per_s: f64,
    /// Messages received per second.
    pub received_per_s: f64,
    /// The latencies that have samples.
    pub latencies: BTreeMap<LatencyKind, RowLatency>,
    /// What was used of the machine, if that was measured.
    pub machine: Option<MachineUse>,
}

/// One latency in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLatency {
    /// Median, nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile, nanoseconds.
    pub p99_ns: u64,
    /// Largest sample, nanoseconds.
    pub max_ns: u64,
}

/// Reads the rows of a table, under the column names of version 1 as well. A row cut short by a crash
/// ends them.
pub fn read(table: &[u8]) -> io::Result<Vec<IntervalRow>> {
    let mut reader = csv::Reader::from_reader(table);
    let columns = Columns::find(reader.headers()?);
    Ok(reader.records().map_while(|row| columns.read(&row.ok()?)).collect())
}

/// Where the columns of a table are, each found once.
struct Columns {
    start_s: Option<usize>,
    end_s: Option<usize>,
    warm_up: Option<usize>,
    sent: Option<usize>,
    failed: Option<usize>,
    acked_per_s: Option<usize>,
    received_per_s: Option<usize>,
    /// Those of each latency in the order of [`FIGURES`].
    latencies: Vec<(LatencyKind, [usize; 3])>,
    machine: [Option<usize>; 7],
}

impl Columns {
    fn find(header: &StringRecord) -> Self {
        let at = |name: &str| column(header, name);
        let latency = |kind: LatencyKind| {
            let of = |prefix: &str| {
                let [p50, p99, max] = FIGURES.map(|(figure, _)| at(&format!("{prefix}_{figure}")));
                Some([p50?, p99?, max?])
            };
            Some((kind, of(kind.column()).or_else(|| of(column_in_version_1(kind)?))?))
        };
        Self {
            start_s: at("start_s"),
            end_s: at("end_s"),
            warm_up: at("warm_up"),
            sent: at("sent"),
            failed: at("failed"),
            acked_per_s: at("acked_per_s"),
            received_per_s: at("received_per_s"),
            latencies: LatencyKind::ALL.into_iter().filter_map(latency).collect(),
            machine: MACHINE.map(at),
        }
    }

    fn read(&self, row: &StringRecord) -> Option<IntervalRow> {
        let number = |column: Option<usize>| row.get(column?)?.parse::<f64>().ok();
        let latency = |(kind, columns): &(LatencyKind, [usize; 3])| {
            let [p50_ns, p99_ns, max_ns] = columns.map(|column| row.get(column)?.parse().ok());
            Some((*kind, RowLatency { p50_ns: p50_ns?, p99_ns: p99_ns?, max_ns: max_ns? }))
        };
        Some(IntervalRow {
            start_s: number(self.start_s)?,
            end_s: number(self.end_s)?,
            warm_up: row.get(self.warm_up?)? == "true",
            sent: row.get(self.sent?)?.parse().ok()?,
            failed: self.failed.and_then(|column| row.get(column)?.parse().ok()).unwrap_or(0),
            acked_per_s: number(self.acked_per_s)?,
            received_per_s: number(self.received_per_s)?,
            latencies: self.latencies.iter().filter_map(latency).collect(),
            machine: MachineUse::of(self.machine.map(number)),
        })
    }
}

fn column(header: &StringRecord, name: &str) -> Option<usize> {
    header.iter().position(|column| column == name)
}

/// First part of the names of columns in folders of schema version 1, where it was another one.
fn column_in_version_1(kind: LatencyKind) -> Option<&'static str> {
    match kind {
        LatencyKind::ServiceTime => Some("service"),
        LatencyKind::ScheduleLag => Some("lag"),
        LatencyKind::TableTime => Some("table"),
        _ => None,
    }
}

/// The table with the faults that were in force in each interval in its last column. An existing
/// column of faults is replaced.
pub(crate) fn with_faults(table: &[u8], faults: &[FaultRecord]) -> io::Result<Vec<u8>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table);
    let mut header = reader.headers()?.clone();
    let columns = column(&header, FAULT).unwrap_or(header.len());
    header.truncate(columns);
    header.push_field(FAULT);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in reader.records() {
        let mut row = row?;
        row.truncate(columns);
        let time_s = |name: &str| row.get(column(&header, name)?)?.parse::<f64>().ok();
        let active = match (time_s("start_s"), time_s("end_s")) {
            (Some(start_s), Some(end_s)) => faults
                .iter()
                .filter(|fault| fault.is_active(start_s, end_s))
                .map(FaultRecord::name)
                .collect::<Vec<_>>()
                .join("; "),
            _ => String::new(),
        };
        while row.len() < columns {
            row.push_field("");
        }
        row.push_field(&active);
        writer.write_record(&row)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with one row.
    const TABLE: &str = "start_s,end_s,warm_up,sent,acked_per_s,received_per_s,";

    #[test]
    fn column_names_of_version_1_are_read() {
        for (columns, latency) in [
            ("service_time", LatencyKind::ServiceTime),
            ("service", LatencyKind::ServiceTime),
            ("lag", LatencyKind::ScheduleLag),
            ("end_to_end", LatencyKind::EndToEnd),
        ] {
            let columns = format!("{columns}_p50_ns,{columns}_p99_ns,{columns}_max_ns");
            let table = format!("{TABLE}{columns}\n0.000,1.000,false,3,3.0,0.0,5,7,9\n");
            let rows = read(table.as_bytes()).expect("a table");
            let latency_of_row = RowLatency { p50_ns: 5, p99_ns: 7, max_ns: 9 };
            let expected = BTreeMap::from([(latency, latency_of_row)]);
            assert_eq!(rows[0].latencies, expected, "{columns}");
        }
    }

    #[test]
    fn what_was_used_of_the_machine_is_read_as_it_was_written() {
        let run = RunUse {
            tool: 0.125,
            servers: 0.5,
            tool_memory_bytes: 80_000_000.0,
            servers_memory_bytes: 400_000_000.0,
        };
        let machine = MachineUse { others: 0.25, stolen: 0.0, waiting: Some(0.5), run: Some(run) };
        for (machine, columns) in [(machine, 7), (MachineUse { run: None, ..machine }, 3)] {
            let names = MACHINE[..columns].join(",");
            let cells = MachineUse::cells(Some(machine))[..columns].join(",");
            let table = format!("{TABLE}{names}\n0.0,1.0,false,3,3.0,0.0,{cells}\n");
            assert_eq!(read(table.as_bytes()).expect("a table")[0].machine, Some(machine));
        }
        assert_eq!(MachineUse::cells(None).concat(), "");
    }

    #[test]
    fn a_row_cut_short_ends_the_table() {
        let table = format!("{TABLE}publish_p99_ns\n0.0,1.0,false,3,3.0,0.0,\n1.0,2.0,fal");
        assert_eq!(read(table.as_bytes()).expect("a table").len(), 1);
    }
}
