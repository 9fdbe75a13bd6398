//! A list of services, and what can be asked of it.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::StackError;
use crate::options::{NO_OPTIONS, StackOptions};
use crate::service::{Service, ServiceOption};

/// The services that there are, in the order in which they are listed and started.
#[derive(Clone, Copy)]
pub struct Registry {
    services: &'static [&'static dyn Service],
}

impl Registry {
    /// These services.
    #[must_use]
    pub const fn new(services: &'static [&'static dyn Service]) -> Self {
        Self { services }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &'static [&'static dyn Service] {
        self.services
    }

    /// The service of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static dyn Service> {
        self.services.iter().copied().find(|service| service.name() == name)
    }

    /// The service of this name, or an error that lists the names.
    pub fn find(&self, name: &str) -> Result<&'static dyn Service, String> {
        self.get(name).ok_or_else(|| {
            format!("unknown service '{name}'; use one of {}", self.names().join(", "))
        })
    }

    /// The names of all services.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.services.iter().map(|service| service.name()).collect()
    }

    /// The services that a stack has unless the user says which to start.
    #[must_use]
    pub fn defaults(&self) -> Vec<&'static str> {
        let defaults = self.services.iter().filter(|service| service.is_default());
        defaults.map(|service| service.name()).collect()
    }

    /// The options of all services that have an option of their own in `services up`.
    pub fn flags(&self) -> impl Iterator<Item = (&'static dyn Service, &'static ServiceOption)> {
        let services = self.services.iter().copied();
        let options = services
            .flat_map(|service| service.options().iter().map(move |option| (service, option)));
        options.filter(|(_, option)| option.flag.is_some())
    }

    /// The service that a setting is for, and its key there: `SERVICE.KEY`, or the key alone where
    /// a service claims it.
    pub fn setting_of<'k>(&self, key: &'k str) -> Result<(&'static dyn Service, &'k str), String> {
        if let Some((name, key)) = key.split_once('.')
            && let Some(service) = self.get(name)
        {
            return Ok((service, key));
        }
        let claims = self.services.iter().copied().find(|service| service.claims(key));
        claims.map(|service| (service, key)).ok_or_else(|| {
            let names = self.names().join(", ");
            format!("no service has the setting '{key}'; put a service in front of it ({names})")
        })
    }

    /// The names of the services whose servers a tool's option names: `bootstrap-servers`, ...
    #[must_use]
    pub fn named_by(&self, tool_option: &str) -> Vec<&'static str> {
        let named =
            self.services.iter().filter(|service| service.tool_options().contains(&tool_option));
        named.map(|service| service.name()).collect()
    }

    /// The names that a fault can have as its target: nodes, and services of several nodes.
    /// `is_network` asks for those that proxies can stand in front of.
    #[must_use]
    pub fn fault_targets(&self, is_network: bool) -> Vec<String> {
        let mut targets = Vec::new();
        for service in self.services {
            let is_target = if is_network {
                service.proxied_port().is_some()
            } else {
                service.bears_process_faults()
            };
            if is_target {
                targets.extend(service.possible_node_names());
                if !targets.iter().any(|target| target == service.name()) {
                    targets.push(service.name().to_owned());
                }
            }
        }
        targets
    }

    /// The nodes of a stack that proxies can stand in front of, by their services.
    #[must_use]
    pub fn proxied_nodes(&self, options: &StackOptions) -> Vec<(&'static str, Vec<String>)> {
        let services = self.services.iter().filter(|service| service.proxied_port().is_some());
        let nodes = services.filter_map(|service| {
            Some((service.name(), service.node_names(options.get(service.name())?)))
        });
        nodes.collect()
    }

    /// The options of a stack of `services` and of those that they need. Of the settings, given as
    /// service, key and value, those of services that it does not have are checked and left out.
    pub fn options<'a>(
        &self,
        services: impl IntoIterator<Item = &'a str>,
        settings: &[(&str, &str, &str)],
    ) -> Result<StackOptions, StackError> {
        let mut options = self.completed(&StackOptions::of(services))?;
        for &(name, key, value) in settings {
            let service = self.find(name).map_err(StackError::Options)?;
            service
                .check_setting(key, value)
                .map_err(|problem| StackError::Options(format!("{name}.{key}: {problem}")))?;
            if options.contains(name) {
                options = options.with(name, key, value);
            }
        }
        self.completed(&options)
    }

    /// The part of complete options that consists of `services` and of those that they need.
    pub fn part<'a>(
        &self,
        options: &StackOptions,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Result<StackOptions, StackError> {
        let part = self.completed(&StackOptions::of(services))?;
        Ok(options.filtered(|name| part.contains(name)))
    }

    /// The same with the services that others need, and without settings that say the default; an
    /// error if it cannot be started.
    pub fn completed(&self, options: &StackOptions) -> Result<StackOptions, StackError> {
        if options.is_empty() {
            return Err(StackError::Options("a stack needs at least one service".to_owned()));
        }
        let mut completed = options.clone();
        let mut open: Vec<String> = options.services().map(str::to_owned).collect();
        while let Some(name) = open.pop() {
            let service = self.find(&name).map_err(StackError::Options)?;
            for need in service.needs() {
                if !completed.contains(need) {
                    completed.get_mut(need);
                    open.push((*need).to_owned());
                }
            }
            let own = completed.get_mut(&name);
            service.validate(own)?;
            for option in service.options().iter().filter(|option| !option.default.is_empty()) {
                if own.get(option.key) == Some(option.default) {
                    own.settings.remove(option.key);
                }
            }
        }
        Ok(completed)
    }

    /// The services of a stack in waves: each needs only services of earlier ones.
    pub(crate) fn waves(&self, options: &StackOptions) -> Vec<Vec<&'static dyn Service>> {
        let mut left: Vec<_> =
            self.services.iter().copied().filter(|s| options.contains(s.name())).collect();
        let mut started = BTreeSet::new();
        let mut waves = Vec::new();
        while !left.is_empty() {
            let is_ready = |service: &&'static dyn Service| {
                service.needs().iter().all(|need| started.contains(need))
            };
            let (ready, rest): (Vec<_>, Vec<_>) = left.iter().copied().partition(is_ready);
            // Services that need each other start together.
            let (wave, rest) = if ready.is_empty() { (rest, ready) } else { (ready, rest) };
            left = rest;
            started.extend(wave.iter().map(|service| service.name()));
            waves.push(wave);
        }
        waves
    }

    /// The nodes of a service under these options; none if it is unknown.
    pub(crate) fn node_names(&self, service: &str, options: &StackOptions) -> Vec<String> {
        let options = options.get(service).unwrap_or(&NO_OPTIONS);
        self.get(service).map(|service| service.node_names(options)).unwrap_or_default()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{PLAIN, SERVICES, TOP};

    #[test]
    fn needed_services_come_along_and_start_first() {
        let options = SERVICES.options([TOP], &[(PLAIN, "nodes", "1")]).expect("completed");
        assert_eq!(options, StackOptions::of([PLAIN, TOP]), "defaults are left out");
        let waves = SERVICES.waves(&options);
        let names: Vec<_> = waves.iter().map(|wave| wave[0].name()).collect();
        assert_eq!(names, [PLAIN, TOP]);
        let options = SERVICES.options([TOP], &[(PLAIN, "nodes", "2")]).expect("completed");
        let nodes = vec!["plain-1".to_owned(), "plain-2".to_owned()];
        assert_eq!(SERVICES.proxied_nodes(&options), [(PLAIN, nodes)]);
    }

    #[test]
    fn settings_find_their_service() {
        let of = |key| SERVICES.setting_of(key).map(|(service, key)| (service.name(), key));
        assert_eq!(of("plain.nodes"), Ok((PLAIN, "nodes")));
        assert_eq!(of("nodes"), Ok((PLAIN, "nodes")));
        assert!(of("other.nodes").expect_err("unknown").contains("(top, plain)"));
        let error = SERVICES.options([TOP], &[(PLAIN, "nodes", "9")]).expect_err("refused");
        assert_eq!(error.to_string(), "plain.nodes: must be 1 to 3, not 9");
    }

    #[test]
    fn fault_targets_are_nodes_and_services() {
        let nodes = ["plain-1", "plain-2", "plain-3", "plain"];
        assert_eq!(SERVICES.fault_targets(true), nodes);
        assert_eq!(SERVICES.fault_targets(false), [&["top"], &nodes[..]].concat());
        assert_eq!(SERVICES.named_by("server"), [TOP, PLAIN]);
    }
}
