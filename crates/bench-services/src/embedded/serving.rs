//! What the processes of embedded services have in common, and servers over HTTP above all: in a
//! process of their own, or in a thread of this one.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::error::KafkaError;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::process::{Kind, Reply};
use super::s3::Keys;
use crate::ServiceError;
use crate::lambda::MappingError;

/// How long what is under way may keep a process that nobody needs any more.
const WIND_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the process of a service ended badly.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("failed to start the mock cluster: {0}")]
    Cluster(#[from] KafkaError),
    #[error("failed to talk to the tool: {0}")]
    Pipe(io::Error),
    #[error("failed to write a reply: {0}")]
    Reply(#[source] serde_json::Error),
    #[error("failed to understand its argument, which another version may have written: {0}")]
    Argument(#[source] serde_json::Error),
    #[error("failed to serve on 127.0.0.1: {0}")]
    Serve(#[source] io::Error),
    #[error("failed to read {}: {source}", path.display())]
    Config { path: PathBuf, source: io::Error },
    #[error("failed to listen for signals: {0}")]
    Signal(#[source] io::Error),
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// Says something to whoever started this process.
pub(super) fn say(reply: &Reply) -> Result<(), ServeError> {
    let mut line = serde_json::to_vec(reply).map_err(ServeError::Reply)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).map_err(ServeError::Pipe)
}

/// What the process was started with.
pub(super) fn argument<T: DeserializeOwned>(text: &OsStr) -> Result<T, ServeError> {
    serde_json::from_slice(text.as_encoded_bytes()).map_err(ServeError::Argument)
}

/// The life of a service's process: serves on `port` until it is killed; without one, on any port
/// until standard input ends. Whoever started it is told the keys.
pub(super) fn serve_process<F>(
    port: Option<u16>,
    keys: Option<Keys>,
    serve: impl FnOnce(tokio::net::TcpListener) -> F,
) -> Result<(), ServeError>
where
    F: Future<Output = io::Result<()>>,
{
    let (listener, address) = listen(port.unwrap_or(0)).map_err(ServeError::Serve)?;
    let (alone, left_alone) = oneshot::channel();
    if port.is_none() {
        let watch = std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = alone.send(());
        });
        watch.map_err(ServeError::Serve)?;
    }
    say(&Reply::Up { address, keys })?;
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(ServeError::Serve)?;
    let served = runtime.block_on(async {
        tokio::select! {
            ended = async { serve(from_std(listener)?).await } => ended,
            Ok(()) = left_alone => Ok(()),
        }
    });
    // Nobody is left to care about what is under way.
    runtime.shutdown_timeout(WIND_UP_TIMEOUT);
    served.map_err(ServeError::Serve)
}

/// A server in a thread of this process, which ends with its value.
#[derive(Debug)]
pub(super) struct Background {
    endpoint_url: String,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(super) fn start<F>(
        kind: &'static Kind,
        serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
    ) -> Result<Self, ServiceError>
    where
        F: Future<Output = io::Result<()>>,
    {
        let failed = |source| ServiceError::Background { service: kind.name, source };
        let (listener, endpoint_url) = listen(0).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(kind.name.to_owned())
            .spawn(move || run_until(&runtime, stopped, kind, listener, serve))
            .map_err(failed)?;
        Ok(Self { endpoint_url, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so, and its clients have noticed.
            let _ = thread.join();
        }
    }
}

fn run_until<F>(
    runtime: &Runtime,
    stopped: oneshot::Receiver<()>,
    kind: &Kind,
    listener: TcpListener,
    serve: impl FnOnce(tokio::net::TcpListener) -> F,
) where
    F: Future<Output = io::Result<()>>,
{
    runtime.block_on(async {
        let served = async { serve(from_std(listener)?).await };
        tokio::select! {
            _ = stopped => {}
            ended = served => if let Err(error) = ended {
                tracing::error!(%error, "the {} ended", kind.name);
            },
        }
    });
}

/// A listener on loopback, and the address for clients.
fn listen(port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

fn from_std(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener)
}
