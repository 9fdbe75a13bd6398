#!/usr/bin/env python3
"""Compares delta-producer and delta-consumer with the Pathway engine around the Python package deltalake:
the same messages at the same rate and commit interval, on one S3 server.

Every round runs both at every rate, in an order that changes from round to round, each with a table of
its own, and with producer and consumer in separate processes. Figures of each run: end-to-end latency
from the instant at which a message was due, and CPU time and memory of each process, all after a
warm-up. Writes delta-runs.csv with every run, and delta-peers.md with medians, ranges and the goals.

Needs Python 3.11 and a venv with the packages in PACKAGES. See README.md in this folder.
"""

import argparse
import contextlib
import csv
import datetime
import importlib.util
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, fields

from side_by_side import Failed, cpu_s, machine, memory_max_mb, notice, rotated, service, spread, table

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = "pathway==0.33.0 deltalake==1.6.6 pyarrow==25.0.1 hdrhistogram==0.10.8"
OURS, THEIRS = "`delta-producer`, `delta-consumer`", "Pathway, `deltalake`"
AT_ONCE = f"{THEIRS}, consumer at once"
PERCENTILES = [50, 75, 85, 95, 99]

# Time for which sending continues after the measured time, so that its end does not affect the figures.
TAIL_S = 2

# Timeout of each step, in addition to the time for which messages are sent.
PATIENCE_S = 60

# Interval between readings of the CPU time of the processes.
SAMPLE_S = 0.1


@dataclass
class Run:
    """One run of one pair of producer and consumer."""

    round: int
    pair: str
    rate: int  # messages per second
    messages: int
    measured: int
    p50_ms: float
    p75_ms: float
    p85_ms: float
    p95_ms: float
    p99_ms: float
    write_p50_ms: float  # of a data file and its commit
    producer_cpu: float  # processors in use while measured
    consumer_cpu: float
    server_cpu: float
    producer_memory_mb: float
    consumer_memory_mb: float


# --- Processes -------------------------------------------------------------------------------


class Worker:
    """A process of a pair, killed if it is still running at the end of its block."""

    def __init__(self, command, environment, folder, name):
        self.command = [str(part) for part in command]
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment, cwd=folder, text=True,
            )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_until_ready(self):
        with bounded(self.process):
            said = self.process.stdout.readline()
        if said != "ready\n":
            self.output(PATIENCE_S)
            raise Failed(f"{shlex.join(self.command)}\nended before it was ready")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def output(self, patience_s):
        """Waits for a successful end and returns the output."""
        try:
            output, _ = self.process.communicate(timeout=max(patience_s, 0))
        except subprocess.TimeoutExpired:
            raise Failed(f"{shlex.join(self.command)}\ndid not end in time:\n{self.said()}") from None
        if self.process.returncode != 0:
            how = f"exited with {self.process.returncode}"
            raise Failed(f"{shlex.join(self.command)}\n{how}:\n{output}{self.said()}")
        return output

    def said(self):
        return self.log.read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def bounded(process):
    """Kills a process that does not respond in time."""
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Watch:
    """Samples CPU time and memory of running processes, in a separate thread."""

    def __init__(self, pids):
        self.pids = pids
        self.samples = {pid: [] for pid in pids}
        self.memory_mb = {}
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def read(self):
        while not self.is_over.wait(SAMPLE_S):
            for pid in self.pids:
                try:
                    self.samples[pid].append((time.monotonic(), cpu_s(pid)))
                    self.memory_mb[pid] = memory_max_mb(pid)
                except (OSError, ProcessLookupError):
                    pass  # The process has ended.

    def processors(self, pid, begin_s, end_s):
        """Average number of processors that a process used between two instants."""
        within = [sample for sample in self.samples[pid] if begin_s <= sample[0] <= end_s]
        if len(within) < 2:
            raise Failed(f"process {pid} ended before the measured time")
        (first_s, first_cpu_s), (last_s, last_cpu_s) = within[0], within[-1]
        return (last_cpu_s - first_cpu_s) / (last_s - first_s)


