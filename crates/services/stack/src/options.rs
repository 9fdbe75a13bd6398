//! What a stack is asked to consist of: services, and settings for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one service of a stack is asked to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceOptions {
    /// Values of the service's options by their keys. Options that are absent have their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The port on 127.0.0.1 of the proxy in front of each node. Empty without proxies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<u16>,
}

/// The options of a service that a stack does not have.
pub(crate) static NO_OPTIONS: ServiceOptions =
    ServiceOptions { settings: BTreeMap::new(), proxies: Vec::new() };

impl ServiceOptions {
    /// The value of an option that was set.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }
}

/// What a stack is asked to consist of: the settings of each of its services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StackOptions(BTreeMap<String, ServiceOptions>);

impl StackOptions {
    /// These services with default settings.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let services = services.into_iter();
        Self(services.map(|name| (name.to_owned(), ServiceOptions::default())).collect())
    }

    /// Adds a setting, and its service if the stack does not have it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass literals and numbers")]
    pub fn with(mut self, service: &str, key: &str, value: impl ToString) -> Self {
        let settings = &mut self.0.entry(service.to_owned()).or_default().settings;
        settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Puts proxies in front of the nodes of a service, one for each.
    #[must_use]
    pub fn with_proxies(mut self, service: &str, ports: Vec<u16>) -> Self {
        self.0.entry(service.to_owned()).or_default().proxies = ports;
        self
    }

    /// The same settings for those services that `keep` chooses.
    pub(crate) fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, _)| keep(name));
        Self(kept.map(|(name, options)| (name.clone(), options.clone())).collect())
    }

    /// The names of the services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether a service is part of it.
    #[must_use]
    pub fn contains(&self, service: &str) -> bool {
        self.0.contains_key(service)
    }

    /// Whether no service is part of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The options of a service that is part of it.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<&ServiceOptions> {
        self.0.get(service)
    }

    pub(crate) fn get_mut(&mut self, service: &str) -> &mut ServiceOptions {
        self.0.entry(service.to_owned()).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &ServiceOptions)> {
        self.0.iter().map(|(name, options)| (name.as_str(), options))
    }
}
