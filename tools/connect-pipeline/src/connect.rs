//! The part of a Kafka Connect worker's REST API that is used here.

use std::collections::BTreeMap;
use std::time::Duration;

use bench_cli::UsageError;
use bench_core::address;
use serde::Deserialize;
use ureq::http::uri::Authority;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// Kafka Connect's default port, for examples.
const PORT: u16 = 8083;

/// The settings of a connector.
pub(crate) type ConnectorConfig = BTreeMap<String, String>;

/// Why a request to a worker failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// No response.
    #[error("failed to {attempt} at {url}: {reason}; check that a worker listens at --connect-url")]
    Unreachable { attempt: String, url: String, reason: String },
    /// A response that is not a worker's.
    #[error(
        "{url} does not respond like Kafka Connect ({reason}); set its REST address with \
         --connect-url"
    )]
    Stranger { url: String, reason: String },
    /// The worker is moving connectors between workers and wants the request to be repeated.
    #[error("failed to {attempt} at {url}: the workers were still rebalancing; raise --timeout")]
    Rebalancing { attempt: String, url: String },
    /// The worker does not know the connector.
    #[error("failed to {attempt} at {url}: there is no such connector")]
    NotFound { attempt: String, url: String },
    /// The worker rejected the request.
    #[error("failed to {attempt} at {url}: {message}{}", remedy(message))]
    Refused { attempt: String, url: String, message: String },
}

/// The state of a connector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConnectorState {
    /// It, or one of its tasks, is not running yet.
    Starting,
    /// It and its tasks are running.
    Running,
    /// It failed, for this reason.
    Failed(String),
}

/// A worker's REST API. Clones share its connections.
#[derive(Clone)]
pub(crate) struct Worker {
    agent: Agent,
    url: String,
}

#[derive(Deserialize)]
struct Root {
    version: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

#[derive(Deserialize)]
struct Status {
    connector: ConnectorPart,
    tasks: Vec<ConnectorPart>,
}

/// The connector or one of its tasks.
#[derive(Deserialize)]
struct ConnectorPart {
    state: String,
    #[serde(default)]
    trace: String,
}

impl Worker {
    /// A worker at `url`; each of its responses may take as long as `timeout`.
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, UsageError> {
        let refused =
            |problem: &str, remedy: &str| Err(UsageError::new("--connect-url", problem, remedy));
        let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        // Addresses are recorded and shown, and must not contain a password.
        if host.is_some_and(|host| host.contains('@')) {
            return refused("contains a user name", "use an address without one");
        }
        let checked = host.map(|host| address::check_authority(host, PORT));
        let is_address = host.is_some_and(|host| host.parse::<Authority>().is_ok());
        // An IPv6 address without brackets is not a valid authority, but the intention is clear.
        if let Some(Err(error)) = checked.filter(|_| is_address || url.contains("::")) {
            return refused(&error.problem, &error.remedy);
        }
        if !is_address {
            return refused("not an http address", "use the form http://127.0.0.1:8083");
        }
        Ok(Self { agent: agent(timeout), url: url.trim_end_matches('/').to_owned() })
    }

