//! The columns of a table of messages.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// The producer's number.
pub const PRODUCER: &str = "producer";
/// The row's sequence number for its producer.
pub const SEQUENCE: &str = "sequence";
/// The message's key, if any.
pub const KEY: &str = "key";
/// The whole message.
pub const VALUE: &str = "value";

/// A column that splits the table's files into folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum PartitionColumn {
    /// The producer.
    Producer,
    /// The day on which the file was written, UTC.
    Date,
    /// The hour in which the file was written, 0 to 23, UTC.
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

/// The names of these columns from the outermost folder to the innermost, each once.
pub(crate) fn partition_names(partition_by: &[PartitionColumn]) -> Vec<&'static str> {
    let mut columns = partition_by.to_vec();
    columns.sort_unstable();
    columns.dedup();
    columns.into_iter().map(PartitionColumn::name).collect()
}

/// The columns of a table of messages with these partitions.
fn columns(partition_by: &[PartitionColumn]) -> Vec<TableColumn> {
    let mut columns = vec![
        TableColumn::new(PRODUCER, "integer", false),
        TableColumn::new(SEQUENCE, "long", false),
        TableColumn::new(KEY, "binary", true),
        TableColumn::new(VALUE, "binary", false),
    ];
    let more = [(PartitionColumn::Date, "date"), (PartitionColumn::Hour, "integer")];
    let more = more.into_iter().filter(|(column, _)| partition_by.contains(column));
    columns.extend(more.map(|(column, kind)| TableColumn::new(column.name(), kind, false)));
    columns
}

/// The schema in the form of a table's metadata: a struct in JSON.
pub(crate) fn schema_string(partition_by: &[PartitionColumn]) -> String {
    serde_json::json!({"type": "struct", "fields": columns(partition_by)}).to_string()
}

/// The columns of a data file: those of the table without the partition columns, which are in the
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

/// The part of a table's schema that matters to a writer.
#[derive(Debug, Deserialize)]
pub(crate) struct TableSchema {
    fields: Vec<TableColumn>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TableColumn {
    name: String,
    #[serde(rename = "type")]
    kind: serde_json::Value,
    nullable: bool,
    #[serde(default)]
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl TableColumn {
    fn new(name: &str, kind: &str, nullable: bool) -> Self {
        Self { name: name.into(), kind: kind.into(), nullable, metadata: serde_json::Map::new() }
    }
}

impl TableSchema {
    /// The differences from a table of messages.
    pub(crate) fn differences(&self, partition_by: &[PartitionColumn]) -> Vec<String> {
        let expected = columns(partition_by);
        let mut differences = Vec::new();
        for column in &expected {
            match self.fields.iter().find(|field| field.name == column.name) {
                None => differences.push(match self.in_another_case(&column.name) {
                    Some(found) => {
                        format!("its column '{found}' should be named '{}'", column.name)
                    }
                    None => format!("it has no column '{}'", column.name),
                }),
                Some(field) if field.kind != column.kind => differences.push(format!(
                    "its column '{}' has type {}, not {}",
                    column.name, field.kind, column.kind
                )),
                Some(field) if column.nullable && !field.nullable => differences.push(format!(
                    "its column '{}' must not be null, but should be nullable",
                    field.name
                )),
                Some(_) => {}
            }
        }
        let known = |field: &&TableColumn| {
            expected.iter().all(|column| !column.name.eq_ignore_ascii_case(&field.name))
        };
        let others = self.fields.iter().filter(known);
        differences
            .extend(others.map(|field| format!("it has an additional column '{}'", field.name)));
        differences
    }

    fn in_another_case(&self, column: &str) -> Option<&str> {
        let found = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(column))?;
        Some(&found.name)
    }

    /// A column with a rule for writers (an invariant, a generated or an identity column), and the
    /// rule's name.
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
    fn created_schemas_match_expected_ones() {
        use PartitionColumn::{Date, Hour, Producer};
        for partition_by in [&[][..], &[Producer], &[Date, Hour], &[Hour, Date, Producer]] {
            let schema = parse(&schema_string(partition_by));
            assert_eq!(schema.differences(partition_by), [""; 0], "{partition_by:?}");
        }
        assert_eq!(partition_names(&[Hour, Producer, Hour, Date]), ["producer", "date", "hour"]);
        assert_eq!(file_schema(&[Producer, Date]).fields().len(), 3);
    }

    #[test]
    fn differences_are_listed() {
        let schema = parse(
            r#"{"type": "struct", "fields": [
                {"name": "producer", "type": "long", "nullable": true, "metadata": {}},
                {"name": "sequence", "type": "long", "nullable": true, "metadata": {}},
                {"name": "key", "type": "binary", "nullable": false, "metadata": {}},
                {"name": "tags", "type": {"type": "array", "elementType": "string"},
                 "nullable": true, "metadata": {"delta.invariants": "x > 1"}}]}"#,
        );
        let expected = [
            "its column 'producer' has type \"long\", not \"integer\"",
            "its column 'key' must not be null, but should be nullable",
            "it has no column 'value'",
            "it has an additional column 'tags'",
        ];
        assert_eq!(schema.differences(&[]), expected);
        assert_eq!(schema.rule(), Some(("tags", "delta.invariants")));
    }
}
