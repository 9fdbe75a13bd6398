//! `run-suite sweep`: one option of one tool over a range.
//!
//! The sweep is an experiment like any other, made here instead of read from a file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity::{parse_count, parse_duration};
use bench_cli::{MetricsArgs, UsageError, place_of_folder};
use bench_record::ServiceOrigin;
use clap::{ArgGroup, Args};
use toml::{Table, Value};

use super::cells::{PlannedRun, RUNS_MAX};
use super::experiment_plan::Plan;
use super::planning::plan_text;

/// The end of the names of these experiments.
const NAME_END: &str = "-sweep";

/// Options of the sweep.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("points").required(true).args(["from", "values"]))]
pub(crate) struct SweepArgs {
    /// The tool
    tool: String,

    /// Its subcommand
    #[arg(long, value_name = "NAME")]
    subcommand: Option<String>,

    /// The option that is swept
    #[arg(long, value_name = "NAME")]
    option: String,

    /// First value
    #[arg(long, value_name = "N", value_parser = parse_count, requires_all = ["to", "step"])]
    from: Option<u64>,

    /// Last value, which is measured if the steps reach it
    #[arg(long, value_name = "N", value_parser = parse_count, requires = "from")]
    to: Option<u64>,

    /// Difference between two values
    #[arg(long, value_name = "N", value_parser = parse_count, requires = "from")]
    step: Option<u64>,

    /// The values, instead of a range: 1,2,5,10
    #[arg(long, value_name = "VALUE,...", value_delimiter = ',')]
    values: Vec<String>,

    /// A second tool, which reads what the first has sent
    #[arg(long, value_name = "TOOL")]
    then: Option<String>,

    /// Runs per value
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,

    /// The longest that a run may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    time_limit: Duration,

    /// Where the services come from: embedded, local, external
    #[arg(long, value_name = "WHICH", default_value_t = ServiceOrigin::Embedded, value_parser = services_origin)]
    services: ServiceOrigin,

    /// Folder for latencies over time: a file TOOL-VALUE.csv for each valid run; files of an earlier
    /// sweep are replaced
    #[arg(long, value_name = "DIR", value_parser = place_of_folder())]
    latencies_dir: Option<PathBuf>,

    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "results", value_parser = place_of_folder())]
    pub(crate) results_dir: PathBuf,

    /// List the runs with their command lines and the time they take, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,

    /// More options of the tool, long ones such as `--record-size=1KiB`; those of the second tool begin
    /// with `--then.`, settings of a service with `--local.SERVICE.`
    #[arg(last = true, value_name = "OPTION")]
    more: Vec<String>,
}

/// A sweep as an experiment.
#[derive(Debug)]
pub(super) struct Sweep {
    /// The first part of the experiment's name.
    pub(super) name: String,
    pub(super) question: String,
    pub(super) tool: String,
    pub(super) subcommand: Option<String>,
    pub(super) then: Option<String>,
    /// The swept option and its values.
    pub(super) option: String,
    pub(super) values: Vec<Value>,
    /// The other options, which are the same in all runs.
    pub(super) options: Table,
    pub(super) services: ServiceOrigin,
    pub(super) repeats: u32,
    pub(super) time_limit: Duration,
    /// The folder for latencies over time, if there is one.
    pub(super) latencies_dir: Option<PathBuf>,
}

