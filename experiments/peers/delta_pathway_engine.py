#!/usr/bin/env python3
"""A Delta table as a message queue in Python: the Pathway engine around the package deltalake.

Pathway's own connector for Delta Lake needs a licence key. So messages enter the engine through a
ConnectorSubject and leave it through pw.io.subscribe; deltalake reads and writes the table.

    produce   sends messages at a rate, and appends those of each commit interval to the table
    consume   follows the table, and measures the latency of each message

Both print "ready"; the producer then waits for "go" on standard input. At the end they print the figures
as a line of JSON. Started by delta_pathway.py, which compares this with delta-producer and
delta-consumer.

The S3 server comes from the same environment variables as in the tools: AWS_ENDPOINT_URL_S3, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.
"""

import argparse
import json
import os
import random
import struct
import sys
import threading
import time

import numpy
import pathway as pw
import pyarrow
import pyarrow.parquet
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.fs import DeltaStorageHandler
from deltalake.writer.properties import ColumnProperties
from pyarrow.fs import PyFileSystem

# Start of each message: the instant at which it was due, and its number.
HEADER = struct.Struct("<qq")

# Interval at which due messages are handed to the engine. A shorter one only costs both threads more.
TICK_NS = 5_000_000

PERCENTILES = [50, 75, 85, 95, 99]

# The consumer gives up after this time without a message.
SILENCE_NS = 30_000_000_000

TABLE = pyarrow.schema([("value", pyarrow.binary())])

# Random bytes never repeat: no dictionary, no statistics, no compression.
WRITER = WriterProperties(
    compression="UNCOMPRESSED",
    default_column_properties=ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE"),
)


class Message(pw.Schema):
    value: bytes


def storage_options():
    environment = os.environ
    return {
        "AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL_S3"],
        "AWS_REGION": environment["AWS_REGION"],
        "AWS_ACCESS_KEY_ID": environment["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": environment["AWS_SECRET_ACCESS_KEY"],
        "AWS_ALLOW_HTTP": "true",
    }


def say(line):
    print(line, flush=True)


# --- Producing -------------------------------------------------------------------------------


class Schedule(pw.io.python.ConnectorSubject):
    """Produces messages at a constant rate, each with the instant at which it was due."""

    def __init__(self, options):
        super().__init__()
        self.rate = options.rate
        self.messages = options.rate * options.seconds
        self.payload_bytes = options.size - HEADER.size
        self.lag_max_ns = 0

    def run(self):
        # Different bytes in every message, at the cost of a slice.
        noise = random.randbytes(1 << 20)
        room = len(noise) - self.payload_bytes
        step_ns = 1e9 / self.rate
        start_ns = time.monotonic_ns()
        sent = 0
        while sent < self.messages:
            now_ns = time.monotonic_ns()
            due = min(int((now_ns - start_ns) / step_ns) + 1, self.messages)
            for sequence in range(sent, due):
                due_ns = start_ns + int(sequence * step_ns)
                at = sequence * 61 % room
                payload = noise[at : at + self.payload_bytes]
                self.next(value=HEADER.pack(due_ns, sequence) + payload)
            if due > sent:
                self.lag_max_ns = max(self.lag_max_ns, now_ns - start_ns - int(sent * step_ns))
            sent = due
            pause_ns = now_ns + TICK_NS - time.monotonic_ns()
            if pause_ns > 0:
                time.sleep(pause_ns / 1e9)


