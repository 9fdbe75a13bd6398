//! What is printed on standard output: for people, as JSON, as CSV.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{Align, OutputFormat, output, quantity, table};
use bench_kafka::admin::{PartitionWatermarks, TopicInfo};
use serde::ser::{Serialize, Serializer};

use crate::plan::{Place, Step};

/// The version of the JSON documents. It changes when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// A result in its three forms.
pub(crate) trait Report: Serialize {
    /// The table that stands for it: the heads of its columns, and its rows.
    fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>);

    /// What people read above the table, whole lines.
    fn preface(&self) -> String {
        String::new()
    }
}

/// Prints a result on standard output.
pub(crate) fn print(report: &impl Report, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Human => human(report),
        OutputFormat::Json => output::versioned_json(SCHEMA_VERSION, report)?,
        OutputFormat::Csv => csv(report),
    };
    output::print_result(format, &text).context("failed to print the result")
}

/// A result for people: columns, the first to the left, numbers to the right.
pub(crate) fn human(report: &impl Report) -> String {
    let (heads, mut rows) = report.table();
    rows.insert(0, heads.into_iter().map(str::to_owned).collect());
    let is_numeric = |column: usize| {
        rows[1..].iter().all(|row| row[column].starts_with(|c: char| c.is_ascii_digit()))
    };
    let align = |column| if is_numeric(column) { Align::Right } else { Align::Left };
    report.preface() + &table(&rows, align)
}

/// A result as CSV: one line of heads, one line a row.
fn csv(report: &impl Report) -> String {
    let (heads, rows) = report.table();
    let heads = heads.iter().map(|head| head.to_lowercase().replace(' ', "_"));
    let rows = rows.iter().map(|row| row.iter().map(|cell| csv_cell(cell)).collect());
    output::csv_table(heads, rows)
}

fn csv_cell(cell: &str) -> String {
    // Numbers are grouped for people only.
    let digits = cell.replace(',', "");
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
        return digits;
    }
    cell.to_owned()
}

/// What became of the topics to be emptied.
#[derive(serde::Serialize)]
pub(crate) struct CleanReport {
    /// Whether this only says what would be done.
    pub(crate) dry_run: bool,
    pub(crate) topics: Vec<TopicReport>,
}

/// What became of one topic.
#[derive(serde::Serialize)]
pub(crate) struct TopicReport {
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    pub(crate) replication: u32,
    /// Offsets between its watermarks before: its messages, at the most.
    pub(crate) messages: u64,
    /// What was to be done.
    pub(crate) step: Step,
    /// What was done.
    pub(crate) outcome: Outcome,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// What was done to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nothing yet.
    Planned,
    /// Nothing, since it was empty.
    AlreadyEmpty,
    /// Its records were deleted; it is empty.
    RecordsDeleted,
    /// It was deleted and created anew; it is empty.
    Recreated,
    /// Nothing, since the work was interrupted before.
    Skipped,
    /// It could not be emptied.
    Failed,
}

impl Report for CleanReport {
    fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let heads = vec!["Topic", "Partitions", "Messages", "Action"];
        let row = |topic: &TopicReport| {
            vec![
                topic.topic.clone(),
                topic.partitions.to_string(),
                quantity::count(topic.messages),
                topic.action(),
            ]
        };
        (heads, self.topics.iter().map(row).collect())
    }
}

impl TopicReport {
    fn action(&self) -> String {
        match self.outcome {
            Outcome::Planned => self.step.to_string(),
            Outcome::AlreadyEmpty => "was empty".to_owned(),
            Outcome::RecordsDeleted => "emptied: records deleted".to_owned(),
            Outcome::Recreated => "emptied: deleted and created anew".to_owned(),
            Outcome::Skipped => "skipped: interrupted".to_owned(),
            Outcome::Failed => self.error.clone().unwrap_or_else(|| "failed".to_owned()),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing, it is empty"),
            Self::DeleteRecords => {
                f.write_str("delete records (if refused: delete and create anew)")
            }
            Self::Recreate => f.write_str("delete and create anew"),
            Self::Refuse(Place { partition, offset }) => {
                write!(f, "refuse: foreign message in partition {partition} at offset {offset}")
            }
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Nothing => "nothing",
            Self::DeleteRecords => "delete_records",
            Self::Recreate => "recreate",
            Self::Refuse(_) => "refuse",
        })
    }
}

/// All topics.
#[derive(serde::Serialize)]
pub(crate) struct TopicList {
    pub(crate) topics: Vec<TopicRow>,
}

