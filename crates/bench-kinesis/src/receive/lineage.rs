//! Which shards of a stream may be read now: a split or a merge closes shards and opens children,
//! and a child is read only when its parents have been, so that the order of each key is kept.
//!
//! Nothing here asks the service for anything.

use std::collections::BTreeMap;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ChildShard;

use crate::admin;

/// A shard, as far as its place in the lineage goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// The shards that it came from: one after a split, two after a merge, none otherwise.
    pub parents: Vec<String>,
    /// Whether it takes in no more records.
    pub is_closed: bool,
}

impl From<admin::Shard> for Shard {
    fn from(shard: admin::Shard) -> Self {
        let is_closed = !shard.is_open();
        let parents = [shard.parent, shard.adjacent_parent].into_iter().flatten().collect();
        Self { id: shard.id, parents, is_closed }
    }
}

impl From<&ChildShard> for Shard {
    fn from(child: &ChildShard) -> Self {
        let (id, parents) = (child.shard_id.clone(), child.parent_shards.clone());
        Self { id, parents, is_closed: false }
    }
}

/// The number in a shard's id (`shardId-000000000007`), by which results name it; 0 for an id of
/// another form.
#[must_use]
pub fn shard_number(id: &str) -> u32 {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Where the reading of a stream begins.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamStart {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record that arrived at this time or later.
    Timestamp(DateTime),
    /// At a record of one shard. The other shards are left out, unless they descend from that one.
    Sequence {
        /// The shard's id.
        shard: String,
        /// The sequence number of the record.
        number: String,
        /// Whether the record itself is read, too.
        is_inclusive: bool,
    },
}

/// Where the reading of a shard begins.
#[derive(Debug, Clone, PartialEq)]
pub enum ShardStart {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record that arrived at this time or later.
    AtTimestamp(DateTime),
    /// At the record with this sequence number.
    AtSequence(String),
    /// After the record with this sequence number.
    AfterSequence(String),
}

/// A shard whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyShard {
    /// Its id.
    pub id: String,
    /// Where to begin.
    pub start: ShardStart,
}

/// There is no shard of this id to begin at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shard '{shard}' does not exist; the stream's shards are {}", list(.known))]
pub struct NoSuchShard {
    /// The id that was asked for.
    pub shard: String,
    /// The ids that there are.
    pub known: Vec<String>,
}

/// The first ids; a stream may have thousands.
fn list(ids: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = ids[..ids.len().min(SHOWN)].join(", ");
    if ids.len() > SHOWN {
        text += ", ...";
    }
    text
}

/// Of a stream's `shards`, those that `parent` was split or merged into, and all that these descend
/// from: a child of a merge may be known sooner than its other parent.
pub(super) fn children_of(parent: &str, shards: &[Shard]) -> Vec<Shard> {
    let is_child = |shard: &&Shard| shard.parents.iter().any(|id| id == parent);
    let mut family: Vec<&Shard> = shards.iter().filter(is_child).collect();
    let mut looked_at = 0;
    while let Some(shard) = family.get(looked_at) {
        looked_at += 1;
        for id in &shard.parents {
            let ancestor = shards.iter().find(|other| other.id == *id);
            let is_new = |other: &&Shard| family.iter().all(|known| known.id != other.id);
            family.extend(ancestor.filter(is_new));
        }
    }
    family.into_iter().cloned().collect()
}

/// The shards of a stream and how far each has come.
#[derive(Debug, Clone)]
pub struct ShardTree {
    nodes: BTreeMap<String, Node>,
    /// Whether shards that descend from none of these are left out.
    is_partial: bool,
}

#[derive(Debug, Clone)]
struct Node {
    parents: Vec<String>,
    start: ShardStart,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Taken,
    Finished,
}

