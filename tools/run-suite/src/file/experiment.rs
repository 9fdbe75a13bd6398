//! The experiment file: one question, asked of one tool at several points.
//!
//! ```toml
//! name = "kafka-record-size"
//! question = "How does ...?"
//! tool = "kafka-prodcon"
//! subcommand = "fill"        # optional
//! services = "embedded"      # embedded | local | external
//! repeats = 3                # default 1
//! order = "interleaved"      # interleaved (default) | grouped
//! time_limit = "60s"         # a run; default 10 minutes
//! [local]                    # with services = "local": what is started, see `LocalSection`
//! [options]                  # options of every cell: string, number, true for a flag,
//! duration = "10s"           # an array for an option that is given several times
//! [matrix]                   # swept options: every combination is a cell
//! record-size = [100, "1KiB"]
//! [[case]]                   # cells one by one; with a matrix, each case runs at each point
//! name = "small"             # optional
//! [[fault]]                  # what is done in every run, see docs/faults.md
//! at = "20s"
//! kill = "kafka-2"
//! [then]                     # a second tool, which reads what the first has sent
//! tool = "kin-db-consumer"
//! [then.options]             # its options; swept as "then.NAME"
//! drain-timeout = "10s"
//! [[prepare]]                # makes files once, in a folder that options name as {files}
//! tool = "kin-producer"
//! arguments = ["books", "generate", "books.csv"]
//! [lambda]                   # settings of the Lambda between the two; swept as "lambda.NAME"
//! batch-size = 100
//! ```
//!
//! Experiment files are copied into result folders: secrets have no place in them. They reach a
//! tool through its environment or its properties file.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::parse_duration;
use bench_core::results::ServiceOrigin;
use bench_core::system::{QUOTE_MAX, shortened, shortened_lines};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::fault::Fault;
use super::fault_section;
use super::local_section::{self, LocalSection};
use super::owner::Owner;
use crate::run::prepare::Prepare;

/// The time limit of a run where the file names none.
const TIME_LIMIT_DEFAULT: Duration = Duration::from_mins(10);

/// The places of options in the file, as messages name them.
pub(super) const OPTIONS: &str = "[options]";
const MATRIX: &str = "[matrix]";
const CASE: &str = "[[case]]";

/// The keys of the file's top level.
const KEYS: [&str; 16] = [
    "name",
    "question",
    "tool",
    "subcommand",
    "services",
    "local",
    "repeats",
    "order",
    "time_limit",
    "options",
    "matrix",
    "case",
    "fault",
    "then",
    "lambda",
    "prepare",
];

/// A checked experiment file. Option names are still those of the file: the tool has the last word
/// on them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Experiment {
    /// Names the experiment's folder.
    pub(crate) name: String,
    /// What the experiment is to answer, one sentence.
    pub(crate) question: String,
    /// The binary that every run starts.
    pub(crate) tool: String,
    /// Its subcommand.
    pub(crate) subcommand: Option<String>,
    /// Where the services of the runs come from.
    pub(crate) services: ServiceOrigin,
    /// What run-suite is to start of them, as far as the file says so.
    pub(crate) local: LocalSection,
    /// Runs of each cell.
    pub(crate) repeats: u32,
    /// The order of the runs.
    pub(crate) order: Order,
    /// The longest that a run may take.
    pub(crate) time_limit: Duration,
    /// What makes files that the runs need, once before the first of them.
    pub(crate) prepare: Vec<Prepare>,
    /// The tool that runs after the first in every run.
    pub(crate) then: Option<Call>,
    /// Options of every cell, those of `[then]` and `[lambda]` among them, see [`Owner`].
    pub(crate) options: Options,
    /// Swept options with their values.
    pub(crate) matrix: Vec<(String, Vec<OptionValue>)>,
    /// Cells given one by one.
    pub(crate) cases: Vec<Case>,
    /// What is done in every run, in the order of time.
    pub(crate) faults: Vec<Fault>,
}

/// A tool as an experiment calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The binary.
    pub(crate) tool: String,
    /// Its subcommand.
    pub(crate) subcommand: Option<String>,
}

