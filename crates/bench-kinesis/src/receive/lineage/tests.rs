//! Lineages of splits and merges.

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
fn children_wait_for_all_their_parents() {
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
fn merged_children_wait_for_unknown_parents() {
    // a was split into c and d, and d was merged with b into e; b has been read, a has not.
    let all = [
        shard("a", &[], true),
        shard("b", &[], true),
        shard("c", &["a"], false),
        shard("d", &["a"], true),
        shard("e", &["b", "d"], false),
    ];
    let mut tree = ShardTree::new(&all[..2], &StreamStart::TrimHorizon).expect("a tree");
    assert_eq!(ready(&mut tree), ["a", "b"]);
    let family = children_of("b", &all);
    let ids: Vec<&str> = family.iter().map(|shard| shard.id.as_str()).collect();
    assert_eq!(ids, ["e", "b", "d", "a"], "all that e descends from");
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
fn later_children_are_read_from_their_first_record() {
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
fn expired_parents_block_no_children() {
    let shards = [shard("b", &["a"], false), shard("c", &["a", "z"], false)];
    let mut tree = ShardTree::new(&shards, &StreamStart::TrimHorizon).expect("a tree");
    assert_eq!(ready(&mut tree), ["b", "c"]);
}

#[test]
fn sequence_numbers_select_a_shard_and_its_descendants() {
    let start = |shard: &str, is_inclusive| StreamStart::Sequence {
        shard: shard.to_owned(),
        number: "17".to_owned(),
        is_inclusive,
    };
    let mut after = tree(&start("c", false));
    let first = ShardStart::AfterSequence("17".to_owned());
    assert_eq!(after.take_ready(), [ReadyShard { id: "c".to_owned(), start: first }]);
    after.finish("c");
    assert_eq!(ready(&mut after), ["e"], "d is skipped and blocks no child");

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
