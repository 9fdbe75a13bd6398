//! From the text of an experiment file to its plan.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use bench_cli::UsageError;
use bench_core::system::cause;
use bench_record::ServiceOrigin;
use bench_record::protocol::{KILL_CONSUMER, SERVICES_VARIABLE};
use bench_services::SERVICES;

use super::experiment_plan::Plan;
use super::stack_plan::StackPlan;
use super::tools::Tools;
use crate::file::experiment::{Experiment, checked_tool, with_services};
use crate::file::fault::kill_consumer_values;
use crate::file::options::OptionValue;
use crate::file::owner::Owner;

/// Reads and plans an experiment file, on other services than its own if `services` is given. Returns
/// the text of the file, too.
pub(crate) fn read_plan(
    file: &Path,
    services: Option<ServiceOrigin>,
    is_trusted: bool,
) -> Result<(String, Plan)> {
    let text = read_text(file).map_err(|error| {
        UsageError::new(
            &file.display().to_string(),
            format!("cannot be read: {}", cause(&error)),
            "`run-suite list` shows the experiment files in ./experiments",
        )
    })?;
    plan_on(text, services, is_trusted)
        .with_context(|| format!("failed to plan {}", file.display()))
}

/// Reads an experiment file. It may come through a pipe, but not without an end.
fn read_text(file: &Path) -> io::Result<String> {
    const BYTES_MAX: u64 = 16 << 20;
    let mut text = String::new();
    File::open(file)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("it has more than 16 MiB"));
    }
    Ok(text)
}

/// Plans the text of an experiment file, as [`read_plan`] does.
pub(crate) fn plan_on(
    text: String,
    services: Option<ServiceOrigin>,
    is_trusted: bool,
) -> Result<(String, Plan)> {
    let text = match services {
        Some(services) => with_services(&text, services),
        None => text,
    };
    let plan = plan_text(&text, is_trusted)?;
    Ok((text, plan))
}

/// Plans the text of an experiment file, after its tools and services have checked their options.
pub(crate) fn plan_text(text: &str, is_trusted: bool) -> Result<Plan> {
    let mut experiment = Experiment::parse(text)?;
    experiment.seed.get_or_insert_with(drawn_seed);
    refuse_untrusted(experiment.option_names(), is_trusted)?;
    refuse_environment(&experiment, ServiceOrigin::requested())?;
    let then = experiment.then.clone();
    let tools = Tools::find(&experiment.tool, then.as_ref())?;
    let subcommand = experiment.subcommand.clone();
    tools.check_calls(subcommand.as_deref(), then.as_ref())?;
    experiment.rename_options(|place, name, value| {
        tools.canonical_option(subcommand.as_deref(), then.as_ref(), (place, name), value)
    })?;
    let stack = StackPlan::new(&experiment, &tools)?;
    let killed = kill_consumer_values(&experiment.faults);
    if !killed.is_empty() {
        tools.first.check_fault(subcommand.as_deref(), "kill", KILL_CONSUMER)?;
        experiment.options.push((KILL_CONSUMER.to_owned(), OptionValue::Many(killed)));
    }
    Ok(Plan { stack, ..Plan::new(&experiment)? })
}

/// A seed that differs each time.
fn drawn_seed() -> u32 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_1970.subsec_nanos() ^ std::process::id()
}

/// Refuses an experiment that sets variables or starts programs by their paths, unless its user trusts it:
/// a file or folder may be anybody's.
fn refuse_untrusted<'a>(
    mut names: impl Iterator<Item = &'a String>,
    is_trusted: bool,
) -> Result<(), UsageError> {
    let is_powerful =
        |name: &&String| matches!(Owner::of(name).0, Owner::Environment | Owner::Build);
    match names.find(is_powerful).filter(|_| !is_trusted) {
        None => Ok(()),
        Some(name) => Err(UsageError::new(
            &format!("`{name}`"),
            "an experiment that sets variables or paths of programs can make them do anything",
            "read it, and add --trust if that is what you want",
        )),
    }
}

/// Refuses a plan that no experiment file could have asked for, since the plan in a folder may be
/// anybody's: its tools are found and asked like those of a file.
pub(crate) fn check(plan: &Plan, is_trusted: bool) -> Result<()> {
    let settings = plan.cells.iter().flat_map(|cell| &cell.settings);
    refuse_untrusted(settings.map(|(name, _)| name), is_trusted)?;
    let prepared = plan.prepare.iter().map(|prepare| &prepare.tool);
    let then = plan.then.iter().map(|then| &then.tool);
    for tool in std::iter::once(&plan.tool).chain(then).chain(prepared) {
        checked_tool("tool", tool.clone())?;
    }
    let tools = Tools::find(&plan.tool, plan.then.as_ref())?;
    let (subcommand, then) = (plan.subcommand.as_deref(), plan.then.as_ref());
    tools.check_calls(subcommand, then)?;
    for cell in &plan.cells {
        let own = cell.options.iter().map(|(name, value)| (Owner::Tool.name(name), value));
        let second = cell.then.iter().map(|(name, value)| (Owner::Then.name(name), value));
        let settings = cell.settings.iter().map(|(name, value)| (name.clone(), value));
        for (name, value) in own.chain(second).chain(settings) {
            // Options that run-suite adds for faults are the tool's own, too.
            let place = Owner::of(&name).0.section();
            tools.canonical_option(subcommand, then, (&place, &name), value)?;
        }
    }
    Ok(())
}

/// Refuses an experiment on external services in a shell that is set up for those of
/// `run-suite services`, unless the file itself names a server.
fn refuse_environment(
    experiment: &Experiment,
    requested: Option<ServiceOrigin>,
) -> Result<(), UsageError> {
    let other = requested.filter(|requested| *requested != ServiceOrigin::External);
    let Some(other) = other.filter(|_| experiment.services == ServiceOrigin::External) else {
        return Ok(());
    };
    let names_server =
        |name: &String| !SERVICES.named_by(&Owner::of(name).1.replace('_', "-")).is_empty();
    if experiment.option_names().any(names_server) {
        return Ok(());
    }
    Err(UsageError::new(
        SERVICES_VARIABLE,
        format!(
            "this shell has it set to {other}, as `run-suite services env` does, but the experiment \
             asks for external services"
        ),
        "use a new shell, `unset BENCH_SERVICES BENCH_STACK` and the variables of those servers, or \
         give --services local",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_of_other_services_are_refused_with_a_remedy() {
        let experiment = |services: &str, options: &str| {
            let head = "name = \"e\"\nquestion = \"?\"\ntool = \"t\"\n";
            let text = format!("{head}services = \"{services}\"\n[options]\n{options}");
            Experiment::parse(&text).expect("parsed")
        };
        let local = Some(ServiceOrigin::Local);
        let error = refuse_environment(&experiment("external", ""), local).expect_err("refused");
        let error = error.to_string();
        assert!(error.starts_with("BENCH_SERVICES: ") && error.contains("unset "), "{error}");
        for (services, options, requested) in [
            ("local", "", local),
            ("external", "", None),
            ("external", "", Some(ServiceOrigin::External)),
            ("external", "bootstrap-servers = \"b:9092\"", local),
        ] {
            let experiment = experiment(services, options);
            refuse_environment(&experiment, requested).expect("nothing is in the way");
        }
    }
}
