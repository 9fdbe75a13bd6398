//! Whether a broker works, as a client sees it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bench_core::system::cause;
use bench_stack::NodeContext;

use super::listener::Listener;
use super::nodes::{cluster, number};

/// Time for an answer.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The request for metadata, of no topics.
const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 1;

/// Largest answer that is read: far more than a few brokers take.
const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Checks that a broker answers, and sees itself and all others that run. Where too few run for a
/// majority of controllers, running is all that any of them can do.
pub(super) fn check(node: &NodeContext<'_>) -> Result<(), String> {
    let all = cluster(node);
    let running: Vec<&NodeContext<'_>> = all.iter().filter(|node| node.is_running()).collect();
    if running.len() <= all.len() / 2 && running.iter().any(|other| other.is(node)) {
        return Ok(());
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node.port(Listener::Plaintext.name())));
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .map_err(|error| format!("no client can reach {address}: {}", cause(&error)))?;
    let seen = brokers(stream).map_err(|_| {
        format!("{address} accepts connections and does not answer as a broker yet")
    })?;
    let missing = running.iter().find(|other| !seen.contains(&number(other)));
    match missing {
        Some(missing) => Err(format!("{} is not in the cluster yet", missing.name())),
        None => Ok(()),
    }
}

/// The ids of the brokers of the cluster, by a request for metadata. A client library for this one
/// request would be linked into every program that can start a stack.
fn brokers(mut stream: TcpStream) -> io::Result<Vec<u32>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&request())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    broker_ids(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn request() -> Vec<u8> {
    let client = "health";
    let mut body = [METADATA.to_be_bytes(), METADATA_VERSION.to_be_bytes()].concat();
    // The correlation id; then the client's name, and an empty list of topics.
    body.extend(0_i32.to_be_bytes());
    body.extend([0, client.len().to_le_bytes()[0]]);
    body.extend(client.as_bytes());
    body.extend(0_i32.to_be_bytes());
    let length = u32::try_from(body.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &body].concat()
}

/// The brokers of an answer: its correlation id, then an array of id, host, port and rack.
fn broker_ids(answer: &[u8]) -> Option<Vec<u32>> {
    let mut rest = answer.get(4..)?;
    let count = u32::from_be_bytes(take(&mut rest)?);
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(u32::from_be_bytes(take(&mut rest)?));
        let host_bytes = u16::from_be_bytes(take(&mut rest)?);
        rest = rest.get(usize::from(host_bytes) + size_of::<i32>()..)?;
        // Negative for a broker without a rack.
        let rack_bytes = i16::from_be_bytes(take(&mut rest)?);
        rest = rest.get(usize::try_from(rack_bytes).unwrap_or_default()..)?;
    }
    Some(ids)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_the_protocol_has_them() {
        let answer = b"\0\0\0\0\
            \0\0\0\x02\
            \0\0\0\x01\0\x04host\0\0\x23\x84\xff\xff\
            \0\0\0\x07\0\x01h\0\0\x23\x85\0\x02r1\
            \0\0\0\x01\0\0\0\0";
        assert_eq!(broker_ids(answer), Some(vec![1, 7]));
        // Up to the end of the brokers; what follows is not read.
        for length in 0..39 {
            assert!(
                answer.get(..length).is_some_and(|part| broker_ids(part).is_none()),
                "{length}"
            );
        }
    }

    #[test]
    fn requests_state_their_length() {
        let request = request();
        assert_eq!(request[..4], 20_u32.to_be_bytes());
        assert_eq!(request.len(), 24);
    }
}
