//! Writers that race to create the same objects.

use bench_delta::Lake;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::object_store::{Error, ObjectStoreExt as _, PutMode};
use tokio::task::JoinSet;

const WRITERS: usize = 8;

/// Lets eight writers create one object after another, each with its own bytes; exactly one may win
/// each, and its bytes must be stored.
pub(crate) async fn race(lake: &Lake, rounds: u32) {
    for round in 0..rounds {
        let path = Path::from(format!("_delta_log/{round:020}.json"));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, path) = (lake.store().clone(), path.clone());
            writers.spawn(async move {
                let bytes = format!("written by {writer}");
                let put = store.put_opts(&path, bytes.clone().into(), PutMode::Create.into());
                match put.await {
                    Ok(_) => Some(bytes),
                    Err(Error::AlreadyExists { .. }) => None,
                    Err(error) => panic!("a writer failed: {error}"),
                }
            });
        }
        let told: Vec<Option<String>> = writers.join_all().await;
        let winners: Vec<String> = told.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let there = lake.store().get(&path).await.expect("it exists");
        let there = there.bytes().await.expect("readable");
        assert_eq!(there, winners[0], "round {round}");
    }
}
