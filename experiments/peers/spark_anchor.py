#!/usr/bin/env python3
"""Compare spark-pipeline with plain Kafka tools around the same Spark job, in turn.

    run-suite services up kafka,spark && eval "$(run-suite services env)"
    experiments/peers/spark_anchor.py --trigger real-time --rate 1000

Each round runs three sides in turn: spark-pipeline; the job by spark-submit between
`kafka-prodcon fill` and `kafka-prodcon drain --follow`, with the table of batches; and the same
without it. Printed are end-to-end latencies, and the time from the beginning of each batch to its end
by the files of its checkpoint, which shows what the table costs the job.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from side_by_side import Failed, call, notice, spread

JOB = pathlib.Path(__file__).parent.parent / "kafka-spark" / "stream.py"
READY_S = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("target/release"),
                        help="folder of the tools [target/release]")
    parser.add_argument("--trigger", default="real-time", help="of the job [real-time]")
    parser.add_argument("--rate", type=int, default=1000, help="events per second [1000]")
    parser.add_argument("--work", default="none", help="of the job [none]")
    parser.add_argument("--warm-up", type=int, default=15, help="seconds before each [15]")
    parser.add_argument("--seconds", type=int, default=30, help="of each measurement [30]")
    parser.add_argument("--rounds", type=int, default=3, help="of all sides [3]")
    sides = {"spark-pipeline": pipeline, "plain": plain, "no table": plain_without_table}
    parser.add_argument("--side", action="append", choices=sides, help="only these sides")
    args = parser.parse_args()
    sides = {side: sides[side] for side in args.side or sides}
    figures = {side: [] for side in sides}
    for number in range(args.rounds):
        for side, measure in sides.items():
            notice(f"round {number + 1}: {side}")
            with tempfile.TemporaryDirectory() as folder:
                name = f"anchor-{os.getpid()}-{number}-{list(sides).index(side)}"
                figures[side].append(measure(args, pathlib.Path(folder), name))
    for column in ("p50 ms", "p90 ms", "p99 ms", "batch p50 ms", "batch p90 ms"):
        for side, rounds in figures.items():
            print(f"{column:14} {side:18} {spread([figure[column] for figure in rounds])}")


def pipeline(args, folder, name):
    call([args.bin / "spark-pipeline", "--master", "local[4]", "--topic", name, "--partitions", 2,
          "--work", args.work, "--trigger", args.trigger, "--rate", args.rate,
          "--warm-up", f"{args.warm_up}s", "--duration", f"{args.seconds}s",
          "--drain-timeout", "20s", "--run-dir", folder / "run"])
    return latencies(folder / "run") | batches(folder / "run" / "checkpoint", args.warm_up)


def plain(args, folder, name):
    return around_job(args, folder, name, ["--outdir", folder / "table"])


def plain_without_table(args, folder, name):
    return around_job(args, folder, name, [])


def around_job(args, folder, name, table):
    results = f"{name}-processed"
    for topic in (name, results):
        make(args, topic)
    with job(args, folder, name, results, table):
        # Without a pause between the warm-up and the measurement: spark-pipeline has none either.
        filling = start_fill(args, name, f"{args.warm_up + args.seconds}s", folder / "fill")
        time.sleep(args.warm_up)
        with drain(args, folder, results):
            if filling.wait() != 0:
                raise Failed(f"fill exited with {filling.returncode}")
            time.sleep(10)
    return latencies(folder / "drain") | batches(folder / "checkpoint", args.warm_up)


def start_fill(args, topic, duration, folder):
    command = [args.bin / "kafka-prodcon", "fill", "--topic", topic, "--keep-partitions", "--format",
               "event", "-r", 500, "--linger", "5ms", "--rate", args.rate, "--duration", duration,
               "--run-dir", folder, "--quiet"]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)


def make(args, topic):
    """A topic of two partitions with one event."""
    with tempfile.TemporaryDirectory() as folder:
        call([args.bin / "kafka-prodcon", "fill", "--topic", topic, "--keep-partitions", "--format",
              "event", "-r", 500, "-n", 1, "--partitions", 2, "--results-dir", folder])


@contextlib.contextmanager
def job(args, folder, name, results, table):
    """The job by spark-submit, once its first batch has begun."""
    home = os.environ["SPARK_HOME"]
    command = [f"{home}/bin/spark-submit", "--master", "local[4]", "--jars",
               os.environ["BENCH_SPARK_JARS"], "--conf", "spark.ui.enabled=false", JOB,
               "--brokers", os.environ["KAFKA_BOOTSTRAP_SERVERS"], "--topic", name,
               "--output-topic", results, "--checkpoint", folder / "checkpoint", "--partitions", 2,
               "--trigger", args.trigger, "--work", args.work, *table]
    with open(folder / "spark.log", "wb") as log:
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                   start_new_session=True)
    try:
        deadline = time.monotonic() + READY_S
        while not (folder / "checkpoint" / "sources" / "0" / "0").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed((folder / "spark.log").read_text()[-2000:])
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@contextlib.contextmanager
def drain(args, folder, topic):
    command = [args.bin / "kafka-prodcon", "drain", "--topic", topic, "--from", "latest",
               "--follow", "--run-dir", folder / "drain", "--quiet"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def latencies(folder):
    latency = json.loads((folder / "run.json").read_text())["summary"]["end_to_end_latency"]
    return {f"{name} ms": latency[f"{name}_ns"] / 1e6 for name in ("p50", "p90", "p99")}


def batches(checkpoint, warm_up_s):
    """Times from the file that begins a batch to the one that ends it, without the warm-up."""
    ends = {file.name: file.stat().st_mtime for file in (checkpoint / "commits").glob("[0-9]*")}
    begins = {file.name: file.stat().st_mtime for file in (checkpoint / "offsets").glob("[0-9]*")}
    # The first batch is empty, or waits for the first events.
    started = begins.get("1", 0) + warm_up_s
    times = sorted(1000 * (ends[name] - begins[name]) for name in ends
                   if begins.get(name, 0) > started)
    at = lambda share: times[int(share * len(times))] if times else None
    return {"batch p50 ms": at(0.5), "batch p90 ms": at(0.9)}


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
