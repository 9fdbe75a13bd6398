//! `run-suite delta-sweep`: what a Delta Lake table used as a queue does at one rate after another.
//!
//! The sweep is an experiment like any other, made here instead of read from a file. Beside its
//! result folders every rate leaves a table of its latencies over time, `delta-RATE.csv`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bench_cli::quantity::{parse_count, parse_duration};
use bench_cli::{UsageError, quantity};
use bench_core::results::windows::{WindowLength, windows, write_csv};
use bench_core::results::{RunDocument, ServiceOrigin};
use bench_core::system::replace_file;
use clap::{Args, ValueEnum};
use toml::{Table, Value};

use crate::plan::experiment_plan::{Cell, Plan, RUN_PLACEHOLDER, RUNS_MAX};
use crate::run::folder::set_aside;
use crate::run::verdict::RunStatus;
use crate::{plan_file, services_origin};

/// The tool that every rate is measured with.
const TOOL: &str = "delta-producer";

/// The option that is swept.
const RATE: &str = "rate";

/// What a run may take beyond its schedule: for connecting, and for what is not committed yet.
const REST_OF_RUN: Duration = Duration::from_mins(2);

/// The windows of the tables.
const WINDOW: WindowLength = WindowLength::Time(Duration::from_secs(1));

/// Options that name a service of the user's own.
const NAMING_OPTIONS: [&str; 3] = ["lake-path", "bucket", "endpoint-url"];

/// Options of the sweep.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// First rate, messages a second
    #[arg(long, value_name = "N", alias = "range_start", value_parser = parse_count)]
    range_start: u64,

    /// Last rate, which is measured, too
    #[arg(long, value_name = "N", alias = "range_end", value_parser = parse_count)]
    range_end: u64,

    /// From one rate to the next
    #[arg(long, value_name = "N", alias = "range_step", value_parser = parse_count)]
    range_step: u64,

    /// Time for which each rate is sent
    #[arg(
        long,
        value_name = "TIME",
        alias = "seconds_to_stream",
        default_value = "300s",
        value_parser = parse_duration
    )]
    seconds_to_stream: Duration,

    /// Keys and addresses as Amazon S3 has them, or as `MinIO` has
    #[arg(long, value_enum, value_name = "WHICH", alias = "s3_backend")]
    s3_backend: Option<S3Backend>,

    /// Time between two commits, milliseconds
    #[arg(
        long,
        value_name = "MS",
        alias = "autocommit_duration_ms",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=3_600_000)
    )]
    autocommit_duration_ms: u64,

    /// Where the tables are made, one for each rate [default: what is embedded]
    #[arg(long, value_name = "URI|PATH", alias = "lake_path")]
    lake_path: Option<String>,

    /// Where S3 comes from: embedded, local, external [default: external with a lake path, a bucket or
    /// an endpoint, else embedded]
    #[arg(long, value_name = "WHICH", value_parser = services_origin)]
    services: Option<ServiceOrigin>,

    /// Folder for the latencies over time, `delta-RATE.csv` each; tables of an earlier sweep are
    /// replaced
    #[arg(long, value_name = "DIR", alias = "output_dir", default_value = "benchmark-results")]
    output_dir: PathBuf,

    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) results_dir: PathBuf,

    /// Only list the runs, with their command lines and the time they take
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// More options of delta-producer, long ones, as `--record-size=1KiB`
    #[arg(last = true, value_name = "OPTION")]
    more: Vec<String>,
}

/// Whose keys and addresses.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum S3Backend {
    S3,
    Minio,
}

/// The experiment that the options ask for: its file, and its plan.
pub(crate) fn planned(args: &SweepArgs) -> Result<(String, Plan)> {
    let text = experiment(args)?;
    let mut plan = plan_file(&text).context("failed to plan the sweep")?;
    // `resume` may run elsewhere.
    let output_dir = std::path::absolute(&args.output_dir)
        .with_context(|| format!("failed to find {}", args.output_dir.display()))?;
    plan.latencies_dir = Some(output_dir);
    Ok((text, plan))
}