/// Options by name, in the order of the file.
pub(crate) type Options = Vec<(String, OptionValue)>;

/// A cell, or a row of cells, given one by one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// What the tables call it.
    pub(crate) name: Option<String>,
    /// Its options.
    pub(crate) options: Options,
}

/// The value of one option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OptionValue {
    /// A flag, given or not.
    Flag(bool),
    /// A value, as it is written on the command line.
    Text(String),
    /// An option that is given several times.
    Many(Vec<String>),
}

/// The order of the runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// The first repeat of all cells, then the second, ...: a machine that slows down in the course
    /// of the experiment slows all cells alike.
    #[default]
    Interleaved,
    /// All repeats of the first cell, then of the second, ...
    Grouped,
}

/// The `[then]` section.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThenFile {
    tool: String,
    subcommand: Option<String>,
    #[serde(default)]
    options: Table,
}

/// The file as TOML sees it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    question: String,
    tool: String,
    subcommand: Option<String>,
    services: ServiceOrigin,
    local: Option<local_section::LocalFile>,
    repeats: Option<u32>,
    #[serde(default)]
    order: Order,
    time_limit: Option<String>,
    #[serde(default)]
    options: Table,
    #[serde(default)]
    matrix: Table,
    #[serde(default)]
    case: Vec<Table>,
    #[serde(default)]
    fault: Vec<Table>,
    then: Option<ThenFile>,
    #[serde(default)]
    lambda: Table,
    #[serde(default)]
    prepare: Vec<Prepare>,
}

impl Experiment {
    /// Reads and checks the text of an experiment file.
    pub(crate) fn parse(text: &str) -> Result<Self, UsageError> {
        let table: Table = toml::from_str(text).map_err(|error| syntax(&error))?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let remedy = remedy(nearest(key, KEYS), || format!("the keys are {}", KEYS.join(", ")));
            let key = shortened(key);
            return Err(UsageError::new(&format!("`{key}`"), "no key of an experiment", remedy));
        }
        let file: File = toml::from_str(text).map_err(|error| syntax(&error))?;
        let mut options = options(OPTIONS, file.options)?;
        let then = file.then.map(|then| then_call(then, &mut options)).transpose()?;
        options.extend(Owner::Lambda.options(file.lambda)?);
        Ok(Self {
            name: checked_name(file.name)?,
            question: checked_question(file.question)?,
            tool: checked_tool("tool", file.tool)?,
            subcommand: file.subcommand,
            services: file.services,
            local: local_section::local(file.local)?,
            repeats: checked_repeats(file.repeats)?,
            order: file.order,
            time_limit: checked_time_limit(file.time_limit.as_deref())?,
            prepare: file.prepare.into_iter().map(checked_prepare).collect::<Result<_, _>>()?,
            then,
            options,
            matrix: matrix(file.matrix)?,
            cases: file.case.into_iter().map(case).collect::<Result<_, _>>()?,
            faults: fault_section::parse(file.fault, file.services)?,
        })
    }

    /// Puts every option under the name that `canonical` gives for its place, its name and its
    /// value, and refuses what is given twice.
    pub(crate) fn rename_options(
        &mut self,
        canonical: impl Fn(&str, &str, &OptionValue) -> Result<String, UsageError>,
    ) -> Result<(), UsageError> {
        for (name, value) in &mut self.options {
            *name = canonical(Owner::of(name).0.fixed_place(), name, value)?;
        }
        for (name, values) in &mut self.matrix {
            let given = name.clone();
            for value in values {
                *name = canonical(MATRIX, &given, value)?;
            }
        }
        for (name, value) in self.cases.iter_mut().flat_map(|case| &mut case.options) {
            *name = canonical(CASE, name, value)?;
        }
        self.refuse_repeated_options()
    }

    /// The names of all options at all places of the file.
    pub(crate) fn option_names(&self) -> impl Iterator<Item = &String> {
        let in_cases = self.cases.iter().flat_map(|case| &case.options);
        let single = self.options.iter().chain(in_cases).map(|(name, _)| name);
        single.chain(self.matrix.iter().map(|(name, _)| name))
    }

    /// All values that an option has at some place of the file.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &OptionValue> {
        let in_cases = self.cases.iter().flat_map(|case| &case.options);
        let single = self.options.iter().chain(in_cases);
        let single = single.filter(move |(option, _)| option == name).map(|(_, value)| value);
        let swept = self.matrix.iter().filter(move |(option, _)| option == name);
        single.chain(swept.flat_map(|(_, values)| values))
    }

    /// Refuses an option that is given at two places of which neither can stand for a default. A
    /// case may replace what `[options]` says.
    fn refuse_repeated_options(&self) -> Result<(), UsageError> {
        let fixed = unique(OPTIONS, self.options.iter().map(|(name, _)| name))?;
        let swept = unique(MATRIX, self.matrix.iter().map(|(name, _)| name))?;
        if let Some(name) = swept.intersection(&fixed).next() {
            let problem = format!("stands in {} too", Owner::of(name).0.fixed_place());
            return Err(at(MATRIX, name, &problem, "leave it out there"));
        }
        for case in &self.cases {
            let own = unique(CASE, case.options.iter().map(|(name, _)| name))?;
            if let Some(name) = own.intersection(&swept).next() {
                return Err(at(
                    CASE,
                    name,
                    "is swept in [matrix] too",
                    "leave it out here or there",
                ));
            }
        }
        Ok(())
    }
}

