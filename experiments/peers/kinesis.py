#!/usr/bin/env python3
"""Compares kin-producer with a plain boto3 producer on one embedded stream: the same records, the same
requests, the same number of requests in flight.

Every round runs both, in an order that changes from round to round, each on a stream of its own. Figures
of each run: records per second, and the CPU time of client and stream. Writes kinesis-runs.csv with
every run, and kinesis-peers.md with medians, ranges and ratios.

Needs boto3 (pip install boto3). See README.md in this folder.
"""

import argparse
import contextlib
import csv
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields

from side_by_side import Failed, cpu_s, machine, notice, rotated, service, spread, table

HERE = pathlib.Path(__file__).resolve().parent
OURS, THEIRS = "kin-producer", "boto3"


@dataclass
class Run:
    """One run of one client."""

    round: int
    client: str
    in_flight: int
    records: int
    retried: int
    records_per_s: float
    client_cpu_us: float  # per record, for the whole process, including start and end
    stream_cpu_us: float
    elapsed_s: float  # of the process


# --- The stream ------------------------------------------------------------------------------


# Options of `run-suite services up` for a stream without limits.
UNLIMITED = ["--kinesis-limits", "none"]


@contextlib.contextmanager
def stream(client, name, shards):
    """Creates a stream for one run and deletes it afterwards."""
    client.create_stream(StreamName=name, ShardCount=shards)
    client.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    try:
        yield
    finally:
        client.delete_stream(StreamName=name)
        time.sleep(0.5)


# --- The clients -----------------------------------------------------------------------------


def kin_producer(options, url, name, in_flight, folder):
    return [
        options.kin_producer, "--stream", name, "--endpoint-url", url, "--region", "us-east-1",
        "--messages", options.records, "--record-size", options.size, "--put", "records",
        "--in-flight", in_flight, "--results-dir", folder / "kin-producer", "--output", "json", "--quiet",
    ]  # fmt: skip


def boto3_producer(options, url, name, in_flight, _folder):
    return [
        sys.executable, HERE / "kinesis_boto3.py", "--endpoint-url", url, "--stream", name,
        "--records", options.records, "--size", options.size, "--threads", in_flight,
    ]  # fmt: skip


def read_kin_producer(output):
    document = json.loads(output[output.index("{\n") :])
    if document["verdict"]["outcome"] != "valid":
        raise Failed(f"kin-producer reports an invalid run: {document['verdict']}")
    summary = document["summary"]
    produced = summary["produced"]
    return produced["acked"], summary["counts"].get("records_retried", 0), produced["rate_msg_per_s"]


def read_boto3(output):
    result = json.loads(output)
    return result["acked"], result["retried"], result["records_per_s"]


CLIENTS = {OURS: (kin_producer, read_kin_producer), THEIRS: (boto3_producer, read_boto3)}


