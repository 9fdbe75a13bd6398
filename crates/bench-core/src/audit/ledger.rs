//! The acknowledged messages of a run, in memory and in the result folder (`acked.json`).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bench_record::{LEDGER_SCHEMA_VERSION, LedgerFile, LedgerProducer, file_names, files};

use super::{SequenceDelta, SequenceSet, StreamId};
use crate::message::RunId;
use crate::message::header::SEQUENCE_MAX;

/// Each producer's acknowledged sequence numbers, and those of its aborted transactions.
#[derive(Default)]
pub struct AckLedger {
    streams: BTreeMap<StreamId, SequenceSet>,
    aborted: BTreeMap<StreamId, SequenceSet>,
}

/// Why an `acked.json` is unusable.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read.
    #[error("failed to read {path}; use the result folder of a run that produced messages")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is malformed.
    #[error("{path} is not a list of acknowledged messages: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Debug for AckLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckLedger").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl AckLedger {
    /// Adds a producer's newly acknowledged messages and empties `delta` for reuse.
    pub(crate) fn absorb(&mut self, id: StreamId, delta: &mut SequenceDelta) {
        self.streams.entry(id).or_default().absorb(delta);
        delta.clear();
    }

    /// Adds the numbers `first..=last`.
    pub fn insert_range(&mut self, id: StreamId, first: u64, last: u64) {
        self.streams.entry(id).or_default().insert_range(first, last);
    }

    /// Adds a producer's messages of aborted transactions and empties `delta` for reuse.
    pub(crate) fn absorb_aborted(&mut self, id: StreamId, delta: &mut SequenceDelta) {
        if !delta.is_empty() {
            self.streams.entry(id).or_default();
            self.aborted.entry(id).or_default().absorb(delta);
            delta.clear();
        }
    }

    /// The acknowledged messages of one producer.
    #[must_use]
    pub fn acked(&self, id: StreamId) -> &SequenceSet {
        static NOTHING: SequenceSet = SequenceSet::new();
        self.streams.get(&id).unwrap_or(&NOTHING)
    }

    /// One producer's messages of aborted transactions.
    #[must_use]
    pub fn aborted(&self, id: StreamId) -> &SequenceSet {
        static NOTHING: SequenceSet = SequenceSet::new();
        self.aborted.get(&id).unwrap_or(&NOTHING)
    }

    /// All producers with their acknowledged messages.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, &SequenceSet)> {
        self.streams.iter().map(|(id, acked)| (*id, acked))
    }

    /// Number of acknowledged messages, all producers together.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.streams.values().map(SequenceSet::len).sum()
    }

    /// Whether nothing was acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document for the result folder; `is_whole` says that nothing more can be acknowledged.
    #[must_use]
    pub fn to_file(&self, is_whole: bool) -> LedgerFile {
        let producers = self.streams().map(|(id, acked)| LedgerProducer {
            run_id: id.run.to_string(),
            producer: id.producer,
            acked: acked.ranges(),
            aborted: self.aborted(id).ranges(),
        });
        LedgerFile {
            schema_version: LEDGER_SCHEMA_VERSION,
            is_whole: Some(is_whole),
            producers: producers.collect(),
        }
    }

    /// Reads the acknowledged messages of the run in `folder`, as far as recorded.
    pub fn read(folder: &Path) -> Result<Self, LedgerError> {
        Self::read_record(folder).map(|(ledger, _)| ledger)
    }

    /// Reads the acknowledged messages of the run in `folder`, and whether the record says that it
    /// is complete.
    pub fn read_record(folder: &Path) -> Result<(Self, Option<bool>), LedgerError> {
        let path = folder.join(file_names::ACKED);
        let text = files::read_file(&path)
            .map_err(|source| LedgerError::Read { path: path.clone(), source })?;
        let parsed = serde_json::from_slice::<LedgerFile>(&text).map_err(|error| error.to_string());
        parsed
            .and_then(|file| Ok((Self::from_file(&file)?, file.is_whole)))
            .map_err(|problem| LedgerError::Invalid { path, problem })
    }

    fn from_file(file: &LedgerFile) -> Result<Self, String> {
        if file.schema_version != LEDGER_SCHEMA_VERSION {
            return Err(format!(
                "it has schema version {}, and this version reads {LEDGER_SCHEMA_VERSION}",
                file.schema_version
            ));
        }
        let mut ledger = Self::default();
        for producer in &file.producers {
            let run: RunId = producer.run_id.parse().map_err(|_| {
                format!("invalid run id `{}`: expected 10 hex digits", producer.run_id)
            })?;
            let id = StreamId { run, producer: producer.producer };
            insert_ranges(ledger.streams.entry(id).or_default(), &producer.acked)?;
            if !producer.aborted.is_empty() {
                insert_ranges(ledger.aborted.entry(id).or_default(), &producer.aborted)?;
            }
        }
        Ok(ledger)
    }
}

fn insert_ranges(set: &mut SequenceSet, ranges: &[(u64, u64)]) -> Result<(), String> {
    for &(first, last) in ranges {
        if first > last || last > SEQUENCE_MAX {
            return Err(format!("{first}..={last} is not a range of sequence numbers"));
        }
        set.insert_range(first, last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_survive_the_result_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let id = |producer| StreamId { run: RunId::from_bits(0xAB), producer };
        let mut ledger = AckLedger::default();
        ledger.insert_range(id(0), 0, 99_999);
        ledger.insert_range(id(3), 5, 6);
        ledger.insert_range(id(3), 8, 8);
        let mut aborted = SequenceDelta::default();
        aborted.insert(7);
        ledger.absorb_aborted(id(3), &mut aborted);
        let text = serde_json::to_string(&ledger.to_file(true)).expect("serialises");
        std::fs::write(folder.path().join(file_names::ACKED), text).expect("writes");

        let read = AckLedger::read(folder.path()).expect("reads");
        assert_eq!(read.to_file(true), ledger.to_file(true));
        assert_eq!(read.len(), 100_003);
        assert_eq!(read.aborted(id(3)).ranges(), [(7, 7)]);
    }

    #[test]
    fn invalid_files_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let missing = AckLedger::read(folder.path()).expect_err("no file");
        assert!(missing.to_string().contains("acked.json"), "{missing}");
        for (text, reason) in [
            ("{", "EOF"),
            (r#"{"schema_version":9,"producers":[]}"#, "schema version 9"),
            (
                r#"{"schema_version":1,"producers":[{"run_id":"x","producer":0,"acked":[]}]}"#,
                "run id",
            ),
            (
                r#"{"schema_version":1,"producers":[{"run_id":"00000000ab","producer":0,"acked":[[2,1]]}]}"#,
                "range",
            ),
            (
                r#"{"schema_version":1,"producers":[{"run_id":"00000000ab","producer":0,"acked":[],"aborted":[[2,1]]}]}"#,
                "range",
            ),
        ] {
            std::fs::write(folder.path().join(file_names::ACKED), text).expect("writes");
            let error = AckLedger::read(folder.path()).expect_err(text);
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
    }
}
