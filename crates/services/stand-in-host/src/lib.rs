//! What the programs of stand-ins have in common: how they start, serve and end, in a process of
//! their own or, for tests, in a thread.

mod program;

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use bench_stand_in::{PROTOCOL, Reply, StandInError, StandInKind};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

pub use program::main_of;

/// Time for requests in progress to finish once nobody needs the process any more.
const WIND_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a stand-in's process failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The tool that started it cannot be reached.
    #[error("failed to talk to the tool: {0}")]
    Pipe(io::Error),
    /// A reply could not be written as JSON.
    #[error("failed to write a reply: {0}")]
    Reply(#[source] serde_json::Error),
    /// Its argument is not valid.
    #[error("failed to understand its argument, which another version may have written: {0}")]
    Argument(#[source] serde_json::Error),
    /// It cannot serve.
    #[error("failed to serve on 127.0.0.1: {0}")]
    Serve(#[source] io::Error),
    /// A file that its argument names cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it does for its service failed.
    #[error(transparent)]
    Service(Box<dyn Error + Send + Sync>),
}

impl HostError {
    /// For `map_err` after something that the service does for itself.
    #[must_use]
    pub fn service(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Service(error.into())
    }
}

/// Tells the program that started this process something.
pub fn say(reply: &Reply) -> Result<(), HostError> {
    let mut line = serde_json::to_vec(reply).map_err(HostError::Reply)?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).map_err(HostError::Pipe)
}

/// Tells the program that started this process that the stand-in is up at `address`.
pub fn say_up(address: String) -> Result<(), HostError> {
    say(&Reply::Up { protocol: PROTOCOL.to_owned(), address })
}

/// Reads the argument that the process was started with.
pub fn argument<T: DeserializeOwned>(text: &str) -> Result<T, HostError> {
    serde_json::from_str(text).map_err(HostError::Argument)
}

/// Serves on `port` until the process is killed; without one, on any port until standard input
/// ends.
pub fn serve_process<F>(
    port: Option<u16>,
    serve: impl FnOnce(tokio::net::TcpListener) -> F,
) -> Result<(), HostError>
where
    F: Future<Output = io::Result<()>>,
{
    let (listener, address) = listen(port.unwrap_or(0)).map_err(HostError::Serve)?;
    let (alone, left_alone) = oneshot::channel();
    if port.is_none() {
        let watch = std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = alone.send(());
        });
        watch.map_err(HostError::Serve)?;
    }
    say_up(address)?;
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(HostError::Serve)?;
    let served = runtime.block_on(async {
        tokio::select! {
            ended = async { serve(from_std(listener)?).await } => ended,
            Ok(()) = left_alone => Ok(()),
        }
    });
    // No client is left to wait for requests in progress.
    runtime.shutdown_timeout(WIND_UP_TIMEOUT);
    served.map_err(HostError::Serve)
}

/// A server in a thread of this process, which ends when this value is dropped.
#[derive(Debug)]
pub struct Background {
    endpoint_url: String,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts `serve` with a listener on a free port of loopback.
    pub fn start<F>(
        kind: &'static StandInKind,
        serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
    ) -> Result<Self, StandInError>
    where
        F: Future<Output = io::Result<()>>,
    {
        let failed = |source| StandInError::Background { service: kind.name, source };
        let (listener, endpoint_url) = listen(0).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(kind.name.to_owned())
            .spawn(move || run_until(&runtime, stopped, kind, listener, serve))
            .map_err(failed)?;
        Ok(Self { endpoint_url, stop: Some(stop), thread: Some(thread) })
    }

    /// Where clients reach it, as in `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed, and its clients have noticed.
            let _ = thread.join();
        }
    }
}

fn run_until<F>(
    runtime: &Runtime,
    stopped: oneshot::Receiver<()>,
    kind: &StandInKind,
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