/// A range of whole numbers, with the options that it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) from: (&'static str, u64),
    pub(super) to: (&'static str, u64),
    pub(super) step: (&'static str, u64),
}

impl SweepArgs {
    /// The text of the experiment, and its plan.
    pub(crate) fn plan(&self) -> Result<(String, Plan)> {
        self.sweep()?.plan()
    }

    fn sweep(&self) -> Result<Sweep, UsageError> {
        let values = match (self.from, self.to, self.step) {
            (Some(from), Some(to), Some(step)) => {
                Range { from: ("--from", from), to: ("--to", to), step: ("--step", step) }
                    .values()?
            }
            _ => self.values.iter().map(|value| Value::from(value.as_str())).collect(),
        };
        let options = options(&self.more)?;
        if options.contains_key(&self.option) {
            let at = format!("--{} after `--`", self.option);
            return Err(UsageError::new(&at, "is the swept option", "leave it out"));
        }
        if self.time_limit.is_zero() {
            return Err(UsageError::new("--time-limit", "must be more than 0", "change it"));
        }
        Ok(Sweep {
            name: self.tool.clone(),
            question: format!("What does {} change for {}?", self.option, self.tool),
            tool: self.tool.clone(),
            subcommand: self.subcommand.clone(),
            then: self.then.clone(),
            option: self.option.clone(),
            values,
            options,
            services: self.services,
            repeats: self.repeats,
            time_limit: self.time_limit,
            latencies_dir: self.latencies_dir.clone(),
        })
    }
}

impl Sweep {
    /// The text of the experiment, and its plan.
    pub(super) fn plan(self) -> Result<(String, Plan)> {
        let latencies_dir = self.latencies_dir.as_ref().map(|dir| {
            // `resume` may run elsewhere.
            std::path::absolute(dir).with_context(|| format!("failed to find {}", dir.display()))
        });
        let latencies_dir = latencies_dir.transpose()?;
        let text = self.text();
        let plan = plan_text(&text, true).context("failed to plan the sweep")?;
        Ok((text, Plan { latencies_dir, ..plan }))
    }

    /// The experiment file.
    pub(super) fn text(self) -> String {
        let mut file = Table::new();
        let mut insert = |key: &str, value: Value| file.insert(key.to_owned(), value);
        insert("name", format!("{}{NAME_END}", self.name).into());
        insert("question", self.question.into());
        insert("tool", self.tool.into());
        if let Some(subcommand) = self.subcommand {
            insert("subcommand", subcommand.into());
        }
        insert("services", self.services.to_string().into());
        insert("repeats", i64::from(self.repeats).into());
        insert("time_limit", seconds(self.time_limit).into());
        insert("options", self.options.into());
        insert("matrix", Table::from_iter([(self.option, Value::Array(self.values))]).into());
        if let Some(then) = self.then {
            insert("then", Table::from_iter([("tool".to_owned(), then.into())]).into());
        }
        file.to_string()
    }
}

/// The name of the file with a run's latencies over time: `delta-70000.csv`.
pub(crate) fn latencies_file(plan: &Plan, run: PlannedRun) -> String {
    let cell = &plan.cells[run.cell];
    let values: Vec<String> = plan.columns.iter().filter_map(|column| cell.value(column)).collect();
    let mut name = plan.name.strip_suffix(NAME_END).unwrap_or(&plan.name).to_owned();
    for part in values {
        name = format!("{name}-{part}");
    }
    if plan.repeats() > 1 {
        name = format!("{name}-repeat-{}", run.repeat);
    }
    // The plan of a folder may be anybody's, and this becomes a part of a path.
    name.replace('/', "-") + ".csv"
}

impl Range {
    /// Its numbers, the last included when the steps reach it.
    pub(super) fn values(self) -> Result<Vec<Value>, UsageError> {
        let Self { from: (_, from), to: (to_option, to), step: (step_option, step) } = self;
        if to < from {
            let problem = format!("{to} is below the start of the range, {from}");
            return Err(UsageError::new(to_option, problem, "give the last value to measure"));
        }
        if step == 0 {
            let remedy = "for a single value use any number beyond the end";
            return Err(UsageError::new(step_option, "must be at least 1", remedy));
        }
        if (to - from) / step >= RUNS_MAX as u64 {
            let problem = format!("the range has more than {RUNS_MAX} values");
            return Err(UsageError::new(step_option, problem, "use a larger step"));
        }
        let mut values = Vec::new();
        let mut next = Some(from);
        while let Some(value) = next.filter(|value| *value <= to) {
            let whole = i64::try_from(value)
                .map_err(|_| UsageError::new(to_option, "is too large", "use a lower value"))?;
            values.push(Value::Integer(whole));
            next = value.checked_add(step);
        }
        Ok(values)
    }
}

/// A time as an experiment file has it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// Options as on a command line: `--name=value`, `--name value`, or `--flag`.
pub(super) fn options(words: &[String]) -> Result<Table, UsageError> {
    let mut options = Table::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
            let remedy = "use long options of the tool, such as `--record-size=1KiB`";
            return Err(UsageError::new(&format!("`{word}` after `--`"), "not an option", remedy));
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Value::from(value)),
            None => match words.next_if(|next| !next.starts_with("--")) {
                Some(value) => (option, Value::from(value.as_str())),
                None => (option, Value::Boolean(true)),
            },
        };
        match options.get_mut(name) {
            None => {
                options.insert(name.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.clone(), value]),
        }
    }
    Ok(options)
}

