//! Explains network errors: the texts of libraries describe their own internals.

use std::error::Error;
use std::io::{self, ErrorKind};

/// A network problem between a client and a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkProblem {
    /// Nothing listens at the address.
    Refused,
    /// The connection ended before the answer.
    Closed,
    /// There is no route to the host.
    Unreachable,
    /// The host name cannot be resolved.
    UnknownHost,
    /// There was no answer in time.
    Timeout,
    /// The client used TLS, but the other side does not.
    NotTls,
    /// The client used HTTP, but the other side does not; it may be a TLS port.
    NotHttp,
    /// The certificate's issuer is not trusted.
    UnknownIssuer,
    /// The certificate is for another host.
    OtherName,
    /// The certificate has expired or is not yet valid.
    Expired,
    /// The certificate is rejected for another reason.
    Certificate,
    /// This process has no file descriptor left.
    TooManyFiles,
}

/// Phrases of libraries, in lower case, and their meaning. The first match counts.
const WORDS: [(&str, NetworkProblem); 26] = [
    ("dns error", NetworkProblem::UnknownHost),
    ("failed to lookup address", NetworkProblem::UnknownHost),
    ("name or service not known", NetworkProblem::UnknownHost),
    ("name resolution", NetworkProblem::UnknownHost),
    ("invalidcontenttype", NetworkProblem::NotTls),
    ("corrupt message", NetworkProblem::NotTls),
    ("wrong version number", NetworkProblem::NotTls),
    ("unknownissuer", NetworkProblem::UnknownIssuer),
    ("unknown issuer", NetworkProblem::UnknownIssuer),
    ("notvalidforname", NetworkProblem::OtherName),
    ("not valid for name", NetworkProblem::OtherName),
    ("certificate expired", NetworkProblem::Expired),
    ("invalid peer certificate: expired", NetworkProblem::Expired),
    ("notvalidyet", NetworkProblem::Expired),
    ("certificate", NetworkProblem::Certificate),
    ("invalid http version", NetworkProblem::NotHttp),
    ("invalid http header", NetworkProblem::NotHttp),
    ("invalid http status", NetworkProblem::NotHttp),
    ("connection refused", NetworkProblem::Refused),
    ("unreachable", NetworkProblem::Unreachable),
    ("too many open files", NetworkProblem::TooManyFiles),
    ("connection closed", NetworkProblem::Closed),
    ("connection reset", NetworkProblem::Closed),
    ("incomplete message", NetworkProblem::Closed),
    ("timed out", NetworkProblem::Timeout),
    ("timeout", NetworkProblem::Timeout),
];

impl NetworkProblem {
    /// Finds the network problem in an error and its causes; `None` if it is about something else.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let (mut texts, mut kind) = (String::new(), None);
        let mut cause = Some(error);
        while let Some(error) = cause {
            texts.push_str(&error.to_string().to_lowercase());
            texts.push('\n');
            let of_system = error.downcast_ref::<io::Error>().map(io::Error::kind);
            kind = of_system.and_then(Self::of_kind).or(kind);
            cause = error.source();
        }
        let by_words = WORDS.iter().find(|(word, _)| texts.contains(word));
        by_words.map(|(_, problem)| *problem).or(kind)
    }

    fn of_kind(kind: ErrorKind) -> Option<Self> {
        match kind {
            ErrorKind::ConnectionRefused => Some(Self::Refused),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => Some(Self::Closed),
            ErrorKind::TimedOut => Some(Self::Timeout),
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Some(Self::Unreachable),
            _ => None,
        }
    }

    /// A short description.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Closed => "the connection was closed before the answer",
            Self::Unreachable => "network unreachable",
            Self::UnknownHost => "unknown host name",
            Self::Timeout => "no answer in time",
            Self::NotTls => "the other side does not speak TLS",
            Self::NotHttp => "the other side does not speak HTTP",
            Self::UnknownIssuer => "its certificate's issuer is not trusted here",
            Self::OtherName => "its certificate is for another host name",
            Self::Expired => "its certificate is expired or not yet valid",
            Self::Certificate => "its certificate was rejected",
            Self::TooManyFiles => "this process has too many open files",
        }
    }

    /// The remedy, for tools with `--endpoint-url` and `--timeout`.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Refused | Self::Closed | Self::Unreachable | Self::UnknownHost => {
                "check --endpoint-url and --region"
            }
            Self::Timeout => "check that the service is reachable, or raise --timeout",
            Self::NotTls => "use http:// in --endpoint-url if the service has no TLS",
            Self::NotHttp => {
                "use https:// in --endpoint-url if the service has TLS, or check the port"
            }
            Self::UnknownIssuer | Self::Certificate => {
                "set its certificate authority with SSL_CERT_FILE, or check --endpoint-url"
            }
            Self::OtherName => "use the certificate's host name in --endpoint-url",
            Self::Expired => "renew the certificate, or set this machine's clock",
            Self::TooManyFiles => "raise `ulimit -n`, or use fewer producers and consumers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_found_among_the_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("dispatch failure")]
        struct Outer(#[source] io::Error);

        let of = |error: io::Error| NetworkProblem::of(&Outer(error));
        assert_eq!(of(ErrorKind::ConnectionRefused.into()), Some(NetworkProblem::Refused));
        assert_eq!(of(ErrorKind::UnexpectedEof.into()), Some(NetworkProblem::Closed));
        for (text, problem) in [
            ("client error (Connect): dns error: failed to lookup", NetworkProblem::UnknownHost),
            ("received corrupt message of type InvalidContentType", NetworkProblem::NotTls),
            ("invalid peer certificate: UnknownIssuer", NetworkProblem::UnknownIssuer),
            ("invalid peer certificate: certificate expired: x", NetworkProblem::Expired),
            ("invalid HTTP version parsed", NetworkProblem::NotHttp),
            ("Connection refused (os error 111)", NetworkProblem::Refused),
            ("connection closed before message completed", NetworkProblem::Closed),
            ("HTTP connect timeout occurred after 10s", NetworkProblem::Timeout),
        ] {
            assert_eq!(of(io::Error::other(text)), Some(problem), "{text}");
        }
        assert_eq!(of(io::Error::other("no space left")), None);
    }
}
