//! Addresses of servers as people write them: `HOST:PORT`.
//!
//! Client libraries accept nearly anything as an address, and a port such as 95566 silently becomes
//! another one. So addresses are checked before any connection is made.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest host name that DNS allows.
const HOST_BYTES_MAX: usize = 253;

/// What is wrong with an address, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct AddressError {
    /// What is wrong; never quotes anything that may be a password.
    pub problem: String,
    /// What to do, as an imperative.
    pub remedy: String,
}

impl AddressError {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// Checks an address with a port: `HOST:PORT`, or `[IPV6]:PORT`. Remedies show the port `example`.
pub fn check(text: &str, example: u16) -> Result<(), AddressError> {
    let (host, port) = split(text, example)?;
    check_host(text, host)?;
    match port {
        Some(port) => check_port(text, port),
        None => Err(AddressError::new(
            format!("'{text}' has no port"),
            format!("add one, as in {host}:{example}"),
        )),
    }
}

/// Checks an address whose port is optional, as in a URL.
pub fn check_authority(text: &str, example: u16) -> Result<(), AddressError> {
    let (host, port) = split(text, example)?;
    check_host(text, host)?;
    port.map_or(Ok(()), |port| check_port(text, port))
}

/// Splits an address into its host (an IPv6 one keeps its brackets) and its port.
fn split(text: &str, example: u16) -> Result<(&str, Option<&str>), AddressError> {
    if text.contains('@') {
        return Err(AddressError::new("it contains a user name", "write only HOST:PORT"));
    }
    if text.starts_with('[') {
        let Some(end) = text.find(']') else {
            let problem = format!("'{text}' has an unclosed bracket");
            return Err(AddressError::new(problem, format!("write it like [::1]:{example}")));
        };
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => {
                let problem = format!("'{text}' has text after its closing bracket");
                Err(AddressError::new(problem, format!("write it like {host}:{example}")))
            }
        };
    }
    match text.rsplit_once(':') {
        None => Ok((text, None)),
        Some((host, port)) if !host.contains(':') => Ok((host, Some(port))),
        Some((host, port)) => Err(without_brackets(text, host, port, example)),
    }
}

/// The error for an IPv6 address without brackets, or for other text with too many colons.
fn without_brackets(text: &str, host: &str, port: &str, example: u16) -> AddressError {
    let is_host = host.parse::<Ipv6Addr>().is_ok() && is_port(port);
    let is_alone = text.parse::<Ipv6Addr>().is_ok();
    if !is_host && !is_alone {
        let problem = format!("'{text}' has more than one colon");
        let remedy = format!("write HOST:PORT, or an IPv6 address like [::1]:{example}");
        return AddressError::new(problem, remedy);
    }
    let right = if is_host { format!("[{host}]:{port}") } else { format!("[{text}]:{example}") };
    AddressError::new(
        format!("'{text}' is an IPv6 address without brackets"),
        format!("write it as {right}"),
    )
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn check_port(text: &str, port: &str) -> Result<(), AddressError> {
    if is_port(port) {
        return Ok(());
    }
    let problem = match port {
        "" => format!("'{text}' has no port after its colon"),
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("'{text}' has the port {port}, which is out of range")
        }
        port => format!("'{text}' has the port '{port}', which is not a number"),
    };
    Err(AddressError::new(problem, "use a port from 1 to 65535"))
}

fn check_host(text: &str, host: &str) -> Result<(), AddressError> {
    let wrong = |problem: &str, remedy: &str| Err(AddressError::new(problem, remedy));
    if host.is_empty() {
        return wrong(&format!("'{text}' has no host"), "write HOST:PORT");
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // A link-local address is followed by the name of its interface.
        let address = inner.split_once('%').map_or(inner, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            let problem = format!("'{inner}' is not an IPv6 address");
            return wrong(&problem, "use brackets only around IPv6 addresses, like [::1]");
        }
        return Ok(());
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if let Some(c) = host.chars().find(|c| !is_allowed(*c)) {
        let problem = format!("'{text}' has the character '{}' in its host", c.escape_debug());
        return wrong(&problem, "use a host name or an IP address");
    }
    let is_number = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    if host.split('.').all(is_number) && host.parse::<Ipv4Addr>().is_err() {
        return wrong(&format!("'{host}' is not an IPv4 address"), "use four numbers up to 255");
    }
    if host.len() > HOST_BYTES_MAX || host.trim_end_matches('.').split('.').any(str::is_empty) {
        return wrong(&format!("'{host}' is not a host name"), "use a host name or an IP address");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ip_addresses_with_ports_are_accepted() {
        for right in [
            "localhost:9092",
            "a:1",
            "kafka_1.example.org.:65535",
            "127.0.0.1:19092",
            "[::1]:9092",
            "[fe80::1%eth0]:9092",
            "[2001:db8::7]:1",
        ] {
            assert_eq!(check(right, 9092), Ok(()), "{right}");
            assert_eq!(check_authority(right, 9092), Ok(()), "{right}");
        }
    }

    #[test]
    fn wrong_addresses_name_problem_and_remedy() {
        for (wrong, problem, remedy) in [
            ("127.0.0.1:95566", "port 95566, which is out of range", "from 1 to 65535"),
            ("a:0", "port 0, which is out of range", "from 1 to 65535"),
            ("a:99999999999999999999", "out of range", "from 1 to 65535"),
            ("a:-1", "port '-1', which is not a number", "from 1 to 65535"),
            ("a:+1", "not a number", "from 1 to 65535"),
            ("a:9092x", "not a number", "from 1 to 65535"),
            ("a:", "no port after its colon", "from 1 to 65535"),
            ("a", "'a' has no port", "a:9092"),
            ("[::1]", "has no port", "[::1]:9092"),
            (":9092", "has no host", "HOST:PORT"),
            ("", "has no host", "HOST:PORT"),
            ("::1:9092", "without brackets", "[::1]:9092"),
            ("::1", "without brackets", "[::1]:9092"),
            ("2001:db8::7:443", "without brackets", "[2001:db8::7]:443"),
            ("a:b:1", "more than one colon", "HOST:PORT"),
            ("[::1:9092", "unclosed bracket", "[::1]:9092"),
            ("[::1]9092", "after its closing bracket", "[::1]:9092"),
            ("[::g]:1", "not an IPv6 address", "[::1]"),
            ("[a]:1", "not an IPv6 address", "[::1]"),
            ("a b:1", "the character ' '", "a host name"),
            ("h\u{f6}st:1", "the character", "a host name"),
            ("a/b:1", "the character '/'", "a host name"),
            ("300.0.0.1:1", "not an IPv4 address", "four numbers"),
            ("127.0.1:1", "not an IPv4 address", "four numbers"),
            ("a..b:1", "not a host name", "a host name"),
        ] {
            let error = check(wrong, 9092).expect_err(wrong);
            assert!(error.problem.contains(problem), "{wrong}: {error}");
            assert!(error.remedy.contains(remedy), "{wrong}: {error}");
        }
        assert_eq!(check_authority("a", 80), Ok(()), "the port of a URL is optional");
        assert!(check_authority("a:0", 80).is_err());
    }

    #[test]
    fn user_names_are_refused_and_not_quoted() {
        let error = check("user:hush@a:1", 9092).expect_err("a password").to_string();
        assert!(error.contains("user name") && !error.contains("hush"), "{error}");
    }
}