/// Reads an origin of services.
pub(crate) fn services_origin(text: &str) -> Result<ServiceOrigin, &'static str> {
    ServiceOrigin::ALL
        .into_iter()
        .find(|origin| origin.to_string() == text)
        .ok_or("use embedded, local or external")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::file::experiment::Experiment;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sweep: SweepArgs,
    }

    fn sweep(line: &str) -> Result<Experiment, String> {
        let words = std::iter::once("sweep").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let text = line.sweep.sweep().map_err(|error| error.to_string())?.text();
        Ok(Experiment::parse(&text).expect("an experiment"))
    }

    fn range(from: u64, to: u64, step: u64) -> Result<Vec<Value>, String> {
        let range = Range { from: ("--from", from), to: ("--to", to), step: ("--step", step) };
        range.values().map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_include_an_end_that_steps_reach() {
        let values = |from, to, step| range(from, to, step).expect("a range");
        let integers =
            |values: &[i64]| values.iter().copied().map(Value::Integer).collect::<Vec<_>>();
        assert_eq!(values(10_000, 30_000, 10_000), integers(&[10_000, 20_000, 30_000]));
        assert_eq!(values(10_000, 29_999, 10_000), integers(&[10_000, 20_000]));
        assert_eq!(values(70_000, 70_000, 1), integers(&[70_000]));
        assert_eq!(values(5, 6, u64::MAX), integers(&[5]));
    }

    #[test]
    fn endless_and_empty_ranges_are_refused() {
        let refusal = |from, to, step| range(from, to, step).expect_err("refused");
        assert!(refusal(5, 4, 1).starts_with("--to: 4 is below"), "{}", refusal(5, 4, 1));
        assert!(refusal(1, 5, 0).starts_with("--step: must be"), "{}", refusal(1, 5, 0));
        assert!(refusal(1, u64::MAX, 1).contains("more than 10000 values"));
    }

    #[test]
    fn sweeps_are_experiments() {
        let line = "kafka-prodcon --option rate --from 1k --to 2k --step 1k --repeats 2 \
                    --services local --then reader -- --record-size 1KiB --idempotent --tag=a \
                    --tag b --then.drain-timeout=5s --local.kafka.brokers=3";
        let experiment = sweep(line).expect("an experiment");
        let of = |name: &str| format!("{:?}", experiment.values(name).collect::<Vec<_>>());
        assert_eq!(experiment.name, "kafka-prodcon-sweep");
        assert_eq!((experiment.services, experiment.repeats.max), (ServiceOrigin::Local, 2));
        assert_eq!(experiment.then.as_ref().map(|then| then.tool.as_str()), Some("reader"));
        assert_eq!(of("rate"), r#"[Text("1000"), Text("2000")]"#);
        assert_eq!(of("record-size"), r#"[Text("1KiB")]"#);
        assert_eq!(of("idempotent"), "[Flag(true)]");
        assert_eq!(of("tag"), r#"[Many(["a", "b"])]"#);
        assert_eq!(of("then.drain-timeout"), r#"[Text("5s")]"#);
        assert_eq!(of("local.kafka.brokers"), r#"[Text("3")]"#);
        let listed = sweep("t --option acks --values 1,all").expect("an experiment");
        assert_eq!(listed.matrix[0].1.len(), 2);
    }

    #[test]
    fn sweeps_without_values_and_repeated_options_are_refused() {
        assert!(sweep("t --option rate").is_err());
        assert!(sweep("t --option rate --from 1 --to 2").is_err());
        let twice = sweep("t --option rate --values 1 -- --rate 5").expect_err("twice");
        assert!(twice.starts_with("--rate after `--`: is the swept option"), "{twice}");
        let short = sweep("t --option rate --values 1 -- -p 5").expect_err("short");
        assert!(short.starts_with("`-p` after `--`: not an option"), "{short}");
    }
}
