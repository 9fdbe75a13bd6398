//! ferrokinesis over HTTP, with what it is missing.
//!
//! As shipped it can lose records: a sequence number is handed out before its record is stored, so
//! a reader in between skips the record. Here no reads happen during a write. Its arrival times are
//! whole seconds, and its consumers are never behind: `put` and `get` fix that. It counts the bytes
//! of texts where Kinesis counts characters: `request` fixes that. All other requests go to
//! ferrokinesis unchanged.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bench_service_kinesis::stand_in::KinesisLimits;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::constants::{CONTENT_TYPE_JSON, KINESIS_API, SERIALIZATION_EXCEPTION};
use ferrokinesis::create_app;
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;

use super::reads::ReadLimits;
use super::request::{checked, parsed};
use super::streams::{Answer, Service};
use super::{create, get, put};

/// The largest request: 10 MiB of records in Base64, and what surrounds them.
const BODY_MAX_BYTES: usize = 16 << 20;

/// Time that creating, deleting or changing a stream takes: long enough to be seen.
const TRANSITION_MS: u64 = 100;

/// Serves until the listener fails.
pub(super) async fn serve_on(listener: TcpListener, limits: KinesisLimits) -> io::Result<()> {
    let options = StoreOptions {
        create_stream_ms: TRANSITION_MS,
        delete_stream_ms: TRANSITION_MS,
        update_stream_ms: TRANSITION_MS,
        shard_limit: limits.shard_limit,
        enforce_limits: limits.enforce_writes,
        ..StoreOptions::default()
    };
    let (app, store) = create_app(options);
    let reads = limits.enforce_reads.then(ReadLimits::default);
    let service = Arc::new(Service { store, order: tokio::sync::RwLock::default(), reads });
    let app =
        app.layer(DefaultBodyLimit::max(BODY_MAX_BYTES)).layer(from_fn_with_state(service, answer));
    let listener = listener.tap_io(|stream| {
        // Answers are small, and their latency is measured.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn answer(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let Some(operation) = operation(request.headers()) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    // Not under the lock, since a client may be slow.
    let Ok(body) = to_bytes(body, BODY_MAX_BYTES).await else {
        let message = format!("The request is larger than {BODY_MAX_BYTES} bytes.");
        let error = KinesisErrorResponse::client_error(SERIALIZATION_EXCEPTION, Some(&message));
        return response(Err(error));
    };
    // ferrokinesis refuses unsigned requests, and reads CBOR, which some clients use.
    if !parts.headers.contains_key(AUTHORIZATION) || !is_json(&parts.headers) {
        return pass_on(&service, operation, parts, body, next).await;
    }
    match operation {
        Operation::CreateStream => response(create::create_stream(&service, &body).await),
        Operation::PutRecord => response(put::put_record(&service, &body).await),
        Operation::PutRecords => response(put::put_records(&service, &body).await),
        Operation::GetRecords => response(get::get_records(&service, &body).await),
        Operation::AddTagsToStream
        | Operation::RemoveTagsFromStream
        | Operation::TagResource
        | Operation::UntagResource
        | Operation::ListTagsForStream => response(tags(&service, operation, &body).await),
        _ => {
            let _turn = service.order.read().await;
            let body = get::with_position(&service.store, operation, &body).await.unwrap_or(body);
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
    }
}

/// Runs operations on texts that may not be ASCII, which are checked here.
async fn tags(service: &Service, operation: Operation, body: &[u8]) -> Answer {
    dispatch(&service.store, operation, checked(operation, &parsed(body)?)?).await
}

/// Passes a request on to ferrokinesis, in its turn.
async fn pass_on(
    service: &Service,
    operation: Operation,
    parts: request::Parts,
    body: Bytes,
    next: Next,
) -> Response {
    let request = Request::from_parts(parts, Body::from(body));
    if matches!(operation, Operation::PutRecord | Operation::PutRecords) {
        let _turn = service.order.write().await;
        return next.run(request).await;
    }
    let _turn = service.order.read().await;
    next.run(request).await
}

/// The operation, if it is one that is handled here.
fn operation(headers: &HeaderMap) -> Option<Operation> {
    let target = headers.get("x-amz-target")?.to_str().ok()?;
    let name = target.strip_prefix(KINESIS_API)?.strip_prefix('.')?;
    name.parse().ok().filter(|operation| {
        matches!(
            operation,
            Operation::AddTagsToStream
                | Operation::CreateStream
                | Operation::GetRecords
                | Operation::GetShardIterator
                | Operation::ListTagsForStream
                | Operation::PutRecord
                | Operation::PutRecords
                | Operation::RemoveTagsFromStream
                | Operation::SubscribeToShard
                | Operation::TagResource
                | Operation::UntagResource
        )
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.split(';').next() == Some(CONTENT_TYPE_JSON))
}

fn response(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(None) => (StatusCode::OK, Ok(Vec::new())),
        Ok(Some(value)) => (StatusCode::OK, serde_json::to_vec(&value)),
        Err(error) => {
            let status = StatusCode::from_u16(error.status_code);
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), serde_json::to_vec(&error.body))
        }
    };
    match body {
        Ok(body) => (status, [(CONTENT_TYPE, CONTENT_TYPE_JSON)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
