//! Crashes, and jobs that lose events after one: what the audit reports against what the topics hold,
//! read by the test itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bench_core::clock::{Clock as _, SystemClock};
use bench_kafka::admin::Admin;
use bench_kafka::config::KafkaConfig;
use bench_kafka::{KafkaReceiver, StartOffset};
use bench_record::{AuditSummary, RunDocument, Status, VerdictOutcome};
use bench_stack::{Cache, StackOptions};
use bench_testing::TestStack;
use bench_testing::tool::{Running, Sandbox, ToolOutput, until};
use serde_json::Value;

use crate::{TOOL, changed_job, turn};

/// Options of jobs that run in one process of their own: other tests use the stack's workers.
const ALONE: &str = "--master local[1] --trigger 0";

/// Runs the tool to its end, however long this machine takes.
fn run(stack: &TestStack, sandbox: &Sandbox, args: &str) -> ToolOutput {
    let mut command = sandbox.command(args);
    let output = command.envs(stack.environment().iter().cloned()).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().unwrap_or(-1);
    ToolOutput { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn audit(document: &RunDocument) -> &AuditSummary {
    document.summary.as_ref().and_then(|summary| summary.audit.as_ref()).expect("an audit")
}

/// An event of a run in a topic.
struct Event {
    partition: i32,
    offset: i64,
    sequence: u64,
}

/// The events of a run that a topic holds, in order within each partition.
fn events(stack: &TestStack, topic: &str, run_id: &str) -> Vec<Event> {
    let mut config = KafkaConfig::new();
    config.set("bootstrap.servers", stack.bootstrap_servers());
    config.set("enable.partition.eof", "true");
    let admin = Admin::connect(&config, Duration::from_secs(30)).expect("connects");
    let marks = admin.watermarks(topic).expect("the topic's ends");
    let starts: Vec<StartOffset> = marks
        .iter()
        .map(|marks| StartOffset { partition: marks.partition, offset: 0, high: marks.high })
        .collect();
    let clock = SystemClock::new();
    let mut receiver =
        KafkaReceiver::connect_alone(&config.of_consumer(), clock).expect("connects");
    receiver.take(topic, &starts).expect("assigned");
    let mut events = Vec::new();
    until("the topic is read", || {
        receiver
            .receive_records(clock.now_ns() + 100_000_000, |record, _| {
                let text = record.value().expect("a value");
                let value: Value = serde_json::from_slice(text).expect("JSON");
                // The probe belongs to no run.
                if value["run"] == run_id {
                    let sequence = value["sequence"].as_u64().expect("a number");
                    let (partition, offset) = (record.partition(), record.offset());
                    events.push(Event { partition, offset, sequence });
                }
            })
            .expect("reads");
        bench_core::transport::Receive::at_end(&receiver)
    });
    events
}

/// What the two topics hold of a run.
struct Held {
    input: Vec<Event>,
    output: Vec<Event>,
}

impl Held {
    fn of(stack: &TestStack, topic: &str, document: &RunDocument) -> Self {
        let events = |topic: &str| events(stack, topic, &document.run_id);
        Self { input: events(topic), output: events(&format!("{topic}-processed")) }
    }

    /// How often the output topic holds each event.
    fn copies(&self) -> BTreeMap<u64, u64> {
        let mut copies = BTreeMap::new();
        for event in &self.output {
            *copies.entry(event.sequence).or_default() += 1;
        }
        copies
    }

    /// The events that the output topic does not hold.
    fn lost(&self) -> BTreeSet<u64> {
        let copies = self.copies();
        let all = self.input.iter().map(|event| event.sequence);
        all.filter(|sequence| !copies.contains_key(sequence)).collect()
    }

    /// Asserts that the audit has found exactly what the topics hold. Returns the repeats.
    fn assert_audited(&self, audit: &AuditSummary) -> u64 {
        let distinct = self.copies().len() as u64;
        let repeats = self.output.len() as u64 - distinct;
        assert_eq!(
            (audit.received, audit.lost, audit.duplicated),
            (distinct, self.lost().len() as u64, repeats),
            "received, lost, duplicated"
        );
        assert_eq!((audit.corrupt, audit.foreign), (0, 0), "{audit:?}");
        repeats
    }
}

/// Input offsets by partition: those of one batch.
type Offsets = BTreeMap<i32, Range<i64>>;

/// The batches that one driver began and another one ended. Spark writes `offsets/N` before batch N
/// and `commits/N` after it, and never again: a driver that finds the first without the second runs
/// the batch once more. So a batch is repeated exactly if no driver ran at some instant between the
/// times of its two files. `down` has such an instant for each crash.
fn repeated_batches(checkpoint: &Path, down: &[SystemTime]) -> Vec<Offsets> {
    let written = |folder: &str, batch: u64| {
        let file = fs::metadata(checkpoint.join(folder).join(batch.to_string()));
        file.and_then(|file| file.modified()).ok()
    };
    let is_repeated = |batch: &u64| {
        let begun = written("offsets", *batch).expect("listed");
        // A batch that was never ended is not repeated either: the run has ended before.
        let ended = written("commits", *batch);
        ended.is_some_and(|ended| down.iter().any(|down| (begun..ended).contains(down)))
    };
    let batches = (0..).take_while(|batch| written("offsets", *batch).is_some());
    batches.filter(is_repeated).map(|batch| offsets_of(checkpoint, batch)).collect()
}

/// The offsets of a batch: its own ends, less those of the batch before.
fn offsets_of(checkpoint: &Path, batch: u64) -> Offsets {
    let ends = |batch: u64| ends_in(&checkpoint.join("offsets").join(batch.to_string()));
    let before = batch.checked_sub(1).map(ends).unwrap_or_default();
    let range = |(partition, end)| (partition, before.get(&partition).copied().unwrap_or(0)..end);
    ends(batch).into_iter().map(range).collect()
}

/// The offsets in the last line of a file of Spark's: `{"topic":{"0":17}}`.
fn ends_in(file: &Path) -> BTreeMap<i32, i64> {
    let text = String::from_utf8_lossy(&fs::read(file).expect("readable")).into_owned();
    let line = text.lines().last().expect("a line");
    let offsets: BTreeMap<String, BTreeMap<i32, i64>> =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    offsets.into_values().next().expect("one topic")
}

/// An instant within each time in which the driver was down, a second at least.
fn down_times(document: &RunDocument) -> Vec<SystemTime> {
    let start_ns = document.schedule.as_ref().expect("a schedule").unix_ns.cast_unsigned();
    let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(start_ns);
    let half_s = Duration::from_millis(500);
    let begin = |fault: &bench_record::FaultRecord| {
        Duration::from_secs_f64(fault.begin_s.expect("the driver was killed"))
    };
    document.faults.iter().map(|fault| start + begin(fault) + half_s).collect()
}

/// A run whose driver is killed three times, `gap_s` apart. Returns the number of repeated events.
fn run_with_three_crashes(stack: &TestStack, gap_s: u64) -> u64 {
    let sandbox = Sandbox::new(TOOL);
    let topic = format!("crashes-{gap_s}");
    let [second_s, third_s] = [5 + gap_s, 5 + 2 * gap_s];
    let lasts_s = 10 + 2 * gap_s;
    // One core runs the tasks of a batch one by one, so that the driver dies with a part of them done.
    let args = format!(
        "{ALONE} --topic {topic} --partitions 12 --work map --rate 2k/s --duration {lasts_s}s \
         --drain-timeout 90s --kill-driver 5s+1s --kill-driver {second_s}s+1s --kill-driver {third_s}s+1s \
         --submit-option=--conf=spark.sql.streaming.minBatchesToRetain=100000"
    );
    let output = run(stack, &sandbox, &args);
    assert_eq!(output.code, 0, "{output:?}");
    let document = sandbox.document("results");
    let held = Held::of(stack, &topic, &document);
    let repeats = held.assert_audited(audit(&document));
    assert!(held.lost().is_empty(), "{:?}", held.lost());
    assert_eq!(held.copies().len() as u64, 2_000 * lasts_s, "every event was sent and has arrived");

    let down = down_times(&document);
    assert_eq!(down.len(), 3);
    let batches = repeated_batches(&sandbox.run_folder("results").join("checkpoint"), &down);
    let copies = held.copies();
    for event in &held.input {
        let holds = |batch: &&Offsets| {
            batch.get(&event.partition).is_some_and(|range| range.contains(&event.offset))
        };
        // The crash may have come before this event's task, so that it was written just once.
        let most = 1 + batches.iter().filter(holds).count() as u64;
        assert!((1..=most).contains(&copies[&event.sequence]), "{most}: {batches:?}");
    }
    repeats
}

#[test]
#[ignore = "a minute of Spark"]
fn three_crashes_repeat_interrupted_batches_only() {
    let _turn = turn();
    let options = StackOptions::of(["kafka", "spark"]);
    let Some(stack) = bench_testing::local("crashes of a driver", &options) else { return };
    // A crash between two batches repeats nothing, nor does one before the job has started, as on a
    // busy machine.
    let has_repeats = |gap_s| run_with_three_crashes(&stack, gap_s) > 0;
    assert!([12, 24, 48].into_iter().any(has_repeats), "no crash of nine has interrupted a batch");
}

/// A run in which a worker, the master and one of three brokers are killed in turn, each after the job
/// has run some batches without it. Returns whether that was done before the run ended.
fn run_with_node_crashes(stack: &mut TestStack, lasts_s: u64) -> bool {
    let sandbox = Sandbox::new(TOOL);
    let topic = format!("nodes-{lasts_s}");
    let mut command = sandbox.command(&format!(
        "--topic {topic} --partitions 6 --replication-factor 3 --timeout 60s --rate 500/s \
         --trigger 0 --duration {lasts_s}s --drain-timeout 90s"
    ));
    command.envs(stack.environment().iter().cloned());
    let tool = Running::start(command);
    let results = sandbox.path().join("results");
    until("there is a run", || fs::read_dir(&results).is_ok_and(|mut runs| runs.next().is_some()));
    let report = sandbox.run_folder("results").join("batches.jsonl");
    let batches =
        || fs::read_to_string(&report).map_or(0, |report| report.matches("\"batch\"").count());
    let status = || sandbox.document("results").status;
    let more_batches = || {
        let wanted = batches() + 2;
        until("batches run", || batches() >= wanted || status() != Status::Running);
    };
    until("the probe has passed", || batches() > 0);
    for node in ["spark-worker-1", "spark-master", "kafka-2"] {
        more_batches();
        let stack = stack.stack_mut();
        stack.kill(node).expect("killed");
        stack.start(node, &mut |_| ()).expect("started again");
    }
    more_batches();
    let is_in_time = status() == Status::Running;
    let output = tool.end();
    assert_eq!(output.code, 0, "{output:?}");
    if !is_in_time {
        return false;
    }
    let document = sandbox.document("results");
    let held = Held::of(stack, &topic, &document);
    held.assert_audited(audit(&document));
    assert!(held.lost().is_empty(), "{:?}", held.lost());
    assert_eq!(held.copies().len() as u64, 500 * lasts_s, "every event was sent and has arrived");
    true
}

#[test]
#[ignore = "a minute of Spark"]
fn crashes_of_cluster_nodes_lose_nothing() {
    let _turn = turn();
    let options = StackOptions::of(["kafka", "spark"])
        .with("kafka", "brokers", 3)
        .with("kafka", "min.insync.replicas", 2)
        .with("spark", "workers", 2);
    let Some(mut stack) = bench_testing::alone("crashes of a cluster", &options) else { return };
    // A busy machine takes longer to start what was killed.
    let is_in_time = |lasts_s| run_with_node_crashes(&mut stack, lasts_s);
    assert!([45, 110].into_iter().any(is_in_time), "the runs ended before their last crash");
}

/// Runs a job that loses events after its driver was killed, at 5 s of 12. Asserts that the run is
/// invalid and that the audit names what the output topic lacks, and returns it as ranges.
fn run_losing(
    stack: &TestStack,
    sandbox: &Sandbox,
    job: &str,
    topic: &str,
    partitions: u32,
) -> (Held, Vec<(u64, u64)>) {
    sandbox.write("losing.py", job);
    let args = format!(
        "{ALONE} --job losing.py --topic {topic} --partitions {partitions} --rate 500/s \
         --duration 12s --kill-driver 5s+1s --drain-timeout 30s"
    );
    let output = run(stack, sandbox, &args);
    assert_eq!(output.code, 3, "{output:?}");
    let document = sandbox.document("results");
    assert_eq!(
        document.verdict.as_ref().map(|verdict| verdict.outcome),
        Some(VerdictOutcome::Invalid)
    );
    let audit = audit(&document);
    let held = Held::of(stack, topic, &document);
    held.assert_audited(audit);
    let lost = ranges(&held.lost());
    assert_eq!(audit.producers[0].lost_ranges, lost);
    for (first, last) in &lost {
        assert!(output.stdout.contains(&format!("{first} to {last}")), "{output:?}");
    }
    (held, lost)
}

fn ranges(sequences: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &sequence in sequences {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == sequence => *last = sequence,
            _ => ranges.push((sequence, sequence)),
        }
    }
    ranges
}

#[test]
#[ignore = "a minute of Spark"]
fn jobs_that_forget_their_checkpoint_are_invalid() {
    let _turn = turn();
    let options = StackOptions::of(["kafka", "spark"]);
    let Some(stack) = bench_testing::local("a lost checkpoint", &options) else { return };
    // Each start has a checkpoint of its own: 0, 1.
    let job = changed_job(&[(
        "    args = options(arguments)\n",
        "    args = options(arguments)\n    \
         os.makedirs(args.checkpoint, exist_ok=True)\n    \
         start = len(os.listdir(args.checkpoint))\n    \
         args.checkpoint += f'/{start}'\n    \
         args.starting = 'latest' if start else args.starting\n",
    )]);
    let sandbox = Sandbox::new(TOOL);
    let (held, lost) = run_losing(&stack, &sandbox, &job, "forgotten", 1);
    // With one partition, what lies between the two starts is one range.
    let [(lost_from, lost_to)] = lost[..] else { panic!("not one range: {lost:?}") };
    let offset = |sequence| {
        let event = held.input.iter().find(|event| event.sequence == sequence);
        event.expect("sent").offset
    };
    let checkpoints = sandbox.run_folder("results").join("checkpoint");
    let restarted_at = ends_in(&checkpoints.join("1/sources/0/0"))[&0];
    assert_eq!(offset(lost_to) + 1, restarted_at, "the second start skipped all before it");
    let newest = |folder: &str| {
        let names = fs::read_dir(checkpoints.join("0").join(folder)).expect("a folder").flatten();
        names.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok()).max()
    };
    let end_of =
        |batch: Option<u64>| offsets_of(&checkpoints.join("0"), batch.expect("one"))[&0].end;
    // The first start has written a part of its last batch, or all of it.
    let written = end_of(newest("commits"))..=end_of(newest("offsets"));
    assert!(
        written.contains(&offset(lost_from)),
        "{lost_from} is at {}, not in {written:?}",
        offset(lost_from)
    );
}

