//! S3 over HTTP.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bench_service_s3::Keys;
use futures_util::StreamExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse, S3Error};
use tokio::net::TcpListener;

use super::faults::{Fault, S3Faults, error_of};
use super::folder::{ConditionalWrites, Folder};
use super::service::{Doorkeeper, Objects};

/// Pause in accepting when the system has no more file descriptors.
const REST: Duration = Duration::from_millis(50);

/// Buffer of a connection. Objects are large.
const BUFFER_BYTES: usize = 1 << 20;

/// Serves the objects in `dir`, with `bucket` in it, until the process ends.
pub(super) async fn serve_on(
    listener: TcpListener,
    dir: &Path,
    bucket: &str,
    keys: Keys,
    writes: ConditionalWrites,
    faults: S3Faults,
) -> io::Result<()> {
    let folder = Folder::open(dir, writes)?;
    folder.create_bucket(bucket)?;
    let mut service = S3ServiceBuilder::new(Objects(Arc::new(folder)));
    service.set_auth(Doorkeeper(keys));
    let front = Front { service: service.build(), faults };
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(_) => {
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // Answers are small, and their latency is measured.
        let _ = stream.set_nodelay(true);
        let front = front.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.max_buf_size(BUFFER_BYTES);
            // A broken connection concerns only its client.
            let _ = http.serve_connection(TokioIo::new(stream), front).await;
        });
    }
}

/// The service with the faults in front of it.
#[derive(Clone)]
struct Front {
    service: S3Service,
    faults: S3Faults,
}

impl Service<Request<Incoming>> for Front {
    type Response = HttpResponse;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { front.answer(request.map(Body::from)).await })
    }
}

impl Front {
    async fn answer(&self, request: Request<Body>) -> Result<HttpResponse, HttpError> {
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        match self.faults.strike(request.method().as_str(), target).await {
            None | Some(Fault::Delay(_) | Fault::Hold) => self.service.call(request).await,
            Some(Fault::Answer(status)) => {
                // A connection continues only once the request has been read.
                let mut body = request.into_body();
                while let Some(Ok(_)) = body.next().await {}
                refuse(status)
            }
            Some(Fault::ForwardThenAnswer(status)) => {
                self.service.call(request).await?;
                refuse(status)
            }
            Some(Fault::ForwardThenDrop) => {
                self.service.call(request).await?;
                Err(broken())
            }
            Some(Fault::Drop) => Err(broken()),
        }
    }
}

fn refuse(status: u16) -> Result<HttpResponse, HttpError> {
    let failed = |error: S3Error| HttpError::new(Box::new(error));
    error_of(status).to_http_response().map_err(failed)
}

/// An error that ends the connection.
fn broken() -> HttpError {
    HttpError::new("broken on purpose".into())
}
