//! The plan of an experiment: its cells, and the order of their runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_cli::UsageError;
use bench_cli::quantity::{parse_count, parse_duration, parse_rate};
use bench_core::results::ServiceOrigin;
use serde::{Deserialize, Serialize};

use crate::file::experiment::{Call, Case, Experiment, OptionValue, Options, Order, checked_tool};
use crate::file::fault::Fault;
use crate::file::fault_section;
use crate::file::owner::Owner;
use crate::host::stack::LocalPlan;
use crate::plan::tool::arguments;
use crate::plan::tools::Tools;
use crate::run::prepare::{Prepare, with_files};

/// The most runs (cells times repeats) of one experiment.
pub(crate) const RUNS_MAX: usize = 10_000;

/// The folder of the second tool's results in that of the first one's.
const THEN_FOLDER: &str = "then";

/// What stands for the name of a run in the values of options: letters, digits and underscores that no
/// other run of any experiment has, for what each run needs an own one of. It can be a folder, and a
/// topic, stream, table or group, or a part of its name.
pub(crate) const RUN_PLACEHOLDER: &str = "{run}";

/// All that has to be known to run an experiment, without its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name of the experiment.
    pub(crate) name: String,
    /// What it is to answer.
    pub(crate) question: String,
    /// The binary that every run starts.
    pub(crate) tool: String,
    /// Its subcommand.
    pub(crate) subcommand: Option<String>,
    /// The tool that runs after it in every run.
    #[serde(default)]
    pub(crate) then: Option<Call>,
    /// Where the services come from.
    pub(crate) services: ServiceOrigin,
    /// What run-suite starts of them.
    pub(crate) local: Option<LocalPlan>,
    /// The longest that a run may take, seconds.
    pub(crate) time_limit_s: f64,
    /// Names of the options that differ between the cells, in the order of the file.
    pub(crate) columns: Vec<String>,
    /// The points of the sweep.
    pub(crate) cells: Vec<Cell>,
    /// The runs, in the order in which they are made.
    pub(crate) runs: Vec<PlannedRun>,
    /// What is done in every run, in the order of time.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
    /// What makes files that the runs need.
    #[serde(default)]
    pub(crate) prepare: Vec<Prepare>,
    /// The folder for a table of latencies over time of each run, if there is to be one.
    #[serde(default)]
    pub(crate) latencies_dir: Option<PathBuf>,
}

/// One point of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Name of its case, when that has one.
    pub(crate) name: Option<String>,
    /// What sets the cell apart from the others, in words.
    pub(crate) label: String,
    /// All options of the tool.
    pub(crate) options: Options,
    /// All options of the tool that comes after it.
    #[serde(default)]
    pub(crate) then: Options,
    /// Settings of the Lambda.
    #[serde(default)]
    pub(crate) lambda: Options,
}

/// One of the tools of a run as it is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoked<'a> {
    pub(crate) tool: &'a str,
    pub(crate) arguments: Vec<OsString>,
    /// Its result folder, which it makes.
    pub(crate) run_dir: PathBuf,
    /// How long its schedule takes, when its options say so.
    pub(crate) expected: Option<Duration>,
}

/// One run of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedRun {
    /// Index of the cell in [`Plan::cells`].
    pub(crate) cell: usize,
    /// 1 for the first run of the cell.
    pub(crate) repeat: u32,
}

/// How long an experiment takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Time of the runs whose options tell their time.
    pub(crate) known: Duration,
    /// Runs whose options do not.
    pub(crate) unknown_runs: usize,
    /// Time after which every run is over: its own where known, else the limit.
    pub(crate) at_most: Duration,
}

impl Plan {
    /// Plans the runs of an experiment whose options carry their final names.
    pub(crate) fn new(experiment: &Experiment) -> Result<Self, UsageError> {
        let cells = cells(experiment)?;
        for cell in &cells {
            fault_section::refuse_late(&experiment.faults, &cell.label, expected(&cell.options))?;
        }
        let runs = runs(cells.len(), experiment.repeats, experiment.order)?;
        Ok(Self {
            name: experiment.name.clone(),
            question: experiment.question.clone(),
            tool: experiment.tool.clone(),
            subcommand: experiment.subcommand.clone(),
            then: experiment.then.clone(),
            services: experiment.services,
            local: None,
            time_limit_s: experiment.time_limit.as_secs_f64(),
            columns: columns(experiment),
            cells,
            runs,
            faults: experiment.faults.clone(),
            prepare: experiment.prepare.clone(),
            latencies_dir: None,
        })
    }

