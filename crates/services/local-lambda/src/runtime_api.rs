//! The Runtime API by which one worker of a function gets its events and answers them.
//!
//! The HTTP side knows nothing of timeouts and retries: it turns requests into [`FromWorker`] and
//! answers when told to. Documented in "Using the Lambda runtime API for custom runtimes".

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bench_stack::secret;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::event::EVENT_BYTES_MAX;

/// An event for a worker.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    /// The deadline at which the worker is killed, ms since 1970.
    pub(super) deadline_ms: u64,
    pub(super) function_arn: String,
    pub(super) payload: Vec<u8>,
}

/// A message from a worker.
#[derive(Debug)]
pub(super) enum FromWorker {
    /// It asks for an event.
    Next(oneshot::Sender<Event>),
    /// The answer to an event, or the reason for none.
    Answer { request_id: String, answer: Result<Bytes, String> },
    /// It cannot start.
    InitError(String),
}

/// The listener of one worker, until this value is dropped.
pub(super) struct RuntimeApi {
    /// The URL for the worker. Its path is a secret, so that no other process on this machine can
    /// take the worker's events.
    pub(super) url: String,
    pub(super) requests: mpsc::Receiver<FromWorker>,
    server: JoinHandle<()>,
}

impl RuntimeApi {
    /// Opens it on a free port of 127.0.0.1.
    pub(super) async fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, secret) =
            (listener.local_addr()?, secret::password().map_err(io::Error::other)?);
        let (sender, requests) = mpsc::channel(4);
        let router = Router::new().nest(&format!("/{secret}"), router(sender));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "the Runtime API of a worker ended");
            }
        });
        Ok(Self { url: format!("http://{address}/{secret}"), requests, server })
    }
}

/// Without the secret.
impl fmt::Debug for RuntimeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeApi").finish_non_exhaustive()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Sender = mpsc::Sender<FromWorker>;

fn router(sender: Sender) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        // Answers have the same limit as events.
        .layer(DefaultBodyLimit::max(EVENT_BYTES_MAX))
        .with_state(sender)
}

async fn next(State(sender): State<Sender>) -> Response {
    let (give, take) = oneshot::channel();
    if sender.send(FromWorker::Next(give)).await.is_err() {
        return StatusCode::GONE.into_response();
    }
    match take.await {
        Ok(event) => {
            let headers = [
                ("content-type", "application/json".to_owned()),
                ("lambda-runtime-trace-id", trace_id(&event.request_id)),
                ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
                ("lambda-runtime-invoked-function-arn", event.function_arn),
                ("lambda-runtime-aws-request-id", event.request_id),
            ];
            (headers, event.payload).into_response()
        }
        Err(_) => StatusCode::GONE.into_response(),
    }
}

async fn response(
    State(sender): State<Sender>,
    Path(request_id): Path<String>,
    body: Bytes,
) -> Response {
    accept(&sender, FromWorker::Answer { request_id, answer: Ok(body) }).await
}

async fn error(
    State(sender): State<Sender>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = Err(describe(&headers, &body));
    accept(&sender, FromWorker::Answer { request_id, answer }).await
}

async fn init_error(State(sender): State<Sender>, headers: HeaderMap, body: Bytes) -> Response {
    accept(&sender, FromWorker::InitError(describe(&headers, &body))).await
}

async fn accept(sender: &Sender, message: FromWorker) -> Response {
    match sender.send(message).await {
        Ok(()) => (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response(),
        Err(_) => StatusCode::GONE.into_response(),
    }
}

/// An error reported by a function, in one line.
fn describe(headers: &HeaderMap, body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Diagnostic {
        error_message: String,
        error_type: Option<String>,
    }
    let of_header = headers.get("lambda-runtime-function-error-type");
    let of_header = of_header.and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    match serde_json::from_slice::<Diagnostic>(body) {
        Ok(Diagnostic { error_message, error_type }) => {
            format!("{error_message} ({})", error_type.as_deref().unwrap_or(of_header))
        }
        Err(_) => format!("an error that says nothing ({of_header})"),
    }
}

/// `Root=1-5759e988-bd862e3fe1be46a994272793`, of the digits of the request.
fn trace_id(request_id: &str) -> String {
    let digits: String = request_id.chars().filter(char::is_ascii_hexdigit).collect();
    let (seconds, rest) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    format!("Root=1-{seconds}-{rest};Sampled=0")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// The status that a GET of this path gets, or that of an event if `api` is asked for one.
    async fn get(api: &mut RuntimeApi, address: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::select! {
            read = stream.read_to_string(&mut answer) => drop(read.expect("an answer")),
            asked = api.requests.recv() => {
                assert!(matches!(asked, Some(FromWorker::Next(_))));
                return "event".to_owned();
            }
        }
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn events_require_the_secret() {
        let mut api = RuntimeApi::open().await.expect("opened");
        let url = api.url.clone();
        let (address, secret) =
            url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
        let next = "2018-06-01/runtime/invocation/next";
        let wrong = "0".repeat(secret.len());
        for path in [format!("/{next}"), format!("//{next}"), format!("/{wrong}/{next}")] {
            assert_eq!(get(&mut api, address, &path).await, "404", "{path}");
        }
        assert_eq!(get(&mut api, address, &format!("/{secret}/{next}")).await, "event");
        assert!(!format!("{api:?}").contains(secret));
    }
}
