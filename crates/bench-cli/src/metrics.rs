//! The figures of a run while it goes on, for Prometheus and whatever else reads `OpenMetrics`.

mod endpoint;
mod exposition;

use std::fmt::{self, Display, Formatter};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bench_core::clock::InstantNs;
use bench_core::engine::{Plan, Totals};
use bench_core::system::cause;
use bench_record::{file_names, files};
use clap::Args;

use self::exposition::{RunInfo, Snapshot};
use crate::UsageError;

/// Interval between two updates: shorter than any scrape, and rare enough to cost nothing.
const UPDATE_NS: u64 = 1_000_000_000;

/// Where the endpoint listens: a port of the loopback interface, unless a host is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsAddress {
    host: String,
    port: u16,
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        let port = port.parse().map_err(|_| "write a port, or HOST:PORT".to_owned())?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Display for MetricsAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where an orchestrator serves its figures; flatten it into its options.
#[derive(Debug, Clone, Default, Args)]
pub struct MetricsArgs {
    /// Serve the figures of the runs while they go on, for Prometheus: a port, or HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    metrics_addr: Option<MetricsAddress>,
}

impl MetricsArgs {
    /// Listens where the options say, if they do.
    pub fn bind(&self) -> Result<Option<TcpListener>, UsageError> {
        self.metrics_addr.as_ref().map(MetricsAddress::bind).transpose()
    }
}

impl MetricsAddress {
    /// Listens there.
    pub(crate) fn bind(&self) -> Result<TcpListener, UsageError> {
        let bound = (self.host.as_str(), self.port).to_socket_addrs().and_then(|addresses| {
            TcpListener::bind(addresses.collect::<Vec<SocketAddr>>().as_slice())
        });
        bound.map_err(|error| {
            let problem = format!("cannot listen on {self}: {}", cause(&error));
            UsageError::new(
                "--metrics-addr",
                problem,
                "use another port, or 0 for any that is free",
            )
        })
    }
}

/// The figures of one run, behind an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    shared: Arc<Shared>,
    updated_ns: InstantNs,
}

/// What the run writes and the endpoint reads.
#[derive(Debug)]
pub(crate) struct Shared {
    info: RunInfo,
    snapshot: Mutex<Snapshot>,
}

impl Metrics {
    /// Serves the figures of a run from now on, until the process ends.
    pub(crate) fn serve(listener: TcpListener, tool: &str, run_id: String) -> Self {
        let info = RunInfo { tool: tool.to_owned(), run_id };
        let shared = Arc::new(Shared { info, snapshot: Mutex::default() });
        let read = Arc::clone(&shared);
        endpoint::serve(listener, move || read.text());
        Self { shared, updated_ns: 0 }
    }

    /// Takes the figures so far, about once a second.
    pub(crate) fn update(
        &mut self,
        plan: &Plan,
        consumes: bool,
        now_ns: InstantNs,
        totals: &Totals,
    ) {
        if now_ns.saturating_sub(self.updated_ns) >= UPDATE_NS {
            self.updated_ns = now_ns;
            self.take(plan, consumes, now_ns, totals);
        }
    }

    /// Takes the figures.
    pub(crate) fn take(&self, plan: &Plan, consumes: bool, now_ns: InstantNs, totals: &Totals) {
        let snapshot = Snapshot::of(plan, consumes, now_ns, totals);
        *self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Keeps the last figures in the result folder.
    pub(crate) fn keep(&self, folder: &Path) {
        keep_metrics(folder, &self.shared.text());
    }
}

/// Serves what `text` returns until the process ends.
pub fn serve_metrics(listener: TcpListener, text: impl Fn() -> String + Send + 'static) {
    endpoint::serve(listener, text);
}

/// Keeps the last figures in a result folder.
pub fn keep_metrics(folder: &Path, text: &str) {
    let path = folder.join(file_names::METRICS);
    let written = files::replace_file(&path, |file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::warn!("failed to write {}: {}", path.display(), cause(&error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ports_of_the_loopback_unless_a_host_is_named() {
        for (text, expected) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "::1:9464"),
        ] {
            assert_eq!(text.parse::<MetricsAddress>().expect(text).to_string(), expected);
        }
        for text in ["", "here", "127.0.0.1:", "1:2:x", "70000"] {
            assert!(text.parse::<MetricsAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn taken_ports_are_errors_of_the_command_line() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        let address: MetricsAddress = port.to_string().parse().expect("a port");
        let error = address.bind().expect_err("taken").to_string();
        assert!(error.starts_with(&format!("--metrics-addr: cannot listen on 127.0.0.1:{port}")));
        assert!(error.contains("use another port"), "{error}");
    }
}
