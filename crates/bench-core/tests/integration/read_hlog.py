"""Merges all intervals of a V2 interval log and prints its figures as JSON.

Usage: read_hlog.py LOG LARGEST_VALUE SIGNIFICANT_DIGITS
"""

import json
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader


def main():
    path, largest, digits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    merged = HdrHistogram(1, largest, digits)
    reader = HistogramLogReader(path, merged)
    intervals = 0
    while reader.add_next_interval_histogram() is not None:
        intervals += 1
    figures = {
        "intervals": intervals,
        "count": merged.get_total_count(),
        "max_ns": merged.get_max_value(),
    }
    for name, percentile in [("p50", 50), ("p90", 90), ("p99", 99), ("p99_9", 99.9)]:
        figures[f"{name}_ns"] = merged.get_value_at_percentile(percentile)
    json.dump(figures, sys.stdout)


main()
