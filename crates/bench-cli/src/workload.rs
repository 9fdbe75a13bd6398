//! The workload: the options shared by all producing tools, and what they describe.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bench_core::clock::{Clock as _, SystemClock, duration_ns};
use bench_core::engine::Timeline;
use bench_core::message::{
    Content, KeyDistribution, MessageError, MessageFormat, MessageSpec, RecordFile, RecordFormat,
    SizeDistribution,
};
use bench_core::pacing::{Limit, Schedule};
use clap::{Args, ValueEnum};

use crate::UsageError;
use crate::quantity::{parse_count, parse_duration, parse_rate, parse_share};
use crate::spec::{
    ScheduleShape, parse_compressibility, parse_key, parse_record_size, parse_schedule,
};

/// Heading of these options in `--help`. Set on each of them, since a heading on the struct would
/// also apply to options that a tool flattens after it.
const HEADING: &str = "Workload";

/// Time between setup and the first message, in which the threads start.
const START_DELAY_NS: u64 = 20_000_000;

/// The options that describe a workload; flatten them into a tool's options.
#[derive(Debug, Clone, Args)]
pub struct WorkloadArgs {
    /// Total number of messages to send, divided among the producers
    #[arg(
        help_heading = HEADING,
        short = 'n',
        long,
        value_name = "COUNT",
        value_parser = parse_count,
        allow_negative_numbers = true,
        aliases = ["num_records", "num-records"],
        conflicts_with = "duration"
    )]
    pub messages: Option<u64>,

    /// How long to send, instead of --messages: 30s, 1m30s
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        allow_negative_numbers = true
    )]
    pub duration: Option<Duration>,

    /// Size of each message, including the header: 100, 1KiB, uniform:50..1KiB
    ///
    /// One size, or a distribution of sizes: uniform:50..1KiB, normal:mean=1KiB,sd=200,
    /// lognormal:median=500,sigma=1.0, weighted:100=0.7,1KiB=0.3.
    #[arg(
        help_heading = HEADING,
        short = 'r',
        long,
        value_name = "SIZE",
        value_parser = parse_record_size,
        allow_negative_numbers = true,
        default_value = "100",
        alias = "record_size"
    )]
    pub record_size: SizeDistribution,

    /// Messages per second across all producers: 1000, 10k/s [default: unlimited]
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "RATE",
        value_parser = parse_rate,
        allow_negative_numbers = true
    )]
    pub rate: Option<f64>,

    /// Shape of the load: constant, poisson, ramp:FROM, ramp:FROM:OVER, burst:SIZE
    ///
    /// All but constant need --rate. A ramp changes the rate from FROM to --rate within OVER (by
    /// default within --duration) and then keeps it. A burst is SIZE messages due at once, and
    /// --rate is the mean.
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "SHAPE",
        value_parser = parse_schedule,
        default_value = "constant"
    )]
    pub schedule: ScheduleShape,

    /// Time before --duration in which messages are sent and audited, but not measured
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        allow_negative_numbers = true,
        default_value = "0s"
    )]
    pub warm_up: Duration,

    /// Message keys: none, round-robin:K, uniform:K, zipf:K, zipf:K:EXPONENT
    ///
    /// K is the number of keys. The default exponent of zipf is 0.99.
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "KEYS",
        value_parser = parse_key,
        default_value = "none"
    )]
    pub key: KeyDistribution,

    /// Share of the payload that compression removes, 0 to 1
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "SHARE",
        value_parser = parse_compressibility,
        allow_negative_numbers = true,
        default_value = "0",
        conflicts_with = "input"
    )]
    pub compressibility: f64,

    /// Message format
    #[arg(help_heading = HEADING, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: FormatArg,

    /// File whose records are sent repeatedly, instead of generated payloads
    #[arg(help_heading = HEADING, long, value_name = "FILE", conflicts_with = "record_size")]
    pub input: Option<PathBuf>,

    /// What a record of the input file is [default: from its extension]
    #[arg(help_heading = HEADING, long, value_enum, value_name = "FORMAT", requires = "input")]
    pub input_format: Option<InputFormat>,

    /// Share of messages that may go unacknowledged before the run is INVALID: 1%, 0.01
    ///
    /// Counts messages that are unacknowledged when the run ends, those that timed out, and due
    /// messages for which these left no room. Messages that the system refused do not count.
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "SHARE",
        value_parser = parse_share,
        allow_negative_numbers = true,
        default_value = "1%"
    )]
    pub unanswered_max: f64,

    /// Random seed: the same seed sends the same messages
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    pub seed: u64,
}

