//! What a tool and its embedded broker say to each other: one JSON value a line, requests on the
//! broker's standard input, replies on its standard output.

use serde::{Deserialize, Serialize};

/// What the broker is asked for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    /// Create a topic.
    CreateTopic { name: String, partitions: u32, replication: u32 },
}

/// What the broker says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It is up, at these addresses. The first line, unasked.
    BootstrapServers(String),
    /// What was asked for is done.
    Done,
    /// What was asked for cannot be done, for this reason.
    Failed(String),
}
