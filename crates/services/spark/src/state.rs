//! What a master or a worker says of itself, as JSON on its web page.

use std::io::{self, Read as _, Write as _};

use bench_stack::http;
use serde_json::Value;

/// Largest answer that is read: it lists jobs, of which a benchmark has few.
const ANSWER_MAX_BYTES: u64 = 4 << 20;

/// The state of a master or a worker.
pub(crate) struct State(Value);

/// Asks the web page on this port of 127.0.0.1.
pub(crate) fn of(port: u16) -> Result<State, String> {
    let answer = ask(port).map_err(|error| format!("port {port} gives no answer: {error}"))?;
    let unclear = || format!("port {port} answers, but not with its state");
    let (_head, body) = answer.split_once("\r\n\r\n").ok_or_else(unclear)?;
    serde_json::from_str(body).map(State).map_err(|_| unclear())
}

/// By HTTP 1.0, whose answers end with the connection.
fn ask(port: u16) -> io::Result<String> {
    let mut stream = http::connect(port)?;
    write!(stream, "GET /json/ HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

impl State {
    /// Whether a master takes jobs.
    pub(crate) fn is_serving(&self) -> Result<(), String> {
        match self.0["status"].as_str() {
            Some("ALIVE") => Ok(()),
            Some(other) => Err(format!("the master is in state {other}")),
            None => Err("the master does not tell its state".to_owned()),
        }
    }

    /// Whether this master lists `worker` as alive.
    pub(crate) fn lists(&self, worker: &Self) -> Result<(), String> {
        let Some(id) = worker.0["id"].as_str() else {
            return Err("the worker does not tell its id".to_owned());
        };
        let workers = self.0["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
        match workers.iter().find(|listed| listed["id"] == id) {
            Some(listed) if listed["state"] == "ALIVE" => Ok(()),
            Some(listed) => Err(format!("the master holds it for {}", listed["state"])),
            None => Err("the master does not list it yet".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workers_must_be_listed_as_alive() {
        let worker = State(json!({"id": "w1", "cores": 2}));
        let master = |state: &str| {
            State(json!({"status": "ALIVE", "workers": [{"id": "w1", "state": state}]}))
        };
        assert_eq!(master("ALIVE").lists(&worker), Ok(()));
        assert!(master("DEAD").lists(&worker).expect_err("dead").contains("DEAD"));
        assert!(master("ALIVE").lists(&State(json!({"id": "w2"}))).is_err());
        assert!(State(json!({})).lists(&worker).is_err());
    }

    #[test]
    fn masters_in_standby_take_no_jobs() {
        assert_eq!(State(json!({"status": "ALIVE"})).is_serving(), Ok(()));
        assert!(State(json!({"status": "RECOVERING"})).is_serving().is_err());
        assert!(State(json!({})).is_serving().is_err());
    }
}
