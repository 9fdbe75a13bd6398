//! The HTTP client of a store on S3, which counts what goes through it: delta-rs' own requests and
//! every try of a request among them.

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
use super::requests::{Kind, Requests};

/// Makes the clients.
#[derive(Debug)]
pub(super) struct CountedConnector {
    inner: SpawnedReqwestConnector,
    requests: Requests,
    outage: Outage,
}

impl CountedConnector {
    pub(super) fn new(runtime: Handle, requests: Requests, outage: Outage) -> Self {
        Self { inner: SpawnedReqwestConnector::new(runtime), requests, outage }
    }
}

impl HttpConnector for CountedConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = self.inner.connect(options)?;
        let (requests, outage) = (self.requests.clone(), self.outage.clone());
        Ok(HttpClient::new(Counted { inner, requests, outage }))
    }
}

#[derive(Debug)]
struct Counted {
    inner: HttpClient,
    requests: Requests,
    outage: Outage,
}

#[async_trait]
impl HttpService for Counted {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (method, uri) = (request.method().as_str(), request.uri());
        let kind = Kind::of(method, uri.query().unwrap_or_default());
        let thing = self.requests.thing(method, uri);
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        self.requests.count(kind);
        self.requests.sent(thing);
        self.requests.bytes_written.add(request.body().content_length() as u64);
        let answer = self.inner.execute(request).await;
        self.outage.note(&host, &answer);
        match &answer {
            Ok(answer) if !may_pass(answer.status().as_u16()) => {}
            _ => self.requests.failed(thing),
        }
        let (parts, body) = answer?.into_parts();
        let body = CountedBody { inner: body, requests: self.requests.clone(), thing };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Whether an answer says that another try may succeed, as the store's client judges it.
fn may_pass(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 429)
}

/// An answer that counts what is read of it.
struct CountedBody {
    inner: HttpResponseBody,
    requests: Requests,
    thing: u64,
}

impl Body for CountedBody {
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
            // The client asks for the rest.
            Poll::Ready(Some(Err(_))) => self.requests.failed(self.thing),
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
    fn refusals_are_not_tried_again() {
        for (status, expected) in
            [(200, false), (206, false), (304, false), (403, false), (404, false), (409, false)]
                .into_iter()
                .chain([(412, false), (408, true), (429, true), (500, true), (503, true)])
        {
            assert_eq!(may_pass(status), expected, "{status}");
        }
    }
}