#[test]
fn jobs_that_skip_events_are_invalid() {
    let _turn = turn();
    let options = StackOptions::of(["kafka", "spark"]);
    let Some(stack) = bench_testing::local("skipped events", &options) else { return };
    // Those that are due 9 s after the start, when the first driver is long dead.
    let job = changed_job(&[
        (
            "WORKS = (",
            "AGAIN = os.path.exists(sys.argv[sys.argv.index('--checkpoint') + 1])\n\nWORKS = (",
        ),
        (
            "    good = events.where(F.col(\"created_ms\").isNotNull())\n",
            "    good = events.where(F.col(\"created_ms\").isNotNull())\n    \
             sequence = F.get_json_object('text', '$.sequence').cast('long')\n    \
             good = good.where(~sequence.between(4500, 4599)) if AGAIN else good\n",
        ),
    ]);
    let (_, lost) = run_losing(&stack, &Sandbox::new(TOOL), &job, "skipped", 3);
    assert_eq!(lost, [(4_500, 4_599)]);
}

#[test]
#[ignore = "a minute of Spark"]
fn run_suite_reports_the_recovery_from_killed_drivers() {
    let _turn = turn();
    let what = "the recovery of a driver";
    let run_suite = Path::new(TOOL).with_file_name("run-suite");
    if !run_suite.is_file() {
        bench_testing::skip(what, "run-suite is not built (cargo build --release)");
        return;
    }
    let options = StackOptions::of(["kafka", "spark"]);
    if !bench_testing::can_start(what, &options) {
        return;
    }
    let sandbox = Sandbox::new(run_suite);
    let experiment = "name = 'drivers'\nquestion = 'How long?'\ntool = 'spark-pipeline'\n\
                      services = 'local'\n[options]\nrate = '200/s'\ntrigger = '0'\n\
                      warm-up = '10s'\nduration = '30s'\ninterval = '3s'\n\
                      drain-timeout = '90s'\nkill-driver = ['20s', '2h']\n";
    sandbox.write("drivers.toml", experiment);
    let cache = Cache::from_environment().expect("a cache");
    let mut command = sandbox.command("run drivers.toml");
    let output = command.env(Cache::VARIABLE, cache.dir()).output().expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let line = text.lines().find(|line| line.contains("kill driver at 20.")).expect("a line");
    let document = fs::read(sandbox.run_folder("results").join("01-drivers/repeat-1/run.json"));
    let document: RunDocument =
        serde_json::from_slice(&document.expect("a document")).expect("JSON");
    let [killed, missed] = &document.faults[..] else { panic!("{:?}", document.faults) };
    // On a busy machine, the driver may need the rest of the run to come back.
    match (killed.recovery_s, &killed.unrecovered) {
        (Some(recovery_s), None) => {
            assert!(recovery_s > 1.0, "a driver takes seconds to start: {recovery_s}");
            assert!(line.contains(&format!("recovered after {recovery_s:.1} s")), "{line}");
        }
        (None, Some(reason)) => assert!(line.contains(reason), "{line}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((missed.begin_s, missed.end_s), (None, None));
    let warning = "the run ended before the driver was to be killed at 7200s".to_owned();
    assert!(document.warnings.contains(&warning), "{:?}", document.warnings);
}
