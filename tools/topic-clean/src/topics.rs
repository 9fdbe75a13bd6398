//! The subcommands that list, describe and create topics.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{Exit, Shutdown, UsageError};
use bench_kafka::admin::Admin;
use bench_kafka::config::split_setting;
use bench_kafka::error::KafkaError;

use crate::options::{CreateArgs, Options};
use crate::plan;
use crate::render::{self, Description, PartitionRow, TopicList, TopicRow};

pub(crate) fn list(options: &Options, shutdown: &Shutdown) -> Result<Exit> {
    let admin = options.connect(shutdown)?;
    let topics = shutdown.interruptible("listing the topics", move || admin.topics())??;
    let rows = topics.into_iter().map(TopicRow::from).collect();
    render::print(&TopicList { topics: rows }, options.output.format)?;
    Ok(Exit::Good)
}

pub(crate) fn describe(options: &Options, name: &str, shutdown: &Shutdown) -> Result<Exit> {
    let admin = options.connect(shutdown)?;
    let name = name.to_owned();
    let description =
        shutdown.interruptible("describing the topic", move || describe_topic(&admin, &name))??;
    render::print(&description, options.output.format)?;
    Ok(Exit::Good)
}

fn describe_topic(admin: &Admin, name: &str) -> Result<Description, KafkaError> {
    let topic =
        admin.topic(name)?.ok_or_else(|| KafkaError::NoSuchTopic { topic: name.to_owned() })?;
    let watermarks = admin.watermarks(name)?;
    // Some brokers do not return settings, and some users may not read them; the rest is worth
    // showing.
    let settings = admin.topic_config(name).map_err(|error| tracing::warn!("{error}")).ok();
    Ok(Description {
        messages: plan::messages(&watermarks),
        watermarks: watermarks.iter().map(PartitionRow::from).collect(),
        topic: topic.into(),
        settings,
    })
}

pub(crate) fn create(options: &Options, create: &CreateArgs, shutdown: &Shutdown) -> Result<Exit> {
    let mut settings = BTreeMap::new();
    for text in &create.topic_config {
        let (key, value) = split_setting(text).map_err(|_| {
            let remedy = "use KEY=VALUE, such as retention.ms=600000";
            UsageError::new("--topic-config", "a setting has no value or no name", remedy)
        })?;
        settings.insert(key, value);
    }
    let admin = options.connect(shutdown)?;
    let CreateArgs { topic: name, partitions, replication_factor, .. } = create;
    let (name, partitions, replication) = (name.clone(), *partitions, *replication_factor);
    let topic = shutdown.interruptible("creating the topic", move || {
        admin.create_topic(&name, partitions, replication, &settings)?;
        admin.topic(&name)
    })??;
    let topic = topic.context("the new topic has disappeared again")?;
    render::print(&TopicList { topics: vec![topic.into()] }, options.output.format)?;
    Ok(Exit::Good)
}
