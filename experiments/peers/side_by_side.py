"""Parts shared by the comparisons in this folder: services, processes, and figures with their ranges.

Standard library only.
"""

import contextlib
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

CLOCK_TICKS_S = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """An error that the user must fix; its text gives the problem and the remedy."""


# --- Services --------------------------------------------------------------------------------


@contextlib.contextmanager
def service(run_suite, folder, name, *options):
    """Runs a service of run-suite within a block: yields its clients' environment and its process."""
    place = ["--dir", str(folder)]
    call([run_suite, "services", "up", name, *options, *place])
    try:
        exports = call([run_suite, "services", "env", *place])
        # The exports are in shell syntax, so a shell reads them.
        shown = call(["sh", "-c", f"{exports}\nenv -0"])
        environment = dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)
        nodes = json.loads(call([run_suite, "services", "status", "--output", "json", *place]))
        (pid,) = [node["pid"] for node in nodes if node["service"] == name]
        yield environment, pid
    finally:
        call([run_suite, "services", "down", *place])


# --- Processes -------------------------------------------------------------------------------


def call(command):
    """Runs a helper command, which is not measured, and returns its output."""
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)}\nexited with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def cpu_s(pid):
    """CPU time of a process so far."""
    # The name of the process, in brackets, may contain anything, so skip to its closing bracket.
    after = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after[11]) + int(after[12])) / CLOCK_TICKS_S


def memory_max_mb(pid):
    """Largest resident set of a process so far. (The value of wait4 starts at that of the parent.)"""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def notice(text):
    print(text, file=sys.stderr, flush=True)


# --- Figures ---------------------------------------------------------------------------------


def spread(values, unit="", digits=2):
    """Formats the median with the lowest and the highest; empty if a figure is missing."""
    if any(value is None for value in values):
        return ""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f}{unit} ({low:.{digits}f} to {high:.{digits}f})"


def table(head, rows):
    """Lines of a Markdown table, with the first column aligned left."""
    if not rows:
        return []
    aligned = ["---"] + ["---:"] * (len(head) - 1)
    return ["| " + " | ".join(cells) + " |" for cells in [head, aligned, *rows]] + [""]


def rotated(items, by):
    """Rotates the items, so that none always runs first or after the same one."""
    by %= max(len(items), 1)
    return items[by:] + items[:by]


def machine():
    """Describes the machine, as far as it affects figures."""
    return f"{os.cpu_count()} processors, load average before {os.getloadavg()[0]:.1f}"
