//! The tools of an experiment, which have the last word on its options: the one that every run
//! starts with, and the one that may come after it.

use anyhow::Result;
use bench_cli::UsageError;

use crate::file::experiment::{Call, OptionValue, at};
use crate::file::owner::Owner;
use crate::host::stack;
use crate::plan::tool::Tool;

/// The option by which the second tool is told what the first has done.
const FROM_RUN: &str = "from-run";

/// The tools, found and asked for their options.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) first: Tool,
    pub(crate) then: Option<Tool>,
}

impl Tools {
    /// Finds the tools.
    pub(crate) fn find(first: &str, then: Option<&Call>) -> Result<Self> {
        let then = then.map(|then| Tool::find(&then.tool)).transpose()?;
        Ok(Self { first: Tool::find(first)?, then })
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Tool> {
        std::iter::once(&self.first).chain(&self.then)
    }

    /// Refuses subcommands that do not exist, and a second tool that would not know of the first.
    pub(crate) fn check_calls(
        &self,
        subcommand: Option<&str>,
        then: Option<&Call>,
    ) -> Result<(), UsageError> {
        self.first.check_subcommand(subcommand)?;
        let (Some(tool), Some(call)) = (&self.then, then) else { return Ok(()) };
        let subcommand = call.subcommand.as_deref();
        tool.check_subcommand(subcommand)?;
        if tool.knows_option(subcommand, FROM_RUN) {
            return Ok(());
        }
        Err(at(
            "[then]",
            "tool",
            &format!(
                "{} has no option --{FROM_RUN}, by which it could learn of the run",
                call.tool
            ),
            "name a tool that reads what another one has sent",
        ))
    }

    /// The name under which an option that stands at `place` of the file is known, after a look at
    /// its value.
    pub(crate) fn canonical_option(
        &self,
        subcommand: Option<&str>,
        then: Option<&Call>,
        (place, name): (&str, &str),
        value: &OptionValue,
    ) -> Result<String, UsageError> {
        let (owner, own) = Owner::of(name);
        let canonical = match (owner, &self.then) {
            (Owner::Tool, _) => self.first.canonical_option(subcommand, place, own, value)?,
            (Owner::Lambda, _) => stack::canonical_lambda_setting(place, own, value)?,
            (Owner::Then, Some(tool)) => {
                let subcommand = then.and_then(|then| then.subcommand.as_deref());
                let canonical = tool.canonical_option(subcommand, place, own, value)?;
                if canonical == FROM_RUN {
                    return Err(at(place, own, "run-suite sets it", "leave it out"));
                }
                canonical
            }
            (Owner::Then, None) => {
                return Err(at(place, name, "there is no second tool", "name one in [then]"));
            }
        };
        Ok(owner.name(&canonical))
    }
}