    /// Refuses what no experiment file could have asked for, since the plan of a folder may be
    /// anybody's: its tools are found and asked as those of a file are.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let prepared = self.prepare.iter().map(|prepare| &prepare.tool);
        let then = self.then.iter().map(|then| &then.tool);
        for tool in std::iter::once(&self.tool).chain(then).chain(prepared) {
            checked_tool("tool", tool.clone())?;
        }
        let tools = Tools::find(&self.tool, self.then.as_ref())?;
        let (subcommand, then) = (self.subcommand.as_deref(), self.then.as_ref());
        tools.check_calls(subcommand, then)?;
        for cell in &self.cells {
            let own = cell.options.iter().map(|option| (Owner::Tool, option));
            let second = cell.then.iter().map(|option| (Owner::Then, option));
            for (owner, (name, value)) in own.chain(second) {
                // Options that run-suite adds for faults are the tool's own, too.
                let name = owner.name(name);
                tools.canonical_option(subcommand, then, (owner.fixed_place(), &name), value)?;
            }
        }
        Ok(())
    }

    /// The longest that a run may take.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.time_limit_s).unwrap_or(Duration::MAX)
    }

    /// Runs of each cell.
    pub(crate) fn repeats(&self) -> u32 {
        self.runs.iter().map(|run| run.repeat).max().unwrap_or(0)
    }

    /// A run in words: its cell, and its repeat when there are several.
    pub(crate) fn run_label(&self, run: PlannedRun) -> String {
        let mut label = self.cells[run.cell].label.clone();
        if self.repeats() > 1 {
            let _ = write!(label, " repeat {}", run.repeat);
        }
        label
    }

    /// The folder of a run, below that of the experiment.
    pub(crate) fn run_folder(&self, run: PlannedRun) -> String {
        let name = folder_name(&self.cells[run.cell].label);
        format!("{:02}-{name}/repeat-{}", run.cell + 1, run.repeat)
    }

    /// Where the second tool has its results, in a run that has its own in `run_dir`.
    pub(crate) fn then_dir(&self, run_dir: &Path) -> Option<PathBuf> {
        self.then.as_ref().map(|_| run_dir.join(THEN_FOLDER))
    }

    /// The tool that a run of the experiment in `dir` starts with.
    pub(crate) fn first(&self, run: PlannedRun, dir: &Path) -> Invoked<'_> {
        let options = in_run(&self.cells[run.cell].options, run, dir);
        let run_dir = dir.join(self.run_folder(run));
        Invoked {
            tool: &self.tool,
            arguments: arguments(self.subcommand.as_deref(), &options, &run_dir, None),
            run_dir,
            expected: expected(&options),
        }
    }

    /// The tool that comes after it, if there is one. Its folder lies in the first one's.
    pub(crate) fn second(&self, run: PlannedRun, dir: &Path) -> Option<Invoked<'_>> {
        let then = self.then.as_ref()?;
        let options = in_run(&self.cells[run.cell].then, run, dir);
        let first_dir = dir.join(self.run_folder(run));
        let run_dir = self.then_dir(&first_dir)?;
        let subcommand = then.subcommand.as_deref();
        Some(Invoked {
            tool: &then.tool,
            arguments: arguments(subcommand, &options, &run_dir, Some(&first_dir)),
            run_dir,
            expected: expected(&options),
        })
    }

    /// How long the experiment takes, as far as the options of its cells tell.
    pub(crate) fn estimate(&self) -> Estimate {
        let mut estimate =
            Estimate { known: Duration::ZERO, unknown_runs: 0, at_most: Duration::ZERO };
        for run in &self.runs {
            let expected = expected(&self.cells[run.cell].options);
            let known = expected.map(|expected| expected.min(self.time_limit()));
            estimate.known = estimate.known.saturating_add(known.unwrap_or_default());
            estimate.unknown_runs += usize::from(known.is_none());
            let at_most = known.unwrap_or(self.time_limit());
            estimate.at_most = estimate.at_most.saturating_add(at_most);
        }
        estimate
    }
}

