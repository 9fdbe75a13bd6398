//! The form of an experiment file. `docs/experiment.schema.json` is made of these types.

use std::path::PathBuf;

use bench_cli::UsageError;
use bench_core::system::shortened;
use bench_record::ServiceOrigin;
use clap::ValueEnum;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use toml::{Table, Value};

use super::refusal::{nearest, remedy};

/// An experiment of run-suite: one question, asked of one tool at several points.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Experiment file")]
pub(crate) struct ExperimentForm {
    /// Names the folder of the results: up to 100 letters, digits, `-`, `_`, `.`.
    pub(super) name: String,
    /// What the experiment answers, one sentence.
    pub(super) question: String,
    /// The binary that every run starts, such as `kafka-prodcon`.
    pub(super) tool: String,
    /// The subcommand of the tool.
    pub(super) subcommand: Option<String>,
    /// Where the services of the runs come from.
    pub(super) services: ServiceOrigin,
    /// The services that run-suite starts, and their settings.
    #[serde(default)]
    pub(super) local: LocalForm,
    /// Runs per cell: a number, or until enough is known. Default: 1.
    #[schemars(with = "Option<RepeatsForm>")]
    pub(super) repeats: Option<Value>,
    /// The order of the runs. Default: blocks.
    #[serde(default)]
    pub(super) order: Order,
    /// Seed of the order inside blocks. Default: another one each time, recorded in the result folder.
    pub(super) seed: Option<u32>,
    /// The figures that conclusions rest on, such as `throughput` and `end_to_end.p99`. Default:
    /// throughput and the 99th percentile of the latency of the longest way.
    #[serde(default)]
    pub(super) primary: Vec<String>,
    /// The longest that a run may take, such as `60s`. Default: 10m.
    pub(super) time_limit: Option<String>,
    /// Options of the tool in every cell.
    #[serde(default)]
    #[schemars(schema_with = "options")]
    pub(super) options: Table,
    /// Swept options: every combination of their values is a cell.
    #[serde(default)]
    #[schemars(schema_with = "swept_options")]
    pub(super) matrix: Table,
    /// Cells one by one; with a matrix, each of them at every point.
    #[serde(default)]
    pub(super) case: Vec<CaseForm>,
    /// What breaks in every run.
    #[serde(default)]
    #[schemars(with = "Vec<FaultForm>")]
    pub(super) fault: Vec<Table>,
    /// A second tool, which reads what the first has sent.
    pub(super) then: Option<ThenForm>,
    /// Settings of the function between the two tools: `[local.kin-lambda]` or `[local.sql-lambda]`,
    /// whichever is started.
    #[serde(default)]
    #[schemars(schema_with = "options")]
    pub(super) lambda: Table,
    /// Commands that make files once, before the first run.
    #[serde(default)]
    pub(super) prepare: Vec<Prepare>,
    /// What the experiment must show.
    pub(super) gate: Option<GateForm>,
}

/// What an experiment must show; otherwise run-suite exits with 4.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateForm {
    /// Conditions on every cell: `end_to_end.p99 < 20ms`, or `throughput > -5%` for a change against the
    /// baseline.
    pub(super) require: Vec<String>,
    /// The folder of the experiment that changes are counted from.
    pub(super) baseline: Option<PathBuf>,
    /// Whether a condition must be shown to hold. Default: it fails only if it is shown not to.
    #[serde(default)]
    pub(super) strict: bool,
    /// What a condition does that is shown neither to hold nor to fail.
    #[serde(default)]
    pub(super) undecided: Undecided,
    /// Whether the experiment ends as soon as a condition has failed, also within a run.
    #[serde(default)]
    pub(super) abort: bool,
}

/// What follows from a condition that is undecided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Undecided {
    /// Nothing.
    #[default]
    Pass,
    /// The experiment fails.
    Fail,
}

/// Runs per cell.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from a value, for errors that say what is wrong with it")]
pub(super) enum RepeatsForm {
    /// So many.
    Fixed(#[schemars(range(min = 1))] u32),
    /// As many as it takes.
    Adaptive(AdaptiveForm),
}

/// As many runs per cell as it takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdaptiveForm {
    /// The fewest.
    #[schemars(range(min = 2))]
    pub(super) min: u32,
    /// The most.
    pub(super) max: u32,
    /// `decided`: how the cells compare with the first; or a precision in every cell, such as
    /// `end_to_end.p99 ±5%`.
    pub(super) until: String,
}

/// The order of the runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// The first repeat of all cells, then the second, and so on, each in an order of its own, drawn by
    /// lot: a machine that slows down during the experiment slows all cells alike.
    #[default]
    Blocks,
    /// The same in the order of the cells.
    Interleaved,
    /// All repeats of the first cell, then of the second, and so on.
    Grouped,
}

/// The services that run-suite starts, and their settings, such as `[local.kafka]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(crate) struct LocalForm {
    /// The services to start. Default: those that the tools use.
    #[serde(default)]
    pub(super) start: Vec<String>,
    /// By service; a setting of any of them may also stand here by itself.
    #[serde(flatten)]
    #[schemars(schema_with = "settings")]
    pub(super) settings: Table,
}

/// A cell, or a row of cells, with its options.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct CaseForm {
    /// Names the case in tables. Default: its options.
    #[schemars(with = "Option<String>")]
    pub(super) name: Option<Value>,
    /// Options of the tool.
    #[serde(flatten)]
    #[schemars(schema_with = "options")]
    pub(super) options: Table,
}

