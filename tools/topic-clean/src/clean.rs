//! Emptying topics: inspect, show, ask, run, check.

use std::sync::Arc;

use anyhow::{Result, bail};
use bench_cli::{Exit, Shutdown, UsageError, confirm, output, quantity};
use bench_kafka::admin::{Admin, TopicInfo};

use crate::options::Options;
use crate::plan::{
    self, CleanArgs, MessagePosition, Plan, TopicState, TopicStep, decide, is_ours, select,
};
use crate::render::{self, CleanReport, TopicOutcome, TopicReport};

/// Empties the topics of the command line.
pub(crate) fn clean(options: &Options, shutdown: &Shutdown) -> Result<Exit> {
    let admin = options.connect(shutdown)?;
    let args = CleanArgs { recreate: options.recreate, force: options.force };
    let plans = shutdown.interruptible("inspecting the topics", {
        let (patterns, admin) = (options.topics.clone(), Arc::clone(&admin));
        move || {
            let selected = select(&patterns, admin.topics()?)?.into_iter();
            selected.map(|topic| inspect(&admin, args, topic)).collect::<Result<Vec<_>>>()
        }
    })??;
    let is_refused = plans.iter().any(|plan| matches!(plan.step, TopicStep::Refuse(_)));
    if options.dry_run {
        let topics = plans.iter().map(|plan| report(plan, TopicOutcome::Planned)).collect();
        render::print(&CleanReport { dry_run: true, topics }, options.output.format)?;
        return if is_refused { Err(refusal(&plans).into()) } else { Ok(Exit::Good) };
    }
    if is_refused {
        return Err(refusal(&plans).into());
    }
    if plans.iter().any(|plan| plan.step != TopicStep::Nothing) && !options.yes {
        show(&plans)?;
        if !ask(&plans, shutdown)? {
            bail!("not confirmed, so nothing was changed");
        }
    }
    let topics = empty_all(&admin, &plans, shutdown);
    let has_failed = topics.iter().any(|topic| topic.outcome == TopicOutcome::Failed);
    render::print(&CleanReport { dry_run: false, topics }, options.output.format)?;
    match (shutdown.is_requested(), has_failed) {
        (true, _) => Ok(Exit::Interrupted),
        (false, true) => Ok(Exit::Failed),
        (false, false) => Ok(Exit::Good),
    }
}

/// Runs all plans. Once no broker responds, skips the rest, since each topic would wait for the
/// whole timeout.
fn empty_all(admin: &Arc<Admin>, plans: &[Plan], shutdown: &Shutdown) -> Vec<TopicReport> {
    let failed =
        |plan, error| TopicReport { error: Some(error), ..report(plan, TopicOutcome::Failed) };
    let mut has_brokers = true;
    let try_one = |plan| {
        if shutdown.is_requested() {
            return report(plan, TopicOutcome::Skipped);
        }
        if !has_brokers {
            return failed(plan, "skipped, since no broker responds; check the brokers".to_owned());
        }
        empty(admin, plan, shutdown).unwrap_or_else(|error| {
            has_brokers = shutdown.is_requested() || admin.is_reachable();
            failed(plan, format!("{error:#}"))
        })
    };
    plans.iter().map(try_one).collect()
}

/// Inspects a topic and decides what to do with it.
fn inspect(admin: &Admin, args: CleanArgs, topic: TopicInfo) -> Result<Plan> {
    let watermarks = admin.watermarks(&topic.name)?;
    let messages = plan::messages(&watermarks);
    let mut seen = TopicState { messages, ..TopicState::default() };
    if messages > 0 && !args.force {
        admin.sample_messages(&topic.name, &watermarks, |message| {
            if seen.foreign.is_none() && !is_ours(message) {
                let (partition, offset) = (message.partition, message.offset);
                seen.foreign = Some(MessagePosition { partition, offset });
            }
        })?;
    }
    // If the settings may not be read, the broker's answer decides.
    let settings = admin.topic_config(&topic.name).unwrap_or_else(|error| {
        tracing::debug!("{error}");
        std::collections::BTreeMap::new()
    });
    seen.is_compacted = plan::is_compacted(settings.get("cleanup.policy").map(String::as_str));
    Ok(Plan { step: decide(args, seen), topic, messages })
}

