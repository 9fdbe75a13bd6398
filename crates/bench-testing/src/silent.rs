//! A service that nobody gets an answer from.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use crate::tool::{Running, ToolOutput};

/// A listener that takes connections and never says anything.
#[derive(Debug)]
pub struct Silent(TcpListener);

impl Default for Silent {
    fn default() -> Self {
        Self::new()
    }
}

impl Silent {
    /// On a free port of loopback.
    #[must_use]
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a port"))
    }

    /// The same with IPv6, where this machine has it.
    #[must_use]
    pub fn with_ipv6() -> Option<Self> {
        TcpListener::bind("[::1]:0").ok().map(Self)
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// The same for clients over HTTP.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts a tool that connects with this, waits until it has, and interrupts it, once.
    #[must_use]
    pub fn interrupt(&self, command: Command) -> ToolOutput {
        let running = Running::start(command);
        // It is kept, so that the tool goes on waiting for an answer.
        let _connection: (TcpStream, SocketAddr) = self.0.accept().expect("a client");
        running.interrupt();
        running.end()
    }
}