fn experiment(args: &SweepArgs) -> Result<String, UsageError> {
    let rates = Value::Array(rates(args)?.into_iter().map(Value::Integer).collect());
    let mut options = Table::new();
    options.insert("duration".to_owned(), seconds(args.seconds_to_stream)?.into());
    options
        .insert("commit-interval".to_owned(), format!("{}ms", args.autocommit_duration_ms).into());
    if let Some(backend) = args.s3_backend.and_then(|backend| backend.to_possible_value()) {
        options.insert("s3-backend".to_owned(), backend.get_name().into());
    }
    options.insert("follow".to_owned(), true.into());
    if let Some(path) = &args.lake_path {
        let path = path.trim_end_matches('/');
        options.insert("lake-path".to_owned(), format!("{path}/{RUN_PLACEHOLDER}").into());
    }
    for (name, value) in more_options(&args.more)? {
        if options.contains_key(&name) || name == RATE {
            let remedy = "leave it out: delta-sweep sets it, or has an option of its own for it";
            return Err(UsageError::new(&format!("--{name} after `--`"), "given twice", remedy));
        }
        options.insert(name, value);
    }
    let is_named = NAMING_OPTIONS.iter().any(|name| options.contains_key(*name));
    let services = args.services.unwrap_or(if is_named {
        ServiceOrigin::External
    } else {
        ServiceOrigin::Embedded
    });
    let (start, end) = (args.range_start, args.range_end);
    let question =
        format!("How late do messages arrive through a Delta table at {start} to {end} a second?");
    let limit = args.seconds_to_stream.saturating_add(REST_OF_RUN);
    let mut file = Table::new();
    file.insert("name".to_owned(), "delta-sweep".into());
    file.insert("question".to_owned(), question.into());
    file.insert("tool".to_owned(), TOOL.into());
    file.insert("services".to_owned(), services.to_string().into());
    file.insert("time_limit".to_owned(), seconds(limit)?.into());
    file.insert("options".to_owned(), options.into());
    file.insert("matrix".to_owned(), Table::from_iter([(RATE.to_owned(), rates)]).into());
    Ok(file.to_string())
}

/// The rates, the end included when the steps reach it.
fn rates(args: &SweepArgs) -> Result<Vec<i64>, UsageError> {
    let SweepArgs { range_start, range_end, range_step, .. } = *args;
    let refuse =
        |option: &str, problem: String, remedy: &str| Err(UsageError::new(option, problem, remedy));
    if range_start == 0 {
        return refuse(
            "--range-start",
            "0 messages a second are no load".to_owned(),
            "name at least 1",
        );
    }
    if range_end < range_start {
        let problem = format!("{range_end} is below the start of the range, {range_start}");
        return refuse("--range-end", problem, "name the last rate that is to be measured");
    }
    if range_step == 0 {
        let remedy = "name at least 1; for a single rate any number that goes beyond the end";
        return refuse("--range-step", "steps of 0 never come to the end".to_owned(), remedy);
    }
    if (range_end - range_start) / range_step >= RUNS_MAX as u64 {
        let problem = format!("the range holds more than {RUNS_MAX} rates");
        return refuse("--range-step", problem, "name a larger one");
    }
    let mut rates = Vec::new();
    let mut next = Some(range_start);
    while let Some(rate) = next.filter(|rate| *rate <= range_end) {
        let whole = i64::try_from(rate);
        rates.push(whole.map_err(|_| {
            UsageError::new("--range-end", "no machine sends that many", "name a lower rate")
        })?);
        next = rate.checked_add(range_step);
    }
    Ok(rates)
}

fn seconds(duration: Duration) -> Result<String, UsageError> {
    if duration.is_zero() {
        let remedy = "name the seconds that each rate is sent for";
        return Err(UsageError::new("--seconds-to-stream", "nothing is sent in 0 s", remedy));
    }
    Ok(format!("{}s", duration.as_secs_f64()))
}