/// Message formats, as named by `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Binary header, then the payload
    #[default]
    Binary,
    /// One JSON object with header fields and payload
    Json,
    /// The same, with the fields of a click-stream event: user, kind, value
    Event,
    /// The payload alone: no latency, no audit
    Raw,
}

impl From<FormatArg> for MessageFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Binary => Self::Binary,
            FormatArg::Json => Self::Json,
            FormatArg::Event => Self::Event,
            FormatArg::Raw => Self::Raw,
        }
    }
}

/// Formats of record files, as named by `--input-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Each line
    Lines,
    /// Each line, which must be JSON
    JsonLines,
    /// Each element of a JSON array
    Json,
    /// Each row after the header row, as a JSON object
    Csv,
}

impl From<InputFormat> for RecordFormat {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Lines => Self::Lines,
            InputFormat::JsonLines => Self::JsonLines,
            InputFormat::Json => Self::Json,
            InputFormat::Csv => Self::Csv,
        }
    }
}

/// A validated workload.
#[derive(Debug, Clone)]
pub struct Workload {
    /// How much to send; absent if the command line leaves it to the tool.
    pub amount: Option<Amount>,
    /// When messages are due.
    pub schedule: Schedule,
    /// Time before the measured time, in which messages are sent and audited, but not measured.
    pub warm_up: Duration,
    /// The messages; [`MessageSpec::validate`] has passed.
    pub messages: MessageSpec,
    /// Maximum share of messages that may go unacknowledged, 0 to 1.
    pub unanswered_max: f64,
}

impl Workload {
    /// When producers stop; `amount_default` applies if the command line leaves it to the tool.
    #[must_use]
    pub fn limit(&self, amount_default: Amount) -> Limit {
        match self.amount.unwrap_or(amount_default) {
            Amount::Messages(messages) => Limit::Messages(messages),
            Amount::Duration(duration) => {
                let warm_up_ns = duration_ns(self.warm_up);
                Limit::DurationNs(warm_up_ns.saturating_add(duration_ns(duration)))
            }
        }
    }

    /// The timeline of a run that is about to start, divided into intervals of `interval_ns`.
    #[must_use]
    pub fn timeline(&self, clock: SystemClock, interval_ns: u64) -> Timeline {
        let start_ns = clock.now_ns() + START_DELAY_NS;
        let warm_up_end_ns = start_ns.saturating_add(duration_ns(self.warm_up));
        Timeline { start_ns, warm_up_end_ns, interval_ns }
    }
}

/// How much a run sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// This many messages across all producers, at least 1.
    Messages(u64),
    /// For this long, above 0.
    Duration(Duration),
}

impl WorkloadArgs {
    /// Checks that the options fit together, and reads the file of `--input`. Options that do not
    /// fit, and an unreadable file, are a [`UsageError`].
    pub fn workload(&self) -> Result<Workload> {
        let amount = self.amount()?;
        let schedule = self.schedule()?;
        let messages = MessageSpec {
            format: self.format.into(),
            content: self.content()?,
            keys: self.key,
            seed: self.seed,
        };
        messages.validate().map_err(|error| message_error(&error))?;
        let (warm_up, unanswered_max) = (self.warm_up, self.unanswered_max);
        Ok(Workload { amount, schedule, warm_up, messages, unanswered_max })
    }

    fn amount(&self) -> Result<Option<Amount>, UsageError> {
        match (self.messages, self.duration) {
            (Some(0), _) => Err(UsageError::new("--messages", "0 is too few", "use at least 1")),
            (_, Some(Duration::ZERO)) => {
                Err(UsageError::new("--duration", "0 is too short", "use a time like 30s"))
            }
            (messages, duration) => {
                Ok(messages.map(Amount::Messages).or(duration.map(Amount::Duration)))
            }
        }
    }

    fn schedule(&self) -> Result<Schedule, UsageError> {
        let Some(rate_per_s) = self.rate else {
            return match self.schedule {
                ScheduleShape::Constant => Ok(Schedule::Unpaced),
                _ => Err(UsageError::new(
                    "--schedule",
                    "this schedule needs a rate",
                    "add one, as in --rate 10k/s",
                )),
            };
        };
        let schedule = match self.schedule {
            ScheduleShape::Constant => Schedule::Constant { rate_per_s },
            ScheduleShape::Poisson => Schedule::Poisson { rate_per_s },
            ScheduleShape::Burst { size } => Schedule::Burst { rate_per_s, size },
            ScheduleShape::Ramp { from_per_s, over } => Schedule::Ramp {
                from_per_s,
                to_per_s: rate_per_s,
                over_ns: ramp_length_ns(over.or(self.duration))?,
            },
        };
        let valid = schedule.validate();
        let remedy = "see --help for the forms";
        valid.map_err(|error| UsageError::new("--schedule", error, remedy))?;
        Ok(schedule)
    }

