//! The tools of an experiment, which check its options: the one that every run starts with, and the
//! one that may run after it.

use std::path::Path;

use anyhow::Result;
use bench_cli::UsageError;
use bench_core::system::shortened_lines;
use bench_record::protocol::FROM_RUN;

use super::settings::canonical_setting;
use super::tool::Tool;
use crate::file::experiment::{Call, Experiment};
use crate::file::options::OptionValue;
use crate::file::owner::Owner;
use crate::file::refusal::at;

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

    /// The services that the tools use in an experiment whose options carry their final names.
    pub(super) fn services(&self, experiment: &Experiment) -> Vec<String> {
        let first = (Owner::Tool, &self.first);
        let second = self.then.iter().map(|then| (Owner::Then, then));
        let mut services: Vec<String> = Vec::new();
        for (owner, tool) in std::iter::once(first).chain(second) {
            let can_be = |option: &str, value: &str| {
                experiment.can_be(&owner.name(option), value, tool.default_of(option))
            };
            for service in tool.services(can_be) {
                if !services.iter().any(|known| known == service) {
                    services.push(service.to_owned());
                }
            }
        }
        services
    }

    /// Refuses subcommands that do not exist, and a second tool that cannot read what the first has sent.
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
            &format!("{} has no option --{FROM_RUN}, which takes the first tool's run", call.tool),
            "use a tool that reads what another one has sent",
        ))
    }

    /// The canonical name of an option at `place` of the file, after its owner has checked its value.
    pub(crate) fn canonical_option(
        &self,
        subcommand: Option<&str>,
        then: Option<&Call>,
        (place, name): (&str, &str),
        value: &OptionValue,
    ) -> Result<String, UsageError> {
        let (owner, own) = Owner::of(name);
        let canonical = match (&owner, &self.then) {
            (Owner::Tool, _) => self.first.canonical_option(subcommand, place, own, value)?,
            (Owner::Service(section), _) => canonical_setting(place, section, own, value)?,
            (Owner::Environment, _) => checked_variable(place, own, value)?,
            (Owner::Build, _) => self.checked_build(place, own, value)?,
            (Owner::Then, Some(tool)) => {
                let subcommand = then.and_then(|then| then.subcommand.as_deref());
                let canonical = tool.canonical_option(subcommand, place, own, value)?;
                if canonical == FROM_RUN {
                    return Err(at(place, own, "run-suite sets it", "leave it out"));
                }
                canonical
            }
            (Owner::Then, None) => {
                return Err(at(place, name, "there is no second tool", "add one in [then]"));
            }
        };
        Ok(owner.name(&canonical))
    }

    /// The name of a tool, after a check that the program at the path in `value` is a build of it.
    fn checked_build(
        &self,
        place: &str,
        name: &str,
        value: &OptionValue,
    ) -> Result<String, UsageError> {
        let refuse =
            |problem: &str, remedy: &str| Err(at(place, &Owner::Build.name(name), problem, remedy));
        let mut tools = std::iter::once(&self.first).chain(&self.then);
        if !tools.any(|tool| tool.name() == name) {
            return refuse("is not a tool of this experiment", "use the name of `tool`");
        }
        let path = value.single().unwrap_or_default();
        let path = Path::new(&path);
        if !path.is_absolute() {
            return refuse("is not an absolute path", "begin it with /");
        }
        match Tool::at(name, path) {
            Ok(_) => Ok(name.to_owned()),
            Err(error) => refuse(
                &shortened_lines(&format!("{error:#}")),
                &format!("give the path of another build of {name}"),
            ),
        }
    }
}

/// The name of a variable, after a check that a tool can have it.
fn checked_variable(place: &str, name: &str, value: &OptionValue) -> Result<String, UsageError> {
    let refuse = |problem: &str, remedy: &str| {
        Err(at(place, &Owner::Environment.name(name), problem, remedy))
    };
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || !name.chars().all(is_letter)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return refuse("is not the name of a variable", "use letters, digits and `_`");
    }
    if name.starts_with("BENCH_") {
        return refuse("run-suite sets it", "leave it out");
    }
    match value.single() {
        Ok(text) if !text.contains('\0') => Ok(name.to_owned()),
        _ => refuse("has no single text as its value", "give one text"),
    }
}
