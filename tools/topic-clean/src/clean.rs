//! Emptying topics: look, show, ask, do, check.

use std::sync::Arc;

use anyhow::{Result, bail};
use bench_cli::{Exit, Shutdown, UsageError, confirm, output, quantity};
use bench_kafka::admin::{Admin, TopicInfo};

use crate::options::Options;
use crate::plan::{self, Place, Plan, Seen, Step, Wishes, decide, is_ours, select};
use crate::render::{self, CleanReport, Outcome, TopicReport};

/// Empties the topics of the command line.
pub(crate) fn clean(options: &Options, shutdown: &Shutdown) -> Result<Exit> {
    let admin = options.connect(shutdown)?;
    let wishes = Wishes { recreate: options.recreate, force: options.force };
    let plans = shutdown.interruptible("looking at the topics", {
        let (patterns, admin) = (options.topics.clone(), Arc::clone(&admin));
        move || {
            let selected = select(&patterns, admin.topics()?)?.into_iter();
            selected.map(|topic| look(&admin, wishes, topic)).collect::<Result<Vec<_>>>()
        }
    })??;
    let is_refused = plans.iter().any(|plan| matches!(plan.step, Step::Refuse(_)));
    if options.dry_run {
        let topics = plans.iter().map(|plan| report(plan, Outcome::Planned)).collect();
        render::print(&CleanReport { dry_run: true, topics }, options.output.output)?;
        return if is_refused { Err(refusal(&plans).into()) } else { Ok(Exit::Good) };
    }
    if is_refused {
        return Err(refusal(&plans).into());
    }
    if plans.iter().any(|plan| plan.step != Step::Nothing) && !options.yes {
        show(&plans)?;
        if !ask(&plans, shutdown)? {
            bail!("not confirmed, so nothing was changed");
        }
    }
    let topics = empty_all(&admin, &plans, shutdown);
    let has_failed = topics.iter().any(|topic| topic.outcome == Outcome::Failed);
    render::print(&CleanReport { dry_run: false, topics }, options.output.output)?;
    match (shutdown.is_requested(), has_failed) {
        (true, _) => Ok(Exit::Interrupted),
        (false, true) => Ok(Exit::Failed),
        (false, false) => Ok(Exit::Good),
    }
}

/// Carries out all plans. When no broker answers any more, the rest is not tried: each topic would
/// wait for the whole time-out.
fn empty_all(admin: &Arc<Admin>, plans: &[Plan], shutdown: &Shutdown) -> Vec<TopicReport> {
    let failed = |plan, error| TopicReport { error: Some(error), ..report(plan, Outcome::Failed) };
    let mut has_brokers = true;
    let try_one = |plan| {
        if shutdown.is_requested() {
            return report(plan, Outcome::Skipped);
        }
        if !has_brokers {
            return failed(
                plan,
                "not tried, since no broker answers; check the brokers".to_owned(),
            );
        }
        empty(admin, plan, shutdown).unwrap_or_else(|error| {
            has_brokers = shutdown.is_requested() || admin.is_reachable();
            failed(plan, format!("{error:#}"))
        })
    };
    plans.iter().map(try_one).collect()
}

/// Looks at a topic and decides what to do with it.
fn look(admin: &Admin, wishes: Wishes, topic: TopicInfo) -> Result<Plan> {
    let watermarks = admin.watermarks(&topic.name)?;
    let messages = plan::messages(&watermarks);
    let mut seen = Seen { messages, ..Seen::default() };
    if messages > 0 && !wishes.force {
        admin.sample_messages(&topic.name, &watermarks, |message| {
            if seen.foreign.is_none() && !is_ours(message) {
                let (partition, offset) = (message.partition, message.offset);
                seen.foreign = Some(Place { partition, offset });
            }
        })?;
    }
    // Where the settings may not be read, the broker's answer will tell.
    let settings = admin.topic_config(&topic.name).unwrap_or_else(|error| {
        tracing::debug!("{error}");
        std::collections::BTreeMap::new()
    });
    seen.is_compacted = plan::is_compacted(settings.get("cleanup.policy").map(String::as_str));
    Ok(Plan { step: decide(wishes, seen), topic, messages })
}

/// Why nothing is done at all.
fn refusal(plans: &[Plan]) -> UsageError {
    let places: Vec<_> = plans
        .iter()
        .filter_map(|plan| match plan.step {
            Step::Refuse(Place { partition, offset }) => {
                Some(format!("'{}' (partition {partition}, offset {offset})", plan.topic.name))
            }
            _ => None,
        })
        .collect();
    let problem = format!(
        "this benchmark did not write all that is in {}, so nothing was changed",
        places.join(", ")
    );
    UsageError::new("TOPIC", problem, "--force empties it all the same")
}

/// Shows on standard error what is about to be done.
fn show(plans: &[Plan]) -> Result<()> {
    let topics = plans.iter().map(|plan| report(plan, Outcome::Planned)).collect();
    output::show_plan(&render::human(&CleanReport { dry_run: true, topics }))
}

/// Asks on the terminal whether to go ahead.
fn ask(plans: &[Plan], shutdown: &Shutdown) -> Result<bool> {
    let question = match plans.iter().map(|plan| plan.messages).sum() {
        0 => "Go ahead?".to_owned(),
        messages => format!("Delete {} messages for good?", quantity::count(messages)),
    };
    shutdown.interruptible("asking, so nothing was changed", move || confirm(&question))?
}

/// Carries out a plan and checks that the topic is empty. An interrupt ends the wait for deleted
/// records; between deleting a topic and creating it again, it is waited for all the same.
fn empty(admin: &Arc<Admin>, plan: &Plan, shutdown: &Shutdown) -> Result<TopicReport> {
    let name = &plan.topic.name;
    let (shared, owned) = (Arc::clone(admin), name.clone());
    let delete_records = move || {
        let doing = "its records were being deleted, which may go on";
        shutdown.interruptible(doing, move || shared.delete_records_to_end(&owned))
    };
    let outcome = match plan.step {
        Step::Nothing => return Ok(report(plan, Outcome::AlreadyEmpty)),
        Step::Refuse(_) => bail!("this benchmark did not write all that is in it; use --force"),
        Step::Recreate => recreate(admin, name)?,
        Step::DeleteRecords => match delete_records()? {
            Ok(()) => Outcome::RecordsDeleted,
            Err(error) if error.is_refusal() => {
                tracing::info!("{error}; deleting and creating the topic anew");
                recreate(admin, name)?
            }
            Err(error) => return Err(error.into()),
        },
    };
    let left = plan::messages(&admin.watermarks(name)?);
    if left > 0 {
        bail!(
            "{} messages lie in topic '{name}' again; stop what writes to it",
            quantity::count(left)
        );
    }
    Ok(report(plan, outcome))
}

fn recreate(admin: &Admin, name: &str) -> Result<Outcome> {
    admin.recreate_topic(name)?;
    Ok(Outcome::Recreated)
}

fn report(plan: &Plan, outcome: Outcome) -> TopicReport {
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
    fn a_refusal_names_each_topic_and_the_way_out() {
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
        let place = Place { partition: 2, offset: 40 };
        let plans = [plan("ours", Step::DeleteRecords), plan("orders", Step::Refuse(place))];
        let text = refusal(&plans).to_string();
        assert!(text.contains("'orders' (partition 2, offset 40)"), "{text}");
        assert!(!text.contains("'ours'") && text.contains("--force"), "{text}");
    }
}