    fn content(&self) -> Result<Content> {
        let Some(path) = &self.input else {
            let (sizes, compressibility) = (self.record_size.clone(), self.compressibility);
            return Ok(Content::Generated { sizes, compressibility });
        };
        let records = RecordFile::load(path, self.record_format(path)).map_err(|error| {
            UsageError::from_library(format!("{:#}", anyhow::Error::from(error).context("--input")))
        })?;
        Ok(Content::Records(Arc::new(records)))
    }

    fn record_format(&self, path: &Path) -> RecordFormat {
        self.input_format.map_or_else(|| RecordFormat::from_path(path), Into::into)
    }
}

fn message_error(error: &MessageError) -> UsageError {
    let option = match error {
        MessageError::Size(_) => "--record-size",
        MessageError::Payload(_) => "--compressibility",
        MessageError::Key(_) => "--key",
        MessageError::Producers { .. } => "--producers",
    };
    UsageError::from_library(format!("{option}: {error}"))
}

fn ramp_length_ns(over: Option<Duration>) -> Result<u64, UsageError> {
    let over = over.ok_or_else(|| {
        let remedy = "add one, as in ramp:1k/s:30s, or use --duration instead of --messages";
        UsageError::new("--schedule", "the ramp needs a length", remedy)
    })?;
    Ok(duration_ns(over))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Tool {
        #[command(flatten)]
        workload: WorkloadArgs,
    }

    fn parse(args: &str) -> Result<WorkloadArgs, clap::Error> {
        let args = ["tool"].into_iter().chain(args.split_whitespace());
        Tool::try_parse_from(args).map(|tool| tool.workload)
    }

    fn workload(args: &str) -> Workload {
        parse(args).expect(args).workload().expect(args)
    }

    /// The size of the messages and their compressibility.
    fn generated(args: &str) -> (SizeDistribution, f64) {
        match workload(args).messages.content {
            Content::Generated { sizes, compressibility } => (sizes, compressibility),
            Content::Records(_) => panic!("{args}: no records requested"),
        }
    }

    fn fixed(size_bytes: usize) -> SizeDistribution {
        SizeDistribution::Fixed { size_bytes }
    }

    /// The message of the usage error, wherever it is raised.
    fn refusal(args: &str) -> String {
        match parse(args) {
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                error.to_string()
            }
            Ok(parsed) => {
                let error = parsed.workload().expect_err(args);
                assert!(error.is::<UsageError>(), "{error}");
                error.to_string()
            }
        }
    }

    #[test]
    fn defaults_are_100_bytes_and_unlimited_rate() {
        let default = workload("");
        assert_eq!(default.amount, None);
        assert_eq!(default.schedule, Schedule::Unpaced);
        assert_eq!(default.warm_up, Duration::ZERO);
        assert_eq!(default.messages.format, MessageFormat::Binary);
        assert_eq!(default.messages.keys, KeyDistribution::None);
        assert_eq!(default.messages.seed, 0);
        assert_eq!(generated(""), (fixed(100), 0.0));
    }

    #[test]
    fn old_command_lines_keep_their_meaning() {
        for args in
            ["-n 40000 -r 50", "--num_records 40000 --record_size 50", "--num-records=40k -r=50"]
        {
            assert_eq!(workload(args).amount, Some(Amount::Messages(40_000)), "{args}");
            assert_eq!(generated(args), (fixed(50), 0.0), "{args}");
        }
    }

    #[test]
    fn schedules_take_their_rate_from_the_option() {
        let (rate_per_s, second_ns) = (10_000.0, 1_000_000_000);
        for (args, schedule) in [
            ("--rate 10k/s", Schedule::Constant { rate_per_s }),
            ("--rate 10k/s --schedule poisson", Schedule::Poisson { rate_per_s }),
            ("--rate 10k/s --schedule burst:50", Schedule::Burst { rate_per_s, size: 50 }),
            (
                "--rate 10k/s --schedule ramp:100:5s -n 1M",
                Schedule::Ramp { from_per_s: 100.0, to_per_s: rate_per_s, over_ns: 5 * second_ns },
            ),
            (
                "--rate 10k/s --schedule ramp:100 --duration 1m",
                Schedule::Ramp { from_per_s: 100.0, to_per_s: rate_per_s, over_ns: 60 * second_ns },
            ),
        ] {
            assert_eq!(workload(args).schedule, schedule, "{args}");
        }
    }

    #[test]
    fn other_options_reach_the_workload() {
        let args = "--duration 30s --warm-up 5s --key zipf:1k --compressibility 0.5 --format json \
                    --record-size uniform:1KiB..2KiB --seed 7";
        let with = workload(args);
        assert_eq!(with.amount, Some(Amount::Duration(Duration::from_secs(30))));
        assert_eq!(with.warm_up, Duration::from_secs(5));
        assert_eq!(with.messages.keys, KeyDistribution::Zipf { keys: 1_000, exponent: 0.99 });
        assert_eq!(with.messages.format, MessageFormat::Json);
        assert_eq!(with.messages.seed, 7);
        let sizes = SizeDistribution::Uniform { min_bytes: 1_024, max_bytes: 2_048 };
        assert_eq!(generated(args), (sizes, 0.5));
    }

    #[test]
    fn warm_up_precedes_the_requested_time() {
        let default = Amount::Messages(5);
        for (args, limit) in [
            ("--warm-up 2s", Limit::Messages(5)),
            ("--warm-up 2s -n 7", Limit::Messages(7)),
            ("--warm-up 2s --duration 3s", Limit::DurationNs(5_000_000_000)),
        ] {
            assert_eq!(workload(args).limit(default), limit, "{args}");
        }
        let (clock, interval_ns) = (SystemClock::new(), 100);
        let before_ns = clock.now_ns();
        let timeline = workload("--warm-up 2s").timeline(clock, interval_ns);
        assert!(timeline.start_ns > before_ns);
        assert_eq!(timeline.warm_up_end_ns - timeline.start_ns, 2_000_000_000);
        assert_eq!(timeline.interval_ns, interval_ns);
    }

    #[test]
    fn record_format_follows_extension_or_option() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let rows = [&b"title\nUlysses\n"[..], b"title\nUlysses\n"];
        let names = ["books.csv", "books.txt"];
        for (name, row) in names.iter().zip(rows) {
            std::fs::write(folder.path().join(name), row).expect("writes a file");
        }
        for (name, option, first) in [
            ("books.csv", "", r#"{"title":"Ulysses"}"#),
            ("books.csv", "--input-format lines", "title"),
            ("books.txt", "", "title"),
            ("books.txt", "--input-format csv", r#"{"title":"Ulysses"}"#),
        ] {
            let args = format!("--input {} {option}", folder.path().join(name).display());
            let Content::Records(records) = workload(&args).messages.content else {
                panic!("{args}: records requested");
            };
            assert_eq!(records.get(0), first.as_bytes(), "{args}");
        }
    }

    #[test]
    fn unreadable_files_are_named_with_their_option() {
        let parsed = parse("--input no-such-file.csv").expect("is well-formed");
        let error = parsed.workload().expect_err("no such file");
        assert!(error.is::<UsageError>());
        let text = format!("{error:#}");
        assert!(text.starts_with("--input: ") && text.contains("no-such-file.csv"), "{text}");
    }

    #[test]
    fn conflicting_options_are_refused_by_name() {
        for (args, name) in [
            ("-n 0", "--messages"),
            ("-n -1", "--messages"),
            ("-n 5 --duration 5s", "--duration"),
            ("--duration 0s", "--duration"),
            ("--warm-up -1", "--warm-up"),
            ("--rate 0", "--rate"),
            ("--rate -1", "--rate"),
            ("--schedule poisson", "--rate"),
            ("--schedule ramp:1k --rate 10k -n 5", "--schedule"),
            ("--schedule ramp:1k:0s --rate 10k", "--schedule"),
            ("--record-size -1", "--record-size"),
            ("--record-size 39", "--record-size"),
            ("--record-size 39", "the smallest size is 40 bytes"),
            ("--record-size 39 --format json", "the smallest size is"),
            ("--record-size uniform:10..100", "--record-size"),
            ("--record-size 1GiB", "--record-size"),
            ("--record-size huge", "--record-size"),
            ("--key uniform:0", "--key"),
            ("--compressibility 2", "--compressibility"),
            ("--compressibility -0.5", "--compressibility"),
            ("--format xml", "--format"),
            ("--input a.csv -r 100", "--record-size"),
            ("--input a.csv --compressibility 0.5", "--compressibility"),
            ("--input-format csv", "--input"),
            ("--seed -1", "--seed"),
        ] {
            let refusal = refusal(args);
            assert!(refusal.contains(name), "{args}: {refusal}");
        }
    }

    #[test]
    fn raw_messages_may_be_smaller_than_the_header() {
        assert_eq!(generated("-r 1 --format raw"), (fixed(1), 0.0));
    }
}
