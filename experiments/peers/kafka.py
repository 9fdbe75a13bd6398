#!/usr/bin/env python3
"""Compares Kafka clients on one broker: kafka-prodcon, Kafka's own Java tools, and librdkafka's
rdkafka_performance.

Every round runs every client once, in an order that changes from round to round, on new topics. Figures
of each run: throughput, the client's CPU time and memory, and the broker's CPU time. Writes runs.csv
with every run, and peers.md with medians, ranges and the goals.

Standard library only. See README.md in this folder.
"""

import argparse
import contextlib
import csv
import datetime
import json
import os
import pathlib
import random
import re
import shlex
import statistics
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields

import side_by_side
from side_by_side import Failed, call, machine, notice, rotated, spread, table

HERE = pathlib.Path(__file__).resolve().parent
JAVA_TOOLS = "org.apache.kafka.tools."

# The options with which the scripts of Kafka's distribution start its performance tools.
JVM_OPTIONS = [
    "-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
]  # fmt: skip

# How long the broker keeps files of deleted topics. In the default of a minute, a run fills gigabytes.
FILE_DELETE_DELAY_MS = 1000

# Wait of librdkafka before its next fetch after its queue was full. The default of a second starves a fast
# consumer. kafka-prodcon sets it too.
RDKAFKA_CONSUMER = ["-X", "fetch.queue.backoff.ms=1"]


# --- Measurements ----------------------------------------------------------------------------


@dataclass
class Run:
    """One run of one client. Absent figures are None."""

    round: int
    part: str  # produce, consume or latency
    client: str
    setting: str  # varies between the runs of a client: batch size or rate
    messages: int
    msg_per_s: float | None
    client_cpu_us: float  # per message, for the whole process, including start and end
    broker_cpu_us: float | None
    memory_max_mb: float
    elapsed_s: float  # of the process
    mean_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    cores_busy: float | None = None  # client and broker together


# --- The broker ------------------------------------------------------------------------------


class Broker:
    """The broker shared by the clients: its address and its process."""

    def __init__(self, servers, pid, classpath):
        self.servers = servers
        self.pid = pid or listening_process(servers)
        self.classpath = classpath or (self.pid and classpath_of(self.pid))
        if not self.classpath:
            raise Failed(
                f"no Java process with a readable class path listens at {servers} on this machine: "
                "set --classpath to Kafka's jars"
            )
        if not self.pid:
            notice("the broker does not run on this machine: its CPU time is left out")

    def cpu_s(self):
        """CPU time of the broker so far."""
        return side_by_side.cpu_s(self.pid) if self.pid else None

    def java(self, tool, *arguments):
        """Command line of one of Kafka's own tools."""
        return ["java", *JVM_OPTIONS, "-cp", self.classpath, JAVA_TOOLS + tool, *arguments]

    @contextlib.contextmanager
    def topic(self, name):
        """Creates a topic of one partition and deletes it after the block."""
        topics = self.java("TopicCommand", "--bootstrap-server", self.servers, "--topic", name)
        delay = f"file.delete.delay.ms={FILE_DELETE_DELAY_MS}"
        call([*topics, "--create", "--partitions", "1", "--config", delay])
        try:
            yield name
        finally:
            call([*topics, "--delete"])
            time.sleep(2 * FILE_DELETE_DELAY_MS / 1000)
            # Unwritten data of one run must not slow down the next.
            os.sync()


def listening_process(servers):
    """Finds the process on this machine that listens on the first server's port, if visible."""
    port = int(servers.split(",")[0].rpartition(":")[2])
    inodes = set()
    for listing in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(listing).read_text().splitlines()[1:]:
            columns = line.split()
            listening = columns[3] == "0A"
            if listening and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for descriptor in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) in inodes:
                return int(descriptor.parts[2])
        except OSError:
            continue  # The process has ended, or belongs to another user.
    return None


def classpath_of(pid):
    """Class path of a Java process, made absolute."""
    arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    variables = dict(v.split("=", 1) for v in environment.split("\0") if "=" in v)
    classpath = variables.get("CLASSPATH")
    for name, value in zip(arguments, arguments[1:]):
        if name in ("-cp", "-classpath", "--class-path"):
            classpath = value
    if not classpath:
        return None
    folder = pathlib.Path(f"/proc/{pid}/cwd").resolve()
    return ":".join(str(folder / part) for part in classpath.split(":"))


