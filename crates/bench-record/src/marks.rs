//! Enters faults into the result folder of a run that is over.

use std::io::{self, Write as _};
use std::path::Path;

use crate::document::RunDocument;
use crate::faults::FaultRecord;
use crate::recovery::assess_faults;
use crate::{file_names, files, intervals};

/// Enters the faults of a run into the folder of the run, once it is over: a column `fault` in
/// `intervals.csv`, and in `run.json` each fault with its recovery, and `warnings` beside the run's
/// own. Times of the faults are seconds from the start of the schedule. Faults of other names that are
/// in the folder stay: those that the tool itself has injected.
pub fn mark_faults(
    run_dir: &Path,
    faults: Vec<FaultRecord>,
    warnings: Vec<String>,
) -> io::Result<()> {
    let document_path = run_dir.join(file_names::DOCUMENT);
    let mut document: RunDocument = serde_json::from_slice(&files::read_file(&document_path)?)?;
    document.faults.retain(|old| faults.iter().all(|new| new.name() != old.name()));
    document.faults.extend(faults);
    let path = run_dir.join(file_names::INTERVALS);
    let table = files::read_file(&path)?;
    assess_faults(&intervals::read(&table)?, &mut document.faults);
    let marked = intervals::with_faults(&table, &document.faults)?;
    files::replace_file(&path, |file| file.write_all(&marked))?;
    for warning in warnings {
        if !document.warnings.contains(&warning) {
            document.warnings.push(warning);
        }
    }
    let text = serde_json::to_vec_pretty(&document)?;
    files::replace_file(&document_path, |file| file.write_all(&text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::Histogram;

    use super::*;
    use crate::document::{HostInfo, SCHEMA_VERSION, Status, ToolInfo};
    use crate::faults::FaultAction;
    use crate::intervals::{IntervalCounts, IntervalTable, SystemColumns};
    use crate::latency::LatencyKind;

    fn document() -> RunDocument {
        RunDocument {
            schema_version: SCHEMA_VERSION,
            tool: ToolInfo { name: "tool".to_owned(), version: "0".to_owned() },
            run_id: "00000000ab".to_owned(),
            started_at: "2026-11-21T08:50:43Z".to_owned(),
            schedule: None,
            status: Status::Complete,
            verdict: None,
            options: BTreeMap::new(),
            services: Vec::new(),
            host: HostInfo {
                name: String::new(),
                os: String::new(),
                cpu: String::new(),
                cpus: 1,
                memory_bytes: 0,
                load_average_1m: 0.0,
                settings: BTreeMap::new(),
            },
            versions: BTreeMap::new(),
            settings_in_force: BTreeMap::new(),
            summary: None,
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn faults_are_entered_with_their_recovery() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join(file_names::INTERVALS);
        let mut table = IntervalTable::create(&path, SystemColumns::default()).expect("created");
        for (second, latency_ns) in (0_u32..).zip([5, 6, 5, 800_000_000, 5, 5, 5]) {
            let start_s = f64::from(second);
            let counts = IntervalCounts {
                start_s,
                end_s: start_s + 1.0,
                sent: 1,
                received: 1,
                ..IntervalCounts::default()
            };
            let mut samples = Histogram::<u64>::new(3).expect("three digits");
            samples.record(latency_ns).expect("in range");
            let of = |kind| (kind == LatencyKind::EndToEnd).then_some(&samples);
            table.write(&counts, of, |_| 0, |_| None).expect("written");
        }
        let document = serde_json::to_vec(&document()).expect("JSON");
        std::fs::write(folder.path().join(file_names::DOCUMENT), document).expect("written");
        let fault = FaultRecord {
            action: FaultAction::Latency,
            target: "kafka".to_owned(),
            setting: Some("800ms".to_owned()),
            begin_s: Some(3.25),
            end_s: Some(4.0),
            recovery_s: None,
            unrecovered: None,
            disturbed_again: 0,
            band: None,
        };
        // Repeating it changes nothing: a driver may have died half way.
        for _ in 0..2 {
            mark_faults(folder.path(), vec![fault.clone()], vec!["proxied".to_owned()])
                .expect("marked");
        }
        let text = std::fs::read_to_string(folder.path().join("intervals.csv")).expect("reads");
        let marks: Vec<&str> =
            text.lines().filter_map(|line| Some(line.rsplit_once(',')?.1)).collect();
        assert_eq!(marks, ["fault", "", "", "", "latency 800ms kafka", "", "", ""]);
        let json = std::fs::read(folder.path().join("run.json")).expect("reads");
        let document: RunDocument = serde_json::from_slice(&json).expect("a document");
        assert_eq!(document.faults.len(), 1);
        assert_eq!(document.faults[0].recovery_s, Some(0.75));
        assert_eq!(document.warnings, ["proxied"]);

        let kill = FaultRecord {
            action: FaultAction::Kill,
            target: "driver".to_owned(),
            setting: None,
            begin_s: Some(5.0),
            end_s: Some(5.5),
            ..fault
        };
        mark_faults(folder.path(), vec![kill], Vec::new()).expect("marked");
        let json = std::fs::read(folder.path().join("run.json")).expect("reads");
        let document: RunDocument = serde_json::from_slice(&json).expect("a document");
        let names: Vec<_> = document.faults.iter().map(FaultRecord::name).collect();
        assert_eq!(names, ["latency 800ms kafka", "kill driver"], "the first one stays");
    }
}
