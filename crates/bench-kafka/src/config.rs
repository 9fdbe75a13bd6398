//! Configuration of the Kafka client: librdkafka properties, collected in layers.
//!
//! A later layer wins: built-in defaults, the environment, a properties file, a tool's options,
//! `--config key=value`. Every property remembers where it came from, so that a complaint about it
//! can say so, and none that holds a secret is ever shown.

mod java;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::types::RDKafkaConfRes;

use crate::error::KafkaError;

/// Environment variables and the properties that they set.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("KAFKA_BOOTSTRAP_SERVERS", SERVERS),
    ("KAFKA_SECURITY_PROTOCOL", PROTOCOL),
    ("KAFKA_SASL_MECHANISM", MECHANISM),
    ("KAFKA_SASL_USERNAME", USERNAME),
    ("KAFKA_SASL_PASSWORD", PASSWORD),
];

const SERVERS: &str = "bootstrap.servers";
const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanism";
const USERNAME: &str = "sasl.username";
const PASSWORD: &str = "sasl.password";

/// How many requests may be unanswered on each connection of a client.
pub const REQUESTS_IN_FLIGHT: &str = "max.in.flight.requests.per.connection";

/// That limit for a producer unless it is set: the Java client's. librdkafka's own, a million, lets
/// requests queue on the connection, so that latencies show that queue instead of the broker.
pub const REQUESTS_IN_FLIGHT_DEFAULT: u32 = 5;

/// How often a client reports statistics, milliseconds; by default it does not.
pub const STATISTICS_INTERVAL: &str = "statistics.interval.ms";

/// Where `--config` settings come from.
const COMMAND_LINE: &str = "--config";