# --- Running a process -----------------------------------------------------------------------


@dataclass
class Used:
    """Output and resource usage of a process."""

    output: str
    elapsed_s: float
    cpu_s: float
    broker_cpu_s: float | None
    memory_max_mb: float


def measure(broker, command):
    """Runs a client to its end. A client that fails ends the comparison."""
    with tempfile.TemporaryFile("w+") as output:
        broker_before_s = broker.cpu_s()
        begun = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        elapsed_s = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        broker_after_s = broker.cpu_s()
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise Failed(f"{shlex.join(command)}\nexited with {process.returncode}:\n{text[-2000:]}")
    return Used(
        output=text,
        elapsed_s=elapsed_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        broker_cpu_s=None if broker_before_s is None else broker_after_s - broker_before_s,
        memory_max_mb=usage.ru_maxrss * 1024 / 1e6,
    )


def find(pattern, output, what):
    """Returns the groups of the last match."""
    matches = list(re.finditer(pattern, output, re.MULTILINE))
    if not matches:
        raise Failed(f"no {what} in this output; is it a different version of the tool?\n{output[-2000:]}")
    return matches[-1].groups()


# --- The clients -----------------------------------------------------------------------------
#
# Each function runs one client and returns its resource usage, the number of messages it reports, and
# their rate. The rate is the client's own, without its start.


def prodcon_produce(setup, topic, batch_bytes):
    used = measure(
        setup.broker,
        setup.prodcon(
            "fill", topic, "--messages", setup.messages, "--record-size", setup.size,
            "--acks", setup.acks, "--linger", f"{setup.linger_ms}ms", "--batch-size", batch_bytes,
            "--compression", setup.compression,
        ),
    )  # fmt: skip
    produced = document(used)["summary"]["produced"]
    return used, produced["acked"], produced["rate_msg_per_s"]


def java_produce(setup, topic, batch_bytes):
    return java_produce_from(setup, topic, batch_bytes, "--record-size", str(setup.size))


def java_produce_file(setup, topic, batch_bytes):
    return java_produce_from(setup, topic, batch_bytes, "--payload-file", setup.payload_file())


def java_produce_from(setup, topic, batch_bytes, *payload):
    used = measure(
        setup.broker,
        setup.broker.java(
            "ProducerPerformance", "--bootstrap-server", setup.broker.servers, "--topic", topic,
            "--num-records", str(setup.messages), *payload,
            "--throughput", "-1", "--command-property", f"acks={setup.acks}",
            f"linger.ms={setup.linger_ms}", f"batch.size={batch_bytes}",
            f"compression.type={setup.compression}", "enable.idempotence=false",
        ),
    )  # fmt: skip
    sent, rate = find(r"^(\d+) records sent, ([\d.]+) records/sec .* 99\.9th", used.output, "result")
    return used, int(sent), float(rate)


def rdkafka_produce(setup, topic, batch_bytes):
    used = measure(
        setup.broker,
        setup.rdkafka(
            "-P", "-t", topic, "-p", "0", "-s", setup.size, "-c", setup.messages, "-a", setup.acks,
            "-z", setup.compression, "-X", f"linger.ms={setup.linger_ms}",
            "-X", f"batch.size={batch_bytes}", "-X", f"batch.num.messages={max(batch_bytes // 40, 10_000)}",
        ),
    )  # fmt: skip
    pattern = r"(\d+) delivered .* (\d+) msgs/s"
    delivered, rate = find(pattern, used.output, "result")
    return used, int(delivered), float(rate)


def prodcon_consume(setup, topic):
    return prodcon_drain(setup, topic)


def prodcon_consume_group(setup, topic):
    return prodcon_drain(setup, topic, "--group", setup.new_name("group"))


def prodcon_drain(setup, topic, *more):
    used = measure(setup.broker, setup.prodcon("drain", topic, *more))
    consumed = document(used)["summary"]["consumed"]
    return used, consumed["received"], consumed["rate_msg_per_s"]