# --- The pairs -------------------------------------------------------------------------------
#
# Each function starts a consumer and a producer and returns both with the instant at which sending
# began. Each reader computes figures from the output of the two. `start` starts a process by name.


def start_ours(options, rate, uri, start):
    seconds = options.warm_up + options.measured + TAIL_S
    consumer = start(
        "consumer",
        [
            options.delta_consumer, "--lake-path", uri, "--wait-for-table", "60s",
            "--expected-messages", rate * seconds, "--poll-interval", f"{options.poll_ms}ms",
            "--output", "json", "--quiet", "--results-dir", "delta-consumer",
        ],
    )  # fmt: skip
    time.sleep(1)
    producer = start(
        "producer",
        [
            options.delta_producer, "--no-follow", "--lake-path", uri, "--rate", rate,
            "--messages", rate * seconds, "--record-size", options.size,
            "--commit-interval", f"{options.commit_ms}ms", "--warm-up", f"{options.warm_up}s",
            "--output", "json", "--quiet", "--results-dir", "delta-producer",
        ],
    )  # fmt: skip
    return consumer, producer, time.monotonic()


def read_ours(options, folder, consumer, producer):
    consumed, produced = (json.loads(output) for output in (consumer, producer))
    for document in (consumed, produced):
        if document["verdict"]["outcome"] != "valid":
            raise Failed(f"{document['tool']} calls its run {document['verdict']}")
    audit, durations = consumed["summary"]["audit"], produced["summary"]["durations"]
    (run,) = (folder / "delta-consumer").iterdir()
    return {
        "messages": consumed["summary"]["consumed"]["received"],
        "lost": audit["lost"],
        "duplicated": audit["duplicated"],
        "write_p50_ms": (durations["upload_time"]["p50_ns"] + durations["commit_time"]["p50_ns"]) / 1e6,
        **percentiles(options, run),
    }


def percentiles(options, run):
    """Latencies of the measured time, from the histograms of a result folder."""
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    with open(run / "intervals.csv", newline="") as file:
        starts_s = [float(row["start_s"]) for row in csv.DictReader(file) if int(row["received"]) > 0]
    begin_s = starts_s[0] + options.warm_up
    merged = HdrHistogram(1, 3_600_000_000_000, 3)
    reader = HistogramLogReader(str(run / "end_to_end_latency.hlog"), merged)
    while reader.add_next_interval_histogram(merged, begin_s, begin_s + options.measured) is not None:
        pass
    of = {f"p{p}_ms": merged.get_value_at_percentile(p) / 1e6 for p in PERCENTILES}
    return {"measured": merged.get_total_count(), **of}


def start_theirs(options, rate, uri, start):
    """As in Pathway's published benchmark: the consumer's engine has the same commit interval."""
    return start_engines(options, rate, uri, start, ["--commit-ms", options.commit_ms])


def start_at_once(options, rate, uri, start):
    """The consumer emits rows as it reads them, without waiting for its engine's interval."""
    return start_engines(options, rate, uri, start, [])


def start_engines(options, rate, uri, start, committed):
    seconds = options.warm_up + options.measured + TAIL_S
    engine = [sys.executable, HERE / "delta_pathway_engine.py"]
    same = ["--table", uri, "--rate", rate, "--seconds", seconds]
    counted = ["--warm-up", options.warm_up, "--measured", options.measured]
    consumer = start(
        "consumer", [*engine, "consume", *same, "--poll-ms", options.poll_ms, *counted, *committed]
    )
    sent = ["--size", options.size, "--commit-ms", options.commit_ms]
    producer = start("producer", [*engine, "produce", *same, *sent])
    for worker in (consumer, producer):
        worker.wait_until_ready()
    producer.go()
    return consumer, producer, time.monotonic()


def read_theirs(options, _folder, consumer, producer):
    consumed, produced = (json.loads(output) for output in (consumer, producer))
    if consumed["size_bytes"] != options.size:
        raise Failed(f"messages of {consumed['size_bytes']} bytes came, not of {options.size}")
    return {**consumed, "write_p50_ms": produced["write_p50_ms"]}


