//! The topics at both ends of the job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bench_cli::Shutdown;
use bench_kafka::StartOffset;
use bench_kafka::admin::{Admin, TopicOutcome};
use bench_kafka::config::KafkaConfig;
use serde_json::json;

/// The cluster, through a client for administration.
pub(crate) struct Topics {
    /// Shared with calls that an interrupt has abandoned.
    admin: Arc<Admin>,
    shutdown: Shutdown,
}

impl Topics {
    pub(crate) fn connect(
        config: &KafkaConfig,
        timeout: Duration,
        shutdown: &Shutdown,
    ) -> Result<Self> {
        let config = config.clone();
        let admin = shutdown
            .interruptible("connecting to Kafka", move || Admin::connect(&config, timeout))??;
        Ok(Self { admin: Arc::new(admin), shutdown: shutdown.clone() })
    }

    /// The bootstrap servers.
    pub(crate) fn servers(&self) -> &str {
        self.admin.servers()
    }

    /// Ensures that a topic exists with exactly so many partitions: the job writes each result to
    /// the partition that its event came from. The replication factor is that of a new topic.
    pub(crate) fn prepare(
        &self,
        topic: &str,
        partitions: u32,
        replication: Option<u32>,
    ) -> Result<()> {
        let name = topic.to_owned();
        let outcome = self.ask("preparing the topics", move |admin| {
            admin.ensure_topic(&name, partitions, replication, true)
        })??;
        let has = match outcome {
            TopicOutcome::Created => partitions,
            TopicOutcome::Enough { partitions } => partitions,
            TopicOutcome::Extended { to, .. } => to,
            TopicOutcome::TooFew { have, .. } => have,
        };
        ensure!(
            has == partitions,
            "topic '{topic}' has {has} partitions, not {partitions}: use another topic, or \
             --partitions {has}"
        );
        Ok(())
    }

    /// The settings of a topic and its brokers, as far as they tell.
    pub(crate) fn settings_in_force(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let name = topic.to_owned();
        let told =
            self.ask("reading the topic's settings", move |admin| admin.settings_in_force(&name))?;
        Ok(told.unwrap_or_else(|error| {
            tracing::debug!("the settings of the topic are not recorded: {error}");
            BTreeMap::new()
        }))
    }

    /// The ends of a topic's partitions.
    pub(crate) fn ends(&self, topic: &str) -> Result<Vec<StartOffset>> {
        let name = topic.to_owned();
        let marks =
            self.ask("looking up the ends of the topic", move |admin| admin.watermarks(&name))??;
        let end = |marks: &bench_kafka::admin::PartitionWatermarks| StartOffset {
            partition: marks.partition,
            offset: marks.high,
            high: marks.high,
        };
        Ok(marks.iter().map(end).collect())
    }

    fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&Admin) -> T + Send + 'static,
    ) -> Result<T> {
        let admin = Arc::clone(&self.admin);
        Ok(self.shutdown.interruptible(doing, move || call(&admin))?)
    }
}

/// Offsets as Spark's source takes them: `{"events":{"0":17}}`.
pub(crate) fn starting_offsets(topic: &str, ends: &[StartOffset]) -> String {
    let offsets: BTreeMap<String, i64> =
        ends.iter().map(|end| (end.partition.to_string(), end.offset)).collect();
    json!({ topic: offsets }).to_string()
}

/// Messages in a topic up to these ends.
pub(crate) fn total(ends: &[StartOffset]) -> i64 {
    ends.iter().map(|end| end.offset).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_sparks_form() {
        let end = |partition, offset| StartOffset { partition, offset, high: offset };
        let ends = [end(0, 17), end(1, 0)];
        assert_eq!(starting_offsets("events", &ends), r#"{"events":{"0":17,"1":0}}"#);
        assert_eq!(total(&ends), 17);
    }
}
