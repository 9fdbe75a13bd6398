//! Endpoints that a program under test serves over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::tool::until;

/// A port of the loopback interface that nothing listens on.
///
/// # Panics
///
/// Without a free port.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The whole answer to a GET of this path, once something listens on the port.
#[must_use]
pub fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

/// The whole answer to a request, once something listens on the port.
///
/// # Panics
///
/// If nothing listens in time, or if the answer is no text.
#[must_use]
pub fn ask(port: u16, request: &str) -> String {
    let mut stream = None;
    until("the endpoint is there", || {
        stream = TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("connected");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}
