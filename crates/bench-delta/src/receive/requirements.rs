//! Requirements of a table that can be followed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::schema::VALUE;

/// Reader features that do not change how rows with a column `value` are found and read: types of
/// other columns, checkpoints and vacuum rules; and features that are detected where they are used
/// (deletion vectors in an added file, column mapping in the settings).
const READER_FEATURES: [&str; 13] = [
    "columnMapping",
    "deletionVectors",
    "timestampNanos",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantType",
    "variantType-preview",
    "variantShredding",
    "variantShredding-preview",
    "geospatial",
];

/// The newest supported reader version of the protocol.
const READER_VERSION_MAX: i32 = 3;

/// What the protocol demands of readers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    min_reader_version: i32,
    #[serde(default)]
    reader_features: Option<Vec<String>>,
}

/// A table's columns and settings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    schema_string: String,
    #[serde(default)]
    partition_columns: Vec<String>,
    #[serde(default)]
    configuration: Option<BTreeMap<String, Option<String>>>,
}

/// The part of a schema that matters here.
#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    r#type: Value,
}

impl Protocol {
    /// Checks that readers support it; see [`READER_FEATURES`].
    pub(super) fn check(&self) -> Result<(), String> {
        let version = self.min_reader_version;
        if version > READER_VERSION_MAX {
            return Err(format!(
                "it requires readers of protocol version {version}, but this one supports at most \
                 {READER_VERSION_MAX}"
            ));
        }
        let features = self.reader_features.iter().flatten();
        let unknown: Vec<&str> = features
            .map(String::as_str)
            .filter(|feature| !READER_FEATURES.contains(feature))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(format!(
            "it uses table features that this follower does not support: {}; drop them from the \
             table, or follow another one",
            unknown.join(", ")
        ))
    }
}

impl Metadata {
    /// Checks that its messages can be read.
    pub(super) fn check(&self) -> Result<(), String> {
        let mapping = self.configuration.as_ref().and_then(|c| c.get("delta.columnMapping.mode"));
        if let Some(Some(mode)) = mapping
            && mode != "none"
        {
            return Err(format!(
                "its columns are mapped to other names in the data files \
                 (delta.columnMapping.mode={mode}); follow a table without column mapping"
            ));
        }
        let schema: Schema = serde_json::from_str(&self.schema_string)
            .map_err(|error| format!("its schema cannot be read: {error}"))?;
        let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
        let Some(value) = column_index(VALUE, &names).map(|place| &schema.fields[place]) else {
            return Err(format!(
                "it has no column 'value' for the messages; its columns are {}; {}",
                names.join(", "),
                remedy("ADD COLUMNS (value BINARY)")
            ));
        };
        if self.partition_columns.contains(&value.name) {
            return Err(format!(
                "it is partitioned by '{}', the column of the messages; use a table that is not \
                 with --lake-path",
                value.name
            ));
        }
        if value.r#type != "binary" && value.r#type != "string" {
            let found =
                value.r#type.as_str().map_or_else(|| value.r#type.to_string(), str::to_owned);
            return Err(format!(
                "its column '{}' for the messages has type {found}, but must be binary or string; \
                 {}",
                value.name,
                remedy("REPLACE COLUMNS")
            ));
        }
        Ok(())
    }
}

/// The remedy for a table whose schema has no column for messages, now or up to some version: the
/// statement that adds one.
fn remedy(statement: &str) -> String {
    format!(
        "follow another table with --lake-path, or change this one (ALTER TABLE ... {statement}) \
         and start at the version that does so with --from version:N"
    )
}

/// The index of a column by name. Delta Lake keeps the case of names but ignores it in comparisons.
pub(super) fn column_index(column: &str, names: &[&str]) -> Option<usize> {
    let exact = names.iter().position(|name| *name == column);
    exact.or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(column)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(fields: &str, partition: &str, configuration: &str) -> Result<(), String> {
        let schema = format!(r#"{{"type":"struct","fields":[{fields}]}}"#);
        let json = serde_json::json!({
            "id": "i", "schemaString": schema,
            "partitionColumns": serde_json::from_str::<Value>(partition).expect("JSON"),
            "configuration": serde_json::from_str::<Value>(configuration).expect("JSON"),
        });
        serde_json::from_value::<Metadata>(json).expect("metadata").check()
    }

    #[test]
    fn tables_need_a_readable_value_column() {
        let value = r#"{"name":"value","type":"binary","nullable":false,"metadata":{}}"#;
        let nested = r#"{"name":"other","type":{"type":"struct","fields":[]}}"#;
        let text = r#"{"name":"value","type":"string"}"#;
        assert_eq!(metadata(value, "[]", "{}"), Ok(()));
        let mode_none = r#"{"delta.columnMapping.mode":"none"}"#;
        assert_eq!(metadata(&format!("{nested},{text}"), r#"["day"]"#, mode_none), Ok(()));
        assert_eq!(metadata(value, "[]", "null"), Ok(()));

        let problem = |result: Result<(), String>| result.expect_err("refused");
        let none = problem(metadata(nested, "[]", "{}"));
        assert!(none.contains("no column 'value'") && none.contains("other"), "{none}");
        let number = r#"{"name":"value","type":"long"}"#;
        assert!(problem(metadata(number, "[]", "{}")).contains("has type long"));
        let list = r#"{"name":"value","type":{"type":"array","elementType":"binary"}}"#;
        assert!(problem(metadata(list, "[]", "{}")).contains(r#"{"elementType":"binary""#));
        assert!(problem(metadata(value, r#"["value"]"#, "{}")).contains("partitioned"));
        let mapped = r#"{"delta.columnMapping.mode":"name"}"#;
        assert!(problem(metadata(value, "[]", mapped)).contains("columnMapping.mode=name"));
    }

    #[test]
    fn unsupported_reader_features_are_refused() {
        let check = |json: &str| serde_json::from_str::<Protocol>(json).expect("JSON").check();
        assert_eq!(check(r#"{"minReaderVersion":1,"minWriterVersion":2}"#), Ok(()));
        let known = r#"{"minReaderVersion":3,"readerFeatures":["timestampNtz","v2Checkpoint"]}"#;
        assert_eq!(check(known), Ok(()));
        let managed =
            r#"{"minReaderVersion":3,"readerFeatures":["timestampNtz","catalogManaged"]}"#;
        let problem = check(managed).expect_err("refused");
        assert!(problem.contains("support: catalogManaged;"), "{problem}");
        assert!(check(r#"{"minReaderVersion":4}"#).is_err());
    }
}
