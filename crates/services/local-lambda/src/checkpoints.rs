//! The progress of a mapping in a file, from which a restarted one continues.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_kinesis::primitives::DateTime;
use bench_kinesis::receive::ShardStart;
use bench_record::files::replace_file_unsynced;
use serde::{Deserialize, Serialize};

use super::error::MappingError;
use bench_service_lambda::StartingPosition;

/// The file's name in the state folder.
const FILE: &str = "checkpoints.json";

/// The progress of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Checkpoint {
    /// Reading began at the mapping's starting position, and nothing is settled yet.
    Begun,
    /// All records up to this sequence number are settled.
    After(String),
    /// All records are settled, and none will follow.
    Finished,
}

/// The stream of the checkpoints. One that was deleted and created again is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamIdentity {
    pub(super) arn: String,
    /// Its creation, ms since 1970; 0 if the service does not report it.
    pub(super) created_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    stream: StreamIdentity,
    /// When the mapping first saw the stream, ms since 1970.
    attached_ms: i64,
    shards: BTreeMap<String, Checkpoint>,
}

/// The checkpoints of one stream.
#[derive(Debug)]
pub(super) struct Checkpoints {
    path: PathBuf,
    content: Content,
    is_new: bool,
    is_changed: bool,
}

impl Checkpoints {
    /// The checkpoints in the state folder, if they are of `stream`; otherwise new ones, also if
    /// the stream `is_another`: creation times are whole seconds, within which a stream can be
    /// deleted and created again.
    pub(super) fn open(
        state_dir: &Path,
        stream: StreamIdentity,
        is_another: bool,
        now_ms: i64,
    ) -> Result<Self, MappingError> {
        let path = state_dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(MappingError::state("read", &path, error)),
        };
        let read = text.map(|text| serde_json::from_slice::<Content>(&text)).transpose();
        let read = read.map_err(|error| MappingError::state("read", &path, error.into()))?;
        let kept = read.filter(|content| content.stream == stream && !is_another);
        let is_new = kept.is_none();
        let content = kept.unwrap_or_else(|| Content {
            stream,
            attached_ms: now_ms,
            shards: BTreeMap::new(),
        });
        Ok(Self { path, content, is_new, is_changed: is_new })
    }

    /// Whether the mapping sees the stream for the first time.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The position at which reading a shard begins; `fresh` for one without a checkpoint.
    pub(super) fn begin(
        &mut self,
        shard: &str,
        fresh: ShardStart,
        position: StartingPosition,
    ) -> ShardStart {
        match (self.content.shards.get(shard), position) {
            (None | Some(Checkpoint::Finished), _) => {
                self.set(shard, Checkpoint::Begun);
                fresh
            }
            (Some(Checkpoint::After(number)), _) => ShardStart::AfterSequence(number.clone()),
            (Some(Checkpoint::Begun), StartingPosition::TrimHorizon) => ShardStart::TrimHorizon,
            // Records that arrived since the mapping first saw the stream must be read.
            (Some(Checkpoint::Begun), StartingPosition::Latest) => {
                ShardStart::AtTimestamp(date_time(self.content.attached_ms))
            }
            (Some(Checkpoint::Begun), StartingPosition::AtTimestamp(ms)) => {
                ShardStart::AtTimestamp(date_time(ms))
            }
        }
    }

    pub(super) fn set(&mut self, shard: &str, checkpoint: Checkpoint) {
        self.content.shards.insert(shard.to_owned(), checkpoint);
        self.is_changed = true;
    }

    /// The shards that are finished.
    pub(super) fn finished(&self) -> impl Iterator<Item = &str> {
        let shards = self.content.shards.iter();
        shards.filter(|(_, checkpoint)| **checkpoint == Checkpoint::Finished).map(|(id, _)| &**id)
    }

    /// Writes the file if anything changed.
    pub(super) fn save(&mut self) -> Result<(), MappingError> {
        if self.is_changed {
            write_json(&self.path, &self.content)?;
            self.is_changed = false;
        }
        Ok(())
    }
}

/// A time in ms since 1970 in the service's form.
pub(super) fn date_time(ms: i64) -> DateTime {
    DateTime::from_millis(ms)
}

/// Replaces a file in one step, so that nobody ever sees half of it.
pub(super) fn write_json(path: &Path, content: &impl Serialize) -> Result<(), MappingError> {
    let write = || {
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        replace_file_unsynced(path, &text)
    };
    write().map_err(|error| MappingError::state("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(created_ms: i64) -> StreamIdentity {
        StreamIdentity { arn: "arn:aws:kinesis:us-east-1:1:stream/s".to_owned(), created_ms }
    }

    #[test]
    fn checkpoints_belong_to_one_stream() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut first = Checkpoints::open(dir.path(), stream(1), false, 50).expect("new");
        assert!(first.is_new());
        first.set("a", Checkpoint::Finished);
        first.set("b", Checkpoint::After("7".to_owned()));
        first.set("c", Checkpoint::Begun);
        first.save().expect("written");

        let mut again = Checkpoints::open(dir.path(), stream(1), false, 99).expect("read");
        assert!(!again.is_new());
        assert_eq!(again.finished().collect::<Vec<_>>(), ["a"]);
        let mut begin =
            |shard| again.begin(shard, ShardStart::TrimHorizon, StartingPosition::Latest);
        assert_eq!(begin("b"), ShardStart::AfterSequence("7".to_owned()));
        assert_eq!(begin("c"), ShardStart::AtTimestamp(date_time(50)), "not the latest of now");
        assert_eq!(begin("d"), ShardStart::TrimHorizon, "a child of a split");

        let other = Checkpoints::open(dir.path(), stream(2), false, 99).expect("new");
        assert!(other.is_new() && other.finished().next().is_none());
        let made_again = Checkpoints::open(dir.path(), stream(1), true, 99).expect("new");
        assert!(made_again.is_new() && made_again.finished().next().is_none());
    }

    #[test]
    fn foreign_checkpoint_file_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE), "no JSON").expect("written");
        let error = Checkpoints::open(dir.path(), stream(1), false, 0).expect_err("unreadable");
        assert!(error.to_string().contains(FILE), "{error}");
    }
}
