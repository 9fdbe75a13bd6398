//! A stand-in for a tool: a shell script that keeps the contract between run-suite and its tools.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bench_core::clock::BootId;
use bench_testing::tool::until;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The file `behave-L` has its behaviour for `--load=L`; the default is `good`. It records each call
/// with the relevant environment.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
name=$(basename "$0")
if [ "$1" = --generate ]; then cat "$here/$name-options.json"; exit 0; fi
if [ "$1" = make ]; then
  echo "make $2" >> "$here/calls"; echo "made" > "$2"
  if [ "$3" = wait ]; then echo $$ > "$here/pid"; exec sleep 600; fi
  exit "$3"
fi
call="$* services=${BENCH_SERVICES:-none}${BENCH_STACK:+ stack=$BENCH_STACK}${FAKE_NOTE:+ note=$FAKE_NOTE}"
if [ "$name" = fake-reader ]; then call="fake-reader $call"; fi
load=none
while [ $# -gt 0 ]; do
  case "$1" in
    --run-dir) dir=$2; shift;;
    --load=*) load=${1#--load=};;
  esac
  shift
done
mkdir "$dir" || { echo "the run folder is there already" >&2; exit 1; }
put() {
  id=$(printf %010x $$)
  sed "s|\"fake-bench\"|\"$name\"|; s|\"0000000001\"|\"$id\"|; s|RUN_DIR|$dir|" \
    "$here/$1.json" > "$dir/run.json.new"
  mv "$dir/run.json.new" "$dir/run.json"
}
leave() { put "$1"; exit "$2"; }
trap 'leave incomplete 130' INT TERM
put running
# Recorded once it can be interrupted: tests wait for it.
echo "$call" >> "$here/calls"
printf 'end_s,acked_per_s,received_per_s\n1,1000,990\n' > "$dir/intervals.csv"
echo $$ > "$here/pid"
case $(cat "$here/behave-$load" 2>/dev/null || echo good) in
  good) leave good 0;;
  landed) leave landed 0;;
  invalid) leave invalid 3;;
  partial) leave partial 3;;
  doubted) leave good 3;;
  fail) echo "first words" >&2; echo "the broker is gone" >&2; exit 1;;
  nothing) rm -r "$dir"; exit 0;;
  wait) while :; do sleep 0.05; done;;
  # The 99th percentiles: 4.2 and 8.4 ms in turn; so many milliseconds as the load says.
  vary) sed "s/4200000/$((4200000 * (1 + $(wc -l < "$here/calls") % 2)))/" "$here/good.json" \
      > "$here/vary.json"; leave vary 0;;
  by-load) sed "s/4200000/${load}000000/" "$here/good.json" > "$here/by-load.json"; leave by-load 0;;
  # The longest waits are those of messages without an answer.
  unanswered) sed 's/"p99_ns":/"unanswered":2000,"unanswered_min_ns":3000000,&/' \
      "$here/good.json" > "$here/unanswered.json"; leave unanswered 0;;
  stubborn) trap '' INT; while :; do sleep 0.05; done;;
  schedule)
    read up _ < /proc/uptime
    sed "s/\"START\"/${up%.*}${up#*.}0000000/" "$here/scheduled.json" > "$here/started.json"
    put started
    for turn in $(seq "$(cat "$here/turns")"); do
      read up _ < /proc/uptime; echo "$up" >> "$here/ticks"
      sleep 0.05
    done
    cp "$here/intervals.csv" "$dir/intervals.csv"
    leave good 0;;
esac
"#;

/// The script in a folder of its own, which also holds the results. It is installed as `fake-bench`, and
/// as `fake-reader`, which can run after another tool.
pub(crate) struct FakeTool {
    folder: TempDir,
}

