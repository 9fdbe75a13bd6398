//! Parsing a database's address. Errors repeat nothing of it but single characters: a part that is
//! not understood may be the password.

use std::net::Ipv6Addr;

use mysql_async::{Opts, OptsBuilder, UrlError};
use url::{ParseError, Url};

const SCHEME: &str = "mysql://";

/// Characters that end the user or the password unless encoded.
const DELIMITERS: [char; 4] = ['/', '?', '#', '\\'];

/// Parses an address, or returns what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Opts, String> {
    let Some(rest) = text.strip_prefix(SCHEME) else {
        return Err("it does not begin with mysql://".to_owned());
    };
    let url = Url::parse(text);
    if let Some(problem) = unencoded(rest, url.as_ref().ok()) {
        return Err(problem);
    }
    let url = url.map_err(|error| problem_of(error, rest))?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| problem_of(ParseError::EmptyHost, rest))?;
    if url.port() == Some(0) {
        return Err(PORT.to_owned());
    }
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip = ip.map(|ip| ip.parse::<Ipv6Addr>().map_err(|_| IPV6)).transpose()?;
    let host = ip.map_or_else(|| host.to_owned(), |ip| ip.to_string());
    let opts = Opts::from_url(text).map_err(|error| parameter_problem(&error))?;
    if opts.db_name().is_none_or(str::is_empty) {
        return Err("it has no database".to_owned());
    }
    let port = opts.tcp_port();
    // The client would look up an IPv6 address in brackets as a name.
    Ok(OptsBuilder::from_opts(opts).ip_or_hostname(host).tcp_port(port).into())
}

const PORT: &str = "it has no port from 1 to 65535";
const IPV6: &str = "it has no valid IPv6 address, which must be in brackets, as in [::1]";

/// The character of the user or the password that must be encoded, and how.
fn unencoded(rest: &str, url: Option<&Url>) -> Option<String> {
    let (user, _) = rest.rsplit_once('@')?;
    if let Some(percent) = bad_percent(user) {
        return Some(format!("its user or password contains {percent}; write a literal % as %25"));
    }
    // An @ after the host belongs to a parameter.
    if url.is_some_and(|url| !url.username().is_empty() && url.host_str().is_some_and(is_host)) {
        return None;
    }
    let found = user.chars().find(|c| DELIMITERS.contains(c))?;
    let code = u32::from(found);
    Some(format!("its user or password contains {found}; write it as %{code:02X}"))
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
}

/// A percent sign that does not start an encoded byte, or bytes that are not text.
fn bad_percent(user: &str) -> Option<&'static str> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = user.as_bytes();
    let is_bad = |at: usize| !is_hex(bytes.get(at + 1)) || !is_hex(bytes.get(at + 2));
    let mut percents = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    percents.any(|(at, _)| is_bad(at)).then_some("a % that is not followed by two hex digits")
}

fn problem_of(error: ParseError, rest: &str) -> String {
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split('/').next().unwrap_or_default();
    match error {
        _ if host.is_empty() => "it has no host".to_owned(),
        _ if !host.starts_with('[') && host.matches(':').count() > 1 => {
            "an IPv6 address must be in brackets, as in mysql://USER:PASSWORD@[::1]:3306/DATABASE"
                .to_owned()
        }
        ParseError::InvalidPort => PORT.to_owned(),
        ParseError::InvalidIpv6Address => IPV6.to_owned(),
        ParseError::EmptyHost => "it has no host".to_owned(),
        _ => "its host is not a name or an address".to_owned(),
    }
}

fn parameter_problem(error: &UrlError) -> String {
    match error {
        UrlError::UnknownParameter { param } => format!("it has an unknown parameter '{param}'"),
        UrlError::InvalidParamValue { param, .. } => {
            format!("its parameter '{param}' has an invalid value")
        }
        UrlError::FeatureRequired { param, .. } => {
            format!("its parameter '{param}' is not supported here")
        }
        UrlError::InvalidPoolConstraints { .. } => "its pool_min is above its pool_max".to_owned(),
        UrlError::UnsupportedScheme { .. } => "it does not begin with mysql://".to_owned(),
        UrlError::Invalid | UrlError::Parse(_) => "it is incomplete".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).map(drop).expect_err(text)
    }

    #[test]
    fn ipv6_addresses_are_accepted() {
        for (text, host, port) in [
            ("mysql://u:x@[::1]:3307/bench", "::1", 3307),
            ("mysql://u:x@[2001:DB8::1]/bench", "2001:db8::1", 3306),
            ("mysql://[::1]/bench", "::1", 3306),
            ("mysql://u:x@127.0.0.1/bench", "127.0.0.1", 3306),
            ("mysql://u:x@db.example:1/bench?require_ssl=false", "db.example", 1),
        ] {
            let opts = parse(text).expect(text);
            assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), (host, port), "{text}");
            assert_eq!(opts.db_name(), Some("bench"), "{text}");
        }
    }

    #[test]
    fn unencoded_characters_are_named_without_the_password() {
        for (password, said) in [
            ("hu/sh", "contains /; write it as %2F"),
            ("1/sh", "contains /; write it as %2F"),
            ("hu?sh", "contains ?; write it as %3F"),
            ("hu#sh", "contains #; write it as %23"),
            ("hu%sh", "a % that is not followed by two hex digits; write a literal % as %25"),
            ("hu%", "as %25"),
            ("hu%4", "as %25"),
        ] {
            let error = refused(&format!("mysql://u:{password}@db:3306/bench"));
            assert!(error.contains(said), "{password}: {error}");
            assert!(!error.contains("sh;") && !error.contains("hu"), "{error}");
        }
    }

    #[test]
    fn encoded_and_harmless_characters_are_accepted() {
        for (password, expected) in [
            ("hu%2Fsh%23%3F%25%40%3A", "hu/sh#?%@:"),
            ("a:b", "a:b"),
            ("a@b", "a@b"),
            ("a!$&'()*+,;=~", "a!$&'()*+,;=~"),
            ("z%C3%B6", "zö"),
        ] {
            let opts = parse(&format!("mysql://u:{password}@db/bench")).expect(password);
            assert_eq!(opts.pass(), Some(expected), "{password}");
            assert_eq!(opts.ip_or_hostname(), "db");
        }
    }

    #[test]
    fn missing_and_invalid_parts_are_named() {
        for (text, said) in [
            ("postgres://u:p@db/bench", "mysql://"),
            ("u:p@db/bench", "mysql://"),
            ("", "mysql://"),
            ("mysql://u:p@/bench", "has no host"),
            ("mysql:///bench", "has no host"),
            ("mysql://u:p@:3306/bench", "has no host"),
            ("mysql://u:p@db:0/bench", "no port from 1 to 65535"),
            ("mysql://u:p@db:65536/bench", "no port from 1 to 65535"),
            ("mysql://u:p@db:x/bench", "no port from 1 to 65535"),
            ("mysql://u:p@::1:3306/bench", "in brackets"),
            ("mysql://u:p@[::g]/bench", "IPv6"),
            ("mysql://u:p@[::1/bench", "IPv6"),
            ("mysql://u:p@db", "has no database"),
            ("mysql://u:p@db/", "has no database"),
            ("mysql://u:p@db/bench?what=hush", "unknown parameter 'what'"),
            (
                "mysql://u:p@db/bench?require_ssl=hush",
                "parameter 'require_ssl' has an invalid value",
            ),
        ] {
            let error = refused(text);
            assert!(error.contains(said) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