impl Cell {
    /// The value of an option as the tables show it; `None` leaves it to the tool.
    pub(crate) fn value(&self, option: &str) -> Option<String> {
        let (owner, own) = Owner::of(option);
        let options = match owner {
            Owner::Tool => &self.options,
            Owner::Then => &self.then,
            Owner::Lambda => &self.lambda,
        };
        options.iter().find(|(name, _)| name == own).map(|(_, value)| shown(value))
    }
}

/// How long the schedule of a run with these options takes, when they say so: a duration after a
/// warm-up, or a number of messages at a rate.
pub(crate) fn expected(options: &Options) -> Option<Duration> {
    let text = |name: &str| {
        options.iter().find_map(|(option, value)| match value {
            OptionValue::Text(text) if option == name => Some(text.as_str()),
            _ => None,
        })
    };
    if let Some(duration) = text("duration") {
        let warm_up = text("warm-up").map_or(Ok(Duration::ZERO), parse_duration).ok()?;
        return parse_duration(duration).ok()?.checked_add(warm_up);
    }
    let messages = parse_count(text("messages")?).ok()?;
    let rate_per_s = parse_rate(text("rate")?).ok()?;
    Duration::try_from_secs_f64(messages as f64 / rate_per_s).ok()
}

/// A value as the tables show it.
fn shown(value: &OptionValue) -> String {
    match value {
        OptionValue::Flag(true) => "yes".to_owned(),
        OptionValue::Flag(false) => "no".to_owned(),
        OptionValue::Text(text) => text.clone(),
        OptionValue::Many(texts) => texts.join(" "),
    }
}

