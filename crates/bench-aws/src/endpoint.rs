//! Checks addresses and regions of services before any request.

use std::fmt::Display;

use url::{ParseError, Url};

/// An option or variable with an invalid address or region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AwsOptionsError(String);

impl AwsOptionsError {
    pub(crate) fn new(option: &str, problem: impl Display, remedy: impl Display) -> Self {
        Self(format!("{option}: {problem}; {remedy}"))
    }
}

const EXAMPLE: &str = "use a form such as http://127.0.0.1:4566";

/// Refuses text that is not an HTTP address of a service. Never quotes text that may contain a
/// secret; `option` is its origin.
pub(crate) fn check(option: &str, text: &str) -> Result<(), AwsOptionsError> {
    if has_credentials(text) {
        let problem = "contains a user, a key or parameters, which do not belong there";
        let remedy = "set credentials as for the AWS command line: AWS_PROFILE, or \
                      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        return Err(AwsOptionsError::new(option, problem, remedy));
    }
    match problem(text) {
        None => Ok(()),
        Some((problem, remedy)) => {
            Err(AwsOptionsError::new(option, format!("'{text}' {problem}"), remedy))
        }
    }
}

fn problem(text: &str) -> Option<(&'static str, String)> {
    let example = EXAMPLE.to_owned();
    let rest = match text.split_once("://") {
        // `localhost:4566` would be a URL of the scheme `localhost`.
        None => return Some(("has no scheme", format!("write http://{text} or https://{text}"))),
        Some((scheme, rest))
            if ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) =>
        {
            rest
        }
        Some(_) => return Some(("is neither http nor https", example)),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.starts_with(':') && !authority.contains("::") || authority.is_empty() {
        return Some(("has no host", example));
    }
    if !authority.starts_with('[') && authority.matches(':').count() > 1 {
        let remedy = "write IPv6 addresses in brackets, such as http://[::1]:4566".to_owned();
        return Some(("is not an address of a host and a port", remedy));
    }
    let port = "has no port from 1 to 65535";
    match Url::parse(text) {
        Ok(url) if url.port() == Some(0) => Some((port, example)),
        Ok(_) => None,
        Err(ParseError::InvalidPort) => Some((port, example)),
        Err(ParseError::InvalidIpv6Address) => Some(("has an invalid IPv6 address", example)),
        Err(ParseError::InvalidIpv4Address) => Some(("has an invalid IPv4 address", example)),
        Err(_) => Some(("is not an address of a service", example)),
    }
}

/// Refuses text that is not the name of an AWS region: it becomes part of a host name.
pub(crate) fn check_region(option: &str, region: &str) -> Result<(), AwsOptionsError> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !region.is_empty() && region.chars().all(is_good) {
        return Ok(());
    }
    let problem = format!("'{region}' is not a region");
    Err(AwsOptionsError::new(option, problem, "use a form such as eu-west-1"))
}

/// Whether a URI may contain a secret: a user before the host, or parameters.
#[must_use]
pub fn has_credentials(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A secret may contain unescaped slashes.
    host.contains('@') || host.contains(':') && rest.contains('@') || rest.contains(['?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_addresses_are_accepted() {
        for good in [
            "http://127.0.0.1:4566",
            "https://kinesis.eu-west-1.amazonaws.com",
            "http://[::1]:4566/",
            "HTTP://localhost",
            "https://[2001:db8::1]",
            "http://host/path",
        ] {
            assert_eq!(check("--endpoint-url", good), Ok(()), "{good}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused_with_an_example() {
        for (bad, said) in [
            ("127.0.0.1:4566", "has no scheme; write http://127.0.0.1:4566 or https"),
            ("localhost:4566", "has no scheme; write http://localhost:4566"),
            ("localhost", "has no scheme"),
            ("", "has no scheme"),
            ("ftp://localhost", "neither http nor https"),
            ("mysql://localhost", "neither http nor https"),
            ("http://", "has no host"),
            ("http://:4566", "has no host"),
            ("http:///bucket", "has no host"),
            ("http://localhost:0", "has no port from 1 to 65535"),
            ("http://localhost:65536", "has no port from 1 to 65535"),
            ("http://localhost:x", "has no port from 1 to 65535"),
            ("http://::1:4566", "in brackets, such as http://[::1]:4566"),
            ("http://[::1:4566", "IPv6"),
            ("http://[::g]:4566", "IPv6"),
            ("http://1.2.3.4.5:80", "IPv4"),
            ("http://a b", "is not an address"),
        ] {
            let error = check("--endpoint-url", bad).expect_err(bad).to_string();
            assert!(
                error.starts_with("--endpoint-url: ") && error.contains(said),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn secrets_in_addresses_are_not_quoted() {
        for bad in ["http://me:hush@there:80", "http://there?key=hush", "http://me:hu/sh@there"] {
            let error = check("AWS_ENDPOINT_URL", bad).expect_err(bad).to_string();
            assert!(error.starts_with("AWS_ENDPOINT_URL: contains a user"), "{error}");
            assert!(!error.contains("hu"), "{error}");
        }
    }

    #[test]
    fn invalid_regions_are_refused() {
        assert_eq!(check_region("--region", "eu-west-1"), Ok(()));
        for bad in ["", "eu west", "EU-WEST-1", "eu.west", "eu/west"] {
            let error = check_region("--region", bad).expect_err(bad).to_string();
            assert!(error.ends_with("use a form such as eu-west-1"), "{error}");
        }
    }
}