/// The names as a set; an error when one is there twice, which aliases make possible.
fn unique<'a>(
    place: &str,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeSet<&'a String>, UsageError> {
    let mut set = BTreeSet::new();
    for name in names {
        if !set.insert(name) {
            return Err(at(place, name, "is given twice", "leave out one of its two names"));
        }
    }
    Ok(set)
}

/// The member of `known` most like `word`, when one is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS_MIN: f64 = 0.75;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to do about an unknown word: take the nearest known one, or else read `elsewhere`.
pub(crate) fn remedy(nearest: Option<&str>, elsewhere: impl FnOnce() -> String) -> String {
    nearest.map_or_else(elsewhere, |nearest| format!("did you mean `{nearest}`?"))
}

/// An error about an option, at its place in the file.
pub(crate) fn at(place: &str, option: &str, problem: &str, remedy: &str) -> UsageError {
    UsageError::new(&format!("{place} `{}`", shortened(option)), shortened_lines(problem), remedy)
}

fn syntax(error: &toml::de::Error) -> UsageError {
    let text = error.to_string();
    UsageError::new(
        "TOML",
        quoted_lines(text.trim_end()),
        "`run-suite run --help` shows the form of the file",
    )
}

/// An error with lines of the file in it, of which those that nobody could read are shortened.
fn quoted_lines(text: &str) -> String {
    let lines = text.lines().map(|line| {
        // A mark below an overlong line would stand nowhere.
        let line = if line.trim_matches([' ', '|', '^']).is_empty() {
            line.get(..QUOTE_MAX).unwrap_or(line)
        } else {
            line
        };
        shortened(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn key(key: &str, problem: impl Display, remedy: &str) -> UsageError {
    UsageError::new(&format!("`{key}`"), problem, remedy)
}

/// A name becomes a folder's name, so that it is kept to what every file system and shell takes.
fn checked_name(name: String) -> Result<String, UsageError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty()
        || name.len() > 100
        || name.starts_with(['.', '-'])
        || !name.chars().all(plain)
    {
        let problem = format!("`{}` cannot name a folder", shortened(&name));
        return Err(key("name", problem, "use up to 100 letters, digits, `-`, `_`, `.`"));
    }
    Ok(name)
}

fn checked_question(question: String) -> Result<String, UsageError> {
    if question.trim().is_empty() {
        return Err(key("question", "is empty", "say in a sentence what the experiment answers"));
    }
    Ok(question)
}

/// A tool's name, which is no path: an experiment file, or the plan in a folder, may be anybody's.
pub(crate) fn checked_tool(at: &str, tool: String) -> Result<String, UsageError> {
    if tool.is_empty() || tool.contains('/') || tool.starts_with(['.', '-']) {
        let problem = format!("`{}` is not the name of a tool", shortened(&tool));
        return Err(key(at, problem, "name one without its folder, such as kafka-prodcon"));
    }
    Ok(tool)
}

fn checked_prepare(prepare: Prepare) -> Result<Prepare, UsageError> {
    Ok(Prepare { tool: checked_tool("prepare.tool", prepare.tool)?, ..prepare })
}

/// The second tool; its options go to `all`.
fn then_call(file: ThenFile, all: &mut Options) -> Result<Call, UsageError> {
    all.extend(Owner::Then.options(file.options)?);
    Ok(Call { tool: checked_tool("then.tool", file.tool)?, subcommand: file.subcommand })
}

fn checked_repeats(repeats: Option<u32>) -> Result<u32, UsageError> {
    match repeats {
        Some(0) => Err(key("repeats", "0 runs measure nothing", "leave the key out for 1")),
        Some(repeats) => Ok(repeats),
        None => Ok(1),
    }
}

fn checked_time_limit(limit: Option<&str>) -> Result<Duration, UsageError> {
    const REMEDY: &str = "leave the key out for 10 minutes";
    let Some(limit) = limit else { return Ok(TIME_LIMIT_DEFAULT) };
    let limit = parse_duration(limit).map_err(|error| key("time_limit", error, REMEDY))?;
    if limit.is_zero() {
        return Err(key("time_limit", "no run ends in no time", REMEDY));
    }
    Ok(limit)
}

/// The text of an experiment file with its `services` replaced.
pub(crate) fn with_services(text: &str, services: ServiceOrigin) -> String {
    let mut in_table = false;
    let mut changed = String::with_capacity(text.len());
    for line in text.lines() {
        in_table |= line.trim_start().starts_with('[');
        let key = line.split_once('=').map(|(key, _)| key.trim());
        if key == Some("services") && !in_table {
            let _ = writeln!(changed, "services = \"{services}\"");
        } else {
            let _ = writeln!(changed, "{line}");
        }
    }
    changed
}

pub(super) fn options(place: &str, table: Table) -> Result<Options, UsageError> {
    table
        .into_iter()
        .map(|(name, toml)| {
            let value = option_value(toml).map_err(|kind| unfit(place, &name, kind))?;
            Ok((name, value))
        })
        .collect()
}

fn matrix(table: Table) -> Result<Vec<(String, Vec<OptionValue>)>, UsageError> {
    table
        .into_iter()
        .map(|(name, toml)| {
            let Value::Array(values) = toml else {
                let remedy = "write [1, 2] to sweep it, or give it in [options]";
                return Err(at(MATRIX, &name, "has one value", remedy));
            };
            if values.is_empty() {
                return Err(at(MATRIX, &name, "has no values", "name some, or leave it out"));
            }
            let values = values
                .into_iter()
                .map(option_value)
                .collect::<Result<_, _>>()
                .map_err(|kind| unfit(MATRIX, &name, kind))?;
            Ok((name, values))
        })
        .collect()
}

fn case(mut table: Table) -> Result<Case, UsageError> {
    let name = match table.remove("name") {
        None => None,
        Some(Value::String(name)) if !name.trim().is_empty() => Some(name),
        Some(_) => return Err(at(CASE, "name", "is no text", "name the case, or leave it out")),
    };
    Ok(Case { name, options: options(CASE, table)? })
}

/// The error is the kind of TOML value that no option can have.
fn option_value(toml: Value) -> Result<OptionValue, &'static str> {
    match toml {
        Value::Boolean(given) => Ok(OptionValue::Flag(given)),
        Value::Array(values) => {
            values.into_iter().map(scalar).collect::<Result<_, _>>().map(OptionValue::Many)
        }
        toml => scalar(toml).map(OptionValue::Text),
    }
}

/// A text or a number; the error is the kind of any other value.
pub(crate) fn scalar(toml: Value) -> Result<String, &'static str> {
    match toml {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        other => Err(other.type_str()),
    }
}

pub(super) fn unfit(place: &str, name: &str, kind: &str) -> UsageError {
    let remedy = "give a text, a number, true, false, or an array of texts and numbers";
    at(place, name, &format!("is a {kind}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        name = "small"
        question = "Does it run?"
        tool = "kafka-prodcon"
        services = "embedded"
    "#;

    fn error(addition: &str) -> String {
        Experiment::parse(&format!("{SMALL}{addition}")).expect_err("refused").to_string()
    }

    #[test]
    fn a_small_file_gets_the_defaults() {
        let experiment = Experiment::parse(SMALL).expect("parsed");
        assert_eq!(experiment.repeats, 1);
        assert_eq!(experiment.order, Order::Interleaved);
        assert_eq!(experiment.time_limit, Duration::from_mins(10));
        assert_eq!((experiment.options.len(), experiment.matrix.len()), (0, 0));
    }

    #[test]
    fn options_keep_the_order_of_the_file_and_become_text() {
        let text = format!(
            "{SMALL}
            [options]
            rate = 10_000
            acks = \"all\"
            compressibility = 0.5
            idempotent = true
            config = [\"a=1\", \"b=2\"]
            [matrix]
            record-size = [100, \"1KiB\"]
            linger = [\"0ms\"]"
        );
        let experiment = Experiment::parse(&text).expect("parsed");
        let text = |text: &str| OptionValue::Text(text.to_owned());
        assert_eq!(
            experiment.options,
            [
                ("rate".to_owned(), text("10000")),
                ("acks".to_owned(), text("all")),
                ("compressibility".to_owned(), text("0.5")),
                ("idempotent".to_owned(), OptionValue::Flag(true)),
                ("config".to_owned(), OptionValue::Many(vec!["a=1".to_owned(), "b=2".to_owned()])),
            ]
        );
        assert_eq!(
            experiment.matrix,
            [
                ("record-size".to_owned(), vec![text("100"), text("1KiB")]),
                ("linger".to_owned(), vec![text("0ms")]),
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        assert_eq!(
            error("repeat = 3"),
            "`repeat`: no key of an experiment; did you mean `repeats`?"
        );
        assert!(error("zzz = 3").contains("the keys are name, question, "));
    }

    #[test]
    fn bad_values_name_their_key_and_the_remedy() {
        assert_eq!(
            error("repeats = 0"),
            "`repeats`: 0 runs measure nothing; leave the key out for 1"
        );
        assert!(error("time_limit = \"soon\"").starts_with("`time_limit`: `soon` is not"));
        assert!(error("time_limit = \"0s\"").contains("no run ends in no time"));
        assert!(error("order = \"random\"").contains("random"));
        assert!(error("[matrix]\nrate = 3").contains("[matrix] `rate`: has one value"));
        assert!(error("[matrix]\nrate = []").contains("[matrix] `rate`: has no values"));
        assert!(error("[options]\nrate = 1979-05-27").contains("[options] `rate`: is a datetime"));
        assert!(error("[[case]]\nname = 3").contains("[[case]] `name`: is no text"));
        assert!(error("[options").starts_with("TOML: "));
    }

    #[test]
    fn names_that_are_no_folder_names_are_refused() {
        for name in ["", "a/b", "..", "a b", "-x"] {
            let text = SMALL.replace("\"small\"", &format!("{name:?}"));
            let error = Experiment::parse(&text).expect_err("refused").to_string();
            assert!(error.contains("cannot name a folder"), "{name}: {error}");
        }
    }

    #[test]
    fn an_option_may_stand_at_one_place_only() {
        let renamed = |addition: &str| {
            let mut experiment = Experiment::parse(&format!("{SMALL}{addition}")).expect("parsed");
            experiment
                .rename_options(|_, name, _| Ok(name.replace('_', "-")))
                .map_err(|error| error.to_string())
        };
        assert!(renamed("[options]\na = 1\n[[case]]\na = 2").is_ok());
        let error = renamed("[options]\na-b = 1\na_b = 2").expect_err("twice");
        assert!(error.contains("[options] `a-b`: is given twice"), "{error}");
        let error = renamed("[options]\na = 1\n[matrix]\na = [2]").expect_err("fixed and swept");
        assert!(error.contains("leave it out there"), "{error}");
        let error = renamed("[matrix]\na = [2]\n[[case]]\na = 1").expect_err("swept and case");
        assert!(error.contains("is swept in [matrix] too"), "{error}");
    }
}