def java_consume(setup, topic):
    used = measure(
        setup.broker,
        setup.broker.java(
            "ConsumerPerformance", "--bootstrap-server", setup.broker.servers, "--topic", topic,
            "--num-records", str(setup.messages), "--hide-header",
        ),
    )  # fmt: skip
    # ..., messages, msg/s, rebalance ms, fetch ms, fetch MB/s, fetch msg/s
    pattern = r"^.*, (\d+), [\d.]+, \d+, \d+, [\d.]+, ([\d.]+)$"
    messages, rate = find(pattern, used.output, "result")
    return used, int(messages), float(rate)


def rdkafka_consume(setup, topic):
    return rdkafka_read(setup, "-C", "-t", topic, "-p", "0", "-o", "beginning")


def rdkafka_consume_group(setup, topic):
    return rdkafka_read(setup, "-G", setup.new_name("group"), "-t", topic)


def rdkafka_read(setup, *mode):
    used = measure(setup.broker, setup.rdkafka(*mode, "-c", setup.messages, *RDKAFKA_CONSUMER))
    messages, rate = find(r"(\d+) messages .* consumed in .* (\d+) msgs/s", used.output, "result")
    return used, int(messages), float(rate)


PRODUCERS = {
    "kafka-prodcon fill": prodcon_produce,
    "kafka-producer-perf-test": java_produce,
    "kafka-producer-perf-test --payload-file": java_produce_file,
    "rdkafka_performance -P": rdkafka_produce,
}
CONSUMERS = {
    "kafka-prodcon drain": prodcon_consume,
    "kafka-prodcon drain --group": prodcon_consume_group,
    "kafka-consumer-perf-test": java_consume,
    "rdkafka_performance -C": rdkafka_consume,
    "rdkafka_performance -G": rdkafka_consume_group,
}
PAIR = "kafka-prodcon"
E2E = "kafka-e2e-latency"


def document(used):
    """Result document of kafka-prodcon, which follows its other output."""
    result = json.loads(used.output[used.output.index("{\n") :])
    if result["verdict"]["outcome"] != "valid":
        raise Failed(f"kafka-prodcon reports an invalid run: {result['verdict']}")
    return result


# --- The comparison --------------------------------------------------------------------------


class Setup:
    """Settings common to all runs."""

    def __init__(self, options, broker, folder, rdkafka_performance):
        self.broker = broker
        self.folder = folder
        self.messages = options.messages
        self.size = options.size
        self.acks = options.acks
        self.linger_ms = options.linger_ms
        self.compression = options.compression
        self._prodcon = options.kafka_prodcon
        self._rdkafka = rdkafka_performance
        self._names = 0

    def new_name(self, kind):
        self._names += 1
        return f"peers-{kind}-{os.getpid()}-{self._names}"

    def payload_file(self):
        """File of messages, so that a client need not generate them."""
        path = self.folder / "payloads.txt"
        if not path.exists():
            letters = random.Random(0)
            lines = ("".join(letters.choices(string.ascii_uppercase, k=self.size)) for _ in range(1000))
            path.write_text("\n".join(lines) + "\n")
        return str(path)

    def topic(self):
        return self.broker.topic(self.new_name("topic"))

    def prodcon(self, mode, topic, *more):
        command = [self._prodcon, mode, "--topic", topic, "--output", "json", "--quiet",
                   "--bootstrap-servers", self.broker.servers,
                   "--results-dir", str(self.folder / "kafka-prodcon"), *more]  # fmt: skip
        return [str(part) for part in command if part != ""]

    def rdkafka(self, *arguments):
        return [str(part) for part in (self._rdkafka, *arguments, "-b", self.broker.servers, "-q")]


def produce_round(setup, number, batch_sizes):
    """Runs every producer with every batch size, each on a topic of its own."""
    runs = []
    jobs = [(client, size) for size in batch_sizes for client in PRODUCERS]
    for client, batch_bytes in rotated(jobs, number):
        with setup.topic() as topic:
            result = PRODUCERS[client](setup, topic, batch_bytes)
        runs.append(counted(setup, number, "produce", client, f"{batch_bytes} B", result))
    return runs


def consume_round(setup, number, batch_sizes):
    """Runs every consumer in turn, on the same topic."""
    runs = []
    with setup.topic() as topic:
        prodcon_produce(setup, topic, batch_sizes[0])
        for client in rotated(list(CONSUMERS), number):
            result = CONSUMERS[client](setup, topic)
            runs.append(counted(setup, number, "consume", client, "", result))
    return runs