/// Other names of librdkafka for the same property. Only one of each pair is kept, or the winner
/// would depend on the order in which the library happens to be told.
const ALIASES: [(&str, &str); 11] = [
    ("compression.codec", "compression.type"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("max.in.flight", REQUESTS_IN_FLIGHT),
    ("message.send.max.retries", "retries"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", SERVERS),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("sasl.mechanisms", MECHANISM),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
];

/// The names that librdkafka documents, one a line, to suggest one for a misspelt name.
const KNOWN_NAMES: &str = include_str!("config/librdkafka-properties.txt");

/// What is shown in the place of a secret.
const REDACTED: &str = "***";

/// The properties of a Kafka client.
#[derive(Clone)]
pub struct KafkaConfig {
    properties: BTreeMap<String, Property>,
}

#[derive(Clone)]
struct Property {
    value: String,
    /// Where it was set, to follow the property's name in a message.
    origin: String,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl KafkaConfig {
    /// The built-in defaults: librdkafka's own, except that no client ever creates a topic by
    /// asking for it, since such a topic has whatever number of partitions the broker prefers.
    #[must_use]
    pub fn new() -> Self {
        let mut config = Self { properties: BTreeMap::new() };
        config.put("allow.auto.create.topics", "false", "built-in default");
        config
    }

    /// Adds the properties of a file in the format of Java's clients and tools. A `sasl.jaas.config`
    /// for PLAIN or SCRAM becomes a user name and a password; other properties that only Java has
    /// are errors that name what to use instead.
    pub fn load_properties(&mut self, path: &Path) -> Result<(), KafkaError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| KafkaError::ReadProperties { path: path.to_owned(), source })?;
        self.add_properties(&text, path)
    }

    fn add_properties(&mut self, text: &str, path: &Path) -> Result<(), KafkaError> {
        let entries = java::parse(text).map_err(|(line, reason)| KafkaError::PropertiesSyntax {
            path: path.to_owned(),
            line,
            reason,
        })?;
        for entry in entries {
            let origin = format!("{}, line {}", path.display(), entry.line);
            self.apply(&entry.key, &entry.value, &origin)?;
        }
        Ok(())
    }

    /// Adds what the variables of [`ENVIRONMENT`] say. `lookup` gives the value of a variable;
    /// empty ones count as absent.
    pub fn load_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) {
        for (variable, property) in ENVIRONMENT {
            if let Some(value) = lookup(variable).filter(|value| !value.is_empty()) {
                self.put(property, &value, &format!("environment variable {variable}"));
            }
        }
    }

    /// Adds a setting of the form `key=value`, as given to `--config`.
    pub fn set_from_text(&mut self, text: &str) -> Result<(), KafkaError> {
        let (name, value) = split_setting(text)?;
        self.apply(&name, &value, COMMAND_LINE)
    }

    /// Sets a librdkafka property.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.put(name, &value.into(), "set by the tool");
    }

    /// Sets a librdkafka property unless it is set already.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) {
        if self.get(name).is_none() {
            self.put(name, &value.into(), "default of the tool");
        }
    }

    /// Whether `--config` set this property, and so overrules every option.
    #[must_use]
    pub fn is_from_command_line(&self, name: &str) -> bool {
        self.properties.get(canonical(name)).is_some_and(|property| property.origin == COMMAND_LINE)
    }

    /// The value of a property, under whichever of its names, when it was set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(canonical(name)).map(|property| property.value.as_str())
    }

    /// The servers to ask first, `host:port` separated by commas, when any are named.
    #[must_use]
    pub fn bootstrap_servers(&self) -> Option<&str> {
        self.get(SERVERS).map(str::trim).filter(|servers| !servers.is_empty())
    }

    /// Checks that librdkafka knows every property and takes every value, and that a server is
    /// named, without creating anything.
    pub fn validate(&self) -> Result<(), KafkaError> {
        for (name, property) in &self.properties {
            property.check(name)?;
        }
        self.check_sasl()?;
        self.bootstrap_servers().map(|_| ()).ok_or(KafkaError::NoServers)
    }

    /// The configuration in the client library's form. Call [`validate`](Self::validate) first: it
    /// has better words for what is wrong.
    #[must_use]
    pub fn to_client_config(&self) -> ClientConfig {
        self.properties
            .iter()
            .map(|(name, property)| (name.clone(), property.value.clone()))
            .collect()
    }

    /// Every property for logs and results, with `***` in the place of secrets, and of the values of
    /// unknown properties, whose names may be misspelt.
    #[must_use]
    pub fn redacted(&self) -> BTreeMap<String, String> {
        let shown = |(name, property): (&String, &Property)| {
            let is_known = KNOWN_NAMES.lines().any(|known| known == name);
            let is_shown = is_known && !is_secret(name);
            let value = if is_shown { &property.value } else { REDACTED };
            (name.clone(), value.to_owned())
        };
        self.properties.iter().map(shown).collect()
    }

    /// Adds a property that a person wrote, and who may have the Java client in mind.
    fn apply(&mut self, name: &str, value: &str, origin: &str) -> Result<(), KafkaError> {
        if name == java::JAAS {
            let (username, password) =
                java::parse_jaas(value).map_err(|reason| KafkaError::InvalidProperty {
                    property: name.to_owned(),
                    origin: origin.to_owned(),
                    reason: reason.to_owned(),
                })?;
            self.put(USERNAME, &username, origin);
            self.put(PASSWORD, &password, origin);
            return Ok(());
        }
        if let Some(remedy) = java::remedy(name, value) {
            return Err(KafkaError::JavaOnly {
                property: name.to_owned(),
                origin: origin.to_owned(),
                remedy,
            });
        }
        self.put(name, value, origin);
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str, origin: &str) {
        let property = Property { value: value.to_owned(), origin: origin.to_owned() };
        self.properties.insert(canonical(name).to_owned(), property);
    }

    /// librdkafka's default mechanism is Kerberos, which is not built in, and credentials without a
    /// protocol that uses them are ignored: both are better said before the first connection.
    fn check_sasl(&self) -> Result<(), KafkaError> {
        let missing = |property: &str, origin: &str, reason: &str| {
            Err(KafkaError::InvalidProperty {
                property: property.to_owned(),
                origin: origin.to_owned(),
                reason: reason.to_owned(),
            })
        };
        let uses_sasl =
            self.get(PROTOCOL).is_some_and(|protocol| protocol.to_lowercase().starts_with("sasl"));
        if !uses_sasl {
            if let Some(username) = self.properties.get(USERNAME) {
                let reason = "a user name has no effect without security.protocol=SASL_SSL or \
                              SASL_PLAINTEXT (KAFKA_SECURITY_PROTOCOL)";
                return missing(USERNAME, &username.origin, reason);
            }
            return Ok(());
        }
        let origin = &self.properties[PROTOCOL].origin;
        let Some(mechanism) = self.get(MECHANISM) else {
            let reason = "SASL also needs sasl.mechanism (KAFKA_SASL_MECHANISM): PLAIN, \
                          SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
            return missing(PROTOCOL, origin, reason);
        };
        let by_password = mechanism == "PLAIN" || mechanism.starts_with("SCRAM");
        if by_password && (self.get(USERNAME).is_none() || self.get(PASSWORD).is_none()) {
            let reason = "SASL with a password also needs sasl.username and sasl.password \
                          (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)";
            return missing(PROTOCOL, origin, reason);
        }
        Ok(())
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

impl Property {
    fn check(&self, name: &str) -> Result<(), KafkaError> {
        let mut alone = ClientConfig::new();
        alone.set(name, &self.value);
        let Err(error) = alone.create_native_config() else { return Ok(()) };
        let (property, origin) = (name.to_owned(), self.origin.clone());
        Err(match error {
            LibraryError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => {
                KafkaError::UnknownProperty { property, origin, remedy: suggestion(name) }
            }
            _ if is_secret(name) => {
                let reason = "librdkafka does not take this value".to_owned();
                KafkaError::InvalidProperty { property, origin, reason }
            }
            LibraryError::ClientConfig(_, reason, ..) => {
                KafkaError::InvalidProperty { property, origin, reason }
            }
            other => KafkaError::InvalidProperty { property, origin, reason: other.to_string() },
        })
    }
}

/// Splits `key=value` at the first equals sign; the value may be empty and may hold more of them.
pub fn split_setting(text: &str) -> Result<(String, String), KafkaError> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        Some(_) => Err(KafkaError::SettingSyntax { name: String::new() }),
        // Whoever writes another separator has a value behind it, a secret perhaps.
        None => {
            let name = text.trim().split([':', ' ', '\t']).next().unwrap_or_default();
            Err(KafkaError::SettingSyntax { name: name.to_owned() })
        }
    }
}

fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

fn is_secret(name: &str) -> bool {
    const MARKS: [&str; 6] =
        ["password", "secret", "passphrase", "key.pem", "jaas", "sasl.oauthbearer.config"];
    let name = name.to_lowercase();
    MARKS.iter().any(|mark| name.contains(mark))
}

/// What to do about a name that librdkafka does not know.
fn suggestion(name: &str) -> String {
    let nearest = KNOWN_NAMES
        .lines()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min()
        .filter(|(distance, _)| *distance <= name.len() / 4);
    match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None => "librdkafka's CONFIGURATION.md lists them all".to_owned(),
    }
}

#[cfg(test)]
mod tests;
