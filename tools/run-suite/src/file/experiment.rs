//! An experiment file, checked: one question, asked of one tool at several points.
//!
//! [`super::form`] has the keys. Experiment files are copied into result folders: secrets have no place
//! in them. They reach a tool through its environment or its properties file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::parse_duration;
use bench_core::system::shortened;
use bench_record::ServiceOrigin;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::fault::Fault;
use super::figure::Figure;
use super::form::{
    CaseForm, ExperimentForm, GateForm, Order, Prepare, ThenForm, refuse_unknown_keys,
};
use super::gate::Gates;
use super::options::{CASE, MATRIX, OPTIONS, OptionValue, Options, matrix, options};
use super::owner::Owner;
use super::refusal::{at, key, syntax};
use super::repeats::Repeats;
use super::{faults, local};

/// The time limit of a run unless the file has one.
const TIME_LIMIT_DEFAULT: Duration = Duration::from_mins(10);

/// A checked experiment file. Option names are still those of the file: their owner has the last word
/// on them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Experiment {
    /// Names the experiment's folder.
    pub(crate) name: String,
    /// What the experiment answers, one sentence.
    pub(crate) question: String,
    /// The binary that every run starts.
    pub(crate) tool: String,
    /// Its subcommand.
    pub(crate) subcommand: Option<String>,
    /// Where the services of the runs come from.
    pub(crate) services: ServiceOrigin,
    /// The services that run-suite starts; empty for those that the tools use.
    pub(crate) start: Vec<String>,
    /// Runs per cell.
    pub(crate) repeats: Repeats,
    /// The order of the runs.
    pub(crate) order: Order,
    /// The seed of the order inside blocks.
    pub(crate) seed: Option<u32>,
    /// The figures that conclusions rest on; none for the default.
    pub(crate) primary: Vec<Figure>,
    /// The longest that a run may take.
    pub(crate) time_limit: Duration,
    /// Commands that make files, once before the first run.
    pub(crate) prepare: Vec<Prepare>,
    /// The tool that runs after the first in every run.
    pub(crate) then: Option<Call>,
    /// Options of every cell, settings of services among them, see [`Owner`].
    pub(crate) options: Options,
    /// Swept options with their values.
    pub(crate) matrix: Vec<(String, Vec<OptionValue>)>,
    /// Cells given one by one.
    pub(crate) cases: Vec<Case>,
    /// What breaks in every run, in the order of time.
    pub(crate) faults: Vec<Fault>,
    /// What it must show.
    pub(crate) gates: Gates,
}

/// A tool as an experiment calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// The binary.
    pub(crate) tool: String,
    /// Its subcommand.
    pub(crate) subcommand: Option<String>,
}

/// A cell, or a row of cells, given one by one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    /// What tables call it.
    pub(crate) name: Option<String>,
    /// Its options.
    pub(crate) options: Options,
}

