//! Assigns shards to the consumers of a run.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lineage::{ReadyShard, Shard, ShardStart, ShardTree};

/// How far a shard has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardProgress {
    /// There are more records, or nothing is known yet.
    Behind,
    /// No more records are known, but the last answer had some; an empty one must follow.
    Near,
    /// At its current end, or at the end of a closed shard.
    AtEnd,
}

impl ShardProgress {
    /// The initial progress. Before the first answer nothing is known, except with
    /// [`ShardStart::Latest`].
    pub(super) fn at(start: &ShardStart) -> Self {
        if *start == ShardStart::Latest { Self::Near } else { Self::Behind }
    }
}

/// The shards of a stream, distributed over consumers. Each shard that becomes ready goes to the
/// consumer with the fewest. Locked once per call, never per message.
#[derive(Debug)]
pub(super) struct ShardAssignment {
    state: Mutex<AssignmentState>,
}

#[derive(Debug)]
struct AssignmentState {
    tree: ShardTree,
    consumers: Vec<ConsumerLoad>,
    /// Assigned shards that are not known to be read to their current end.
    unfinished: usize,
    /// Those among them that are [`ShardProgress::Behind`].
    behind: usize,
}

#[derive(Debug, Clone, Default)]
struct ConsumerLoad {
    reading: usize,
    waiting: Vec<ReadyShard>,
}

impl ShardAssignment {
    /// Distributes the shards of `tree` over `consumers`, at least one.
    pub(super) fn new(tree: ShardTree, consumers: usize) -> Self {
        let consumers = vec![ConsumerLoad::default(); consumers];
        let mut state = AssignmentState { tree, consumers, unfinished: 0, behind: 0 };
        state.hand_out();
        Self { state: Mutex::new(state) }
    }

    /// Takes the shards newly assigned to a consumer.
    pub(super) fn take(&self, consumer: usize) -> Vec<ReadyShard> {
        let mut state = self.lock();
        state
            .consumers
            .get_mut(consumer)
            .map(|load| std::mem::take(&mut load.waiting))
            .unwrap_or_default()
    }

    /// Records the progress of a shard from one state to another.
    pub(super) fn note(&self, from: ShardProgress, to: ShardProgress) {
        if from != to {
            self.lock().note(Some(from), Some(to));
        }
    }

    /// Records that `consumer` has read a closed shard to its end, so that `children` may be read.
    pub(super) fn finish(
        &self,
        consumer: usize,
        shard: &str,
        children: &[Shard],
        previous: ShardProgress,
    ) {
        let mut state = self.lock();
        state.tree.add(children);
        state.tree.finish(shard);
        state.note(Some(previous), None);
        if let Some(load) = state.consumers.get_mut(consumer) {
            load.reading -= 1;
        }
        state.hand_out();
    }

    /// Whether all shards have been read to their current end.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.lock();
        state.unfinished == 0 && !state.tree.has_waiting()
    }

    /// Whether a shard is known to have unread records, or has not been read at all.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.lock();
        state.behind > 0 || state.tree.has_waiting()
    }

    fn lock(&self) -> MutexGuard<'_, AssignmentState> {
        // A consumer that panicked has ended the run anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AssignmentState {
    fn hand_out(&mut self) {
        for shard in self.tree.take_ready() {
            if let Some(load) = self.consumers.iter_mut().min_by_key(|load| load.reading) {
                load.reading += 1;
                let progress = ShardProgress::at(&shard.start);
                load.waiting.push(shard);
                self.note(None, Some(progress));
            }
        }
    }

    /// Moves a shard from one count to another.
    fn note(&mut self, from: Option<ShardProgress>, to: Option<ShardProgress>) {
        let is_unfinished = |at: Option<ShardProgress>| {
            usize::from(matches!(at, Some(ShardProgress::Behind | ShardProgress::Near)))
        };
        let is_behind = |at: Option<ShardProgress>| usize::from(at == Some(ShardProgress::Behind));
        self.unfinished = self.unfinished + is_unfinished(to) - is_unfinished(from);
        self.behind = self.behind + is_behind(to) - is_behind(from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lineage::StreamStart;
    use super::*;

    fn shard(id: &str, parents: &[&str]) -> Shard {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        Shard { id: id.to_owned(), parents, is_closed: false }
    }

    fn taken(assignment: &ShardAssignment, consumer: usize) -> Vec<String> {
        assignment.take(consumer).into_iter().map(|shard| shard.id).collect()
    }

    #[test]
    fn shards_go_to_the_least_loaded_consumer() {
        let shards: Vec<Shard> = ["a", "b", "c"].map(|id| shard(id, &[])).to_vec();
        let tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        let assignment = ShardAssignment::new(tree, 2);
        assert_eq!(taken(&assignment, 0), ["a", "c"]);
        assert_eq!(taken(&assignment, 1), ["b"]);
        for _ in 0..3 {
            assert!(!assignment.is_at_end() && assignment.is_behind());
            assignment.note(ShardProgress::Behind, ShardProgress::Near);
        }
        assert!(!assignment.is_at_end() && !assignment.is_behind(), "no more records are known");
        for _ in 0..3 {
            assignment.note(ShardProgress::Near, ShardProgress::AtEnd);
        }
        assert!(assignment.is_at_end() && !assignment.is_behind());

        // A finished shard is replaced by its children, which have not been read.
        let (d, e) = (shard("d", &["b"]), shard("e", &["b"]));
        assignment.finish(1, "b", &[d, e], ShardProgress::AtEnd);
        assert!(!assignment.is_at_end() && assignment.is_behind());
        assert_eq!(taken(&assignment, 0), [""; 0]);
        assert_eq!(taken(&assignment, 1), ["d", "e"]);
        assignment.note(ShardProgress::Behind, ShardProgress::AtEnd);
        assignment.note(ShardProgress::Behind, ShardProgress::AtEnd);
        assert!(assignment.is_at_end() && !assignment.is_behind());
        assignment.note(ShardProgress::AtEnd, ShardProgress::Behind);
        assert!(!assignment.is_at_end() && assignment.is_behind());
    }

    #[test]
    fn shards_read_from_latest_are_not_behind() {
        let tree = ShardTree::new(&[shard("a", &[])], &StreamStart::Latest).expect("a tree");
        let assignment = ShardAssignment::new(tree, 1);
        assert_eq!(taken(&assignment, 0), ["a"]);
        assert!(!assignment.is_behind() && !assignment.is_at_end());
    }

    #[test]
    fn half_read_merges_are_not_at_the_end() {
        let shards: Vec<Shard> = ["a", "b"].map(|id| shard(id, &[])).to_vec();
        let tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        let assignment = ShardAssignment::new(tree, 1);
        assert_eq!(taken(&assignment, 0), ["a", "b"]);
        assignment.note(ShardProgress::Behind, ShardProgress::AtEnd);
        let child = [shard("c", &["a", "b"])];
        assignment.finish(0, "a", &child, ShardProgress::Behind);
        assert!(!assignment.is_at_end() && assignment.is_behind(), "c has not been read");
        assignment.finish(0, "b", &child, ShardProgress::AtEnd);
        assert_eq!(taken(&assignment, 0), ["c"]);
        assert!(!assignment.is_at_end() && assignment.is_behind());
        assignment.note(ShardProgress::Behind, ShardProgress::AtEnd);
        assert!(assignment.is_at_end() && !assignment.is_behind());
    }
}
