//! Explains the client library's messages about failed connections, each with a remedy.

use std::fmt;

/// A failed connection: where, why, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionError {
    /// `host:port` of the broker, if known.
    pub(crate) at: Option<String>,
    pub(crate) what: String,
    pub(crate) remedy: &'static str,
}

impl fmt::Display for ConnectionError {
    /// Without the remedy: `host:port: what`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// The remedy for unknown errors.
pub(crate) const GENERAL: &str =
    "check the address (--bootstrap-servers), that the broker runs, and its security.protocol";

const ADDRESS: &str = "check the address (--bootstrap-servers) and that the broker runs";

/// The text for a certificate that cannot be verified.
const UNTRUSTED: &str = "its certificate is not trusted";

/// Part of librdkafka's message in lower case, its meaning, and the remedy. The first match counts.
const KNOWN: [(&str, &str, &str); 21] = [
    ("connection refused", "Connection refused", ADDRESS),
    ("connecting to a ssl listener", PLAIN_TO_TLS.0, PLAIN_TO_TLS.1),
    // A TLS alert, read by a client that expects a length.
    ("invalid response size", PLAIN_TO_TLS.0, PLAIN_TO_TLS.1),
    ("might require sasl authentication", NO_LOGIN.0, NO_LOGIN.1),
    ("connecting to a plaintext broker", NO_TLS.0, NO_TLS.1),
    ("wrong version number", NO_TLS.0, NO_TLS.1),
    ("packet length too long", NO_TLS.0, NO_TLS.1),
    ("hostname mismatch", OTHER_NAME.0, OTHER_NAME.1),
    ("ip address mismatch", OTHER_NAME.0, OTHER_NAME.1),
    ("certificate has expired", "its certificate has expired", "renew the broker's certificate"),
    (
        "certificate verify failed",
        UNTRUSTED,
        "set ssl.ca.location to the certificate of the authority (CA) that signed it",
    ),
    (
        "could not be verified",
        UNTRUSTED,
        "set ssl.ca.location to the certificate of the authority (CA) that signed it",
    ),
    ("certificate required", NO_CERTIFICATE.0, NO_CERTIFICATE.1),
    ("client ssl authentication might be required", NO_CERTIFICATE.0, NO_CERTIFICATE.1),
    (
        "bad certificate",
        "it rejected this client's certificate",
        "set ssl.certificate.location and ssl.key.location to a certificate that the broker trusts",
    ),
    (
        "unknown ca",
        "it does not trust this client's certificate",
        "set ssl.certificate.location and ssl.key.location to a certificate that the broker trusts",
    ),
    (
        "request not valid in current sasl state",
        "it does not accept logins on this port",
        "set security.protocol=PLAINTEXT or SSL (KAFKA_SECURITY_PROTOCOL), or use the broker's \
         SASL port",
    ),
    ("check client", CLOSED_LOGIN.0, CLOSED_LOGIN.1),
    (
        "timed out",
        "no answer",
        "check the address (--bootstrap-servers), firewalls, and the broker's log",
    ),
    ("no route to host", "no route to host", ADDRESS),
    ("unreachable", "network unreachable", ADDRESS),
];

/// librdkafka's messages for a connection closed by the other side. Which one it uses depends on
/// whether a read or a write noticed first.
const CLOSED: [&str; 3] = ["disconnected", "broken pipe", "connection reset by peer"];

const AWAY: (&str, &str) =
    ("Disconnected", "check that the broker runs, its security.protocol, and its log");

const PLAIN_TO_TLS: (&str, &str) = (
    "it closed the connection at the first request, as TLS ports do with plaintext clients",
    "set security.protocol=SSL or SASL_SSL (KAFKA_SECURITY_PROTOCOL), or use the broker's port \
     without TLS",
);

const NO_LOGIN: (&str, &str) = (
    "it closed the connection at once, as ports that require a login do",
    "set security.protocol=SASL_SSL or SASL_PLAINTEXT (KAFKA_SECURITY_PROTOCOL), sasl.mechanism, \
     sasl.username and sasl.password",
);

const CLOSED_LOGIN: (&str, &str) = (
    "it closed the connection during the login",
    "check sasl.mechanism, sasl.username, sasl.password and the broker's log",
);

const NO_TLS: (&str, &str) = (
    "it does not speak TLS on this port",
    "set security.protocol=PLAINTEXT or SASL_PLAINTEXT (KAFKA_SECURITY_PROTOCOL), or use the \
     broker's TLS port",
);

const OTHER_NAME: (&str, &str) = (
    "its certificate is for another host name",
    "use the certificate's host name in --bootstrap-servers and in the brokers' \
     advertised.listeners, or set ssl.endpoint.identification.algorithm=none",
);

const NO_CERTIFICATE: (&str, &str) = (
    "it requires a client certificate",
    "set ssl.certificate.location and ssl.key.location, or ssl.keystore.location",
);

impl ConnectionError {
    /// Parses a line of librdkafka's log, without the parts that vary between retries.
    ///
    /// Lines read `sasl_ssl://host:port/1: Connect to ipv4#host:port failed: Connection refused
    /// (after 2ms in state CONNECT)`, and for a coordinator `GroupCoordinator: host:port: ...`.
    pub(crate) fn new(line: &str) -> Self {
        let (line, state) = line.split_once(" (after ").unwrap_or((line, ""));
        let Some((mut broker, mut reason)) = line.split_once(": ") else {
            return Self { at: None, what: plain(line), remedy: GENERAL };
        };
        if broker.ends_with("Coordinator") {
            (broker, reason) = reason.split_once(": ").unwrap_or((broker, reason));
        }
        let at = address(broker);
        if let Some(name) = quoted_after(reason, "Failed to resolve '") {
            let name = name.rsplit_once(':').map_or(name, |(host, _)| host);
            return Self {
                at,
                what: format!("host name '{name}' not found"),
                remedy: "check --bootstrap-servers, or, if the brokers advertise this name \
                         (advertised.listeners), that this machine can resolve it",
            };
        }
        let lower = reason.to_lowercase();
        if let Some((what, remedy)) = login(reason, &lower) {
            return Self { at, what, remedy };
        }
        let known = KNOWN.iter().find(|(part, ..)| lower.contains(part));
        let known = known.map(|&(_, what, remedy)| (what, remedy));
        if let Some((what, remedy)) = known.or_else(|| closed(broker, &lower, state)) {
            return Self { at, what: what.to_owned(), remedy };
        }
        Self { at, what: plain(reason), remedy: GENERAL }
    }