def counted(setup, number, part, client, setting, result):
    used, messages, rate = result
    # The Java consumer and librdkafka's stop after the batch that completes the number.
    if messages < setup.messages:
        raise Failed(f"{client} moved {messages} of {setup.messages} messages:\n{used.output[-2000:]}")
    return finished(number, part, client, setting, used, messages, rate)


def finished(number, part, client, setting, used, messages, rate, **latency):
    broker_cpu_us = None
    cores_busy = None
    if used.broker_cpu_s is not None:
        broker_cpu_us = used.broker_cpu_s / messages * 1e6
        cores_busy = (used.cpu_s + used.broker_cpu_s) / used.elapsed_s
    run = Run(
        round=number, part=part, client=client, setting=setting, messages=messages, msg_per_s=rate,
        client_cpu_us=used.cpu_s / messages * 1e6, broker_cpu_us=broker_cpu_us,
        memory_max_mb=used.memory_max_mb, elapsed_s=used.elapsed_s, cores_busy=cores_busy, **latency,
    )  # fmt: skip
    told = f"{rate / 1e6:.2f} M msg/s" if part != "latency" else f"p50 {run.p50_ms:.2f} ms"
    name = f"{client}, {setting}" if setting else client
    notice(f"round {number}: {name}: {told}, {run.client_cpu_us:.2f} us per message")
    return run


def latency_round(setup, number, loads, seconds):
    """Runs kafka-prodcon at each rate with its linger, producing and consuming in one process, and
    kafka-e2e-latency, which sends a message after the previous one has arrived."""
    runs = []
    for load in rotated([*loads, None], number):
        with setup.topic() as topic:
            if load is None:
                runs.append(java_latency(setup, number, topic, seconds))
            else:
                runs.append(prodcon_latency(setup, number, topic, load, seconds))
    return runs


def prodcon_latency(setup, number, topic, load, seconds):
    rate, linger_ms = load
    used = measure(
        setup.broker,
        setup.prodcon(
            "", topic, "--rate", rate, "--duration", f"{seconds}s", "--warm-up", "2s",
            "--record-size", setup.size, "--acks", setup.acks, "--linger", f"{linger_ms}ms",
        ),
    )  # fmt: skip
    summary = document(used)["summary"]
    figures = summary["end_to_end_latency"]
    return finished(
        number, "latency", PAIR, f"{rate} msg/s, linger {linger_ms:g} ms", used,
        summary["consumed"]["received"], summary["consumed"]["rate_msg_per_s"],
        mean_ms=figures["mean_ns"] / 1e6, p50_ms=figures["p50_ns"] / 1e6,
        p99_ms=figures["p99_ns"] / 1e6,
    )  # fmt: skip


def java_latency(setup, number, topic, seconds):
    messages = seconds * 1_000
    used = measure(
        setup.broker,
        setup.broker.java(
            "EndToEndLatency", setup.broker.servers, topic, str(messages), setup.acks,
            str(setup.size),
        ),
    )  # fmt: skip
    (mean,) = find(r"Avg latency: ([\d.]+) ms", used.output, "mean latency")
    p50, p99 = find(r"50th = (\d+), 99th = (\d+)", used.output, "percentiles")
    return finished(
        number, "latency", E2E, "one at a time", used, messages, None,
        mean_ms=float(mean), p50_ms=float(p50), p99_ms=float(p99),
    )  # fmt: skip


# --- Goals -----------------------------------------------------------------------------------


@dataclass
class Goal:
    """Ratio of two clients' figures, and its bound."""

    part: str
    ours: str
    theirs: str
    figure: str
    their_figure: str
    at_least: bool
    bound: float

    def text(self):
        names = {
            "msg_per_s": "throughput", "client_cpu_us": "client CPU per message", "p50_ms": "p50",
            "mean_ms": "mean",
        }  # fmt: skip
        theirs = "" if self.figure == self.their_figure else f" ({names[self.their_figure]})"
        return f"{names[self.figure]}: `{self.ours}` / `{self.theirs}`{theirs}"

    def bound_text(self):
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"

    def is_met(self, ratio):
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def goal(part, ours, theirs, figure, *, at_least=None, at_most=None, their_figure=None):
    bound = at_most if at_least is None else at_least
    return Goal(part, ours, theirs, figure, their_figure or figure, at_least is not None, bound)