/// Options as they stand on a command line: `--name=value`, `--name value`, or `--flag`.
fn more_options(words: &[String]) -> Result<Vec<(String, Value)>, UsageError> {
    let mut options: Vec<(String, Value)> = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
            let remedy = format!("give long options of {TOOL}, such as `--record-size=1KiB`");
            return Err(UsageError::new(&format!("`{word}` after `--`"), "no option", remedy));
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Value::from(value)),
            None => match words.next_if(|next| !next.starts_with("--")) {
                Some(value) => (option, Value::from(value.as_str())),
                None => (option, Value::Boolean(true)),
            },
        };
        match options.iter_mut().find(|(known, _)| known == name) {
            None => options.push((name.to_owned(), value)),
            Some((_, Value::Array(values))) => values.push(value),
            Some((_, first)) => *first = Value::Array(vec![first.clone(), value]),
        }
    }
    Ok(options)
}

/// Leaves the latencies of a run that has come to its end in the folder of the sweep.
pub(crate) fn export(
    latencies_dir: &Path,
    cell: &Cell,
    run_dir: &Path,
    status: RunStatus,
    document: Option<&RunDocument>,
) -> Result<()> {
    let label = &cell.label;
    // The plan of a folder may be anybody's, and this becomes a part of a path.
    let rate = cell.value(RATE).unwrap_or_default().replace('/', "-");
    let path = latencies_dir.join(format!("delta-{rate}.csv"));
    let leave_out = |why: &str| {
        tracing::warn!("{label}: {why}, {} is not written", path.display());
        // What an earlier run has left there would pass for this one's.
        set_aside(&path)
    };
    if status != RunStatus::Complete {
        return leave_out("the run does not count");
    }
    let failed = || format!("failed to write {}; name another --output-dir", path.display());
    let windows = windows(run_dir, WINDOW)?;
    if windows.is_empty() {
        return leave_out("nothing was received after the warm-up");
    }
    fs::create_dir_all(latencies_dir).with_context(failed)?;
    replace_file(&path, |file| write_csv(&windows, file)).with_context(failed)?;
    tracing::info!("{label}: latencies over time in {}", path.display());
    let check = document.and_then(|document| document.summary.as_ref()?.self_check.as_ref());
    if let Some(check) = check.filter(|check| !check.kept_schedule) {
        tracing::warn!(
            "{label}: the schedule was not held: 99 of 100 messages left up to {} late, {} not at all",
            quantity::duration_ns(check.lag_p99_ns),
            quantity::count(check.unsent),
        );
    }
    Ok(())
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

    fn args(line: &str) -> SweepArgs {
        let words = std::iter::once("delta-sweep").chain(line.split_whitespace());
        Line::try_parse_from(words).expect("a command line").sweep
    }

    fn range(start: u64, end: u64, step: u64) -> SweepArgs {
        args(&format!("--range-start {start} --range-end {end} --range-step {step}"))
    }

    #[test]
    fn the_end_is_included_when_the_steps_reach_it() {
        let rates = |start, end, step| super::rates(&range(start, end, step)).expect("a range");
        assert_eq!(rates(10_000, 30_000, 10_000), [10_000, 20_000, 30_000]);
        assert_eq!(rates(10_000, 29_999, 10_000), [10_000, 20_000]);
        assert_eq!(rates(70_000, 70_000, 1), [70_000]);
        assert_eq!(rates(5, 6, u64::MAX), [5]);
    }

    #[test]
    fn a_range_that_measures_nothing_or_never_ends_is_refused() {
        let refusal = |start, end, step| {
            super::rates(&range(start, end, step)).expect_err("no range").to_string()
        };
        assert!(refusal(0, 5, 1).starts_with("--range-start: "), "{}", refusal(0, 5, 1));
        assert!(refusal(5, 4, 1).starts_with("--range-end: 4 is below"), "{}", refusal(5, 4, 1));
        assert!(refusal(1, 5, 0).starts_with("--range-step: "), "{}", refusal(1, 5, 0));
        assert!(refusal(1, u64::MAX, 1).contains("more than 10000 rates"));
        let no_time = args("--range-start 1 --range-end 1 --range-step 1 --seconds-to-stream 0");
        let error = experiment(&no_time).expect_err("no time").to_string();
        assert!(error.starts_with("--seconds-to-stream: "), "{error}");
    }

    #[test]
    fn an_old_command_line_makes_an_experiment_over_the_rates() {
        let line = "--range-start 10000 --range-end 20000 --range-step 10000 \
                    --seconds-to-stream 300 --s3-backend minio --autocommit-duration-ms 100 \
                    --lake-path s3://bucket/bench/ -- --record-size 1KiB --bind-all --tag=a --tag b";
        let text = experiment(&args(line)).expect("a file");
        let experiment = Experiment::parse(&text).expect("an experiment");
        let of = |name: &str| format!("{:?}", experiment.values(name).collect::<Vec<_>>());
        assert_eq!(experiment.tool, "delta-producer");
        assert_eq!(experiment.services, ServiceOrigin::External);
        assert_eq!(experiment.time_limit, Duration::from_mins(5 + 2));
        assert_eq!(of("rate"), r#"[Text("10000"), Text("20000")]"#);
        assert_eq!(of("duration"), r#"[Text("300s")]"#);
        assert_eq!(of("commit-interval"), r#"[Text("100ms")]"#);
        assert_eq!(of("s3-backend"), r#"[Text("minio")]"#);
        assert_eq!(of("lake-path"), r#"[Text("s3://bucket/bench/{run}")]"#);
        assert_eq!(of("follow"), "[Flag(true)]");
        assert_eq!(of("record-size"), r#"[Text("1KiB")]"#);
        assert_eq!(of("bind-all"), "[Flag(true)]");
        assert_eq!(of("tag"), r#"[Many(["a", "b"])]"#);
    }

    #[test]
    fn without_a_place_it_is_embedded_and_what_the_sweep_sets_is_not_set_again() {
        let line = "--range-start 1 --range-end 1 --range-step 1";
        let text = experiment(&args(line)).expect("a file");
        let parsed = Experiment::parse(&text).expect("an experiment");
        assert_eq!(parsed.services, ServiceOrigin::Embedded);
        assert_eq!(parsed.values("lake-path").count(), 0);
        for (more, problem) in [
            ("-- --rate 5", "--rate after `--`: given twice"),
            ("-- --duration=5s", "--duration after `--`: given twice"),
            ("-- -p 5", "`-p` after `--`: no option"),
        ] {
            let error = experiment(&args(&format!("{line} {more}"))).expect_err("refused");
            assert!(error.to_string().starts_with(problem), "{error}");
        }
    }

    #[test]
    fn a_run_that_does_not_count_leaves_no_table_of_another_in_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("delta-500.csv");
        let options =
            vec![(RATE.to_owned(), crate::file::experiment::OptionValue::Text("500".to_owned()))];
        let cell = Cell {
            name: None,
            label: "rate=500".to_owned(),
            options,
            then: Vec::new(),
            lambda: Vec::new(),
        };
        // One that is valid, and has no latency outside its warm-up.
        let run_dir = folder.path().join("run");
        fs::create_dir(&run_dir).expect("a folder");
        fs::write(run_dir.join("intervals.csv"), "").expect("written");
        for (number, status) in [(1, RunStatus::Invalid), (2, RunStatus::Complete)] {
            let kept = format!("of an earlier sweep {number}");
            fs::write(&table, &kept).expect("written");
            export(folder.path(), &cell, &run_dir, status, None).expect("left out");
            assert!(!table.exists(), "{status:?}");
            let aside = folder.path().join(format!("delta-500.csv.aside-{number}"));
            assert_eq!(fs::read_to_string(aside).expect("kept"), kept);
        }
    }
}
