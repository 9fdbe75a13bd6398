//! Who reads which shard: what the consumers of a run share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::lineage::{ReadyShard, Shard, ShardTree};

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
        let mut state = State { tree, consumers: vec![Load::default(); consumers], behind: 0 };
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

    /// Notes that a shard has been read to its present end, or that it has more after all.
    pub(super) fn set_caught_up(&self, is_caught_up: bool) {
        let mut state = self.lock();
        if is_caught_up {
            state.behind -= 1;
        } else {
            state.behind += 1;
        }
    }

    /// Notes that `consumer` has read a shard to its very end, so that `children` may be read.
    pub(super) fn finish(
        &self,
        consumer: usize,
        shard: &str,
        children: &[Shard],
        was_caught_up: bool,
    ) {
        let mut state = self.lock();
        state.tree.add(children);
        state.tree.finish(shard);
        if !was_caught_up {
            state.behind -= 1;
        }
        if let Some(load) = state.consumers.get_mut(consumer) {
            load.reading -= 1;
        }
        state.hand_out();
    }

    /// Whether all shards have been read to their present end.
    pub(super) fn is_at_end(&self) -> bool {
        let state = self.lock();
        state.behind == 0 && !state.tree.has_waiting()
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
                load.waiting.push(shard);
                self.behind += 1;
            }
        }
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
            assert!(!sharing.is_at_end());
            sharing.set_caught_up(true);
        }
        assert!(sharing.is_at_end());

        // A shard that has ended hands its place to its children, which have not been read.
        let (d, e) = (shard("d", &["b"]), shard("e", &["b"]));
        sharing.finish(1, "b", &[d, e], true);
        assert!(!sharing.is_at_end());
        assert_eq!(taken(&sharing, 0), [""; 0]);
        assert_eq!(taken(&sharing, 1), ["d", "e"]);
        sharing.set_caught_up(true);
        sharing.set_caught_up(true);
        assert!(sharing.is_at_end());
        sharing.set_caught_up(false);
        assert!(!sharing.is_at_end());
    }

    #[test]
    fn a_merge_of_which_only_one_shard_has_ended_is_not_the_end() {
        let shards: Vec<Shard> = ["a", "b"].map(|id| shard(id, &[])).to_vec();
        let tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        let sharing = Sharing::new(tree, 1);
        assert_eq!(taken(&sharing, 0), ["a", "b"]);
        sharing.set_caught_up(true);
        let child = [shard("c", &["a", "b"])];
        sharing.finish(0, "a", &child, false);
        assert!(!sharing.is_at_end(), "c is to be read");
        sharing.finish(0, "b", &child, true);
        assert_eq!(taken(&sharing, 0), ["c"]);
        assert!(!sharing.is_at_end());
        sharing.set_caught_up(true);
        assert!(sharing.is_at_end());
    }
}