#[derive(serde::Serialize)]
pub(crate) struct TopicRow {
    topic: String,
    partitions: u32,
    replication: u32,
    /// Whether it belongs to Kafka itself.
    internal: bool,
}

impl From<TopicInfo> for TopicRow {
    fn from(topic: TopicInfo) -> Self {
        let TopicInfo { name, partitions, replication, internal } = topic;
        Self { topic: name, partitions, replication, internal }
    }
}

impl Report for TopicList {
    fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let row = |topic: &TopicRow| {
            vec![
                topic.topic.clone(),
                topic.partitions.to_string(),
                topic.replication.to_string(),
                if topic.internal { "internal" } else { "" }.to_owned(),
            ]
        };
        (vec!["Topic", "Partitions", "Replication", "Kind"], self.topics.iter().map(row).collect())
    }
}

/// One topic in detail.
#[derive(serde::Serialize)]
pub(crate) struct Description {
    #[serde(flatten)]
    pub(crate) topic: TopicRow,
    /// Offsets between all watermarks: its messages, at the most.
    pub(crate) messages: u64,
    pub(crate) watermarks: Vec<PartitionRow>,
    /// The settings in which it differs from the brokers'; none where the broker does not tell.
    pub(crate) settings: Option<BTreeMap<String, String>>,
}

#[derive(serde::Serialize)]
pub(crate) struct PartitionRow {
    partition: i32,
    low: i64,
    high: i64,
    messages: u64,
}

impl From<&PartitionWatermarks> for PartitionRow {
    fn from(watermarks: &PartitionWatermarks) -> Self {
        let &PartitionWatermarks { partition, low, high } = watermarks;
        Self { partition, low, high, messages: watermarks.offsets() }
    }
}

impl Report for Description {
    fn preface(&self) -> String {
        let settings = match &self.settings {
            None => "not told by the broker".to_owned(),
            Some(settings) if settings.is_empty() => "the broker's".to_owned(),
            Some(settings) => settings
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
        };
        format!(
            "Topic        {}\nReplication  {}\nMessages     {}\nSettings     {settings}\n\n",
            self.topic.topic,
            self.topic.replication,
            quantity::count(self.messages),
        )
    }

    fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let row = |row: &PartitionRow| {
            vec![
                row.partition.to_string(),
                row.low.to_string(),
                row.high.to_string(),
                quantity::count(row.messages),
            ]
        };
        let heads = vec!["Partition", "Low", "High", "Messages"];
        (heads, self.watermarks.iter().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CleanReport {
        let topic = |name: &str, messages, step, outcome, error: Option<&str>| TopicReport {
            topic: name.to_owned(),
            partitions: 12,
            replication: 1,
            messages,
            step,
            outcome,
            error: error.map(str::to_owned),
        };
        let topics = vec![
            topic("bench-1", 1_234_567, Step::DeleteRecords, Outcome::RecordsDeleted, None),
            topic("b", 0, Step::Nothing, Outcome::AlreadyEmpty, None),
            topic("c", 5, Step::Recreate, Outcome::Failed, Some("no \"right\", sorry")),
        ];
        CleanReport { dry_run: false, topics }
    }

    #[test]
    fn people_get_aligned_columns() {
        let expected = "\
Topic    Partitions   Messages  Action
bench-1          12  1,234,567  emptied: records deleted
b                12          0  was empty
c                12          5  no \"right\", sorry
";
        assert_eq!(human(&report()), expected);
    }

    #[test]
    fn csv_quotes_what_needs_it_and_groups_no_digits() {
        let expected = "\
topic,partitions,messages,action
bench-1,12,1234567,emptied: records deleted
b,12,0,was empty
c,12,5,\"no \"\"right\"\", sorry\"
";
        assert_eq!(csv(&report()), expected);
    }

    #[test]
    fn json_carries_its_version() {
        let text = output::versioned_json(SCHEMA_VERSION, &report()).expect("serialises");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["schema_version"], 1);
        assert_eq!(value["topics"][0]["outcome"], "records_deleted");
        assert_eq!(value["topics"][2]["step"], "recreate");
        assert_eq!(value["topics"][2]["error"], "no \"right\", sorry");
    }

    #[test]
    fn no_topics_make_a_table_with_heads_alone() {
        let text = human(&TopicList { topics: Vec::new() });
        assert_eq!(text, "Topic  Partitions  Replication  Kind\n");
    }
}
