//! The listeners of a broker.

use bench_stack::ServiceOptions;

/// The listeners of a broker, all on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// For clients, and between brokers.
    Plaintext,
    /// Between controllers.
    Controller,
    /// TLS, without passwords.
    Tls,
    /// Passwords over TLS.
    SaslTls,
    /// Passwords without TLS.
    SaslPlain,
    /// For clients behind a proxy, whose address it advertises.
    Proxied,
}

impl Listener {
    /// The listeners of each broker.
    pub(crate) fn of(options: &ServiceOptions) -> Vec<Self> {
        let mut all =
            vec![Self::Plaintext, Self::Controller, Self::Tls, Self::SaslTls, Self::SaslPlain];
        if !options.proxies.is_empty() {
            all.push(Self::Proxied);
        }
        all
    }

    /// Its name in Kafka's configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Controller => "CONTROLLER",
            Self::Tls => "TLS",
            Self::SaslTls => "SASLTLS",
            Self::SaslPlain => "SASLPLAIN",
            Self::Proxied => "PROXIED",
        }
    }

    /// Its protocol in Kafka's configuration.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Controller | Self::Proxied => "PLAINTEXT",
            Self::Tls => "SSL",
            Self::SaslTls => "SASL_SSL",
            Self::SaslPlain => "SASL_PLAINTEXT",
        }
    }
}
