//! The services that a run used.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol;

/// A service that the run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceInfo {
    /// Its kind: `kafka`, `kinesis`, ...
    pub name: String,
    /// Where it came from.
    pub origin: ServiceOrigin,
    /// Its address.
    pub address: String,
    /// Its version, as far as known.
    pub version: String,
}

/// Where a service came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceOrigin {
    /// A stand-in on this machine: figures show the client's ceiling on loopback, not the system's
    /// performance.
    Embedded,
    /// The real server, started on this machine by this project.
    Local,
    /// The user's own cluster or account.
    External,
}

impl ServiceOrigin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Local, Self::External];

    /// The origin that a driver requests, if there is one.
    #[must_use]
    pub fn requested() -> Option<Self> {
        let value = std::env::var(protocol::SERVICES_VARIABLE).ok()?;
        Self::ALL.into_iter().find(|origin| origin.to_string() == value)
    }
}

impl Display for ServiceOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Local => "local",
            Self::External => "external",
        })
    }
}
