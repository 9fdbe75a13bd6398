//! Enough HTTP to ask a server whether it is healthy.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bench_core::system::cause;

/// Time that a server may take for each step of an answer.
const TIMEOUT: Duration = Duration::from_millis(500);

/// `HTTP/1.1 200`
const STATUS_BYTES: usize = 12;

/// Checks that a server on 127.0.0.1 answers a GET with this status; an error says what it does
/// instead.
pub fn answers(port: u16, path: &str, wanted: u16) -> Result<(), String> {
    asked(port, &format!("GET {path}"), "", "", wanted)
}

/// Checks that a server on 127.0.0.1 answers a request with this status; an error says what it does
/// instead. `headers` are lines that end in CR and LF.
pub fn asked(port: u16, what: &str, headers: &str, body: &str, wanted: u16) -> Result<(), String> {
    let answered = || -> std::io::Result<String> {
        let mut stream = connect(port)?;
        let request = format!(
            "{what} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut status = [0; STATUS_BYTES];
        stream.read_exact(&mut status)?;
        // The rest is read so that the server can finish its answer.
        let _ = stream.take(1 << 20).read_to_end(&mut Vec::new());
        Ok(String::from_utf8_lossy(&status).into_owned())
    };
    let wanted = format!(" {wanted}");
    match answered() {
        Ok(status) if status.starts_with("HTTP/1.") && status.ends_with(&wanted) => Ok(()),
        Ok(status) => Err(format!("it answers {what} with '{}'", status.escape_default())),
        Err(error) => Err(format!("it does not answer {what} on port {port}: {}", cause(&error))),
    }
}

/// A connection to a server on 127.0.0.1 with short timeouts.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives one answer to one question.
    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        });
        port
    }

    #[test]
    fn other_statuses_are_errors() {
        let ok = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        assert_eq!(answers(ok, "/health", 200), Ok(()));
        let refusal = answering("HTTP/1.1 403 Forbidden\r\n\r\n");
        assert_eq!(answers(refusal, "/bench", 403), Ok(()));
        for answer in ["HTTP/1.1 503 Unavailable\r\n\r\n", "SSH-2.0-OpenSSH_9.2", ""] {
            let error = answers(answering(answer), "/health", 200).expect_err("no success");
            assert!(error.contains("GET /health"), "{error}");
        }
    }

    #[test]
    fn missing_server_is_reported_with_its_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let error = answers(port, "/", 200).expect_err("nobody listens");
        assert!(error.contains(&format!("port {port}")), "{error}");
    }
}