class Appender:
    """Appends the engine's output to the table, in a separate thread."""

    def __init__(self, table):
        self.table = table
        self.values, self.closed = [], []
        self.changed = threading.Condition()
        self.is_finished = False
        self.write_ns = []
        self.rows = 0
        self.failure = None
        self.thread = threading.Thread(target=self.append, daemon=True)
        self.thread.start()

    def on_change(self, key, row, time, is_addition):
        self.values.append(row["value"])

    def on_time_end(self, time):
        # Rows that come during a slow commit go into the next one together.
        with self.changed:
            self.closed += self.values
            self.changed.notify()
        self.values = []

    def finish(self):
        """Waits until all rows are written."""
        with self.changed:
            self.is_finished = True
            self.changed.notify()
        self.thread.join()
        if self.failure is not None:
            raise self.failure

    def next(self):
        """Returns the rows of the next commit; none at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.is_finished)
            rows, self.closed = self.closed, []
        return rows

    def append(self):
        try:
            while values := self.next():
                begun_ns = time.monotonic_ns()
                rows = pyarrow.record_batch([values], schema=TABLE)
                write_deltalake(self.table, rows, mode="append", writer_properties=WRITER)
                self.write_ns.append(time.monotonic_ns() - begun_ns)
                self.rows += len(values)
        except Exception as failure:
            self.failure = failure


def produce(options):
    table = DeltaTable.create(options.table, TABLE, storage_options=storage_options())
    schedule = Schedule(options)
    messages = pw.io.python.read(schedule, schema=Message, autocommit_duration_ms=options.commit_ms)
    appender = Appender(table)
    pw.io.subscribe(messages, appender.on_change, on_time_end=appender.on_time_end)
    say("ready")
    if sys.stdin.readline().strip() != "go":
        raise SystemExit("expected go on standard input")
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    appender.finish()
    write_ms = numpy.array(appender.write_ns) / 1e6
    say(json.dumps({
        "messages": appender.rows,
        "commits": len(write_ms),
        "write_p50_ms": numpy.percentile(write_ms, 50),
        "write_max_ms": write_ms.max(),
        "lag_max_ms": schedule.lag_max_ns / 1e6,
    }))  # fmt: skip


# --- Consuming -------------------------------------------------------------------------------


class Follower(pw.io.python.ConnectorSubject):
    """Emits the rows of each new version of the table; requests its log entry by name."""

    def __init__(self, options):
        super().__init__()
        self.table = options.table
        self.poll_s = options.poll_ms / 1000
        self.commits_each_file = options.commit_ms is None
        self.messages = options.rate * options.seconds

    def run(self):
        storage = storage_options()
        say("ready")
        while not DeltaTable.is_deltatable(self.table, storage):
            time.sleep(0.05)
        files = PyFileSystem(DeltaStorageHandler(self.table, storage))
        version, left = 0, self.messages
        deadline_ns = time.monotonic_ns() + SILENCE_NS
        while left > 0 and time.monotonic_ns() < deadline_ns:
            paths = added(files, version)
            if paths is None:
                time.sleep(self.poll_s)
                continue
            for path in paths:
                values = pyarrow.parquet.read_table(path, filesystem=files)["value"].to_pylist()
                for value in values:
                    self.next(value=value)
                if self.commits_each_file:
                    self.commit()
                left -= len(values)
            version += 1
            deadline_ns = time.monotonic_ns() + SILENCE_NS


def added(files, version):
    """Returns the data files that a version added, or None if the version does not exist yet."""
    try:
        with files.open_input_file(f"_delta_log/{version:020}.json") as entry:
            actions = [json.loads(line) for line in entry.read().splitlines()]
    except FileNotFoundError:
        return None
    return [action["add"]["path"] for action in actions if "add" in action]


class Receiver:
    """Records the latency of each message out of the engine, and its number of copies."""

    def __init__(self, options):
        messages = options.rate * options.seconds
        self.times = numpy.zeros(messages, dtype=numpy.uint8)
        begin = options.warm_up * options.rate
        self.measured = range(begin, begin + options.measured * options.rate)
        self.latency_ms = []
        self.size_bytes = 0
        self.values, self.received_ns = [], []

    def on_change(self, key, row, time, is_addition, clock=time.monotonic_ns):
        self.values.append(row["value"])
        self.received_ns.append(clock())

    def on_time_end(self, time):
        if not self.values:
            return
        # Cheaper for all rows together than one by one.
        self.size_bytes = len(self.values[0])
        rows = numpy.frombuffer(b"".join(self.values), dtype=numpy.uint8).reshape(-1, self.size_bytes)
        due_ns, sequences = rows[:, : HEADER.size].copy().view("<i8").T
        latency_ns = numpy.array(self.received_ns) - due_ns
        numpy.add.at(self.times, sequences, 1)
        measured = (sequences >= self.measured.start) & (sequences < self.measured.stop)
        self.latency_ms.append((latency_ns[measured] / 1e6).astype(numpy.float32))
        self.values, self.received_ns = [], []

    def figures(self):
        latency_ms = numpy.concatenate(self.latency_ms)
        percentiles = numpy.percentile(latency_ms, PERCENTILES)
        return {
            "messages": int(self.times.sum()),
            "lost": int((self.times == 0).sum()),
            "duplicated": int((self.times > 1).sum()),
            "size_bytes": self.size_bytes,
            "measured": len(latency_ms),
            **{f"p{p}_ms": float(value) for p, value in zip(PERCENTILES, percentiles)},
        }


def consume(options):
    messages = pw.io.python.read(Follower(options), schema=Message, autocommit_duration_ms=options.commit_ms)
    receiver = Receiver(options)
    pw.io.subscribe(messages, receiver.on_change, on_time_end=receiver.on_time_end)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    say(json.dumps(receiver.figures()))


# --- Command line ----------------------------------------------------------------------------


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_subparsers(required=True)
    for run in (produce, consume):
        mode = modes.add_parser(run.__name__)
        mode.set_defaults(run=run)
        mode.add_argument("--table", required=True, help="s3://BUCKET/PREFIX")
        mode.add_argument("--rate", type=int, required=True, help="messages per second")
        mode.add_argument("--seconds", type=int, required=True, help="how long messages are sent")
        if run is produce:
            mode.add_argument("--size", type=int, required=True, help="bytes per message, 16 or more")
            mode.add_argument("--commit-ms", type=int, required=True, help="commit interval")
        else:
            mode.add_argument(
                "--commit-ms", type=int, help="commit interval of the engine; absent: after each data file"
            )
            mode.add_argument("--poll-ms", type=float, required=True, help="poll interval of the log")
            mode.add_argument("--warm-up", type=int, required=True, help="unmeasured seconds at the start")
            mode.add_argument("--measured", type=int, required=True, help="measured seconds after the warm-up")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    options.run(options)


if __name__ == "__main__":
    main()