impl FakeTool {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let tool = Self { folder };
        let option = |name: &str, aliases: Value, takes_value: bool| {
            json!({"name": name, "aliases": aliases, "takes_value": takes_value,
                   "default": null, "help": ""})
        };
        let mut options = vec![
            option("load", json!(["load_name"]), true),
            option("duration", json!([]), true),
            option("fast", json!([]), false),
            option("kill-consumer", json!([]), true),
            option("run-dir", json!([]), true),
        ];
        let fill = json!({"fill": [option("load", json!([]), true)]});
        tool.install("fake-bench", &json!({"options": options, "subcommands": fill}));
        options.push(option("from-run", json!([]), true));
        tool.install("fake-reader", &json!({"options": options, "subcommands": fill}));
        for (name, status, verdict) in [
            ("running", "running", Value::Null),
            ("good", "complete", json!({"outcome": "valid", "reasons": []})),
            ("incomplete", "incomplete", json!({"outcome": "valid", "reasons": []})),
            (
                "invalid",
                "complete",
                json!({"outcome": "invalid", "reasons": ["3 acknowledged messages were lost"]}),
            ),
            (
                "partial",
                "complete",
                json!({"outcome": "partial", "reasons": ["the record is not whole"]}),
            ),
        ] {
            tool.write(&format!("{name}.json"), &document(status, &verdict).to_string());
        }
        tool.write("landed.json", &landed().to_string());
        tool
    }

    /// Installs the script under a name, with the description of its options.
    fn install(&self, name: &str, options: &Value) {
        self.write(name, SCRIPT);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))
            .expect("permissions");
        self.write(&format!("{name}-options.json"), &options.to_string());
    }

    /// Makes runs record the start of their schedule, take this number of turns of a little more than
    /// 50 ms, and leave these rows of `start_s,end_s,sent,acked_per_s,received_per_s,
    /// end_to_end_p99_ns,end_to_end_max_ns`.
    pub(crate) fn schedule(&self, turns: u32, rows: &[String]) {
        let mut document = document("running", &Value::Null);
        document["schedule"] =
            json!({"monotonic_ns": "START", "boot": BootId::current().to_hash(), "unix_ns": 0});
        self.write("scheduled.json", &document.to_string());
        self.write("turns", &turns.to_string());
        let head = "end_to_end_p50_ns,warm_up,start_s,end_s,sent,acked_per_s,received_per_s,end_to_end_p99_ns,\
                    end_to_end_max_ns\n";
        let rows: Vec<String> = rows.iter().map(|row| format!("1000,false,{row}")).collect();
        self.write("intervals.csv", &format!("{head}{}\n", rows.join("\n")));
        self.behave("none", "schedule");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Sets the behaviour of runs with `--load=LOAD`.
    pub(crate) fn behave(&self, load: &str, behaviour: &str) {
        self.write(&format!("behave-{load}"), behaviour);
    }

    /// Writes an experiment on this tool.
    pub(crate) fn experiment(&self, body: &str) -> PathBuf {
        let head = "name = \"try\"\nquestion = \"Does it work?\"\ntool = \"fake-bench\"\n";
        let services = if body.contains("services") { "" } else { "services = \"embedded\"\n" };
        // Most tests expect the order of the file.
        let order = if body.contains("order") { "" } else { "order = \"interleaved\"\n" };
        self.write("try.toml", &format!("{head}{services}{order}{body}"));
        self.path("try.toml")
    }

    /// `run-suite` in the folder of the script, with the script in `PATH`.
    pub(crate) fn run_suite(&self, arguments: &[&str]) -> Command {
        let mut path = vec![self.folder.path().to_path_buf()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("run-suite"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", std::env::join_paths(path).expect("a path"))
            .env_remove("RUST_LOG")
            .env_remove("BENCH_STACK")
            .env_remove("BENCH_SERVICES");
        command
    }

    /// Runs `run-suite` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_suite(arguments).output().expect("run-suite starts")
    }

    /// The calls so far, without the results folder, whose name depends on the time.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let results = self.results().map(|folder| folder.display().to_string() + "/");
        let strip = |line: &str| match &results {
            Some(results) => line.replace(results.as_str(), ""),
            None => line.to_owned(),
        };
        calls.lines().map(strip).collect()
    }

    /// The experiment's folder, relative to that of the script; there is one at most.
    pub(crate) fn results(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(self.path("results")).ok()?;
        let folder = entries.next()?.expect("readable").path();
        Some(folder.strip_prefix(self.folder.path()).expect("below").to_path_buf())
    }

    /// The experiment's folder as an argument.
    pub(crate) fn results_argument(&self) -> String {
        self.results().expect("a results folder").display().to_string()
    }

    /// A file in the experiment's folder, which must exist.
    pub(crate) fn result(&self, name: &str) -> PathBuf {
        self.folder.path().join(self.results().expect("a results folder")).join(name)
    }

    /// The status of every run, in the order of the plan.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let state = read_json(&self.result("experiment.json"));
        let runs = state["runs"].as_array().expect("runs").iter();
        runs.map(|run| run["status"].as_str().expect("status").to_owned()).collect()
    }

    /// Changes the document of a run of the experiment.
    pub(crate) fn edit(&self, run: &str, change: impl FnOnce(&mut Value)) {
        edit_document(&self.result(run), change);
    }

    /// Waits for a run to start and returns its process id.
    pub(crate) fn wait_for_run(&self) -> i32 {
        until("the tool starts", || {
            fs::read_to_string(self.path("pid")).is_ok_and(|pid| pid.ends_with('\n'))
        });
        let pid = fs::read_to_string(self.path("pid")).expect("readable");
        pid.trim().parse().expect("a process id")
    }
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
}

