//! An endpoint that answers scrapes over HTTP, one at a time: a program that reads it comes once in
//! some seconds.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The longest that a reader may take, since others wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longer than the request of any scraper.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// The format, by <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers in a thread of its own until the process ends.
pub(super) fn serve(listener: TcpListener, text: impl Fn() -> String + Send + 'static) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics on http://{address}/metrics");
    }
    let serving = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A reader that goes away, or asks for nothing, is no concern of the run.
            if let Err(error) = answer(stream, &text) {
                tracing::debug!("a reader of the metrics was not answered: {error}");
            }
        }
    });
    if let Err(error) = serving {
        tracing::warn!("metrics are not served: {error}");
    }
}

fn answer(mut stream: TcpStream, text: &impl Fn() -> String) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = request(&mut stream)?;
    let (status, body) = match request.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["GET", "/metrics" | "/", ..] => ("200 OK", text()),
        ["GET", ..] => ("404 Not Found", "see /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "use GET\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {FORMAT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// The first line of a request, once all of its head has come.
fn request(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut part)?;
        if length == 0 || head.len() > REQUEST_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no HTTP request"));
        }
        head.extend_from_slice(&part[..length]);
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}
