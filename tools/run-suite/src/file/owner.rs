//! Which component an option belongs to.
//!
//! Options of the first tool stand under their own names. Those of the second tool and the settings of
//! services carry a prefix, so that `[matrix]` and `[[case]]` can have them:
//! `"local.kafka.brokers" = [1, 3]`. So do what is not an option at all: `"env.NAME"`, a variable of the
//! tools, and `"build.TOOL"`, the path of another build of a tool.

use super::options::{OPTIONS, Options};

/// The prefix of the second tool's options.
const THEN: &str = "then.";

/// The prefix of the settings of services.
const LOCAL: &str = "local.";

/// The prefix of variables of the tools.
const ENVIRONMENT: &str = "env.";

/// The prefix of paths of tools.
const BUILD: &str = "build.";

/// A section of its own for what may be several services, of which one is started: its settings need
/// no [`LOCAL`] before them.
const FUNCTION: &str = "lambda";

/// Which component an option belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The tool that every run starts with.
    Tool,
    /// The tool that runs after it.
    Then,
    /// A service that run-suite starts, or a family of them.
    Service(String),
    /// The environment of the tools.
    Environment,
    /// The paths of tools.
    Build,
}

impl Owner {
    /// The function between two tools, whichever is started.
    pub(super) fn function() -> Self {
        Self::Service(FUNCTION.to_owned())
    }

    /// The owner of an option, and the name that it has there.
    pub(crate) fn of(name: &str) -> (Self, &str) {
        if let Some(own) = name.strip_prefix(THEN) {
            return (Self::Then, own);
        }
        for (prefix, owner) in [(ENVIRONMENT, Self::Environment), (BUILD, Self::Build)] {
            if let Some(own) = name.strip_prefix(prefix) {
                return (owner, own);
            }
        }
        let section = name.strip_prefix(LOCAL).unwrap_or(name);
        match section.split_once('.') {
            Some((service, own)) if section != name || service == FUNCTION => {
                (Self::Service(service.to_owned()), own)
            }
            _ => (Self::Tool, name),
        }
    }

    /// The name of an option of this owner among all.
    pub(crate) fn name(&self, own: &str) -> String {
        match self {
            Self::Tool => own.to_owned(),
            Self::Then => format!("{THEN}{own}"),
            Self::Environment => format!("{ENVIRONMENT}{own}"),
            Self::Build => format!("{BUILD}{own}"),
            Self::Service(service) if service == FUNCTION => format!("{FUNCTION}.{own}"),
            Self::Service(service) => format!("{LOCAL}{service}.{own}"),
        }
    }

    /// The section for options that are the same in all cells.
    pub(crate) fn section(&self) -> String {
        match self {
            Self::Tool | Self::Environment | Self::Build => OPTIONS.to_owned(),
            Self::Then => "[then.options]".to_owned(),
            Self::Service(service) if service == FUNCTION => format!("[{FUNCTION}]"),
            Self::Service(service) => format!("[{LOCAL}{service}]"),
        }
    }

    /// Adds its own options to all, under their names there.
    pub(super) fn add(&self, own: Options, all: &mut Options) {
        all.extend(own.into_iter().map(|(name, value)| (self.name(&name), value)));
    }

    /// Of all options those that are its own, under its own names.
    pub(crate) fn own(&self, all: &Options) -> Options {
        let own = all.iter().filter_map(|(name, value)| match Self::of(name) {
            (owner, own) if owner == *self => Some((own.to_owned(), value.clone())),
            _ => None,
        });
        own.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_name_the_owner() {
        let service = |name: &str| Owner::Service(name.to_owned());
        for (name, owner, own) in [
            ("rate", Owner::Tool, "rate"),
            ("then.rate", Owner::Then, "rate"),
            ("local.kafka.min.insync.replicas", service("kafka"), "min.insync.replicas"),
            ("local.kin-lambda.batch-size", service("kin-lambda"), "batch-size"),
            ("lambda.batch-size", Owner::function(), "batch-size"),
            ("kafka.brokers", Owner::Tool, "kafka.brokers"),
            ("env.MALLOC_ARENA_MAX", Owner::Environment, "MALLOC_ARENA_MAX"),
            ("build.kafka-prodcon", Owner::Build, "kafka-prodcon"),
        ] {
            assert_eq!(Owner::of(name), (owner.clone(), own), "{name}");
            assert_eq!(owner.name(own), name);
        }
        assert_eq!(service("kafka").section(), "[local.kafka]");
        assert_eq!(Owner::function().section(), "[lambda]");
    }
}