    /// The same worker with another timeout.
    pub(crate) fn within(&self, timeout: Duration) -> Self {
        Self { agent: agent(timeout), url: self.url.clone() }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The worker's version of Kafka Connect.
    pub(crate) fn version(&self) -> Result<String, ConnectError> {
        let attempt = "ask Kafka Connect for its version";
        let mut answer = self.checked(attempt, self.agent.get(&self.url).call())?;
        let root: Root = self.read(&mut answer)?;
        Ok(root.version)
    }

    /// Creates the connector, or updates its configuration.
    pub(crate) fn put(&self, name: &str, config: &ConnectorConfig) -> Result<(), ConnectError> {
        let url = format!("{}/connectors/{name}/config", self.url);
        let attempt = format!("create connector {name}");
        self.checked(&attempt, self.agent.put(url).send_json(config)).map(drop)
    }

    /// The connector's state.
    pub(crate) fn state(&self, name: &str) -> Result<ConnectorState, ConnectError> {
        let url = format!("{}/connectors/{name}/status", self.url);
        let attempt = format!("ask for the state of connector {name}");
        match self.checked(&attempt, self.agent.get(url).call()) {
            Ok(mut answer) => Ok(self.read::<Status>(&mut answer)?.state()),
            // A new connector has no state for a moment.
            Err(ConnectError::NotFound { .. } | ConnectError::Rebalancing { .. }) => {
                Ok(ConnectorState::Starting)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes the connector.
    pub(crate) fn delete(&self, name: &str) -> Result<(), ConnectError> {
        let url = format!("{}/connectors/{name}", self.url);
        let attempt = format!("delete connector {name}");
        self.checked(&attempt, self.agent.delete(url).call()).map(drop)
    }

    fn checked(
        &self,
        attempt: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ConnectError> {
        let (attempt, url) = (attempt.to_owned(), self.url.clone());
        let mut answer = answer.map_err(|error| ConnectError::Unreachable {
            attempt: attempt.clone(),
            url: url.clone(),
            reason: error.to_string(),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let refusal = self.read::<Refusal>(&mut answer);
        Err(match (status, refusal) {
            (_, Err(error)) => error,
            (StatusCode::CONFLICT, _) => ConnectError::Rebalancing { attempt, url },
            (StatusCode::NOT_FOUND, _) => ConnectError::NotFound { attempt, url },
            (_, Ok(Refusal { message })) => ConnectError::Refused { attempt, url, message },
        })
    }

    fn read<T: for<'a> Deserialize<'a>>(
        &self,
        answer: &mut Response<Body>,
    ) -> Result<T, ConnectError> {
        let status = answer.status();
        answer.body_mut().read_json().map_err(|error| ConnectError::Stranger {
            url: self.url.clone(),
            reason: format!("status {}, {error}", status.as_u16()),
        })
    }
}

fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    config.new_agent()
}

impl Status {
    fn state(&self) -> ConnectorState {
        let parts = || std::iter::once(&self.connector).chain(&self.tasks);
        if let Some(failed) = parts().find(|part| part.state == "FAILED") {
            return ConnectorState::Failed(reason(&failed.trace));
        }
        if !self.tasks.is_empty() && parts().all(|part| part.state == "RUNNING") {
            return ConnectorState::Running;
        }
        ConnectorState::Starting
    }
}

/// The innermost cause in a Java stack trace, which is the most specific.
fn reason(trace: &str) -> String {
    let first = trace.lines().next().unwrap_or_default();
    let cause = trace.lines().filter_map(|line| line.strip_prefix("Caused by: ")).next_back();
    match cause.unwrap_or(first).trim() {
        "" => "no reason given".to_owned(),
        reason => reason.to_owned(),
    }
}

/// The remedy for a rejection, if known.
fn remedy(message: &str) -> &'static str {
    if message.contains("Failed to find any class") {
        "; add Kafka's connect-file jar to the plugin.path or the class path of the worker"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(json: &str) -> ConnectorState {
        serde_json::from_str::<Status>(json).expect("a status").state()
    }

    #[test]
    fn connectors_run_once_all_parts_run() {
        let running = r#"{"name": "c", "connector": {"state": "RUNNING", "worker_id": "w:1"},
            "tasks": [{"id": 0, "state": "RUNNING", "worker_id": "w:1"}], "type": "source"}"#;
        assert_eq!(state(running), ConnectorState::Running);
        let task = |state: &str| running.replace(r#""id": 0, "state": "RUNNING""#, state);
        assert_eq!(state(&task(r#""state": "UNASSIGNED""#)), ConnectorState::Starting);
        let no_task = r#"{"connector": {"state": "RUNNING"}, "tasks": []}"#;
        assert_eq!(state(no_task), ConnectorState::Starting);
    }

    #[test]
    fn failed_tasks_report_the_innermost_cause() {
        let status = |trace: &str| {
            let trace = serde_json::to_string(trace).expect("text");
            state(&format!(
                r#"{{"connector": {{"state": "RUNNING"}},
                    "tasks": [{{"state": "FAILED", "trace": {trace}}}]}}"#
            ))
        };
        let failed = |reason: &str| ConnectorState::Failed(reason.to_owned());
        assert_eq!(status("E: top\n\tat a\nCaused by: F: deep\n\tat b\n"), failed("F: deep"));
        assert_eq!(status("E: top\n\tat a\n"), failed("E: top"));
        assert_eq!(status(""), failed("no reason given"));
    }

    #[test]
    fn invalid_addresses_are_refused_without_passwords() {
        let worker = |url| Worker::new(url, Duration::from_secs(1)).map(|worker| worker.url);
        assert_eq!(worker("http://[::1]:8083/").as_deref(), Ok("http://[::1]:8083"));
        assert_eq!(worker("http://c.example/rest").as_deref(), Ok("http://c.example/rest"));
        for wrong in ["", "http://", "http:///x", "https://h:1", "h:8083", "http://a b"] {
            let error = worker(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with("--connect-url: not an http address; "), "{error}");
        }
        for (wrong, told) in [
            ("http://h:95566", "use a port from 1 to 65535"),
            ("http://h:0/rest", "use a port from 1 to 65535"),
            ("http://h:/", "use a port from 1 to 65535"),
            ("http://::1:8083", "write it as [::1]:8083"),
            ("http://300.1.1.1:8083", "not an IPv4 address"),
        ] {
            let error = worker(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with("--connect-url: ") && error.contains(told), "{error}");
        }
        let error = worker("http://user:secret@h:1").expect_err("refused").to_string();
        assert!(error.contains("--connect-url") && !error.contains("secret"), "{error}");
    }
}
