//! A local service that answers as a test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::response::IntoResponse as _;

/// Its answers, and the requests it received.
pub(crate) struct StandIn {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The parts of a request that tests look at.
pub(crate) struct Asked<'a> {
    /// Method and path with parameters.
    pub(crate) line: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// Requests before this one.
    pub(crate) number: usize,
}

impl StandIn {
    /// Starts the service on the current runtime.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Asked<'_>) -> Response<Body> + Clone + Send + Sync + 'static,
    {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, _: Bytes| async move {
            let line = format!("{method} {uri}");
            let number = {
                let mut log = log.lock().expect("nobody panicked");
                log.push(line.clone());
                log.len() - 1
            };
            answer(&Asked { line: &line, headers: &headers, number })
        };
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = listener.await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { url: format!("http://{address}"), asked }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

/// A response with only a status.
pub(crate) fn status(code: u16) -> Response<Body> {
    let code = axum::http::StatusCode::from_u16(code).expect("a status");
    code.into_response()
}

/// An error response in S3's format, including the details that it repeats from the request.
pub(crate) fn refusal(code: u16, name: &str) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{name}</Code><Message>So said the \
         service.</Message><AWSAccessKeyId>AKID</AWSAccessKeyId><StringToSign>TOPSECRET\
         </StringToSign></Error>"
    );
    let mut answer = status(code);
    *answer.body_mut() = Body::from(body);
    answer
}

/// An empty listing.
pub(crate) fn empty_list() -> Response<Body> {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><Name>lake</Name>\
                <KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
    Response::new(Body::from(body))
}
