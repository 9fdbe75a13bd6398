#!/usr/bin/env python3
"""Print the tables of docs/kafka-spark.md from the result folders of spark-pipeline.

    experiments/kafka-spark/tables.py results/kafka-spark-load-short

Three tables: latency from end to end, the figures by the definitions of the study that spark-pipeline
replaces, and what became of the events. A cell shows the median over its runs and the range. Python
3.9 or later, no packages.
"""

import argparse
import collections
import csv
import json
import pathlib
import re
import statistics

UNITS_S = {"millisecond": 0.001, "second": 1, "minute": 60, "hour": 3600}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="DIR")
    cells = collections.defaultdict(list)
    for folder in parser.parse_args().folders:
        for document in sorted(folder.rglob("run.json")):
            run = read(document)
            if run:
                cells[run["cell"]].append(run)
    for title, columns in (("End to end", OWN), ("As in the study", STUDY), ("Events", EVENTS)):
        print(f"{title}\n")
        print("| run | " + " | ".join(columns) + " |")
        print("|---|" + "---:|" * len(columns))
        for cell, runs in cells.items():
            figures = [shown([figure(run) for run in runs]) for figure in columns.values()]
            print(f"| {cell} | " + " | ".join(figures) + " |")
        print()


def read(document):
    """A run with the batches after its warm-up."""
    run = json.loads(document.read_text())
    summary = run.get("summary")
    if run["tool"]["name"] != "spark-pipeline" or not summary:
        return None
    # Folders of experiments are NUMBER-CELL/repeat-N.
    cell = document.parent.parent.name if document.parent.name.startswith("repeat-") else ""
    run["cell"] = re.sub(r"^\d+-", "", cell) or document.parent.name
    begin_ms = run["schedule"]["unix_ns"] / 1e6 + 1000 * summary["warm_up_s"]
    rows = document.parent / "batches.csv"
    rows = list(csv.DictReader(rows.open())) if rows.exists() else []
    run["batches"] = [row for row in rows if float(row["completed_ms"]) >= begin_ms
                      and row["batch_events"] != "0"]
    return run


def trigger_s(run):
    """The interval of the trigger; None where batches follow each other at once, or are none."""
    number, _, unit = run["options"]["trigger"].partition(" ")
    seconds = UNITS_S.get(unit.rstrip("s"))
    return float(number) * seconds if seconds else None


def latency_s(percentile):
    def of(run):
        latency = run["summary"]["end_to_end_latency"]
        return latency and latency[f"{percentile}_ns"] / 1e9
    return of


def batch_s(run):
    batches = run["summary"]["durations"].get("batch_time")
    return batches and batches["p50_ns"] / 1e9


def arithmetic_s(share):
    """The median if events wait half a trigger for their batch, and this share of its time in it."""
    def of(run):
        interval, work = trigger_s(run), batch_s(run)
        return None if interval is None or work is None else interval / 2 + share * work
    return of


def study_s(column):
    """The mean over the batches, as in the study. Percentiles cannot be averaged; it did."""
    def of(run):
        values = [float(row[column]) / 1000 for row in run["batches"]]
        return statistics.mean(values) if values else None
    return of


def study_rate(run):
    interval = trigger_s(run)
    events = [int(row["batch_events"]) for row in run["batches"]]
    return statistics.mean(events) / interval if events and interval else None


def longest_gap_s(run):
    ends = [float(row["completed_ms"]) for row in run["batches"]]
    gaps = [(later - earlier) / 1000 for earlier, later in zip(ends, ends[1:])]
    return max(gaps, default=None)


def audited(name):
    return lambda run: (run["summary"]["audit"] or {}).get(name)


def recovery_s(run):
    times = [fault["recovery_s"] for fault in run["faults"] if fault["recovery_s"] is not None]
    return max(times, default=None)


OWN = {
    "p50 s": latency_s("p50"),
    "p95 s": latency_s("p95"),
    "p99 s": latency_s("p99"),
    "batch p50 (W) s": batch_s,
    "T/2 + W/2 s": arithmetic_s(0.5),
    "T/2 + W s": arithmetic_s(1),
    "received/s": lambda run: (run["summary"]["consumed"] or {}).get("rate_msg_per_s"),
}
STUDY = {
    "events/s": study_rate,
    "mean s": study_s("mean_latency_ms"),
    "p95 s": study_s("p95_latency_ms"),
    "p99 s": study_s("p99_latency_ms"),
    "longest gap s": longest_gap_s,
}
EVENTS = {
    "lost": audited("lost"),
    "duplicated": audited("duplicated"),
    "reordered": audited("reordered"),
    "recovery s": recovery_s,
}


def shown(values):
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    texts = [number(value) for value in (statistics.median(values), min(values), max(values))]
    return texts[0] if len(values) == 1 else f"{texts[0]} ({texts[1]} to {texts[2]})"


def number(value):
    if value == round(value) or abs(value) >= 100:
        return f"{round(value):,}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"


if __name__ == "__main__":
    main()
