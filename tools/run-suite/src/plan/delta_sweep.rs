//! `run-suite delta-sweep`: the old spelling of a sweep over the rates of a Delta Lake table that is
//! used as a queue, with its own options and defaults.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bench_cli::quantity::{parse_count, parse_duration};
use bench_cli::{MetricsArgs, UsageError, place_of_folder};
use bench_record::ServiceOrigin;
use clap::{Args, ValueEnum};
use toml::Table;

use super::experiment_plan::{Plan, RUN_PLACEHOLDER};
use super::sweep::{Range, Sweep, options, seconds, services_origin};

/// The tool that measures every rate.
const TOOL: &str = "delta-producer";

/// The option that is swept.
const RATE: &str = "rate";

/// Time that a run may take beyond its schedule, for connecting and for the last commits.
const REST_OF_RUN: Duration = Duration::from_mins(2);

/// Options that name a service of the user's own.
const NAMING_OPTIONS: [&str; 3] = ["lake-path", "bucket", "endpoint-url"];

/// Options of the Delta sweep.
#[derive(Debug, Args)]
pub(crate) struct DeltaSweepArgs {
    /// First rate, messages per second
    #[arg(long, value_name = "N", alias = "range_start", value_parser = parse_count)]
    range_start: u64,

    /// Last rate, which is measured if the steps reach it
    #[arg(long, value_name = "N", alias = "range_end", value_parser = parse_count)]
    range_end: u64,

    /// Difference between two rates
    #[arg(long, value_name = "N", alias = "range_step", value_parser = parse_count)]
    range_step: u64,

    /// Time per rate
    #[arg(
        long,
        value_name = "TIME",
        alias = "seconds_to_stream",
        default_value = "300s",
        value_parser = parse_duration
    )]
    seconds_to_stream: Duration,

    /// Kind of S3 credentials and addresses: Amazon's, or those of `MinIO`
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

    /// Folder of the tables, one per rate [default: the embedded S3]
    #[arg(long, value_name = "URI|PATH", alias = "lake_path")]
    lake_path: Option<String>,

    /// Where S3 comes from: embedded, local, external [default: external with a lake path, a bucket or
    /// an endpoint, else embedded]
    #[arg(long, value_name = "WHICH", value_parser = services_origin)]
    services: Option<ServiceOrigin>,

    /// Folder for latencies over time, a file `delta-RATE.csv` per rate; files of an earlier sweep are
    /// replaced
    #[arg(long, value_name = "DIR", alias = "output_dir", default_value = "benchmark-results", value_parser = place_of_folder())]
    output_dir: PathBuf,

    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "results", value_parser = place_of_folder())]
    pub(crate) results_dir: PathBuf,

    /// List the runs with their command lines and the time they take, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,

    /// More options of delta-producer, long ones, as `--record-size=1KiB`
    #[arg(last = true, value_name = "OPTION")]
    more: Vec<String>,
}

/// Kind of S3 credentials and addresses.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum S3Backend {
    S3,
    Minio,
}

impl DeltaSweepArgs {
    /// The text of the experiment, and its plan.
    pub(crate) fn plan(&self) -> Result<(String, Plan)> {
        self.sweep()?.plan()
    }

