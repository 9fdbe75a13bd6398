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
mod tests;
