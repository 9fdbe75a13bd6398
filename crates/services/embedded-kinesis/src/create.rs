//! Creating streams: on demand and with tags, which ferrokinesis does not support.

use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::types::StreamMode;
use serde_json::json;

use super::request::{checked, parsed};
use super::streams::{Answer, Service};

/// The initial shards of an on-demand stream. Here their number does not change.
const ON_DEMAND_SHARDS: u32 = 4;

pub(super) async fn create_stream(service: &Service, body: &[u8]) -> Answer {
    let mut data = parsed(body)?;
    let is_on_demand = data["StreamModeDetails"]["StreamMode"] == "ON_DEMAND";
    if is_on_demand {
        data["ShardCount"] = json!(ON_DEMAND_SHARDS);
    }
    let create = checked(Operation::CreateStream, &data)?;
    let name = data["StreamName"].as_str().unwrap_or_default().to_owned();
    let tags = data["Tags"].take();
    let tag = match tags.as_object().filter(|tags| !tags.is_empty()) {
        Some(_) => {
            let data = json!({ "StreamName": name, "Tags": tags });
            Some(checked(Operation::AddTagsToStream, &data)?)
        }
        None => None,
    };
    dispatch(&service.store, Operation::CreateStream, create).await?;
    if is_on_demand {
        let changed = service.store.update_stream(&name, |stream| {
            stream.stream_mode_details.stream_mode = StreamMode::OnDemand;
            Ok(())
        });
        changed.await?;
    }
    if let Some(tag) = tag {
        dispatch(&service.store, Operation::AddTagsToStream, tag).await?;
    }
    Ok(None)
}