/// The error if nothing is done at all.
fn refusal(plans: &[Plan]) -> UsageError {
    let positions: Vec<_> = plans
        .iter()
        .filter_map(|plan| match plan.step {
            TopicStep::Refuse(MessagePosition { partition, offset }) => {
                Some(format!("'{}' (partition {partition}, offset {offset})", plan.topic.name))
            }
            _ => None,
        })
        .collect();
    let problem = format!(
        "{} contains messages that this benchmark did not write; nothing was changed",
        positions.join(", ")
    );
    UsageError::new("TOPIC", problem, "add --force to empty it anyway")
}

/// Shows on standard error what is about to be done.
fn show(plans: &[Plan]) -> Result<()> {
    let topics = plans.iter().map(|plan| report(plan, TopicOutcome::Planned)).collect();
    output::show_plan(&render::human(&CleanReport { dry_run: true, topics }))
}

/// Asks on the terminal whether to continue.
fn ask(plans: &[Plan], shutdown: &Shutdown) -> Result<bool> {
    let question = match plans.iter().map(|plan| plan.messages).sum() {
        0 => "Continue?".to_owned(),
        messages => format!("Delete {} messages for good?", quantity::count(messages)),
    };
    shutdown.interruptible("asking; nothing was changed", move || confirm(&question))?
}

/// Runs a plan and checks that the topic is empty. An interrupt ends the wait for deleted records,
/// but not the wait between deleting a topic and creating it again.
fn empty(admin: &Arc<Admin>, plan: &Plan, shutdown: &Shutdown) -> Result<TopicReport> {
    let name = &plan.topic.name;
    let (shared, owned) = (Arc::clone(admin), name.clone());
    let delete_records = move || {
        let doing = "deleting its records, which may continue";
        shutdown.interruptible(doing, move || shared.delete_records_to_end(&owned))
    };
    let outcome = match plan.step {
        TopicStep::Nothing => return Ok(report(plan, TopicOutcome::AlreadyEmpty)),
        TopicStep::Refuse(_) => {
            bail!("it contains messages that this benchmark did not write; use --force")
        }
        TopicStep::Recreate => recreate(admin, name)?,
        TopicStep::DeleteRecords => match delete_records()? {
            Ok(()) => TopicOutcome::RecordsDeleted,
            Err(error) if error.is_refusal() => {
                tracing::info!("{error}; deleting and recreating the topic");
                recreate(admin, name)?
            }
            Err(error) => return Err(error.into()),
        },
    };
    let left = plan::messages(&admin.watermarks(name)?);
    if left > 0 {
        bail!(
            "topic '{name}' has {} messages again; stop the programs that write to it",
            quantity::count(left)
        );
    }
    Ok(report(plan, outcome))
}

fn recreate(admin: &Admin, name: &str) -> Result<TopicOutcome> {
    admin.recreate_topic(name)?;
    Ok(TopicOutcome::Recreated)
}

fn report(plan: &Plan, outcome: TopicOutcome) -> TopicReport {
    TopicReport {
        topic: plan.topic.name.clone(),
        partitions: plan.topic.partitions,
        replication: plan.topic.replication,
        messages: plan.messages,
        step: plan.step,
        outcome,
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_each_topic_and_remedy() {
        let plan = |name: &str, step| Plan {
            topic: TopicInfo {
                name: name.to_owned(),
                partitions: 1,
                replication: 1,
                internal: false,
            },
            messages: 1,
            step,
        };
        let position = MessagePosition { partition: 2, offset: 40 };
        let plans =
            [plan("ours", TopicStep::DeleteRecords), plan("orders", TopicStep::Refuse(position))];
        let text = refusal(&plans).to_string();
        assert!(text.contains("'orders' (partition 2, offset 40)"), "{text}");
        assert!(!text.contains("'ours'") && text.contains("--force"), "{text}");
    }
}