PAIRS = {
    OURS: (start_ours, read_ours),
    THEIRS: (start_theirs, read_theirs),
    AT_ONCE: (start_at_once, read_theirs),
}


def run(options, place, number, pair, rate):
    """Runs one pair at one rate, with a table of its own."""
    environment, server = place
    begin_pair, read = PAIRS[pair]
    name = f"peers-{os.getpid()}-{number}-{rate}-{list(PAIRS).index(pair)}"
    with tempfile.TemporaryDirectory(prefix="delta-peers-") as folder, contextlib.ExitStack() as started:
        folder = pathlib.Path(folder)

        def start(worker, command):
            return started.enter_context(Worker(command, environment, folder, worker))

        uri = f"s3://{environment['BENCH_S3_BUCKET']}/{name}"
        consumer, producer, began_s = begin_pair(options, rate, uri, start)
        begin_s = began_s + options.warm_up
        end_s = begin_s + options.measured
        deadline_s = end_s + TAIL_S + PATIENCE_S
        with Watch([producer.process.pid, consumer.process.pid, server]) as watch:
            produced = producer.output(deadline_s - time.monotonic())
            consumed = consumer.output(deadline_s - time.monotonic())
        figures = read(options, folder, consumed, produced)
    lost, duplicated = figures.pop("lost"), figures.pop("duplicated")
    if lost or duplicated:
        raise Failed(f"{pair} at {rate} msg/s: {lost} messages lost, {duplicated} came twice")
    names = {field.name for field in fields(Run)}
    used = [watch.processors(pid, begin_s, end_s) for pid in watch.pids]
    result = Run(
        round=number, pair=pair, rate=rate,
        producer_cpu=used[0], consumer_cpu=used[1], server_cpu=used[2],
        producer_memory_mb=watch.memory_mb[producer.process.pid],
        consumer_memory_mb=watch.memory_mb[consumer.process.pid],
        **{name: value for name, value in figures.items() if name in names},
    )  # fmt: skip
    notice(
        f"round {number}: {pair}, {rate} msg/s: p50 {result.p50_ms:.0f} ms, p99 {result.p99_ms:.0f} ms, "
        f"{result.producer_cpu:.2f} and {result.consumer_cpu:.2f} processors"
    )
    return result


# --- The report ------------------------------------------------------------------------------


# Goals: name, figure, and the maximum ratio of ours to theirs.
GOALS = [
    ("p99", lambda run: run.p99_ms, 1 / 2),
    ("CPU time, both processes", lambda run: run.producer_cpu + run.consumer_cpu, 1 / 3),
    ("memory, both processes", lambda run: run.producer_memory_mb + run.consumer_memory_mb, 1 / 3),
]


def report(options, runs, host):
    groups = {
        (rate, pair): [run for run in runs if (run.rate, run.pair) == (rate, pair)]
        for rate in options.rates
        for pair in PAIRS
    }
    return "\n".join([
        f"Messages of {options.size} bytes, a commit every {options.commit_ms} ms, a poll every "
        f"{options.poll_ms} ms, {options.measured} s measured after {options.warm_up} s of warm-up; producer, "
        f"consumer and S3 server ({options.s3_server}) on one machine ({host}). Medians of "
        f"{max(run.round for run in runs)} interleaved rounds, with the lowest and the highest. CPU is in "
        "percent of one processor.",
        "",
        *latency_table(groups),
        *usage_table(groups),
        *goals_table(options, runs),
    ])  # fmt: skip


def latency_table(groups):
    head = ["end-to-end latency, ms", "msg/s", *(f"p{p}" for p in PERCENTILES), "file and commit, p50"]
    figures = [f"p{p}_ms" for p in PERCENTILES] + ["write_p50_ms"]
    rows = [
        [pair, f"{rate:,}", *(spread([getattr(run, name) for run in group], digits=0) for name in figures)]
        for (rate, pair), group in groups.items()
    ]
    return table(head, rows)