    fn sweep(&self) -> Result<Sweep, UsageError> {
        let range = Range {
            from: ("--range-start", self.range_start),
            to: ("--range-end", self.range_end),
            step: ("--range-step", self.range_step),
        };
        let refuse_zero = |option: &str, is_zero: bool| {
            let remedy = "use a higher value";
            let error = UsageError::new(option, "must be more than 0", remedy);
            if is_zero { Err(error) } else { Ok(()) }
        };
        refuse_zero("--range-start", self.range_start == 0)?;
        refuse_zero("--seconds-to-stream", self.seconds_to_stream.is_zero())?;
        let options = self.options()?;
        let is_named = NAMING_OPTIONS.iter().any(|name| options.contains_key(*name));
        let services = self.services.unwrap_or(if is_named {
            ServiceOrigin::External
        } else {
            ServiceOrigin::Embedded
        });
        let (start, end) = (self.range_start, self.range_end);
        let question = format!(
            "How late do messages arrive through a Delta table at {start} to {end} per second?"
        );
        Ok(Sweep {
            name: "delta".to_owned(),
            question,
            tool: TOOL.to_owned(),
            subcommand: None,
            then: None,
            option: RATE.to_owned(),
            values: range.values()?,
            options,
            services,
            repeats: 1,
            time_limit: self.seconds_to_stream.saturating_add(REST_OF_RUN),
            latencies_dir: Some(self.output_dir.clone()),
        })
    }

    /// The options that are the same at all rates.
    fn options(&self) -> Result<Table, UsageError> {
        let mut all = Table::new();
        all.insert("duration".to_owned(), seconds(self.seconds_to_stream).into());
        all.insert(
            "commit-interval".to_owned(),
            format!("{}ms", self.autocommit_duration_ms).into(),
        );
        if let Some(backend) = self.s3_backend.and_then(|backend| backend.to_possible_value()) {
            all.insert("s3-backend".to_owned(), backend.get_name().into());
        }
        all.insert("follow".to_owned(), true.into());
        if let Some(path) = &self.lake_path {
            let path = path.trim_end_matches('/');
            all.insert("lake-path".to_owned(), format!("{path}/{RUN_PLACEHOLDER}").into());
        }
        for (name, value) in options(&self.more)? {
            if all.contains_key(&name) || name == RATE {
                let remedy = "leave it out, or use the sweep's own option for it";
                let at = format!("--{name} after `--`");
                return Err(UsageError::new(&at, "is set by delta-sweep", remedy));
            }
            all.insert(name, value);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::file::experiment::Experiment;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sweep: DeltaSweepArgs,
    }

    fn experiment(line: &str) -> Result<Experiment, String> {
        let words = std::iter::once("delta-sweep").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).expect("a command line").sweep;
        let text = args.sweep().map_err(|error| error.to_string())?.text();
        Ok(Experiment::parse(&text).expect("an experiment"))
    }

    #[test]
    fn rates_and_times_of_zero_are_refused() {
        let error = experiment("--range-start 0 --range-end 5 --range-step 1").expect_err("0");
        assert!(error.starts_with("--range-start: "), "{error}");
        let no_time = "--range-start 1 --range-end 1 --range-step 1 --seconds-to-stream 0";
        let error = experiment(no_time).expect_err("no time");
        assert!(error.starts_with("--seconds-to-stream: "), "{error}");
    }

    #[test]
    fn old_command_lines_are_experiments_over_rates() {
        let line = "--range-start 10000 --range-end 20000 --range-step 10000 \
                    --seconds-to-stream 300 --s3-backend minio --autocommit-duration-ms 100 \
                    --lake-path s3://bucket/bench/ -- --record-size 1KiB --bind-all --tag=a --tag b";
        let experiment = experiment(line).expect("an experiment");
        let of = |name: &str| format!("{:?}", experiment.values(name).collect::<Vec<_>>());
        assert_eq!(experiment.name, "delta-sweep");
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
    fn sweeps_are_embedded_by_default_and_keep_their_options() {
        let line = "--range-start 1 --range-end 1 --range-step 1";
        let parsed = experiment(line).expect("an experiment");
        assert_eq!(parsed.services, ServiceOrigin::Embedded);
        assert_eq!(parsed.values("lake-path").count(), 0);
        for (more, problem) in [
            ("-- --rate 5", "--rate after `--`: is set by delta-sweep"),
            ("-- --duration=5s", "--duration after `--`: is set by delta-sweep"),
            ("-- -p 5", "`-p` after `--`: not an option"),
        ] {
            let error = experiment(&format!("{line} {more}")).expect_err("refused");
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
