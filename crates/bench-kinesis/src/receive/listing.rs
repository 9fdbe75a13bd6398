//! The shards that a stream has, asked for until the answer comes.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ChildShard;
use bench_aws::{AwsError, is_throttled};

use super::lineage::{Shard, children_of};
use super::retry::Retries;
use crate::{KinesisError, admin};

/// All shards of `stream` that are kept, closed ones included.
pub(super) async fn list_shards(
    client: &Client,
    stream: &str,
    retries: &mut Retries,
) -> Result<Vec<Shard>, KinesisError> {
    loop {
        match admin::list_shards(client, stream).await {
            Ok(shards) => {
                retries.succeeded();
                return Ok(shards.into_iter().map(Shard::from).collect());
            }
            // Refused for good are those that the service has a code for.
            Err(KinesisError::Aws(error)) if is_passing(&error) => {
                let throttled = error.code.is_some();
                retries.wait(throttled, error).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The shards that `parent` was split or merged into, and all that these descend from. `named` are
/// the children that the service has named: all there is if its list should lag behind.
pub(super) async fn list_children(
    client: &Client,
    stream: &str,
    parent: &str,
    named: Option<Vec<ChildShard>>,
    retries: &mut Retries,
) -> Result<Vec<Shard>, KinesisError> {
    let shards = list_shards(client, stream, retries).await?;
    let children = children_of(parent, &shards);
    if children.is_empty() {
        return Ok(named.unwrap_or_default().iter().map(Shard::from).collect());
    }
    Ok(children)
}

fn is_passing(error: &AwsError) -> bool {
    error.code.as_deref().is_none_or(is_throttled)
}