impl ShardTree {
    /// The lineage of all shards that a stream has now. Shards that come later are read from their
    /// first record.
    pub fn new(shards: &[Shard], start: &StreamStart) -> Result<Self, NoSuchShard> {
        let is_partial = matches!(start, StreamStart::Sequence { .. });
        let mut tree = Self { nodes: BTreeMap::new(), is_partial };
        match start {
            StreamStart::TrimHorizon => tree.insert_all(shards, &ShardStart::TrimHorizon),
            StreamStart::Timestamp(at) => tree.insert_all(shards, &ShardStart::AtTimestamp(*at)),
            StreamStart::Latest => {
                tree.insert_all(shards, &ShardStart::Latest);
                for shard in shards.iter().filter(|shard| shard.is_closed) {
                    tree.set(&shard.id, State::Finished);
                }
            }
            StreamStart::Sequence { shard, number, is_inclusive } => {
                let number = number.clone();
                let start = if *is_inclusive {
                    ShardStart::AtSequence(number)
                } else {
                    ShardStart::AfterSequence(number)
                };
                let Some(first) = shards.iter().find(|other| other.id == *shard) else {
                    let known = shards.iter().map(|shard| shard.id.clone()).collect();
                    return Err(NoSuchShard { shard: shard.clone(), known });
                };
                tree.insert(first, start);
                tree.add(shards);
            }
        }
        Ok(tree)
    }

    /// Adds shards that splits and merges have made; those that are known stay as they are. All that
    /// they descend from must be known or among them: a parent that is not counts as no longer kept.
    pub fn add(&mut self, shards: &[Shard]) {
        loop {
            let belongs = |shard: &Shard| {
                !self.is_partial || shard.parents.iter().any(|id| self.nodes.contains_key(id))
            };
            let is_new = |shard: &&Shard| !self.nodes.contains_key(&shard.id) && belongs(shard);
            let new: Vec<&Shard> = shards.iter().filter(is_new).collect();
            if new.is_empty() {
                return;
            }
            for shard in new {
                self.insert(shard, ShardStart::TrimHorizon);
            }
        }
    }

    /// The shards whose parents have all been read, or are no longer kept. Each is handed out once.
    pub fn take_ready(&mut self) -> Vec<ReadyShard> {
        let is_read = |id: &String| self.nodes.get(id).is_none_or(Node::is_finished);
        let is_ready =
            |node: &Node| node.state == State::Waiting && node.parents.iter().all(is_read);
        let ready: Vec<ReadyShard> = self
            .nodes
            .iter()
            .filter(|(_, node)| is_ready(node))
            .map(|(id, node)| ReadyShard { id: id.clone(), start: node.start.clone() })
            .collect();
        for shard in &ready {
            self.set(&shard.id, State::Taken);
        }
        ready
    }

    /// Notes that a shard has been read to its end, so that its children may be.
    pub fn finish(&mut self, id: &str) {
        self.set(id, State::Finished);
    }

    /// Whether there are shards whose turn has not come.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.nodes.values().any(|node| node.state == State::Waiting)
    }

    fn insert_all(&mut self, shards: &[Shard], start: &ShardStart) {
        for shard in shards {
            self.insert(shard, start.clone());
        }
    }

    fn insert(&mut self, shard: &Shard, start: ShardStart) {
        let node = Node { parents: shard.parents.clone(), start, state: State::Waiting };
        self.nodes.insert(shard.id.clone(), node);
    }

    fn set(&mut self, id: &str, state: State) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.state = state;
        }
    }
}

impl Node {
    fn is_finished(&self) -> bool {
        self.state == State::Finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parents: &[&str], is_closed: bool) -> Shard {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        Shard { id: id.to_owned(), parents, is_closed }
    }

    /// a was split into b and c; c and d were merged into e.
    fn family() -> Vec<Shard> {
        vec![
            shard("a", &[], true),
            shard("b", &["a"], false),
            shard("c", &["a"], true),
            shard("d", &[], true),
            shard("e", &["c", "d"], false),
        ]
    }

    fn ready(tree: &mut ShardTree) -> Vec<String> {
        tree.take_ready().into_iter().map(|shard| shard.id).collect()
    }

    fn tree(start: &StreamStart) -> ShardTree {
        ShardTree::new(&family(), start).expect("a tree")
    }

