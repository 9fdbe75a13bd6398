//! Whom an option of an experiment file is for.
//!
//! Options of the first tool stand under their own names. Those of the second tool and the settings
//! of the Lambda carry a prefix wherever options stand, so that `[matrix]` and `[[case]]` can have
//! them: `"lambda.batch-size" = [10, 100]`.

use bench_cli::UsageError;
use toml::Table;

use super::experiment::{OPTIONS, Options, options};

/// Whom an option is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The tool that every run starts with.
    Tool,
    /// The tool that runs after it.
    Then,
    /// The Lambda between the two, and what feeds it.
    Lambda,
}

impl Owner {
    /// The owner of an option, and the name that it has there.
    pub(crate) fn of(name: &str) -> (Self, &str) {
        for owner in [Self::Then, Self::Lambda] {
            if let Some(own) = name.strip_prefix(owner.prefix()) {
                return (owner, own);
            }
        }
        (Self::Tool, name)
    }

    /// The name of an option of this owner among all.
    pub(crate) fn name(self, own: &str) -> String {
        format!("{}{own}", self.prefix())
    }

    /// Where its options stand that are the same in all cells.
    pub(crate) fn fixed_place(self) -> &'static str {
        match self {
            Self::Tool => OPTIONS,
            Self::Then => "[then.options]",
            Self::Lambda => "[lambda]",
        }
    }

    /// Of all options those that are its own, under its own names.
    pub(crate) fn own(self, all: &Options) -> Options {
        let own = all.iter().filter_map(|(name, value)| match Self::of(name) {
            (owner, own) if owner == self => Some((own.to_owned(), value.clone())),
            _ => None,
        });
        own.collect()
    }

    /// The options of its section of the file, under their names among all.
    pub(super) fn options(self, table: Table) -> Result<Options, UsageError> {
        let options = options(self.fixed_place(), table)?;
        Ok(options.into_iter().map(|(name, value)| (self.name(&name), value)).collect())
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Tool => "",
            Self::Then => "then.",
            Self::Lambda => "lambda.",
        }
    }
}