/// Each case at each point of the matrix; without cases the points, without either one cell.
fn cells(experiment: &Experiment) -> Result<Vec<Cell>, UsageError> {
    let whole = Case { name: None, options: Options::new() };
    let cases =
        if experiment.cases.is_empty() { std::slice::from_ref(&whole) } else { &experiment.cases };
    let points = points(&experiment.matrix)?;
    if cases.len().saturating_mul(points.len()) > RUNS_MAX {
        return Err(too_many_runs());
    }
    let mut labels = BTreeSet::new();
    let mut cells = Vec::with_capacity(cases.len() * points.len());
    for case in cases {
        for point in &points {
            let cell = cell(experiment, case, point);
            if !labels.insert(cell.label.clone()) {
                return Err(UsageError::new(
                    "[[case]] and [matrix]",
                    format!("two cells are called `{}`", cell.label),
                    "name each case and each swept value once",
                ));
            }
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// The combinations of the swept values; the last option varies fastest.
fn points(matrix: &[(String, Vec<OptionValue>)]) -> Result<Vec<Options>, UsageError> {
    let mut points = vec![Options::new()];
    for (name, values) in matrix {
        if points.len().saturating_mul(values.len()) > RUNS_MAX {
            return Err(too_many_runs());
        }
        points = points
            .iter()
            .flat_map(|point| {
                values.iter().map(move |value| {
                    let mut point = point.clone();
                    point.push((name.clone(), value.clone()));
                    point
                })
            })
            .collect();
    }
    Ok(points)
}

fn cell(experiment: &Experiment, case: &Case, point: &Options) -> Cell {
    let mut all = experiment.options.clone();
    for (name, value) in case.options.iter().chain(point) {
        match all.iter_mut().find(|(option, _)| option == name) {
            Some((_, fixed)) => *fixed = value.clone(),
            None => all.push((name.clone(), value.clone())),
        }
    }
    Cell {
        name: case.name.clone(),
        label: label(&experiment.name, case, point),
        options: Owner::Tool.own(&all),
        then: Owner::Then.own(&all),
        lambda: Owner::Lambda.own(&all),
    }
}

/// The name of the case, or else its options, then the point of the matrix; an experiment of one
/// cell gives it its own name.
fn label(experiment: &str, case: &Case, point: &Options) -> String {
    let own = if case.name.is_some() { &[] } else { case.options.as_slice() };
    let words: Vec<String> = case
        .name
        .iter()
        .cloned()
        .chain(own.iter().chain(point).map(|(name, value)| format!("{name}={}", shown(value))))
        .collect();
    if words.is_empty() { experiment.to_owned() } else { words.join(" ") }
}

/// The options of all cases, then those of the matrix.
fn columns(experiment: &Experiment) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    let cases = experiment.cases.iter().flat_map(|case| &case.options).map(|(name, _)| name);
    for name in cases.chain(experiment.matrix.iter().map(|(name, _)| name)) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    columns
}

fn runs(cells: usize, repeats: u32, order: Order) -> Result<Vec<PlannedRun>, UsageError> {
    if cells.saturating_mul(repeats as usize) > RUNS_MAX {
        return Err(too_many_runs());
    }
    Ok(match order {
        Order::Interleaved => (1..=repeats)
            .flat_map(|repeat| (0..cells).map(move |cell| PlannedRun { cell, repeat }))
            .collect(),
        Order::Grouped => (0..cells)
            .flat_map(|cell| (1..=repeats).map(move |repeat| PlannedRun { cell, repeat }))
            .collect(),
    })
}

fn too_many_runs() -> UsageError {
    let problem = format!("more than {RUNS_MAX} runs");
    UsageError::new("[[case]], [matrix] and `repeats`", problem, "sweep less, or split the file")
}

/// The options of a tool in one run of the experiment in `dir`.
fn in_run(options: &Options, run: PlannedRun, dir: &Path) -> Options {
    let name = run_name(run, dir);
    let text = |text: &String| with_files(text, dir).replace(RUN_PLACEHOLDER, &name);
    let value = |value: &OptionValue| match value {
        OptionValue::Flag(is_given) => OptionValue::Flag(*is_given),
        OptionValue::Text(given) => OptionValue::Text(text(given)),
        OptionValue::Many(given) => OptionValue::Many(given.iter().map(text).collect()),
    };
    options.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

/// What [`RUN_PLACEHOLDER`] stands for: at most 64 characters, as `MySQL` has it for tables. The
/// experiment's folder may be called as another one elsewhere, so that its whole path counts.
fn run_name(run: PlannedRun, dir: &Path) -> String {
    const FOLDER_MAX: usize = 40;
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let folder: String = folder.chars().take(FOLDER_MAX).map(plain).collect();
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let fingerprint = fingerprint(whole.as_os_str().as_encoded_bytes());
    format!("{folder}_{}_{}_{fingerprint:08x}", run.cell + 1, run.repeat)
}

/// FNV-1a: the same in every build, unlike the standard library's hashes.
fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A label reduced to what file systems and shells take, and to a length that keeps paths short.
fn folder_name(label: &str) -> String {
    const LENGTH_MAX: usize = 60;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let words: Vec<&str> = label.split(|c| !plain(c)).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(LENGTH_MAX);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(body: &str) -> Result<Plan, UsageError> {
        let head = "question = \"Why?\"\ntool = \"t\"\nservices = \"embedded\"\nname = \"plan\"\n";
        Plan::new(&Experiment::parse(&format!("{head}{body}")).expect("parsed"))
    }

    fn labels(plan: &Plan) -> Vec<&str> {
        plan.cells.iter().map(|cell| cell.label.as_str()).collect()
    }

    fn order(plan: &Plan) -> Vec<(usize, u32)> {
        plan.runs.iter().map(|run| (run.cell, run.repeat)).collect()
    }

    #[test]
    fn an_experiment_without_sweep_has_one_cell() {
        let plan = plan("[options]\nrate = 5").expect("planned");
        assert_eq!(labels(&plan), ["plan"]);
        assert_eq!(plan.cells[0].value("rate").as_deref(), Some("5"));
        assert!(plan.columns.is_empty());
    }

    #[test]
    fn a_matrix_gives_every_combination_with_the_last_option_fastest() {
        let plan = plan("[matrix]\nproducers = [1, 2]\nacks = [\"all\", 1]").expect("planned");
        assert_eq!(
            labels(&plan),
            [
                "producers=1 acks=all",
                "producers=1 acks=1",
                "producers=2 acks=all",
                "producers=2 acks=1"
            ]
        );
        assert_eq!(plan.columns, ["producers", "acks"]);
        assert_eq!(plan.run_folder(plan.runs[2]), "03-producers-2-acks-all/repeat-1");
    }

    #[test]
    fn each_case_runs_at_each_point_and_replaces_fixed_options() {
        let plan = plan(
            "[options]\nrate = 5\nlinger = 1
             [matrix]\nacks = [0, 1]
             [[case]]\nname = \"slow\"\nrate = 1
             [[case]]\nbatch-size = 9",
        )
        .expect("planned");
        assert_eq!(
            labels(&plan),
            ["slow acks=0", "slow acks=1", "batch-size=9 acks=0", "batch-size=9 acks=1"]
        );
        assert_eq!(plan.columns, ["rate", "batch-size", "acks"]);
        let names: Vec<&str> = plan.cells[1].options.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["rate", "linger", "acks"]);
        assert_eq!(plan.cells[1].value("rate").as_deref(), Some("1"));
        assert_eq!(plan.cells[2].value("rate").as_deref(), Some("5"));
        assert_eq!(plan.cells[1].value("batch-size"), None);
    }

    #[test]
    fn repeats_are_interleaved_unless_grouped() {
        let body = "[matrix]\nrate = [1, 2]";
        let interleaved = plan(&format!("repeats = 2\n{body}")).expect("planned");
        assert_eq!(order(&interleaved), [(0, 1), (1, 1), (0, 2), (1, 2)]);
        let grouped = plan(&format!("repeats = 2\norder = \"grouped\"\n{body}")).expect("planned");
        assert_eq!(order(&grouped), [(0, 1), (0, 2), (1, 1), (1, 2)]);
    }

    #[test]
    fn equal_cells_and_too_many_runs_are_refused() {
        let error = plan("[matrix]\nrate = [1, 1]").expect_err("twice").to_string();
        assert!(error.contains("`rate=1`"), "{error}");
        assert!(plan("[[case]]\nrate = 1\n[[case]]\nrate = 1").is_err());
        let values: Vec<String> = (0..101).map(|value| value.to_string()).collect();
        let values = values.join(", ");
        let plan_many = plan(&format!("[matrix]\na = [{values}]\nb = [{values}]"));
        assert_eq!(plan_many, Err(too_many_runs()));
        let plan_often = plan("repeats = 4_000_000_000\n[matrix]\na = [1, 2]");
        assert_eq!(plan_often, Err(too_many_runs()));
    }

    #[test]
    fn the_time_is_estimated_from_duration_or_messages_at_a_rate() {
        let plan = plan(
            "time_limit = \"20s\"
             [[case]]\nduration = \"3s\"\nwarm-up = \"2s\"
             [[case]]\nmessages = 1000\nrate = \"500/s\"
             [[case]]\nduration = \"1m\"
             [[case]]\nmessages = 1000",
        )
        .expect("planned");
        let estimate = plan.estimate();
        assert_eq!(estimate.known, Duration::from_secs(5 + 2 + 20));
        assert_eq!(estimate.unknown_runs, 1);
        assert_eq!(estimate.at_most, Duration::from_secs(5 + 2 + 20 + 20));
    }

    #[test]
    fn the_name_of_a_run_is_one_of_topics_streams_and_tables() {
        let plan = plan("repeats = 2\n[options]\ntopic = \"a-{run}\"").expect("planned");
        let topic = |run: usize, dir: &str| {
            let arguments = plan.first(plan.runs[run], Path::new(dir)).arguments;
            let topic =
                arguments.iter().find_map(|argument| argument.to_str()?.strip_prefix("--topic="));
            topic.expect("a topic").to_owned()
        };
        let name = topic(0, "/results/kafka-x.y-20261121-083000");
        assert!(name.starts_with("a-kafka_x_y_20261121_083000_1_1_"), "{name}");
        let long = topic(1, &format!("/{}ä", "x".repeat(200)));
        for name in [&name, &long] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(name.len() <= 2 + 64 && name[2..].chars().all(is_plain), "{name}");
        }
        let all = ["/a/quick", "/b/quick"].map(|dir| [topic(0, dir), topic(1, dir)]).concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 4, "{all:?}");
    }

    #[test]
    fn folder_names_are_plain_and_short() {
        assert_eq!(folder_name("Größe a/b=\"../x\" 1KiB"), "Gr-e-a-b-..-x-1KiB");
        assert_eq!(folder_name(&"a".repeat(200)).len(), 60);
    }
}
