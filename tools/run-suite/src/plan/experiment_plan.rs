//! The plan of an experiment: its cells, and the order of their runs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_cli::UsageError;
use bench_record::{RunDocument, ServiceOrigin};
use serde::{Deserialize, Serialize};

use super::cells::{Cell, PlannedRun, cells, columns, runs};
use super::estimate::{expected, refuse_late, target_rate_per_s};
use super::stack_plan::StackPlan;
use super::tool::arguments;
use crate::file::experiment::{Call, Experiment};
use crate::file::fault::Fault;
use crate::file::figure::Figure;
use crate::file::form::{Order, Prepare};
use crate::file::gate::Gates;
use crate::file::options::{OptionValue, Options};
use crate::file::repeats::{Enough, Until};

/// The folder of the second tool's results in that of the first one's.
const THEN_FOLDER: &str = "then";

/// Stands for the name of a run in the values of options: letters, digits and underscores that no
/// other run of any experiment has. It can be the name, or a part of the name, of a folder, topic,
/// stream, table or group.
pub(crate) const RUN_PLACEHOLDER: &str = "{run}";

/// Stands for the folder of prepared files in the values of options.
const FILES_PLACEHOLDER: &str = "{files}";

/// The folder of prepared files, below that of the experiment.
pub(crate) const FILES_FOLDER: &str = "files";

/// All that is needed to run an experiment, without its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name of the experiment.
    pub(crate) name: String,
    /// What it answers.
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
    /// The services that run-suite starts.
    #[serde(default)]
    pub(crate) stack: Option<StackPlan>,
    /// The longest that a run may take, seconds.
    pub(crate) time_limit_s: f64,
    /// Names of the options that differ between the cells, in the order of the file.
    pub(crate) columns: Vec<String>,
    /// The points of the sweep.
    pub(crate) cells: Vec<Cell>,
    /// The figures that conclusions rest on; none for the default.
    #[serde(default)]
    pub(crate) primary: Vec<Figure>,
    /// When fewer runs are enough.
    #[serde(default)]
    pub(crate) enough: Option<Enough>,
    /// The seed of the order inside blocks, if it was drawn.
    #[serde(default)]
    pub(crate) seed: Option<u32>,
    /// The runs, in the order in which they are made.
    pub(crate) runs: Vec<PlannedRun>,
    /// What breaks in every run, in the order of time.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
    /// What it must show.
    #[serde(default)]
    pub(crate) gates: Gates,
    /// Commands that make files which the runs need.
    #[serde(default)]
    pub(crate) prepare: Vec<Prepare>,
    /// The folder for a table of latencies over time per run, if there is one.
    #[serde(default)]
    pub(crate) latencies_dir: Option<PathBuf>,
    /// Whether it stands for one run that a tool has made by itself, whose folder is the experiment's.
    #[serde(default)]
    pub(crate) is_one_run: bool,
}

/// How one of the tools of a run is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoked<'a> {
    pub(crate) tool: &'a str,
    pub(crate) arguments: Vec<OsString>,
    /// Its result folder, which it makes.
    pub(crate) run_dir: PathBuf,
    /// How long its schedule takes, if its options tell.
    pub(crate) expected: Option<Duration>,
}

impl Plan {
    /// Plans the runs of an experiment whose options carry their final names.
    pub(crate) fn new(experiment: &Experiment) -> Result<Self, UsageError> {
        let cells = cells(experiment)?;
        for cell in &cells {
            refuse_late(&experiment.faults, &cell.label, &cell.options)?;
        }
        let enough = experiment.repeats.enough.as_ref();
        if enough.is_some_and(|enough| enough.until == Until::Decided) && cells.len() < 2 {
            return Err(UsageError::new(
                "`repeats`",
                "until = \"decided\" compares cells, and there is one",
                "add cells by [matrix] or [[case]], or ask for a precision",
            ));
        }
        let (repeats, order) = (experiment.repeats.max, experiment.order);
        let seed = experiment.seed.unwrap_or_default();
        let runs = runs(cells.len(), repeats, order, seed)?;
        Ok(Self {
            name: experiment.name.clone(),
            question: experiment.question.clone(),
            tool: experiment.tool.clone(),
            subcommand: experiment.subcommand.clone(),
            then: experiment.then.clone(),
            services: experiment.services,
            stack: None,
            time_limit_s: experiment.time_limit.as_secs_f64(),
            columns: columns(experiment),
            primary: experiment.primary.clone(),
            enough: experiment.repeats.enough.clone(),
            seed: (order == Order::Blocks).then_some(seed),
            cells,
            runs,
            faults: experiment.faults.clone(),
            gates: experiment.gates.clone(),
            prepare: experiment.prepare.clone(),
            latencies_dir: None,
            is_one_run: false,
        })
    }

    /// Stands for a run that a tool has made by itself.
    pub(crate) fn of_run(document: &RunDocument) -> Self {
        let tool = document.tool.name.clone();
        let cell = Cell {
            name: None,
            label: format!("{tool} {}", document.run_id),
            options: Options::new(),
            then: Options::new(),
            settings: Options::new(),
        };
        let origin = document.services.first().map(|service| service.origin);
        Self {
            name: tool.clone(),
            question: String::new(),
            tool,
            subcommand: None,
            then: None,
            services: origin.unwrap_or(ServiceOrigin::External),
            stack: None,
            time_limit_s: 0.0,
            columns: Vec::new(),
            cells: vec![cell],
            primary: Vec::new(),
            enough: None,
            seed: None,
            runs: vec![PlannedRun { cell: 0, repeat: 1 }],
            faults: Vec::new(),
            gates: Gates::default(),
            prepare: Vec::new(),
            latencies_dir: None,
            is_one_run: true,
        }
    }

