#!/usr/bin/env python3
"""What watching a run costs it: kafka-prodcon alone, drawn on a terminal, and scraped every second.

    experiments/watching.py --bin target/release --rounds 6

The three take turns, in the opposite order in every second round. A linger of 0 makes each message a
wake-up of its own, which shows the smallest disturbance.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
import urllib.request

PORT = 19464
SIDES = ("alone", "drawn", "scraped")


def start(command, side):
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if side == "drawn":
        # `script` makes a terminal, which reads what is drawn and throws it away.
        drawn = f"stty cols 120 rows 40; {' '.join(command)}"
        command = ["script", "--quiet", "--flush", "--return", "--command", drawn, "/dev/null"]
    if side == "scraped":
        command = [*command, "--metrics-addr", str(PORT)]
    return subprocess.Popen(command, **quiet)


def scrape():
    """Whether there were figures to read."""
    try:
        url = f"http://127.0.0.1:{PORT}/metrics"
        return b"bench_schedule_lag_seconds" in urllib.request.urlopen(url, timeout=1).read()
    except OSError:
        return False


def run(side, args):
    with tempfile.TemporaryDirectory() as folder:
        run_dir = f"{folder}/run"
        load = f"--rate {args.rate} --duration {args.seconds}s --warm-up 3s --linger 0ms"
        command = [f"{args.bin}/kafka-prodcon", *load.split(), "--run-dir", run_dir]
        process, scrapes = start(command, side), 0
        while process.poll() is None:
            scrapes += side == "scraped" and scrape()
            time.sleep(1)
        if process.returncode != 0:
            raise SystemExit(f"{side}: kafka-prodcon ended with {process.returncode}")
        if side == "scraped" and scrapes < args.seconds // 2:
            raise SystemExit(f"only {scrapes} scrapes in {args.seconds} s")
        summary = json.loads(pathlib.Path(run_dir, "run.json").read_text())["summary"]
    lag = summary["schedule_lag"]
    return {
        "lag p50 us": lag["p50_ns"] / 1e3,
        "lag p99 us": lag["p99_ns"] / 1e3,
        "lag p99.9 us": lag["p99_9_ns"] / 1e3,
        "processor time s": summary["resources"]["cpu_s"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release", help="folder of kafka-prodcon [target/release]")
    parser.add_argument("--rate", default="10k", help="messages per second [10k]")
    parser.add_argument("--seconds", type=int, default=15, help="length of a run [15]")
    parser.add_argument("--rounds", type=int, default=6, help="runs of each [6]")
    args = parser.parse_args()
    runs = {side: [] for side in SIDES}
    for round_number in range(args.rounds):
        for side in SIDES if round_number % 2 == 0 else reversed(SIDES):
            runs[side].append(run(side, args))
    for side, figures in runs.items():
        parts = [f"{side:8}"]
        for name in figures[0]:
            values = [figure[name] for figure in figures]
            parts.append(f"{name} {statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        print("  ".join(parts))


if __name__ == "__main__":
    main()
