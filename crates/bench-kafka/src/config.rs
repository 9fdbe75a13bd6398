//! Configuration of Kafka clients: librdkafka properties, merged from layers.
//!
//! Later layers win: built-in defaults, the environment, a properties file, a tool's options,
//! `--config key=value`. Every property remembers its origin, so that errors can name it. Secrets
//! are never shown.

mod conflicts;
mod jaas;
mod java;
mod properties;
mod reserved;
mod roles;
mod servers;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError as LibraryError;
use rdkafka::types::RDKafkaConfRes;

use crate::error::KafkaError;
use java::{StoreTypes, Translated};
use reserved::Reserved;

/// Environment variables and the properties that they set.
pub(crate) const ENVIRONMENT: [(&str, &str); 5] = [
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

/// Properties that name files which clients read when they start.
const TLS_FILES: [&str; 5] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
];

/// The value of `ssl.ca.location` that makes librdkafka search for the system's certificates.
const PROBE: &str = "probe";

/// The supported SASL mechanisms.
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Maximum unanswered requests per connection of a client.
pub const REQUESTS_IN_FLIGHT: &str = "max.in.flight.requests.per.connection";

/// Default of [`REQUESTS_IN_FLIGHT`] for producers, as in the Java client. With librdkafka's own
/// default, a million, requests queue on the connection, and latencies show that queue instead of
/// the broker.
pub const REQUESTS_IN_FLIGHT_DEFAULT: u32 = 5;

/// Interval between a client's statistics, milliseconds; by default there are none.
pub const STATISTICS_INTERVAL: &str = "statistics.interval.ms";

/// Origin of `--config` settings.
const COMMAND_LINE: &str = "--config";

/// librdkafka's aliases. Only one name of each pair is kept: otherwise the order in which
/// properties are passed to the library would decide which value wins.
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

/// The names that librdkafka documents, one per line, to suggest one for a misspelt name.
const KNOWN_NAMES: &str = include_str!("config/librdkafka-properties.txt");

/// Shown instead of a secret.
const REDACTED: &str = "***";

/// The properties of a Kafka client.
#[derive(Clone)]
pub struct KafkaConfig {
    properties: BTreeMap<String, Property>,
}

#[derive(Clone)]
struct Property {
    value: String,
    /// Where it was set; follows the property's name in messages.
    origin: String,
}

/// A property as the user wrote it, possibly for the Java client.
struct Setting {
    name: String,
    value: String,
    origin: String,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl KafkaConfig {
    /// The built-in defaults: librdkafka's own, except that looking up a topic never creates it,
    /// since such a topic would get the broker's default number of partitions.
    #[must_use]
    pub fn new() -> Self {
        let mut config = Self { properties: BTreeMap::new() };
        config.put("allow.auto.create.topics", "false", "built-in default");
        config
    }

    /// Adds the properties of a file in the format of Java's clients and tools. Java properties
    /// that librdkafka has in another form are translated, such as a `sasl.jaas.config` for PLAIN
    /// or SCRAM; other Java properties are errors that say what to do instead.
    pub(crate) fn load_properties(&mut self, path: &Path) -> Result<(), KafkaError> {
        let bytes = std::fs::read(path)
            .map_err(|cause| KafkaError::ReadProperties { path: path.to_owned(), cause })?;
        self.add_properties(&bytes, path)
    }

    fn add_properties(&mut self, bytes: &[u8], path: &Path) -> Result<(), KafkaError> {
        let entries = properties::text(bytes).and_then(properties::parse);
        let entries = entries.map_err(|(line, reason)| KafkaError::PropertiesSyntax {
            path: path.to_owned(),
            line,
            reason,
        })?;
        let setting = |entry: properties::PropertyLine| Setting {
            origin: format!("{}, line {}", path.display(), entry.line),
            name: entry.key,
            value: entry.value,
        };
        self.apply(entries.into_iter().map(setting).collect())
    }

    /// Adds the properties set by the variables of [`ENVIRONMENT`]. `lookup` returns the value of a
    /// variable; empty values count as absent.
    pub(crate) fn load_environment(&mut self, lookup: impl Fn(&str) -> Option<String>) {
        for (variable, property) in ENVIRONMENT {
            if let Some(value) = lookup(variable).filter(|value| !value.is_empty()) {
                self.put(property, &value, &format!("environment variable {variable}"));
            }
        }
    }

    /// Adds settings of the form `key=value` that belong together, as given to `--config`.
    pub(crate) fn set_all_from_text(
        &mut self,
        texts: &[impl AsRef<str>],
    ) -> Result<(), KafkaError> {
        let settings = texts.iter().map(|text| {
            let (name, value) = split_setting(text.as_ref())?;
            Ok(Setting { name, value, origin: COMMAND_LINE.to_owned() })
        });
        self.apply(settings.collect::<Result<_, _>>()?)
    }

    /// Sets a librdkafka property.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.put(name, &value.into(), "set by the tool");
    }