    #[test]
    fn children_wait_for_their_parents_and_the_child_of_a_merge_for_both() {
        let mut tree = tree(&StreamStart::TrimHorizon);
        assert_eq!(ready(&mut tree), ["a", "d"]);
        assert_eq!(ready(&mut tree), [""; 0], "each once");
        tree.finish("d");
        assert_eq!(ready(&mut tree), [""; 0], "e waits for c");
        assert!(tree.has_waiting());
        tree.finish("a");
        assert_eq!(ready(&mut tree), ["b", "c"]);
        tree.finish("c");
        assert_eq!(ready(&mut tree), ["e"]);
        assert!(!tree.has_waiting());
    }

    #[test]
    fn a_child_that_is_known_before_its_other_parent_waits_for_it() {
        // a was split into c and d, and d was merged with b into e; b has been read, a has not.
        let (a, b) = (shard("a", &[], true), shard("b", &[], true));
        let (c, d) = (shard("c", &["a"], false), shard("d", &["a"], true));
        let e = shard("e", &["b", "d"], false);
        let start = &StreamStart::TrimHorizon;
        let mut tree = ShardTree::new(&[a.clone(), b.clone()], start).expect("a tree");
        assert_eq!(ready(&mut tree), ["a", "b"]);
        let all = [a.clone(), b.clone(), c, d.clone(), e.clone()];
        let family = children_of("b", &all);
        assert_eq!(family, [e, b, d, a], "all that e descends from");
        tree.add(&family);
        tree.finish("b");
        assert_eq!(ready(&mut tree), [""; 0]);
        tree.add(&children_of("a", &all));
        tree.finish("a");
        assert_eq!(ready(&mut tree), ["c", "d"]);
        tree.finish("d");
        assert_eq!(ready(&mut tree), ["e"]);
        assert_eq!(children_of("e", &all), []);
    }

    #[test]
    fn children_of_the_run_are_read_from_their_first_record() {
        let mut tree = tree(&StreamStart::Latest);
        let at_start = tree.take_ready();
        let latest = |id: &str| ReadyShard { id: id.to_owned(), start: ShardStart::Latest };
        assert_eq!(at_start, [latest("b"), latest("e")], "closed shards have nothing new");
        let children = [shard("f", &["b", "e"], false)];
        tree.add(&children);
        tree.finish("b");
        assert_eq!(ready(&mut tree), [""; 0]);
        tree.add(&children);
        tree.finish("e");
        let child = ReadyShard { id: "f".to_owned(), start: ShardStart::TrimHorizon };
        assert_eq!(tree.take_ready(), [child]);
    }

    #[test]
    fn parents_that_are_no_longer_kept_hold_nobody_up() {
        let shards = [shard("b", &["a"], false), shard("c", &["a", "z"], false)];
        let mut tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
        assert_eq!(ready(&mut tree), ["b", "c"]);
    }

    #[test]
    fn a_sequence_number_leads_to_its_shard_and_what_descends_from_it() {
        let start = |shard: &str, is_inclusive| StreamStart::Sequence {
            shard: shard.to_owned(),
            number: "17".to_owned(),
            is_inclusive,
        };
        let mut after = tree(&start("c", false));
        let first = ShardStart::AfterSequence("17".to_owned());
        assert_eq!(after.take_ready(), [ReadyShard { id: "c".to_owned(), start: first }]);
        after.finish("c");
        assert_eq!(ready(&mut after), ["e"], "d is left out and holds nobody up");

        let at = tree(&start("a", true)).take_ready();
        assert_eq!(at[0].start, ShardStart::AtSequence("17".to_owned()));
        let mut whole = tree(&start("a", true));
        assert_eq!(whole.nodes.len(), 4, "a, b, c, e");
        whole.finish("a");
        assert_eq!(ready(&mut whole), ["b", "c"]);

        let error = ShardTree::new(&family(), &start("x", true)).expect_err("no x").to_string();
        assert_eq!(error, "shard 'x' does not exist; the stream's shards are a, b, c, d, e");
    }

    #[test]
    fn shards_are_numbered_by_their_ids() {
        assert_eq!(shard_number("shardId-000000000012"), 12);
        assert_eq!(shard_number("shardId-x"), 0);
    }
}
