//! Streams that change while they are read.

use local_lambda::MappingState;

use super::harness::Bench;
use super::settings;

#[test]
fn the_children_of_a_split_are_read_after_their_parent() {
    let bench = Bench::new("split", 1);
    let key = |sequence: u64| format!("key-{}", sequence % 10);
    let put = |range: std::ops::Range<u64>| {
        bench.put(range.map(|sequence| (key(sequence), bench.message(sequence))));
    };
    put(0..300);
    // Slow enough for the parent to be at work still when its children have records.
    let mapping = bench.start(bench.config(settings(&[("batch-size", "10")])));
    bench.wait_for(async {
        let split = bench.kinesis.split_shard().stream_name(&bench.stream);
        let split = split.shard_to_split("shardId-000000000000");
        split.new_starting_hash_key((u128::MAX / 2).to_string()).send().await.expect("split");
    });
    bench.await_active();
    put(300..600);
    bench.await_messages(0..600);
    let report = mapping.stop();
    assert_eq!(report.counts.shards_finished, 1);
    let mut rows = bench.rows();
    assert_eq!(rows.len(), 600, "each once");
    rows.sort_unstable_by_key(|row| row.sequence);
    for number in 0..10 {
        let of_key = rows.iter().filter(|row| row.key == key(number));
        let received: Vec<u64> = of_key.map(|row| row.received_ns).collect();
        assert!(received.is_sorted(), "key {number}: {received:?}");
    }
}

#[test]
fn a_stream_is_waited_for_and_another_one_of_its_name_is_read_from_its_beginning() {
    let bench = Bench::new("anew", 1);
    let delete = || {
        let delete = bench.kinesis.delete_stream().stream_name(&bench.stream);
        bench.wait_for(delete.send()).expect("deleted");
        bench.until("the stream is gone", || {
            let describe = bench.kinesis.describe_stream_summary().stream_name(&bench.stream);
            bench.wait_for(describe.send()).is_err()
        });
    };
    delete();
    let mapping = bench.start(bench.config(settings(&[])));
    let is_waiting = || bench.report().is_some_and(|r| r.state == MappingState::Waiting);
    bench.until("the mapping waits", is_waiting);
    bench.create_stream(1);
    bench.put_messages(0..50);
    bench.await_messages(0..50);
    delete();
    bench.until("the mapping waits again", is_waiting);
    bench.create_stream(2);
    bench.put((50..100).map(|sequence| (sequence.to_string(), bench.message(sequence))));
    bench.await_messages(0..100);
    assert_eq!(mapping.stop().counts.records_done, 100);
}
