//! Who reads which shard: what the consumers of a run share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lineage::{ReadyShard, Shard, ShardStart, ShardTree};

/// How far the reading of a shard has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is more, or nothing is known yet.
    Behind,
    /// As far as is known there is nothing more; what the last answer brought has yet to be followed
    /// by one that brings nothing.
    Near,
    /// At its present end, or at its very end.
    AtEnd,
}

impl Standing {
    /// Where reading begins. Before the first answer nothing is known, except of what is yet to come.
    pub(super) fn at(start: &ShardStart) -> Self {
        if *start == ShardStart::Latest { Self::Near } else { Self::Behind }
    }
}

/// The shards of a stream, shared out over consumers. Each shard whose turn comes goes to the
/// consumer that reads the fewest. Touched once a call, never for a message.
#[derive(Debug)]
pub(super) struct Sharing {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tree: ShardTree,
    consumers: Vec<Load>,
    /// Shards that have been handed out and are not known to be read to their present end.
    unfinished: usize,
    /// Those of them that are [`Standing::Behind`].
    behind: usize,
}

#[derive(Debug, Clone, Default)]
struct Load {
    reading: usize,
    waiting: Vec<ReadyShard>,
}

impl Sharing {
    /// Shares the shards of `tree` out over `consumers`, at least one.
    pub(super) fn new(tree: ShardTree, consumers: usize) -> Self {
        let consumers = vec![Load::default(); consumers];
        let mut state = State { tree, consumers, unfinished: 0, behind: 0 };
        state.hand_out();
        Self { state: Mutex::new(state) }
    }

    /// The shards that have newly come to a consumer.
    pub(super) fn take(&self, consumer: usize) -> Vec<ReadyShard> {
        let mut state = self.lock();
        state
            .consumers
            .get_mut(consumer)
            .map(|load| std::mem::take(&mut load.waiting))
            .unwrap_or_default()
    }

    /// Notes that a shard that stood here now stands there.
    pub(super) fn note(&self, from: Standing, to: Standing) {
        if from != to {
            self.lock().note(Some(from), Some(to));
        }
    }

    /// Notes that `consumer` has read a shard to its very end, so that `children` may be read.
    pub(super) fn finish(&self, consumer: usize, shard: &str, children: &[Shard], stood: Standing) {
        let mut state = self.lock();
        state.tree.add(children);
        state.tree.finish(shard);
        state.note(Some(stood), None);
        if let Some(load) = state.consumers.get_mut(consumer) {
            load.reading -= 1;
        }
        state.hand_out();
    }

    /// Whether all shards have been read to their present end.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.lock();
        state.unfinished == 0 && !state.tree.has_waiting()
    }

    /// Whether some shard is known to hold more than has been read, or has not been looked into yet.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.lock();
        state.behind > 0 || state.tree.has_waiting()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A consumer that panicked has ended the run anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hand_out(&mut self) {
        for shard in self.tree.take_ready() {
            if let Some(load) = self.consumers.iter_mut().min_by_key(|load| load.reading) {
                load.reading += 1;
                let standing = Standing::at(&shard.start);
                load.waiting.push(shard);
                self.note(None, Some(standing));
            }
        }
    }

    /// Counts a shard where it stands now, and no longer where it stood.
    fn note(&mut self, from: Option<Standing>, to: Option<Standing>) {
        let is_unfinished = |at: Option<Standing>| {
            usize::from(matches!(at, Some(Standing::Behind | Standing::Near)))
        };
        let is_behind = |at: Option<Standing>| usize::from(at == Some(Standing::Behind));
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

    fn taken(sharing: &Sharing, consumer: usize) -> Vec<String> {
        sharing.take(consumer).into_iter().map(|shard| shard.id).collect()
    }

    #[test]
    fn shards_go_to_who_has_the_fewest_and_the_end_is_that_of_all() {
        let shards: Vec<Shard> = ["a", "b", "c"].map(|id| shard(id, &[])).to_vec();
        let tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        let sharing = Sharing::new(tree, 2);
        assert_eq!(taken(&sharing, 0), ["a", "c"]);
        assert_eq!(taken(&sharing, 1), ["b"]);
        for _ in 0..3 {
            assert!(!sharing.is_at_end() && sharing.is_behind());
            sharing.note(Standing::Behind, Standing::Near);
        }
        assert!(!sharing.is_at_end() && !sharing.is_behind(), "nothing more is known of");
        for _ in 0..3 {
            sharing.note(Standing::Near, Standing::AtEnd);
        }
        assert!(sharing.is_at_end() && !sharing.is_behind());

        // A shard that has ended hands its place to its children, which have not been read.
        let (d, e) = (shard("d", &["b"]), shard("e", &["b"]));
        sharing.finish(1, "b", &[d, e], Standing::AtEnd);
        assert!(!sharing.is_at_end() && sharing.is_behind());
        assert_eq!(taken(&sharing, 0), [""; 0]);
        assert_eq!(taken(&sharing, 1), ["d", "e"]);
        sharing.note(Standing::Behind, Standing::AtEnd);
        sharing.note(Standing::Behind, Standing::AtEnd);
        assert!(sharing.is_at_end() && !sharing.is_behind());
        sharing.note(Standing::AtEnd, Standing::Behind);
        assert!(!sharing.is_at_end() && sharing.is_behind());
    }

    #[test]
    fn a_shard_that_is_read_from_its_latest_record_on_is_not_behind() {
        let tree = ShardTree::new(&[shard("a", &[])], &StreamStart::Latest).expect("a tree");
        let sharing = Sharing::new(tree, 1);
        assert_eq!(taken(&sharing, 0), ["a"]);
        assert!(!sharing.is_behind() && !sharing.is_at_end());
    }

    #[test]
    fn a_merge_of_which_only_one_shard_has_ended_is_not_the_end() {
        let shards: Vec<Shard> = ["a", "b"].map(|id| shard(id, &[])).to_vec();
        let tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        let sharing = Sharing::new(tree, 1);
        assert_eq!(taken(&sharing, 0), ["a", "b"]);
        sharing.note(Standing::Behind, Standing::AtEnd);
        let child = [shard("c", &["a", "b"])];
        sharing.finish(0, "a", &child, Standing::Behind);
        assert!(!sharing.is_at_end() && sharing.is_behind(), "c is to be read");
        sharing.finish(0, "b", &child, Standing::AtEnd);
        assert_eq!(taken(&sharing, 0), ["c"]);
        assert!(!sharing.is_at_end() && sharing.is_behind());
        sharing.note(Standing::Behind, Standing::AtEnd);
        assert!(sharing.is_at_end() && !sharing.is_behind());
    }
}
