//! The HTTP client of a store on S3. It counts every request and every attempt, including those of
//! delta-rs itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, SpawnedReqwestConnector,
};
use deltalake::logstore::object_store::{self};
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;

use super::outage::Outage;
use super::requests::{RequestKind, Requests};

/// Creates the counting clients.
#[derive(Debug)]
pub(super) struct CountingConnector {
    inner: SpawnedReqwestConnector,
    requests: Requests,
    outage: Outage,
}

impl CountingConnector {
    pub(super) fn new(runtime: Handle, requests: Requests, outage: Outage) -> Self {
        Self { inner: SpawnedReqwestConnector::new(runtime), requests, outage }
    }
}

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = self.inner.connect(options)?;
        let (requests, outage) = (self.requests.clone(), self.outage.clone());
        Ok(HttpClient::new(CountingClient { inner, requests, outage }))
    }
}

#[derive(Debug)]
struct CountingClient {
    inner: HttpClient,
    requests: Requests,
    outage: Outage,
}

#[async_trait]
impl HttpService for CountingClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (method, uri) = (request.method().as_str(), request.uri());
        let kind = RequestKind::of(method, uri.query().unwrap_or_default());
        let request_id = self.requests.request_id(method, uri);
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        self.requests.count(kind);
        self.requests.sent(request_id);
        self.requests.bytes_written.add(request.body().content_length() as u64);
        let response = self.inner.execute(request).await;
        self.outage.note(&host, &response);
        match &response {
            Ok(response) if !is_transient(response.status().as_u16()) => {}
            _ => self.requests.failed(request_id),
        }
        let (parts, body) = response?.into_parts();
        let body = CountingBody { inner: body, requests: self.requests.clone(), request_id };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Whether a response status is transient by the rules of the store's client.
fn is_transient(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

/// A response body that counts the bytes read.
struct CountingBody {
    inner: HttpResponseBody,
    requests: Requests,
    request_id: u64,
}

impl Body for CountingBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.requests.bytes_read.add(bytes as u64);
            }
            // The client requests the rest.
            Poll::Ready(Some(Err(_))) => self.requests.failed(self.request_id),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_not_retried() {
        for (status, expected) in
            [(200, false), (206, false), (304, false), (403, false), (404, false), (409, false)]
                .into_iter()
                .chain([(412, false), (408, true), (429, true), (500, true), (503, true)])
        {
            assert_eq!(is_transient(status), expected, "{status}");
        }
    }
}