/// Changes the document in the folder of a run.
pub(crate) fn edit_document(run: &Path, change: impl FnOnce(&mut Value)) {
    let path = run.join("run.json");
    let mut document = read_json(&path);
    change(&mut document);
    fs::write(path, document.to_string()).expect("written");
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a process exists and is not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn document(status: &str, verdict: &Value) -> Value {
    let latency = json!({
        "count": 100_000, "mean_ns": 1.0, "std_dev_ns": 0.0, "min_ns": 1, "p50_ns": 1_500_000,
        "p75_ns": 1_600_000, "p90_ns": 2_000_000, "p95_ns": 2_500_000, "p99_ns": 4_200_000,
        "p99_9_ns": 5_000_000, "p99_99_ns": 5_000_000, "max_ns": 6_000_000, "negative": 0,
        "negative_min_ns": 0, "beyond_range": 0, "beyond_range_max_ns": 0
    });
    json!({
        "schema_version": 1,
        "tool": {"name": "fake-bench", "version": "0"},
        "run_id": "0000000001",
        "started_at": "2026-11-21T08:30:00Z",
        "status": status,
        "verdict": verdict,
        "options": {"run-dir": "RUN_DIR"},
        "services": [
            {"name": "kafka", "origin": "embedded", "address": "127.0.0.1:1", "version": "mock"}
        ],
        "host": {"name": "h", "os": "o", "cpu": "c", "cpus": 2, "memory_bytes": 1,
                 "load_average_1m": 0.5},
        "versions": {},
        "summary": if status == "running" { Value::Null } else { json!({
            "load": "open", "elapsed_s": 1.0, "warm_up_s": 0.0,
            "produced": {"sent": 1000, "acked": 1000, "failed": 0, "unresolved": 0,
                         "failures": {}, "acked_bytes": 100_000, "rate_msg_per_s": 1000.0,
                         "rate_bytes_per_s": 100_000.0, "target_rate_msg_per_s": 1000.0},
            "consumed": {"received": 1000, "received_bytes": 100_000, "rate_msg_per_s": 990.0,
                         "rate_bytes_per_s": 99_000.0},
            "publish_latency": latency, "service_time": latency, "schedule_lag": latency,
            "end_to_end_latency": latency,
            "end_to_end_clock": {"monotonic": 1000, "wall": 0},
            "audit": {"against": "acked", "received": 1000, "lost": 0, "duplicated": 0,
                      "reordered": 0, "corrupt": 0, "foreign": 0, "unacked_received": 0,
                      "producers": []},
            "self_check": {"kept_schedule": true, "lag_p99_ns": 1000, "blocked_ns": 0,
                           "unsent": 0},
            "resources": {"cpu_s": 0.5, "cpu_us_per_message": 0.25, "memory_max_bytes": 1_000_000}
        }) },
        "warnings": []
    })
}

/// The document of a tool that reads the rows of a table.
fn landed() -> Value {
    let mut document = document("complete", &json!({"outcome": "valid", "reasons": []}));
    let summary = &mut document["summary"];
    summary["load"] = "none".into();
    for absent in ["produced", "publish_latency", "service_time", "schedule_lag", "self_check"] {
        summary[absent] = Value::Null;
    }
    let mut landing = summary["end_to_end_latency"].clone();
    landing["p99_ns"] = 7_700_000.into();
    summary["landing_latency"] = landing;
    summary["counts"] = json!({"rows_seen_twice": 3, "unprocessed_items": 0});
    document
}
