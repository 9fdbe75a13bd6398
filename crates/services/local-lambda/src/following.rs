//! A mapping while its stream exists: which shards are read, and what follows when one ends.

use std::sync::Arc;
use std::time::Duration;

use bench_kinesis::receive::{Shard, ShardStart, ShardTree, StreamStart};
use bench_kinesis::{KinesisError, admin};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::checkpoints::{Checkpoint, Checkpoints, StreamIdentity, date_time};
use super::error::MappingError;
use super::event::EventSource;
use super::function::Function;
use super::lane::ShardWork;
use super::mapping::Mapping;
use super::shard::ShardTask;
use super::state::Stop;
use super::worker::wall_ms;
use bench_service_lambda::StartingPosition;

/// The service's error code for a missing stream.
pub(super) const NOT_FOUND: &str = "ResourceNotFoundException";

/// Interval between writes of checkpoints and report.
const SAVE_INTERVAL: Duration = Duration::from_millis(200);

/// Why a stream can no longer be read.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) reason: String,
    /// Whether the stream is gone; one that appears later is another one.
    pub(super) is_gone: bool,
}

/// The id of a shard whose task has ended, and its children if it is finished.
type Ended = (String, Result<Option<Vec<Shard>>, KinesisError>);

/// The shards of one stream that are read.
pub(super) struct Following<'a> {
    mapping: &'a Mapping,
    source: Arc<EventSource>,
    function: Arc<Function>,
    tree: ShardTree,
    tasks: JoinSet<Ended>,
    end_reading: watch::Sender<bool>,
    stop_reading: Stop,
}

impl<'a> Following<'a> {
    /// Reads a stream until the mapping is stopped, or the stream can no longer be read; the inner
    /// error says why.
    pub(super) async fn run(
        mapping: &'a Mapping,
        stream: StreamIdentity,
        is_another: bool,
        source: EventSource,
        function: Arc<Function>,
    ) -> Result<Result<(), Lost>, MappingError> {
        let config = &mapping.shared.config;
        let shards = match admin::list_shards(&mapping.client, &config.stream).await {
            Ok(shards) => shards.iter().map(in_lineage).collect::<Vec<_>>(),
            Err(error) => return Ok(Err(Lost::from(&error))),
        };
        let now_ms = i64::try_from(wall_ms()).unwrap_or(i64::MAX);
        let mut checkpoints = Checkpoints::open(&config.state_dir, stream, is_another, now_ms)?;
        let tree = match plant(&shards, config.settings.starting_position, &mut checkpoints) {
            Ok(tree) => tree,
            Err(reason) => return Ok(Err(Lost { reason, is_gone: false })),
        };
        mapping.shared.set_checkpoints(checkpoints);
        let (end_reading, stop_reading) = Stop::by_hand();
        let tasks = JoinSet::new();
        let source = Arc::new(source);
        let mut following =
            Self { mapping, source, function, tree, tasks, end_reading, stop_reading };
        following.work().await
    }

    async fn work(&mut self) -> Result<Result<(), Lost>, MappingError> {
        let mut lost = Ok(());
        let mut save = tokio::time::interval(SAVE_INTERVAL);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.begin_ready();
        loop {
            tokio::select! {
                _ = save.tick() => self.mapping.save()?,
                ended = self.tasks.join_next() => match ended {
                    None => return Ok(lost),
                    Some(Err(error)) => lost = Err(self.broke(error)),
                    Some(Ok((shard, Ok(Some(children))))) => self.finish(&shard, &children),
                    Some(Ok((_, Ok(None)))) => {}
                    Some(Ok((_, Err(error)))) => {
                        // What other shards have read is delivered before looking for the stream
                        // again.
                        self.end_reading.send_replace(true);
                        lost = Err(Lost::from(&error));
                    }
                },
            }
        }
    }

    fn begin_ready(&mut self) {
        for ready in self.tree.take_ready() {
            let start = self.mapping.shared.begin_shard(&ready.id, ready.start);
            let checkpoint = match &start {
                ShardStart::AfterSequence(number) => Some(number.clone()),
                _ => None,
            };
            tracing::info!(shard = ready.id, ?start, "reading");
            let work = ShardWork::new(
                ready.id.clone(),
                Arc::clone(&self.function),
                Arc::clone(&self.mapping.shared),
                checkpoint,
            );
            let task = ShardTask {
                client: self.mapping.client.clone(),
                source: Arc::clone(&self.source),
                work: Arc::new(work),
                start,
                counters: Arc::clone(&self.mapping.counters),
                stop: self.mapping.stop.clone(),
                stop_reading: self.stop_reading.clone(),
            };
            self.tasks.spawn(async move { (ready.id, task.run().await) });
        }
    }

    /// Starts the children of a finished shard.
    fn finish(&mut self, shard: &str, children: &[Shard]) {
        tracing::info!(shard, children = children.len(), "the shard has ended");
        self.mapping.shared.checkpoint(shard, Checkpoint::Finished);
        self.mapping.shared.count(|counts| counts.shards_finished += 1);
        self.tree.add(children);
        self.tree.finish(shard);
        if !self.stop_reading.is_set() {
            self.begin_ready();
        }
    }

    fn broke(&self, error: JoinError) -> Lost {
        self.end_reading.send_replace(true);
        match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => {
                let reason = format!("the reading of a shard was cancelled: {error}");
                Lost { reason, is_gone: false }
            }
        }
    }
}

impl From<&KinesisError> for Lost {
    fn from(error: &KinesisError) -> Self {
        let is_gone = match error {
            KinesisError::NoStream { .. } => true,
            KinesisError::Aws(error) => error.is(NOT_FOUND),
            _ => false,
        };
        Self { reason: error.to_string(), is_gone }
    }
}

/// The lineage of the shards, without those finished earlier.
fn plant(
    shards: &[Shard],
    position: StartingPosition,
    checkpoints: &mut Checkpoints,
) -> Result<ShardTree, String> {
    let start = match position {
        _ if !checkpoints.is_new() => StreamStart::TrimHorizon,
        StartingPosition::TrimHorizon => StreamStart::TrimHorizon,
        StartingPosition::Latest => StreamStart::Latest,
        StartingPosition::AtTimestamp(ms) => StreamStart::Timestamp(date_time(ms)),
    };
    let mut tree = ShardTree::new(shards, &start).map_err(|error| error.to_string())?;
    if start == StreamStart::Latest {
        // The tree leaves them out, and so must later ones built from the checkpoints.
        for shard in shards.iter().filter(|shard| shard.is_closed) {
            checkpoints.set(&shard.id, Checkpoint::Finished);
        }
    }
    for shard in checkpoints.finished() {
        tree.finish(shard);
    }
    Ok(tree)
}

fn in_lineage(shard: &admin::Shard) -> Shard {
    let parents = [&shard.parent, &shard.adjacent_parent];
    Shard {
        id: shard.id.clone(),
        parents: parents.into_iter().flatten().cloned().collect(),
        is_closed: !shard.is_open(),
    }
}
