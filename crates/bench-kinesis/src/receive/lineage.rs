//! Tracks which shards of a stream may be read: a split or a merge closes shards and opens
//! children, and a child is read only after its parents, to keep the order of each key.
//!
//! This module sends no requests.

use std::collections::BTreeMap;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ChildShard;

use crate::admin;

/// A shard in the lineage of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its id.
    pub id: String,
    /// Its parents: one after a split, two after a merge, otherwise none.
    pub parents: Vec<String>,
    /// Whether it accepts no more records.
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

/// The number in a shard's id (`shardId-000000000007`), used in results; 0 for ids of another form.
#[must_use]
pub fn shard_number(id: &str) -> u32 {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// Where to start reading a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamStart {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record that arrived at this time or later.
    Timestamp(DateTime),
    /// At a record of one shard. Other shards are skipped, unless they descend from that one.
    Sequence {
        /// The shard's id.
        shard: String,
        /// The sequence number of the record.
        number: String,
        /// Whether the record itself is also read.
        is_inclusive: bool,
    },
}

/// Where to start reading a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum ShardStart {
    /// At the oldest record.
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

/// A shard that may be read now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyShard {
    /// Its id.
    pub id: String,
    /// Where to start.
    pub start: ShardStart,
}

/// The shard to start from does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shard '{shard}' does not exist; the stream's shards are {}", list(.known))]
pub struct NoSuchShard {
    /// The requested id.
    pub shard: String,
    /// The existing ids.
    pub known: Vec<String>,
}

/// Lists the first ids; a stream may have thousands.
fn list(ids: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = ids[..ids.len().min(SHOWN)].join(", ");
    if ids.len() > SHOWN {
        text += ", ...";
    }
    text
}

/// The children of `parent` among a stream's `shards`, with all their ancestors: a child of a merge
/// may be known before its other parent.
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

/// The shards of a stream and their state.
#[derive(Debug, Clone)]
pub struct ShardTree {
    nodes: BTreeMap<String, Node>,
    /// Whether shards that descend from none of these are skipped.
    is_partial: bool,
}

#[derive(Debug, Clone)]
struct Node {
    parents: Vec<String>,
    start: ShardStart,
    state: ShardState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShardState {
    Waiting,
    Taken,
    Finished,
}

impl ShardTree {
    /// Builds the lineage of a stream's current shards. Later shards are read from their first
    /// record.
    pub fn new(shards: &[Shard], start: &StreamStart) -> Result<Self, NoSuchShard> {
        let is_partial = matches!(start, StreamStart::Sequence { .. });
        let mut tree = Self { nodes: BTreeMap::new(), is_partial };
        match start {
            StreamStart::TrimHorizon => tree.insert_all(shards, &ShardStart::TrimHorizon),
            StreamStart::Timestamp(at) => tree.insert_all(shards, &ShardStart::AtTimestamp(*at)),
            StreamStart::Latest => {
                tree.insert_all(shards, &ShardStart::Latest);
                for shard in shards.iter().filter(|shard| shard.is_closed) {
                    tree.set(&shard.id, ShardState::Finished);
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

    /// Adds shards created by splits and merges; known shards are unchanged. Their ancestors must
    /// be known or included: an unknown parent counts as expired.
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

    /// Takes the shards whose parents have all been read or have expired. Each is returned once.
    pub fn take_ready(&mut self) -> Vec<ReadyShard> {
        let is_read = |id: &String| self.nodes.get(id).is_none_or(Node::is_finished);
        let is_ready =
            |node: &Node| node.state == ShardState::Waiting && node.parents.iter().all(is_read);
        let ready: Vec<ReadyShard> = self
            .nodes
            .iter()
            .filter(|(_, node)| is_ready(node))
            .map(|(id, node)| ReadyShard { id: id.clone(), start: node.start.clone() })
            .collect();
        for shard in &ready {
            self.set(&shard.id, ShardState::Taken);
        }
        ready
    }

    /// Marks a shard as read to its end, so that its children may be read.
    pub fn finish(&mut self, id: &str) {
        self.set(id, ShardState::Finished);
    }

    /// Whether there are shards that may not be read yet.
    #[must_use]
    pub(crate) fn has_waiting(&self) -> bool {
        self.nodes.values().any(|node| node.state == ShardState::Waiting)
    }

    fn insert_all(&mut self, shards: &[Shard], start: &ShardStart) {
        for shard in shards {
            self.insert(shard, start.clone());
        }
    }

    fn insert(&mut self, shard: &Shard, start: ShardStart) {
        let node = Node { parents: shard.parents.clone(), start, state: ShardState::Waiting };
        self.nodes.insert(shard.id.clone(), node);
    }

    fn set(&mut self, id: &str, state: ShardState) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.state = state;
        }
    }
}

impl Node {
    fn is_finished(&self) -> bool {
        self.state == ShardState::Finished
    }
}

#[cfg(test)]
mod tests;
