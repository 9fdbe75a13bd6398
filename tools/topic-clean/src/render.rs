//! Output on standard output: for people, as JSON and as CSV.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bench_cli::{Align, OutputFormat, output, quantity, table};
use bench_kafka::admin::{PartitionWatermarks, TopicInfo};
use serde::ser::{Serialize, Serializer};

use crate::plan::{MessagePosition, TopicStep};

/// The version of the JSON documents; it changes when a field is removed or changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// A result in its three formats.
pub(crate) trait Printable: Serialize {
    /// The result as a table: column heads and rows.
    fn table(&self) -> (Vec<&'static str>, Vec<Vec<String>>);

    /// Text above the table for people, in whole lines.
    fn preface(&self) -> String {
        String::new()
    }
}

/// Prints a result on standard output.
pub(crate) fn print(report: &impl Printable, format: OutputFormat) -> Result<()> {
    let text = match format {
        OutputFormat::Human => human(report),
        OutputFormat::Json => output::versioned_json(SCHEMA_VERSION, report)?,
        OutputFormat::Csv => csv(report),
    };
    output::print_result(format, &text).context("failed to print the result")
}

/// A result for people: the first column aligned left, numbers right.
pub(crate) fn human(report: &impl Printable) -> String {
    let (heads, mut rows) = report.table();
    rows.insert(0, heads.into_iter().map(str::to_owned).collect());
    let is_numeric = |column: usize| {
        rows[1..].iter().all(|row| row[column].starts_with(|c: char| c.is_ascii_digit()))
    };
    let align = |column| if is_numeric(column) { Align::Right } else { Align::Left };
    report.preface() + &table(&rows, align)
}

/// A result as CSV: a line of heads, and one line per row.
fn csv(report: &impl Printable) -> String {
    let (heads, rows) = report.table();
    let heads = heads.iter().map(|head| head.to_lowercase().replace(' ', "_"));
    let rows = rows.iter().map(|row| row.iter().map(|cell| csv_cell(cell)).collect());
    output::csv_table(heads, rows)
}

fn csv_cell(cell: &str) -> String {
    // Digits are grouped for people only.
    let digits = cell.replace(',', "");
    if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) {
        return digits;
    }
    cell.to_owned()
}

/// The results for the topics.
#[derive(serde::Serialize)]
pub(crate) struct CleanReport {
    /// Whether this only shows what would be done.
    pub(crate) dry_run: bool,
    pub(crate) topics: Vec<TopicReport>,
}

/// The result for one topic.
#[derive(serde::Serialize)]
pub(crate) struct TopicReport {
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    pub(crate) replication: u32,
    /// Offsets between its watermarks before, an upper bound of its messages.
    pub(crate) messages: u64,
    /// The planned step.
    pub(crate) step: TopicStep,
    /// The result.
    pub(crate) outcome: TopicOutcome,
    /// Why it failed.
    pub(crate) error: Option<String>,
}

/// What was done to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TopicOutcome {
    /// Nothing yet.
    Planned,
    /// Nothing, since it was empty.
    AlreadyEmpty,
    /// Its records were deleted; it is empty.
    RecordsDeleted,
    /// It was deleted and created again; it is empty.
    Recreated,
    /// Nothing, since the work had been interrupted before.
    Skipped,
    /// It could not be emptied.
    Failed,
}

impl Printable for CleanReport {
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
            TopicOutcome::Planned => self.step.to_string(),
            TopicOutcome::AlreadyEmpty => "was empty".to_owned(),
            TopicOutcome::RecordsDeleted => "emptied: records deleted".to_owned(),
            TopicOutcome::Recreated => "emptied: deleted and recreated".to_owned(),
            TopicOutcome::Skipped => "skipped: interrupted".to_owned(),
            TopicOutcome::Failed => self.error.clone().unwrap_or_else(|| "failed".to_owned()),
        }
    }
}

impl std::fmt::Display for TopicStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing, it is empty"),
            Self::DeleteRecords => f.write_str("delete records (if refused: delete and recreate)"),
            Self::Recreate => f.write_str("delete and recreate"),
            Self::Refuse(MessagePosition { partition, offset }) => {
                write!(f, "refuse: foreign message in partition {partition} at offset {offset}")
            }
        }
    }
}

impl Serialize for TopicStep {
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

impl Printable for TopicList {
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
    /// Offsets between all watermarks, an upper bound of its messages.
    pub(crate) messages: u64,
    pub(crate) watermarks: Vec<PartitionRow>,
    /// The settings that differ from the brokers'; `None` if the broker does not return them.
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

impl Printable for Description {
    fn preface(&self) -> String {
        let settings = match &self.settings {
            None => "not returned by the broker".to_owned(),
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
            topic(
                "bench-1",
                1_234_567,
                TopicStep::DeleteRecords,
                TopicOutcome::RecordsDeleted,
                None,
            ),
            topic("b", 0, TopicStep::Nothing, TopicOutcome::AlreadyEmpty, None),
            topic("c", 5, TopicStep::Recreate, TopicOutcome::Failed, Some("no \"right\", sorry")),
        ];
        CleanReport { dry_run: false, topics }
    }

    #[test]
    fn human_output_is_aligned() {
        let expected = "\
Topic    Partitions   Messages  Action
bench-1          12  1,234,567  emptied: records deleted
b                12          0  was empty
c                12          5  no \"right\", sorry
";
        assert_eq!(human(&report()), expected);
    }

    #[test]
    fn csv_quotes_fields_and_keeps_digits_ungrouped() {
        let expected = "\
topic,partitions,messages,action
bench-1,12,1234567,emptied: records deleted
b,12,0,was empty
c,12,5,\"no \"\"right\"\", sorry\"
";
        assert_eq!(csv(&report()), expected);
    }

    #[test]
    fn json_has_a_version() {
        let text = output::versioned_json(SCHEMA_VERSION, &report()).expect("serialises");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["schema_version"], 1);
        assert_eq!(value["topics"][0]["outcome"], "records_deleted");
        assert_eq!(value["topics"][2]["step"], "recreate");
        assert_eq!(value["topics"][2]["error"], "no \"right\", sorry");
    }

    #[test]
    fn empty_lists_print_only_heads() {
        let text = human(&TopicList { topics: Vec::new() });
        assert_eq!(text, "Topic  Partitions  Replication  Kind\n");
    }
}