FILL, DRAIN, DRAIN_GROUP = "kafka-prodcon fill", "kafka-prodcon drain", "kafka-prodcon drain --group"
JAVA_FILE = "kafka-producer-perf-test --payload-file"
GOALS = [
    goal("produce", FILL, "kafka-producer-perf-test", "msg_per_s", at_least=2),
    goal("produce", FILL, "kafka-producer-perf-test", "client_cpu_us", at_most=0.45),
    # Not an official goal, but the harder peer: without the cost of the Java tool's random letters.
    goal("produce", FILL, JAVA_FILE, "msg_per_s", at_least=2),
    goal("produce", FILL, JAVA_FILE, "client_cpu_us", at_most=0.45),
    goal("produce", FILL, "rdkafka_performance -P", "client_cpu_us", at_most=1.3),
    goal("consume", DRAIN, "kafka-consumer-perf-test", "msg_per_s", at_least=1),
    goal("consume", DRAIN_GROUP, "kafka-consumer-perf-test", "msg_per_s", at_least=1),
    goal("consume", DRAIN, "kafka-consumer-perf-test", "client_cpu_us", at_most=0.7),
    goal("consume", DRAIN_GROUP, "kafka-consumer-perf-test", "client_cpu_us", at_most=0.7),
    goal("consume", DRAIN_GROUP, "rdkafka_performance -C", "client_cpu_us", at_most=1.5),
    goal("latency", PAIR, E2E, "p50_ms", at_most=1, their_figure="mean_ms"),
]


def ratios(runs, goal):
    """Ratios of each of our settings within each round, so that a disturbance affects both sides."""
    found = {}
    for ours in runs:
        if (ours.part, ours.client) != (goal.part, goal.ours):
            continue
        for theirs in runs:
            same_round = theirs.round == ours.round and theirs.part == ours.part
            comparable = goal.part == "latency" or theirs.setting == ours.setting
            if same_round and comparable and theirs.client == goal.theirs:
                ratio = getattr(ours, goal.figure) / getattr(theirs, goal.their_figure)
                found.setdefault(ours.setting, []).append(ratio)
    return found


# --- The report ------------------------------------------------------------------------------


def report(runs, options, host):
    lines = [
        f"Messages of {options.size} bytes, one partition, acks {options.acks}; for throughput "
        f"{options.messages:,} per run, linger {options.linger_ms} ms, compression "
        f"{options.compression}. Broker and client on "
        f"one machine ({host}). Medians of {max(run.round for run in runs)} interleaved rounds, with the "
        "lowest and the highest. CPU time is that of the whole process.",
        "",
    ]
    for part in ("produce", "consume"):
        lines += part_table(runs, part)
    lines += latency_table(runs)
    lines += goals_table(runs)
    return "\n".join(lines)


def part_table(runs, part):
    rows = []
    for (client, setting), group in grouped(runs, part).items():
        rows.append([
            f"`{client}`", setting,
            spread([r.msg_per_s / 1e6 for r in group], " M"),
            spread([r.client_cpu_us for r in group], " us"),
            spread([r.memory_max_mb for r in group], " MB", digits=0),
            spread([r.broker_cpu_us for r in group], " us"),
        ])  # fmt: skip
    head = [part, "batches of", "messages per second", "client CPU per message", "client memory",
            "broker CPU per message"]  # fmt: skip
    if part == "consume":
        head, rows = without_column(1, head, rows)
    return table(head, rows)


def latency_table(runs):
    rows = []
    for (client, setting), group in grouped(runs, "latency").items():
        rows.append([
            f"`{client}`", setting,
            spread([r.mean_ms for r in group], " ms"),
            spread([r.p50_ms for r in group], " ms"),
            spread([r.p99_ms for r in group], " ms"),
            spread([r.client_cpu_us for r in group], " us", digits=1),
            spread([r.cores_busy for r in group]),
        ])  # fmt: skip
    head = ["end-to-end latency", "load", "mean", "p50", "p99", "client CPU per message",
            "cores busy, client and broker"]  # fmt: skip
    return table(head, rows)


def goals_table(runs):
    rows = []
    for goal in GOALS:
        for setting, values in ratios(runs, goal).items():
            verdict = "met" if goal.is_met(statistics.median(values)) else "**missed**"
            at = f", {setting}" if setting else ""
            rows.append([goal.text() + at, spread(values), goal.bound_text(), verdict])
    return table(["ratio, median of the rounds", "ratio", "goal", ""], rows)