def measure(command, environment, pid):
    """Runs a client to its end. Returns its output, its resource usage, and the stream's CPU time."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile("w+") as output:
        before_s = cpu_s(pid)
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        elapsed_s = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        stream_cpu_s = cpu_s(pid) - before_s
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise Failed(f"{shlex.join(command)}\nexited with {process.returncode}:\n{text[-2000:]}")
    return text, usage, elapsed_s, stream_cpu_s


def run(options, environment, pid, client, number, name, in_flight, folder):
    command, read = CLIENTS[name]
    url = environment["AWS_ENDPOINT_URL_KINESIS"]
    stream_name = f"peers-{os.getpid()}-{number}-{name}-{in_flight}"
    with stream(client, stream_name, options.shards):
        built = command(options, url, stream_name, in_flight, folder)
        text, usage, elapsed_s, stream_cpu_s = measure(built, environment, pid)
    acked, retried, records_per_s = read(text)
    if acked != options.records:
        raise Failed(f"{name} had {acked} of {options.records} records confirmed:\n{text[-2000:]}")
    result = Run(
        round=number, client=name, in_flight=in_flight, records=acked, retried=retried,
        records_per_s=records_per_s,
        client_cpu_us=(usage.ru_utime + usage.ru_stime) / acked * 1e6,
        stream_cpu_us=stream_cpu_s / acked * 1e6,
        elapsed_s=elapsed_s,
    )  # fmt: skip
    notice(
        f"round {number}: {name}, {in_flight} in flight: {records_per_s / 1e3:.1f} k records/s, "
        f"{result.client_cpu_us:.2f} us per record"
    )
    return result


# --- The report ------------------------------------------------------------------------------


def report(runs, options, host):
    rounds = max(run.round for run in runs)
    rows, ratios = [], []
    for in_flight in options.in_flight:
        by_client = {
            name: [r for r in runs if (r.client, r.in_flight) == (name, in_flight)] for name in CLIENTS
        }
        for name, group in by_client.items():
            rows.append([
                f"`{name}`", str(in_flight),
                spread([r.records_per_s / 1e3 for r in group], " k"),
                spread([r.client_cpu_us for r in group], " us"),
                spread([r.stream_cpu_us for r in group], " us"),
            ])  # fmt: skip
        # Within a round, so that a disturbance affects both sides.
        pairs = [
            (ours, theirs)
            for ours in by_client[OURS]
            for theirs in by_client[THEIRS]
            if ours.round == theirs.round
        ]
        rate = spread([ours.records_per_s / theirs.records_per_s for ours, theirs in pairs])
        cpu = spread([ours.client_cpu_us / theirs.client_cpu_us for ours, theirs in pairs])
        ratios.append([str(in_flight), rate, cpu])
    return "\n".join([
        f"Records of {options.size} bytes, {options.records:,} per run, 500 per PutRecords request, "
        f"{options.shards} shards without limits, client and embedded stream on one machine ({host}). "
        f"Medians of {rounds} interleaved rounds, with the lowest and the highest. CPU time is that of "
        "the whole process.",
        "",
        *table(
            ["client", "in flight", "records per second", "client CPU per record", "stream CPU per record"], rows
        ),
        *table(["in flight", "records per second, ours / theirs", "CPU per record, ours / theirs"], ratios),
    ])  # fmt: skip


# --- Command line ----------------------------------------------------------------------------


def parse(arguments):
    parser = argparse.ArgumentParser(
        description="Compare kin-producer with a plain boto3 producer on one embedded stream.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    release = HERE.parents[1] / "target/release"
    add("--kin-producer", default=str(release / "kin-producer"), help="path of the tool")
    add("--run-suite", default=str(release / "run-suite"), help="path of run-suite, which starts the stream")
    add("--repeats", type=int, default=5, help="rounds")
    add("--records", type=int, default=500_000, help="records per run")
    add("--size", type=int, default=100, help="bytes per record, 40 or more")
    add("--shards", type=int, default=4, help="shards of the stream")
    add("--in-flight", type=int, nargs="+", default=[1, 8], help="PutRecords requests in flight")
    add("--results-dir", default="results", help="parent of the result folder")
    options = parser.parse_args(arguments)
    if min(options.repeats, options.records, options.shards, *options.in_flight) < 1:
        parser.error("--repeats, --records, --shards and --in-flight must be at least 1")
    return options


def compare(options):
    try:
        import boto3
    except ImportError:
        raise Failed("Python has no package boto3: run pip install boto3 in a venv") from None
    for tool in (options.kin_producer, options.run_suite):
        if not os.access(tool, os.X_OK):
            raise Failed(f"no {tool}: run cargo build --release")
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = pathlib.Path(options.results_dir) / f"peers-kinesis-{stamp}"
    folder.mkdir(parents=True)
    host = machine()
    jobs = [(name, in_flight) for in_flight in options.in_flight for name in CLIENTS]
    runs = []
    with (
        service(options.run_suite, folder / "services", "kinesis", *UNLIMITED) as (environment, pid),
        open(folder / "kinesis-runs.csv", "w", newline="") as file,
    ):
        writer = csv.DictWriter(file, [field.name for field in fields(Run)])
        writer.writeheader()
        client = boto3.client(
            "kinesis",
            endpoint_url=environment["AWS_ENDPOINT_URL_KINESIS"],
            region_name=environment["AWS_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        for number in range(1, options.repeats + 1):
            for name, in_flight in rotated(jobs, number):
                runs.append(run(options, environment, pid, client, number, name, in_flight, folder))
                writer.writerow(asdict(runs[-1]))
                file.flush()
    text = report(runs, options, host)
    (folder / "kinesis-peers.md").write_text(text)
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
