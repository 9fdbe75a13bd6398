//! Lists the shards of a stream, with retries.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ChildShard;
use bench_aws::{AwsError, is_throttled};

use super::lineage::{Shard, children_of};
use super::retry::Retries;
use crate::{KinesisError, admin};

/// All shards of `stream`, including closed ones.
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
            // Errors with a code of the service are permanent, except throttling.
            Err(KinesisError::Aws(error)) if is_passing(&error) => {
                let throttled = error.code.is_some();
                retries.wait(throttled, error).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The children of `parent` with all their ancestors. `named` are the children in the service's
/// answer, used if its list of shards lags behind.
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