impl Experiment {
    /// Reads and checks the text of an experiment file.
    pub(crate) fn parse(text: &str) -> Result<Self, UsageError> {
        let table: Table = toml::from_str(text).map_err(|error| syntax(&error))?;
        refuse_unknown_keys::<ExperimentForm>(None, &table)?;
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("gate", Value::Table(gate)) => {
                    refuse_unknown_keys::<GateForm>(Some("[gate]"), gate)?;
                }
                ("then", Value::Table(then)) => {
                    refuse_unknown_keys::<ThenForm>(Some("[then]"), then)?;
                }
                ("prepare", Value::Array(steps)) => {
                    for step in steps.iter().filter_map(Value::as_table) {
                        refuse_unknown_keys::<Prepare>(Some("[[prepare]]"), step)?;
                    }
                }
                _ => {}
            }
        }
        // Read again from the text, so that errors show its lines.
        let form: ExperimentForm = toml::from_str(text).map_err(|error| syntax(&error))?;
        let mut all = options(OPTIONS, form.options)?;
        let then = form.then.map(|then| then_call(then, &mut all)).transpose()?;
        let function = Owner::function();
        function.add(options(&function.section(), form.lambda)?, &mut all);
        let start = local::read(form.local, &mut all)?;
        Ok(Self {
            name: checked_name(form.name)?,
            question: checked_question(form.question)?,
            tool: checked_tool("tool", form.tool)?,
            subcommand: form.subcommand,
            services: form.services,
            start,
            repeats: checked_repeats(form.repeats, form.order)?,
            order: form.order,
            seed: form.seed,
            primary: checked_primary(&form.primary)?,
            time_limit: checked_time_limit(form.time_limit.as_deref())?,
            prepare: form.prepare.into_iter().map(checked_prepare).collect::<Result<_, _>>()?,
            then,
            options: all,
            matrix: matrix(form.matrix)?,
            cases: form.case.into_iter().map(case).collect::<Result<_, _>>()?,
            faults: faults::parse(form.fault, form.services)?,
            gates: Gates::read(form.gate)?,
        })
    }

    /// Puts every option under the name that `canonical` gives for its place, its name and its value,
    /// and refuses an option that is given twice.
    pub(crate) fn rename_options(
        &mut self,
        canonical: impl Fn(&str, &str, &OptionValue) -> Result<String, UsageError>,
    ) -> Result<(), UsageError> {
        for (name, value) in &mut self.options {
            *name = canonical(&Owner::of(name).0.section(), name, value)?;
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

    /// All values that an option has at any place of the file.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &OptionValue> {
        let in_cases = self.cases.iter().flat_map(|case| &case.options);
        let single = self.options.iter().chain(in_cases);
        let single = single.filter(move |(option, _)| option == name).map(|(_, value)| value);
        let swept = self.matrix.iter().filter(move |(option, _)| option == name);
        single.chain(swept.flat_map(|(_, values)| values))
    }

    /// Whether an option with this default has the value in some cell.
    pub(crate) fn can_be(&self, name: &str, value: &str, default: Option<&str>) -> bool {
        let is_value =
            |given: &OptionValue| matches!(given, OptionValue::Text(text) if text == value);
        let fixed = self.options.iter().map(|(option, _)| option);
        let mut everywhere = fixed.chain(self.matrix.iter().map(|(option, _)| option));
        self.values(name).any(is_value)
            || (default == Some(value) && !everywhere.any(|option| option == name))
    }

    /// Refuses an option that is given at two places of which neither can be a default. A case may
    /// replace an option of `[options]`.
    fn refuse_repeated_options(&self) -> Result<(), UsageError> {
        let fixed = unique(OPTIONS, self.options.iter().map(|(name, _)| name))?;
        let swept = unique(MATRIX, self.matrix.iter().map(|(name, _)| name))?;
        if let Some(name) = swept.intersection(&fixed).next() {
            let problem = format!("is also in {}", Owner::of(name).0.section());
            return Err(at(MATRIX, name, &problem, "leave it out there"));
        }
        for case in &self.cases {
            let own = unique(CASE, case.options.iter().map(|(name, _)| name))?;
            if let Some(name) = own.intersection(&swept).next() {
                return Err(at(
                    CASE,
                    name,
                    "is also swept in [matrix]",
                    "leave out one of the two",
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

/// A name becomes a folder's name, so it is limited to what every file system and shell accepts.
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
        return Err(key("question", "is empty", "ask in a sentence what the experiment answers"));
    }
    Ok(question)
}

/// A tool's name, never a path: an experiment file, or the plan in a folder, may be anybody's.
pub(crate) fn checked_tool(at: &str, tool: String) -> Result<String, UsageError> {
    if tool.is_empty() || tool.contains('/') || tool.starts_with(['.', '-']) {
        let problem = format!("`{}` is not the name of a tool", shortened(&tool));
        return Err(key(at, problem, "use the name of its binary, without a folder"));
    }
    Ok(tool)
}

fn checked_prepare(prepare: Prepare) -> Result<Prepare, UsageError> {
    Ok(Prepare { tool: checked_tool("prepare.tool", prepare.tool)?, ..prepare })
}

/// The second tool; its options go to `all`.
fn then_call(form: ThenForm, all: &mut Options) -> Result<Call, UsageError> {
    Owner::Then.add(options(&Owner::Then.section(), form.options)?, all);
    Ok(Call { tool: checked_tool("then.tool", form.tool)?, subcommand: form.subcommand })
}

fn checked_primary(names: &[String]) -> Result<Vec<Figure>, UsageError> {
    let mut figures = Vec::with_capacity(names.len());
    for name in names {
        let figure = Figure::parse("`primary`", name)?;
        if figures.contains(&figure) {
            return Err(key("primary", format!("`{figure}` is there twice"), "leave out one"));
        }
        figures.push(figure);
    }
    Ok(figures)
}

fn checked_repeats(repeats: Option<Value>, order: Order) -> Result<Repeats, UsageError> {
    let repeats = Repeats::read(repeats)?;
    if repeats.enough.is_some() && order == Order::Grouped {
        let problem = "adaptive repeats need all cells to have the same number";
        return Err(key("order", problem, "use blocks or interleaved"));
    }
    Ok(repeats)
}

fn checked_time_limit(limit: Option<&str>) -> Result<Duration, UsageError> {
    const REMEDY: &str = "leave the key out for 10 minutes";
    let Some(limit) = limit else { return Ok(TIME_LIMIT_DEFAULT) };
    let limit = parse_duration(limit).map_err(|error| key("time_limit", error, REMEDY))?;
    if limit.is_zero() {
        return Err(key("time_limit", "must be more than 0", REMEDY));
    }
    Ok(limit)
}

fn case(form: CaseForm) -> Result<Case, UsageError> {
    let name = match form.name {
        None => None,
        Some(Value::String(name)) if !name.trim().is_empty() => Some(name),
        Some(_) => {
            return Err(at(CASE, "name", "must be a text", "name the case, or leave it out"));
        }
    };
    Ok(Case { name, options: options(CASE, form.options)? })
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
    fn small_file_has_defaults() {
        let experiment = Experiment::parse(SMALL).expect("parsed");
        assert_eq!(experiment.repeats, Repeats { max: 1, enough: None });
        assert_eq!(experiment.order, Order::Blocks);
        assert_eq!(experiment.time_limit, Duration::from_mins(10));
        assert_eq!((experiment.options.len(), experiment.matrix.len()), (0, 0));
    }

    #[test]
    fn options_keep_their_order_as_text() {
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
    fn unknown_keys_suggest_the_nearest() {
        assert_eq!(error("repeat = 3"), "`repeat`: unknown key; did you mean `repeats`?");
        assert!(error("zzz = 3").contains("the keys are name, question, "));
        assert_eq!(error("[then]\ntol = \"t\""), "[then] `tol`: unknown key; did you mean `tool`?");
        assert!(error("[[prepare]]\ntools = \"t\"").starts_with("[[prepare]] `tools`: "));
    }

    #[test]
    fn bad_values_name_key_and_remedy() {
        assert_eq!(error("repeats = 0"), "`repeats`: must be at least 1; leave the key out for 1");
        assert!(error("time_limit = \"soon\"").starts_with("`time_limit`: `soon` is not"));
        assert!(error("time_limit = \"0s\"").contains("must be more than 0"));
        assert!(error("order = \"random\"").contains("random"));
        let adaptive = "repeats = { min = 5, max = 9, until = \"decided\" }";
        assert!(error(&format!("{adaptive}\norder = \"grouped\"")).starts_with("`order`: "));
        assert!(error("primary = [\"p98\"]").starts_with("`primary`: no figure is called `p98`"));
        assert!(error("primary = [\"throughput\", \"throughput\"]").contains("is there twice"));
        assert!(error("[matrix]\nrate = 3").contains("[matrix] `rate`: has one value"));
        assert!(error("[matrix]\nrate = []").contains("[matrix] `rate`: has no values"));
        assert!(error("[options]\nrate = 1979-05-27").contains("[options] `rate`: is a datetime"));
        assert!(error("[[case]]\nname = 3").contains("[[case]] `name`: must be a text"));
        assert!(error("[options").starts_with("TOML: "));
    }

    #[test]
    fn names_must_be_valid_folder_names() {
        for name in ["", "a/b", "..", "a b", "-x"] {
            let text = SMALL.replace("\"small\"", &format!("{name:?}"));
            let error = Experiment::parse(&text).expect_err("refused").to_string();
            assert!(error.contains("cannot name a folder"), "{name}: {error}");
        }
    }

    #[test]
    fn options_are_given_in_one_place() {
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
        assert!(error.contains("is also swept in [matrix]"), "{error}");
    }
}