    /// Sets a librdkafka property on behalf of a command line option, such as `--linger`.
    pub fn set_by_option(&mut self, name: &str, value: impl Into<String>, option: &str) {
        self.put(name, &value.into(), option);
    }

    /// Sets a librdkafka property unless it is set already.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) {
        if self.get(name).is_none() {
            self.put(name, &value.into(), "default of the tool");
        }
    }

    /// Whether `--config` set this property, and thus overrides every option.
    #[must_use]
    pub fn is_from_command_line(&self, name: &str) -> bool {
        self.properties.get(canonical(name)).is_some_and(|property| property.origin == COMMAND_LINE)
    }

    /// Whether an option of this name, such as `--linger`, set this property.
    #[must_use]
    pub fn is_from_option(&self, name: &str, option: &str) -> bool {
        self.properties.get(canonical(name)).is_some_and(|property| property.origin == option)
    }

    /// The value of a property under any of its names, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(canonical(name)).map(|property| property.value.as_str())
    }

    /// The bootstrap servers, `host:port` separated by commas, if any are set.
    #[must_use]
    pub fn bootstrap_servers(&self) -> Option<&str> {
        self.get(SERVERS).map(str::trim).filter(|servers| !servers.is_empty())
    }

    /// Checks that librdkafka accepts every property and value and that a server is set, without
    /// connecting.
    pub fn validate(&self) -> Result<(), KafkaError> {
        self.check_values()?;
        self.bootstrap_servers().map(|_| ()).ok_or(KafkaError::NoServers)
    }

    /// Same as [`validate`](Self::validate), but does not require a server.
    pub(crate) fn check_values(&self) -> Result<(), KafkaError> {
        for (name, property) in &self.properties {
            property.check(name)?;
        }
        self.check_servers()?;
        self.check_reconnects()?;
        self.check_tls_files()?;
        self.check_sasl()
    }

    /// OpenSSL's error for a missing file only says that a routine has failed.
    fn check_tls_files(&self) -> Result<(), KafkaError> {
        let uses_tls = self.get(PROTOCOL).is_some_and(|name| name.to_lowercase().ends_with("ssl"));
        let files = TLS_FILES.iter().filter_map(|name| Some((name, self.properties.get(*name)?)));
        for (name, file) in files.filter(|(_, file)| uses_tls && file.value != PROBE) {
            let Err(error) = std::fs::File::open(&file.value) else { continue };
            let name = format!("{name}={}", file.value);
            return Err(invalid(&name, file, &format!("{error}; use a readable file")));
        }
        Ok(())
    }

    /// Checks the addresses of the servers, if any are set.
    pub(crate) fn check_servers(&self) -> Result<(), KafkaError> {
        let Some(list) = self.properties.get(SERVERS) else { return Ok(()) };
        let protocol = self.get(PROTOCOL).unwrap_or("plaintext");
        servers::check(&list.value, protocol).map_err(|reason| invalid(SERVERS, list, &reason))
    }

    /// Converts the configuration for the client library. Call [`validate`](Self::validate) first:
    /// its errors are clearer.
    #[must_use]
    pub(crate) fn to_client_config(&self) -> ClientConfig {
        self.properties
            .iter()
            .map(|(name, property)| (name.clone(), property.value.clone()))
            .collect()
    }

    /// Every property for logs and results, with `***` instead of secrets and of values of unknown
    /// properties, whose names may be misspelt.
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

    /// Adds properties that the user wrote.
    fn apply(&mut self, settings: Vec<Setting>) -> Result<(), KafkaError> {
        let stores = StoreTypes::of(&settings);
        settings.into_iter().try_for_each(|setting| self.apply_one(setting, &stores))
    }

    fn apply_one(&mut self, setting: Setting, stores: &StoreTypes) -> Result<(), KafkaError> {
        let Setting { name, value, origin } = setting;
        if name == jaas::JAAS {
            let login = jaas::parse(&value);
            let (username, password) = login.map_err(|reason| KafkaError::InvalidProperty {
                property: name,
                origin: origin.clone(),
                reason,
            })?;
            self.put(USERNAME, &username, &origin);
            self.put(PASSWORD, &password, &origin);
            return Ok(());
        }
        match java::translate(&name, &value, stores) {
            Translated::Same => self.put_checked(&name, &value, &origin),
            Translated::To(known) => {
                known.iter().try_for_each(|(name, value)| self.put_checked(name, value, &origin))
            }
            Translated::Refused(remedy) => {
                Err(KafkaError::JavaOnly { property: name, origin, remedy })
            }
            Translated::Invalid(reason) => {
                Err(KafkaError::InvalidProperty { property: name, origin, reason })
            }
        }
    }

    /// Adds a librdkafka property, unless the tools depend on another value.
    fn put_checked(&mut self, name: &str, value: &str, origin: &str) -> Result<(), KafkaError> {
        match reserved::of(name, value) {
            Reserved::No => self.put(name, value, origin),
            Reserved::AsItIs => {}
            Reserved::Refused(reason) => {
                return Err(KafkaError::Reserved {
                    property: format!("{name}={value}"),
                    origin: origin.to_owned(),
                    reason,
                });
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str, origin: &str) {
        let name = canonical(name);
        let value = if name == SERVERS { servers::tidy(value) } else { value.to_owned() };
        self.properties.insert(name.to_owned(), Property { value, origin: origin.to_owned() });
    }

    /// librdkafka's default mechanism is Kerberos, which is not built in, and it ignores
    /// credentials without a protocol that uses them; both are reported before the first
    /// connection.
    fn check_sasl(&self) -> Result<(), KafkaError> {
        let uses_sasl =
            self.get(PROTOCOL).is_some_and(|protocol| protocol.to_lowercase().starts_with("sasl"));
        if !uses_sasl {
            let reason = "a user name has no effect without security.protocol=SASL_SSL or \
                          SASL_PLAINTEXT (KAFKA_SECURITY_PROTOCOL)";
            let username = self.properties.get(USERNAME);
            return username.map_or(Ok(()), |username| Err(invalid(USERNAME, username, reason)));
        }
        let protocol = &self.properties[PROTOCOL];
        let Some(mechanism) = self.properties.get(MECHANISM) else {
            let reason = "SASL also needs sasl.mechanism (KAFKA_SASL_MECHANISM): PLAIN, \
                          SCRAM-SHA-256 or SCRAM-SHA-512";
            return Err(invalid(PROTOCOL, protocol, reason));
        };
        if !MECHANISMS.contains(&mechanism.value.as_str()) {
            let reason = "it is not built in; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
            let name = format!("{MECHANISM}={}", mechanism.value);
            return Err(invalid(&name, mechanism, reason));
        }
        if self.get(USERNAME).is_none() || self.get(PASSWORD).is_none() {
            let reason = "SASL with a password also needs sasl.username and sasl.password \
                          (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)";
            return Err(invalid(PROTOCOL, protocol, reason));
        }
        Ok(())
    }
}

fn invalid(name: &str, property: &Property, reason: &str) -> KafkaError {
    KafkaError::InvalidProperty {
        property: name.to_owned(),
        origin: property.origin.clone(),
        reason: reason.to_owned(),
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
                let reason = "librdkafka rejects this value".to_owned();
                KafkaError::InvalidProperty { property, origin, reason }
            }
            LibraryError::ClientConfig(_, reason, ..) => {
                KafkaError::InvalidProperty { property, origin, reason }
            }
            other => KafkaError::InvalidProperty { property, origin, reason: other.to_string() },
        })
    }
}

/// Splits `key=value` at the first equals sign; the value may be empty and may contain more of
/// them.
pub fn split_setting(text: &str) -> Result<(String, String), KafkaError> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        Some(_) => Err(KafkaError::SettingSyntax { name: String::new() }),
        // After another separator there may be a secret value.
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

/// The remedy for a name that librdkafka does not know.
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