def grouped(runs, part):
    groups = {}
    for run in sorted(runs, key=lambda run: run.round):
        if run.part == part:
            groups.setdefault((run.client, run.setting), []).append(run)
    order = [*PRODUCERS, *CONSUMERS, PAIR, E2E]
    return dict(sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])))


def without_column(index, head, rows):
    left = [cells[:index] + cells[index + 1 :] for cells in [head, *rows]]
    return left[0], left[1:]


# --- Command line ----------------------------------------------------------------------------


def load(text):
    rate, _, linger_ms = text.partition(":")
    return int(rate), float(linger_ms)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description="Compare Kafka clients on one broker.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--bootstrap-servers", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"),
        help="address of the broker, HOST:PORT; or set KAFKA_BOOTSTRAP_SERVERS")  # fmt: skip
    add("--classpath", help="Kafka's jars; by default those of the broker's process")
    add("--broker-pid", type=int, help="process id of the broker; by default the one that listens on its port")
    add("--kafka-prodcon", default=str(HERE.parents[1] / "target/release/kafka-prodcon"),
        help="path of the tool")  # fmt: skip
    add("--rdkafka-performance", help="path of the tool; by default built by build-rdkafka-performance.sh")
    add("--parts", nargs="+", default=["produce", "consume", "latency"],
        choices=["produce", "consume", "latency"], help="comparisons to run")  # fmt: skip
    add("--repeats", type=int, default=5, help="rounds")
    add("--messages", type=int, default=20_000_000, help="messages per throughput run")
    add("--size", type=int, default=100, help="bytes per message, 40 or more")
    add("--acks", default="1", choices=["0", "1", "all"])
    add("--linger-ms", type=int, default=5, help="linger of the throughput runs")
    add("--batch-size", type=int, nargs="+", default=[1_000_000, 131_072],
        help="maximum batch sizes in bytes; each is used with every producer")  # fmt: skip
    add("--compression", default="none", choices=["none", "gzip", "snappy", "lz4", "zstd"])
    add("--latency-loads", type=load, nargs="+", default=[(1_000, 0.0), (10_000, 0.2)],
        metavar="RATE:LINGER", help="messages per second and linger in ms of the latency runs")  # fmt: skip
    add("--latency-seconds", type=int, default=20, help="length of the latency runs")
    add("--results-dir", default="results", help="parent of the result folder")
    options = parser.parse_args(arguments)
    if not options.bootstrap_servers:
        parser.error("no broker: set --bootstrap-servers")
    if options.repeats < 1 or options.messages < 1:
        parser.error("--repeats and --messages must be at least 1")
    return options


def compare(options):
    if not os.access(options.kafka_prodcon, os.X_OK):
        raise Failed(f"no {options.kafka_prodcon}: run cargo build --release, or set --kafka-prodcon")
    broker = Broker(options.bootstrap_servers, options.broker_pid, options.classpath)
    peer = options.rdkafka_performance
    if not peer and set(options.parts) & {"produce", "consume"}:
        peer = call([str(HERE / "build-rdkafka-performance.sh")]).strip()
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = pathlib.Path(options.results_dir) / f"peers-kafka-{stamp}"
    folder.mkdir(parents=True)
    setup = Setup(options, broker, folder, peer)
    host = machine()
    with open(folder / "runs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Run)])
        writer.writeheader()
        runs = []
        for number in range(1, options.repeats + 1):
            new = []
            if "produce" in options.parts:
                new += produce_round(setup, number, options.batch_size)
            if "consume" in options.parts:
                new += consume_round(setup, number, options.batch_size)
            if "latency" in options.parts:
                new += latency_round(setup, number, options.latency_loads, options.latency_seconds)
            writer.writerows(asdict(run) for run in new)
            file.flush()
            runs += new
            text = report(runs, options, host)
            (folder / "peers.md").write_text(text)
    print(text)
    notice(f"results in {folder}")


def main():
    try:
        compare(parse(sys.argv[1:]))
    except Failed as failure:
        sys.exit(f"error: {failure}")
    except FileNotFoundError as error:
        sys.exit(f"error: {error.filename} is missing: install it")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