    /// Whether the broker's certificate could not be verified, for any reason.
    pub(crate) fn is_about_trust(&self) -> bool {
        self.what == UNTRUSTED
    }

    /// The error for a certificate that is trusted but issued for another host name.
    pub(crate) fn for_another_name(self) -> Self {
        Self { what: OTHER_NAME.0.to_owned(), remedy: OTHER_NAME.1, ..self }
    }
}

/// Explains a connection that the broker closed in this `state`, such as `3ms in state
/// APIVERSION_QUERY)`. Brokers that had answered before have simply gone away.
fn closed(broker: &str, lower: &str, state: &str) -> Option<(&'static str, &'static str)> {
    if !CLOSED.iter().any(|words| lower.contains(words)) {
        return None;
    }
    let is_plain = !broker.contains("://");
    let state = state.split_once("in state ").map_or("", |(_, state)| state);
    let closed_at = |name| state.starts_with(name);
    Some(if is_plain && closed_at("APIVERSION_QUERY") {
        PLAIN_TO_TLS
    } else if is_plain && closed_at("UP") && broker.ends_with("/bootstrap") {
        NO_LOGIN
    } else if closed_at("SSL_HANDSHAKE") {
        NO_TLS
    } else if closed_at("AUTH_") {
        CLOSED_LOGIN
    } else {
        AWAY
    })
}

/// Explains a rejected login in the broker's words.
fn login(reason: &str, lower: &str) -> Option<(String, &'static str)> {
    if let Some((_, offered)) = reason.split_once("supported mechanisms: ")
        && lower.contains("unsupported sasl mechanism")
    {
        let mechanism = quoted_between(reason, "SASL ", " mechanism").unwrap_or("requested");
        let what = format!("it does not support the SASL mechanism {mechanism}, only {offered}");
        return Some((what, "set sasl.mechanism (KAFKA_SASL_MECHANISM) to one of these"));
    }
    let (_, words) = reason.split_once("SASL authentication error: ")?;
    let remedy = "check sasl.mechanism, sasl.username and sasl.password";
    Some((format!("it rejected the login: {}", plain(words)), remedy))
}

/// `host:port` of a broker's name such as `sasl_ssl://host:port/1`.
fn address(broker: &str) -> Option<String> {
    let broker = broker.split_once("://").map_or(broker, |(_, address)| address);
    let broker = broker.split_once('/').map_or(broker, |(address, _)| address);
    broker.contains(':').then(|| broker.to_owned())
}

/// Strips librdkafka's prefixes from an unknown message.
fn plain(reason: &str) -> String {
    let reason = reason.rsplit_once(" failed: ").map_or(reason, |(_, reason)| reason);
    let reason =
        ["Local: ", "Broker: "].iter().fold(reason.to_owned(), |text, own| text.replace(own, ""));
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    quoted_between(text, start, "'")
}

fn quoted_between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_of_one_failure_are_equal() {
        for line in [
            "127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "sasl_ssl://127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused \
             (after 7ms in state CONNECT, 3 identical error(s) suppressed)",
            "GroupCoordinator: 127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 1ms in state CONNECT)",
        ] {
            assert_eq!(
                ConnectionError::new(line).to_string(),
                "127.0.0.1:9092: Connection refused"
            );
        }
        let down = ConnectionError::new("b:9092/1: Disconnected (after 3ms in state UP)");
        assert_eq!(down.to_string(), "b:9092: Disconnected");
        assert_eq!(
            ConnectionError::new("1/1 brokers are down").to_string(),
            "1/1 brokers are down"
        );
    }