/// A second tool, which reads what the first has sent. It gets `--from-run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThenForm {
    /// The binary.
    pub(super) tool: String,
    /// Its subcommand.
    pub(super) subcommand: Option<String>,
    /// Its options; swept as `"then.NAME"`.
    #[serde(default)]
    #[schemars(schema_with = "options")]
    pub(super) options: Table,
}

/// A tool that makes files, in a folder that options name as `{files}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prepare {
    /// The binary.
    pub(crate) tool: String,
    /// All of its arguments.
    pub(crate) arguments: Vec<String>,
}

/// What breaks in every run: exactly one of `kill`, `stop`, `restart`, `network`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "faults are read from tables, for errors that name the key")]
pub(crate) struct FaultForm {
    /// When, after the start of the schedule, such as `20s`.
    at: String,
    /// Kill a node, all nodes of a service, or a consumer: `kafka-2`, `kafka`, `consumer-1`.
    kill: Option<String>,
    /// Freeze a node, all nodes of a service, or the tool: `kafka-1`, `tool`.
    stop: Option<String>,
    /// Restart a node, or all nodes of a service one after the other.
    restart: Option<String>,
    /// Disturb the network before a node or all nodes of a service.
    network: Option<String>,
    /// Time after `kill` at which the node is started again. Default: before the next run.
    restart_after: Option<String>,
    /// How long `stop`, `latency` or `bandwidth` lasts.
    r#for: Option<String>,
    /// Added to each round trip, such as `100ms`.
    latency: Option<String>,
    /// Bytes per second in each direction, such as `1MiB/s`.
    bandwidth: Option<String>,
    /// Reset all connections.
    reset: Option<bool>,
}

/// The JSON Schema of an experiment file.
pub(crate) fn schema() -> Schema {
    schema_for!(ExperimentForm)
}

fn options(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": value()})
}

fn swept_options(_: &mut SchemaGenerator) -> Schema {
    let values = json_schema!({"type": "array", "minItems": 1, "items": value()});
    json_schema!({"type": "object", "additionalProperties": values})
}

fn settings(generator: &mut SchemaGenerator) -> Schema {
    let either = json_schema!({"anyOf": [value(), options(generator)]});
    json_schema!({"type": "object", "additionalProperties": either})
}

/// A text, a number, true or false for a flag, or a list for an option that is given several times.
fn value() -> Schema {
    let several = json_schema!({"type": "array", "items": {"type": ["string", "number"]}});
    json_schema!({"anyOf": [{"type": ["string", "number", "boolean"]}, several]})
}

/// Refuses a table with a key that the form `T` does not have. `place` names the table in messages.
pub(super) fn refuse_unknown_keys<T: DeserializeOwned>(
    place: Option<&str>,
    table: &Table,
) -> Result<(), UsageError> {
    let known = keys::<T>();
    let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let nearest = nearest(key, known.iter().copied());
    let remedy = remedy(nearest, || format!("the keys are {}", known.join(", ")));
    let place = place.map(|place| format!("{place} ")).unwrap_or_default();
    Err(UsageError::new(&format!("{place}`{}`", shortened(key)), "unknown key", remedy))
}

/// The keys of a form, in their order.
fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys = Keys(&[]);
    // Nothing is read: the form only asks for its fields.
    let _ = T::deserialize(&mut keys);
    keys.0
}

/// Takes note of the fields of a struct that is to be read.
struct Keys(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Keys {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("there is nothing to read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn files(folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        let files = entries.map(|entry| entry.expect("readable").path());
        files.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect()
    }

    #[test]
    fn schema_is_documented() {
        let path = root().join("docs/experiment.schema.json");
        let documented = fs::read(&path).unwrap_or_default();
        let documented: Value = serde_json::from_slice(&documented).unwrap_or_default();
        assert!(
            documented == *schema().as_value(),
            "docs/experiment.schema.json differs from the form; write it again with \
             `run-suite schema > docs/experiment.schema.json`"
        );
    }

    #[test]
    fn experiment_files_satisfy_the_schema_and_name_it() {
        let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
        compiler.add_resource("memory:schema", schema().as_value().clone()).expect("a schema");
        let index = compiler.compile("memory:schema", &mut schemas).expect("a valid schema");
        for (folder, up) in [("experiments", ".."), ("experiments/quick", "../..")] {
            let files = files(folder);
            assert!(!files.is_empty());
            for path in files {
                let text = fs::read_to_string(&path).expect("readable");
                let directive = format!("#:schema {up}/docs/experiment.schema.json\n");
                assert!(text.starts_with(&directive), "{} lacks {directive}", path.display());
                let value: Value = toml::from_str(&text).expect("TOML");
                let validated = schemas.validate(&value, index);
                assert!(validated.is_ok(), "{}: {validated:?}", path.display());
            }
        }
        let misspelt: Value = serde_json::json!({"name": "n", "repeat": 3});
        assert!(schemas.validate(&misspelt, index).is_err());
    }

    #[test]
    fn keys_of_a_form_stand_in_its_order() {
        assert_eq!(keys::<ThenForm>(), ["tool", "subcommand", "options"]);
        assert!(keys::<FaultForm>().contains(&"for"));
    }
}