def usage_table(groups):
    head = ["", "msg/s", "producer CPU, %", "consumer CPU, %", "S3 server CPU, %", "producer memory, MB",
            "consumer memory, MB"]  # fmt: skip
    rows = []
    for (rate, pair), group in groups.items():
        cpu = [
            spread([getattr(run, f"{process}_cpu") * 100 for run in group], digits=1)
            for process in ("producer", "consumer", "server")
        ]
        memory = [
            spread([getattr(run, f"{process}_memory_mb") for run in group], digits=0)
            for process in ("producer", "consumer")
        ]
        rows.append([pair, f"{rate:,}", *cpu, *memory])
    return table(head, rows)


def goals_table(options, runs):
    rows = []
    for rate in options.rates:
        for theirs in (THEIRS, AT_ONCE):
            for name, figure, bound in GOALS:
                # Within a round, so that a disturbance affects both sides.
                of = {(run.round, run.pair): figure(run) for run in runs if run.rate == rate}
                ratios = [of[number, OURS] / of[number, theirs] for number, pair in of if pair == OURS]
                verdict = "met" if statistics.median(ratios) <= bound else "**missed**"
                rows.append(
                    [f"{name}, to {theirs}", f"{rate:,}", spread(ratios), f"at most {bound:.2f}", verdict]
                )
    return table(["ratio, median of the rounds", "msg/s", "ratio", "goal", ""], rows)


# --- Command line ----------------------------------------------------------------------------


def parse(arguments):
    parser = argparse.ArgumentParser(
        description="Compare delta-producer and delta-consumer with the Pathway engine around deltalake.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    release = HERE.parents[1] / "target/release"
    for tool in ("delta-producer", "delta-consumer", "run-suite"):
        add(f"--{tool}", default=release / tool, type=pathlib.Path, help="path of the tool")
    add("--s3-server", default="embedded", choices=["embedded", "versitygw", "minio"], help="S3 server")
    add("--repeats", type=int, default=3, help="rounds")
    add("--rates", type=int, nargs="+", default=[10_000, 60_000], help="messages per second")
    add("--size", type=int, default=100, help="bytes per message, 40 or more")
    add("--commit-ms", type=int, default=100, help="commit interval")
    add("--poll-ms", type=int, default=5, help="poll interval of a consumer")
    add("--warm-up", type=int, default=5, help="unmeasured seconds at the start")
    add("--measured", type=int, default=30, help="measured seconds after the warm-up")
    add("--results-dir", default="results", help="parent of the result folder")
    options = parser.parse_args(arguments)
    numbers = [options.repeats, options.commit_ms, options.poll_ms, options.warm_up, options.measured]
    if min(*numbers, *options.rates) < 1 or options.size < 40:
        parser.error("all numbers must be at least 1, and --size at least 40")
    return options


def compare(options):
    for package in ("pathway", "deltalake", "pyarrow", "hdrh"):
        if importlib.util.find_spec(package) is None:
            raise Failed(f"Python has no package {package}: run pip install {PACKAGES} in a venv")
    for tool in (options.delta_producer, options.delta_consumer, options.run_suite):
        if not os.access(tool, os.X_OK):
            raise Failed(f"no {tool}: run cargo build --release")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = pathlib.Path(options.results_dir) / f"peers-delta-{stamp}"
    folder.mkdir(parents=True)
    jobs = [(pair, rate) for rate in options.rates for pair in PAIRS]
    host = machine()
    runs = []
    with (
        tempfile.TemporaryDirectory(prefix="delta-peers-services-") as services,
        service(options.run_suite, services, "s3", "--s3-server", options.s3_server) as place,
        open(folder / "delta-runs.csv", "w", newline="") as file,
    ):
        writer = csv.DictWriter(file, [field.name for field in fields(Run)])
        writer.writeheader()
        for number in range(1, options.repeats + 1):
            for pair, rate in rotated(jobs, number):
                runs.append(run(options, place, number, pair, rate))
                writer.writerow(asdict(runs[-1]))
                file.flush()
            text = report(options, runs, host)
            (folder / "delta-peers.md").write_text(text)
    print(text)
    notice(f"results in {folder}")


def main():
    try:
        compare(parse(sys.argv[1:]))
    except Failed as problem:
        notice(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