    #[test]
    fn each_failure_names_the_setting_to_change() {
        for (line, what, remedy) in [
            (
                "nosuch:9092/bootstrap: Failed to resolve 'nosuch:9092': Name or service not known (after 3ms in state CONNECT)",
                "host name 'nosuch' not found",
                "--bootstrap-servers",
            ),
            (
                "127.0.0.1:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN: requesting \
                 ApiVersion: might be caused by incorrect security.protocol configuration (connecting to a SSL \
                 listener?) or broker version is < 0.10 (see api.version.request) (after 1ms in state APIVERSION_QUERY)",
                "as TLS ports do with plaintext clients",
                "security.protocol=SSL or SASL_SSL",
            ),
            (
                "ssl://127.0.0.1:1/bootstrap: SSL handshake failed: ssl/record/ssl3_record.c:354: \
                 error:0A00010B:SSL routines::wrong version number:  (after 1ms in state SSL_HANDSHAKE)",
                "does not speak TLS",
                "security.protocol=PLAINTEXT or SASL_PLAINTEXT",
            ),
            (
                "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: \
                 broker certificate could not be verified, verify that ssl.ca.location is correctly configured",
                "certificate is not trusted",
                "ssl.ca.location",
            ),
            (
                "ssl://h:1/bootstrap: Failed to verify broker certificate: hostname mismatch",
                "for another host name",
                "ssl.endpoint.identification.algorithm",
            ),
            (
                "sasl_ssl://h:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: \
                 broker's supported mechanisms: SCRAM-SHA-256,SCRAM-SHA-512",
                "does not support the SASL mechanism PLAIN, only SCRAM-SHA-256,SCRAM-SHA-512",
                "sasl.mechanism",
            ),
            (
                "sasl_ssl://h:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password",
                "rejected the login: Invalid username or password",
                "sasl.password",
            ),
            (
                "h:1/1: Disconnected: verify that security.protocol is correctly configured, broker might require SASL \
                 authentication",
                "require a login",
                "SASL_SSL or SASL_PLAINTEXT",
            ),
            (
                "h:1/bootstrap: Disconnected: connection closed by peer (after 2ms in state APIVERSION_QUERY)",
                "as TLS ports do with plaintext clients",
                "security.protocol=SSL or SASL_SSL",
            ),
            (
                "h:1/bootstrap: Disconnected (after 2ms in state UP)",
                "require a login",
                "sasl.mechanism",
            ),
            (
                "h:1/bootstrap: Send failed: Broken pipe (after 2ms in state UP)",
                "require a login",
                "sasl.mechanism",
            ),
            (
                "h:1/bootstrap: Send failed: Connection reset by peer (after 2ms in state APIVERSION_QUERY)",
                "as TLS ports do with plaintext clients",
                "security.protocol=SSL or SASL_SSL",
            ),
            (
                "ssl://h:1/bootstrap: SSL handshake failed: SSL transport error: Broken pipe (after 1ms in \
                 state SSL_HANDSHAKE)",
                "does not speak TLS",
                "security.protocol=PLAINTEXT or SASL_PLAINTEXT",
            ),
            (
                "sasl_plaintext://h:1/bootstrap: Send failed: Broken pipe (after 1ms in state AUTH_REQ)",
                "closed the connection during the login",
                "sasl.password",
            ),
            (
                "h:1/1: Send failed: Broken pipe (after 9000ms in state UP)",
                "Disconnected",
                "that the broker runs",
            ),
            ("h:1/1: Connection setup timed out in state CONNECT", "no answer", "firewalls"),
            (
                "ssl://h:1/1: SSL transport error: Broker: odd thing",
                "SSL transport error: odd thing",
                "--bootstrap-servers",
            ),
        ] {
            let error = ConnectionError::new(line);
            assert!(error.what.contains(what), "{error}");
            assert!(error.remedy.contains(remedy), "{error}; {}", error.remedy);
            let text = error.to_string();
            for own in ["Local:", "Broker:", "ipv4#", "in state", "(after", "://"] {
                assert!(!text.contains(own), "{text}");
            }
        }
    }
}