    /// The longest that a run may take.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.time_limit_s).unwrap_or(Duration::MAX)
    }

    /// How long the schedule of a run takes, if its options tell.
    pub(crate) fn expected(&self, run: PlannedRun) -> Option<Duration> {
        expected(&self.cells[run.cell].options)
    }

    /// The rate at which a run sends, messages per second, if its options tell.
    pub(crate) fn target_rate_per_s(&self, run: PlannedRun) -> Option<f64> {
        target_rate_per_s(&self.cells[run.cell].options)
    }

    /// The most runs per cell.
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

    /// The folder of a cell, below that of the experiment.
    pub(crate) fn cell_folder(&self, cell: usize) -> String {
        format!("{:02}-{}", cell + 1, folder_name(&self.cells[cell].label))
    }

    /// The folder of a run, below that of the experiment.
    pub(crate) fn run_folder(&self, run: PlannedRun) -> String {
        if self.is_one_run {
            return String::new();
        }
        format!("{}/repeat-{}", self.cell_folder(run.cell), run.repeat)
    }

    /// Whether all cells ran once before any ran again.
    pub(crate) fn has_blocks(&self) -> bool {
        self.runs.is_sorted_by_key(|run| run.repeat)
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
}

/// The options of a tool in one run of the experiment in `dir`.
fn in_run(options: &Options, run: PlannedRun, dir: &Path) -> Options {
    let name = run_name(run, dir);
    let files = dir.join(FILES_FOLDER);
    let files = files.to_string_lossy();
    let text =
        |text: &String| text.replace(FILES_PLACEHOLDER, &files).replace(RUN_PLACEHOLDER, &name);
    let value = |value: &OptionValue| match value {
        OptionValue::Flag(is_given) => OptionValue::Flag(*is_given),
        OptionValue::Text(given) => OptionValue::Text(text(given)),
        OptionValue::Many(given) => OptionValue::Many(given.iter().map(text).collect()),
    };
    options.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

/// The name of a run: at most 64 characters, the limit of `MySQL` for tables. The experiment's folder
/// may have the same name as another one elsewhere, so its whole path counts.
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

/// A label reduced to what file systems and shells accept, and to a length that keeps paths short.
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::cells::too_many_runs;

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
    fn experiment_without_sweep_has_one_cell() {
        let plan = plan("[options]\nrate = 5").expect("planned");
        assert_eq!(labels(&plan), ["plan"]);
        assert_eq!(plan.cells[0].value("rate").as_deref(), Some("5"));
        assert!(plan.columns.is_empty());
    }

    #[test]
    fn matrix_varies_the_last_option_fastest() {
        let matrix = "order = \"interleaved\"\n[matrix]\nproducers = [1, 2]\nacks = [\"all\", 1]";
        let plan = plan(matrix).expect("planned");
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
    fn cases_run_at_each_point_and_replace_options() {
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
    fn orders_are_blocks_interleaved_and_grouped() {
        let plan = |order: &str| {
            plan(&format!("repeats = 2\norder = \"{order}\"\n[matrix]\nrate = [1, 2]"))
                .expect("planned")
        };
        let interleaved = plan("interleaved");
        assert_eq!(order(&interleaved), [(0, 1), (1, 1), (0, 2), (1, 2)]);
        let grouped = plan("grouped");
        assert_eq!(order(&grouped), [(0, 1), (0, 2), (1, 1), (1, 2)]);
        assert!(interleaved.has_blocks() && !grouped.has_blocks());
        assert_eq!((interleaved.seed, grouped.seed), (None, None));
    }

    #[test]
    fn blocks_have_each_cell_once_in_an_order_of_their_own() {
        let body = "repeats = 20\n[matrix]\nrate = [1, 2, 3, 4]";
        let plan = |seed: u32| plan(&format!("seed = {seed}\n{body}")).expect("planned");
        let one = plan(1);
        assert!(one.has_blocks() && one.seed == Some(1));
        for (repeat, block) in (1..).zip(order(&one).chunks(4)) {
            let cells: BTreeSet<(usize, u32)> = block.iter().copied().collect();
            assert_eq!(cells, (0..4).map(|cell| (cell, repeat)).collect());
        }
        let orders: BTreeSet<Vec<usize>> = order(&one)
            .chunks(4)
            .map(|block| block.iter().map(|(cell, _)| *cell).collect())
            .collect();
        assert!(orders.len() > 8, "24 orders are possible: {orders:?}");
        assert_eq!(order(&one), order(&plan(1)), "a seed repeats an order");
        assert_ne!(order(&one), order(&plan(2)));
    }

    #[test]
    fn decisions_need_two_cells() {
        let error = plan("repeats = { min = 2, max = 4, until = \"decided\" }").expect_err("one");
        assert!(error.to_string().contains("there is one"), "{error}");
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
    fn faults_after_the_end_are_refused() {
        let refusal = |body: &str| {
            let fault = "[[fault]]\nat = \"20s\"\nstop = \"tool\"\nfor = \"1s\"";
            let plan = plan(&format!("[options]\n{body}\n{fault}"));
            plan.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(refusal("duration = \"21s\""), Ok(()));
        assert_eq!(refusal("rate = 5"), Ok(()));
        let error = refusal("duration = \"20s\"").expect_err("too late");
        assert!(error.contains("the schedule of plan ends after 20.0 s"), "{error}");
    }

    #[test]
    fn run_names_suit_topics_streams_and_tables() {
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
