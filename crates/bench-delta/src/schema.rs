//! The columns of a table of messages.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// The producer's number.
pub const PRODUCER: &str = "producer";
/// The number of the row among its producer's.
pub const SEQUENCE: &str = "sequence";
/// The message's key, if it has one.
pub const KEY: &str = "key";
/// The whole message.
pub const VALUE: &str = "value";

/// A column by whose values the files of a table lie in folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum PartitionColumn {
    /// The producer.
    Producer,
    /// The day on which the file was written, UTC.
    Date,
    /// The hour of the day in which the file was written, 0 to 23, UTC.
    Hour,
}

impl PartitionColumn {
    /// The column's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => PRODUCER,
            Self::Date => "date",
            Self::Hour => "hour",
        }
    }
}

/// The names of these columns, in the order in which folders lie in each other, each once.
pub(crate) fn partition_names(partition_by: &[PartitionColumn]) -> Vec<&'static str> {
    let mut columns = partition_by.to_vec();
    columns.sort_unstable();
    columns.dedup();
    columns.into_iter().map(PartitionColumn::name).collect()
}

/// The columns of a table of messages that is partitioned in this way.
fn columns(partition_by: &[PartitionColumn]) -> Vec<Column> {
    let mut columns = vec![
        Column::new(PRODUCER, "integer", false),
        Column::new(SEQUENCE, "long", false),
        Column::new(KEY, "binary", true),
        Column::new(VALUE, "binary", false),
    ];
    let more = [(PartitionColumn::Date, "date"), (PartitionColumn::Hour, "integer")];
    let more = more.into_iter().filter(|(column, _)| partition_by.contains(column));
    columns.extend(more.map(|(column, kind)| Column::new(column.name(), kind, false)));
    columns
}

/// The schema as a table's metadata has it: a struct in JSON.
pub(crate) fn schema_string(partition_by: &[PartitionColumn]) -> String {
    serde_json::json!({"type": "struct", "fields": columns(partition_by)}).to_string()
}

/// The columns of a data file: those of the table except for the partitions', which are in the
/// file's path.
pub(crate) fn file_schema(partition_by: &[PartitionColumn]) -> SchemaRef {
    let producer = Field::new(PRODUCER, DataType::Int32, false);
    let others = [
        Field::new(SEQUENCE, DataType::Int64, false),
        Field::new(KEY, DataType::Binary, true),
        Field::new(VALUE, DataType::Binary, false),
    ];
    let producer = Some(producer).filter(|_| !partition_by.contains(&PartitionColumn::Producer));
    Arc::new(Schema::new(producer.into_iter().chain(others).collect::<Vec<_>>()))
}

/// What a table's schema says that matters to a writer.
#[derive(Debug, Deserialize)]
pub(crate) struct TableSchema {
    fields: Vec<Column>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: serde_json::Value,
    nullable: bool,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl Column {
    fn new(name: &str, kind: &str, nullable: bool) -> Self {
        Self { name: name.into(), kind: kind.into(), nullable, metadata: serde_json::Map::new() }
    }
}

impl TableSchema {
    /// How these columns differ from those of a table of messages, if they do.
    pub(crate) fn differences(&self, partition_by: &[PartitionColumn]) -> Vec<String> {
        let expected = columns(partition_by);
        let mut differences = Vec::new();
        for column in &expected {
            match self.fields.iter().find(|field| field.name == column.name) {
                None => differences.push(match self.in_another_case(&column.name) {
                    Some(found) => {
                        format!("its column '{found}' is called so and not '{}'", column.name)
                    }
                    None => format!("it has no column '{}'", column.name),
                }),
                Some(field) if field.kind != column.kind => differences.push(format!(
                    "its column '{}' is of type {}, not {}",
                    column.name, field.kind, column.kind
                )),
                Some(field) if column.nullable && !field.nullable => differences
                    .push(format!("its column '{}' must not be null, but may be here", field.name)),
                Some(_) => {}
            }
        }
        let known = |field: &&Column| {
            expected.iter().all(|column| !column.name.eq_ignore_ascii_case(&field.name))
        };
        let others = self.fields.iter().filter(known);
        differences.extend(others.map(|field| format!("it has a column '{}'", field.name)));
        differences
    }

    fn in_another_case(&self, column: &str) -> Option<&str> {
        let found = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(column))?;
        Some(&found.name)
    }

    /// A column with a rule that a writer would have to keep (an invariant, a generated or an
    /// identity column), and the rule's name.
    pub(crate) fn rule(&self) -> Option<(&str, &str)> {
        let is_rule = |key: &&String| {
            matches!(key.as_str(), "delta.invariants" | "delta.generationExpression")
                || key.starts_with("delta.identity.")
        };
        self.fields.iter().find_map(|field| {
            let rule = field.metadata.keys().find(is_rule)?;
            Some((field.name.as_str(), rule.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> TableSchema {
        serde_json::from_str(text).expect("a schema")
    }

    #[test]
    fn what_is_created_is_what_is_expected() {
        use PartitionColumn::{Date, Hour, Producer};
        for partition_by in [&[][..], &[Producer], &[Date, Hour], &[Hour, Date, Producer]] {
            let schema = parse(&schema_string(partition_by));
            assert_eq!(schema.differences(partition_by), [""; 0], "{partition_by:?}");
        }
        assert_eq!(partition_names(&[Hour, Producer, Hour, Date]), ["producer", "date", "hour"]);
        assert_eq!(file_schema(&[Producer, Date]).fields().len(), 3);
    }

    #[test]
    fn differences_are_named_one_by_one() {
        let schema = parse(
            r#"{"type": "struct", "fields": [
                {"name": "producer", "type": "long", "nullable": true, "metadata": {}},
                {"name": "sequence", "type": "long", "nullable": true, "metadata": {}},
                {"name": "key", "type": "binary", "nullable": false, "metadata": {}},
                {"name": "tags", "type": {"type": "array", "elementType": "string"},
                 "nullable": true, "metadata": {"delta.invariants": "x > 1"}}]}"#,
        );
        let expected = [
            "its column 'producer' is of type \"long\", not \"integer\"",
            "its column 'key' must not be null, but may be here",
            "it has no column 'value'",
            "it has a column 'tags'",
        ];
        assert_eq!(schema.differences(&[]), expected);
        assert_eq!(schema.rule(), Some(("tags", "delta.invariants")));
    }
}
