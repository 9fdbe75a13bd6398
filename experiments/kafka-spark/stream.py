#!/usr/bin/env python3
"""Read events from one Kafka topic with Spark Structured Streaming, and write them to another.

Plain PySpark for spark-submit, the same on local[N], a standalone cluster, YARN and Kubernetes:

    spark-submit --packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0 stream.py \\
        --brokers localhost:9092 --topic events --output-topic processed \\
        --checkpoint /tmp/checkpoint --trigger "1 second"

spark-pipeline starts it, sends the events, and measures them at the output topic. By itself it runs
the job of the study that it replaces: --brokers --topic --checkpoint --outdir --trigger.

Events are JSON objects: event_id, created_ts (ms since 1970), user_id, event_type, value, payload;
other fields are passed on. Those that are no such object are counted and dropped.

Figures of each batch are computed in the pass that writes it (`observe`), never in one of their own.
"""

import argparse
import calendar
import csv
import json
import os
import re
import signal
import sys
import threading
import time

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming import StreamingQueryListener
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

EVENT = StructType(
    [
        StructField("event_id", StringType()),
        StructField("created_ts", LongType()),
        StructField("user_id", LongType()),
        StructField("event_type", StringType()),
        StructField("value", DoubleType()),
    ]
)

# Fields of the event by which results are measured; the newest event of a count passes its own on.
HEADER = StructType(
    [
        StructField("run", StringType()),
        StructField("producer", LongType()),
        StructField("sequence", LongType()),
        StructField("intended_ns", LongType()),
        StructField("sent_ns", LongType()),
        StructField("boot", LongType()),
        StructField("wall_offset_us", LongType()),
        StructField("checksum", StringType()),
        StructField("payload", StringType()),
    ]
)

WORKS = ("none", "map", "aggregate", "join")

# Properties of Kafka's clients that Spark sets itself, and refuses from others.
SET_BY_SPARK = {
    "auto.offset.reset",
    "enable.auto.commit",
    "interceptor.classes",
    "key.deserializer",
    "key.serializer",
    "value.deserializer",
    "value.serializer",
}

# Time for executors to register with the driver.
EXECUTORS_TIMEOUT_S = 30

# Rows of the static table, one for each user.
TABLE_ROWS = 10_000

SHUFFLE = "spark.sql.shuffle.partitions"

WINDOW = "10 seconds"
WATERMARK = "10 seconds"

# The columns of the study, with its definitions: latency is the start of the batch, in whole
# seconds, less `created_ts`.
STUDY_COLUMNS = [
    "batch_id",
    "epoch_sec",
    "batch_events",
    "mean_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
]

# Latency here is the end of the batch less `created_ts`, and rates are over the time it took.
OWN_COLUMNS = [
    "completed_ms",
    "completion_mean_latency_ms",
    "completion_p50_latency_ms",
    "completion_p95_latency_ms",
    "completion_p99_latency_ms",
    "batch_ms",
    "events_per_s",
    "malformed",
    "offsets_from",
    "offsets_to",
    "backlog",
    "trigger_execution_ms",
    "add_batch_ms",
    "latest_offset_ms",
    "query_planning_ms",
    "wal_commit_ms",
    "commit_offsets_ms",
]

DURATIONS = [
    "triggerExecution",
    "addBatch",
    "latestOffset",
    "queryPlanning",
    "walCommit",
    "commitOffsets",
]


def options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--brokers", required=True, help="Kafka brokers: HOST:PORT,...")
    parser.add_argument("--topic", required=True, help="topic to read")
    parser.add_argument("--output-topic", help="topic to write to; without it events are dropped")
    parser.add_argument("--checkpoint", required=True, help="folder of the query's state")
    parser.add_argument("--partitions", type=int, default=1, help="partitions of the topic [1]")
    parser.add_argument("--outdir", help="folder for batches.csv, one line per batch")
    parser.add_argument(
        "--trigger",
        default="5 seconds",
        help='"5 seconds", 0, available-now, real-time or "real-time=1 minute" [5 seconds]',
    )
    parser.add_argument("--work", choices=WORKS, default="map", help="what is done [map]")
    parser.add_argument("--starting", default="latest", metavar="WHERE",
                        help='earliest, latest, or offsets: {"events":{"0":17}} [latest]')
    parser.add_argument("--properties", metavar="FILE",
                        help="properties file for clients, as used by Kafka's own tools")
    parser.add_argument("--progress", help="file for progress, one JSON object per batch")
    parser.add_argument("--parent", type=int, help="end when the process with this id has ended")
    return parser.parse_args(arguments)


def trigger(text):
    """The arguments of `DataStreamWriter.trigger`."""
    text = text.strip()
    if text == "0":
        return {"processingTime": "0 seconds"}
    if text == "available-now":
        return {"availableNow": True}
    real_time = re.fullmatch(r"real-time(?:=(.+))?", text)
    if real_time:
        return {"realTime": real_time.group(1) or "1 minute"}
    return {"processingTime": text}


def refusal(args, spark):
    """Why this Spark cannot run the query, if it cannot."""
    if "realTime" not in trigger(args.trigger):
        return None
    version = spark.version
    if tuple(int(part) for part in version.split(".")[:2]) < (4, 1):
        return f"--trigger real-time needs Spark 4.1 or later, and this is {version}"
    if args.work == "aggregate":
        return "--trigger real-time does not allow --work aggregate, which keeps state"
    if not args.output_topic:
        return "--trigger real-time needs --output-topic"
    # Its tasks never end: a partition without a core of its own would not be read at all.
    has = cores(spark, args.partitions)
    if has < args.partitions:
        return (
            f"--trigger real-time needs a core for each of {args.partitions} partitions, "
            f"and this Spark has {has}"
        )
    return None


def cores(spark, wanted):
    """The cores for tasks, once so many are there or the executors have had time to register."""
    deadline = time.monotonic() + EXECUTORS_TIMEOUT_S
    while spark.sparkContext.defaultParallelism < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return spark.sparkContext.defaultParallelism


def client_settings(args):
    settings = properties(args.properties) if args.properties else {}
    settings = {key: value for key, value in settings.items() if key not in SET_BY_SPARK}
    settings["bootstrap.servers"] = args.brokers
    return {f"kafka.{key}": value for key, value in settings.items()}


def properties(path):
    """The entries of a properties file, as java.util.Properties reads them."""
    with open(path, encoding="latin-1") as file:
        # A backslash at the end of a line continues it.
        text = re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", file.read())
    lines = (line.lstrip(" \t\f") for line in text.splitlines())
    entries = (re.match(r"((?:\\.|[^\\=:\s])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line)
               for line in lines if line and line[0] not in "#!")
    return {unescaped(entry[1]): unescaped(entry[2]) for entry in entries}


def unescaped(text):
    def character(match):
        code = match[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", character, text)


def source(spark, args):
    reader = spark.readStream.format("kafka").options(**client_settings(args))
    # A topic that lost messages before they were read must stop the query, not pass unnoticed.
    return (
        reader.option("subscribe", args.topic)
        .option("startingOffsets", args.starting)
        .option("failOnDataLoss", "true")
        .load()
        .select("partition", "key", "value")
        .withColumn("text", F.col("value").cast("string"))
        .withColumn("event", F.from_json("text", EVENT))
        .withColumn("created_ms", F.col("event.created_ts"))
    )


def observed(events):
    """Adds the figures of each batch, computed while its rows pass."""
    is_good = F.col("created_ms").isNotNull()
    return events.observe(
        "events",
        F.count(F.when(is_good, 1)).alias("good"),
        F.count(F.when(~is_good, 1)).alias("malformed"),
        F.avg("created_ms").alias("created_mean_ms"),
        # The oldest events have the longest latencies, whatever instant these end at.
        F.percentile_approx("created_ms", [0.5, 0.05, 0.01], 10_000).alias("created_ms"),
    )


def worked(spark, events, work):
    """The rows of the output topic: partition, key, value."""
    if work == "none":
        return events.select("partition", "key", "value")
    good = events.where(F.col("created_ms").isNotNull())
    if work == "map":
        return good.select("partition", "key", encoded().alias("value"))
    if work == "join":
        return joined(spark, good)
    return counted(good)


def joined(spark, good):
    segment = F.concat(F.lit("segment-"), (F.col("id") % 10).cast("string")).alias("segment")
    table = spark.range(TABLE_ROWS).select(F.col("id").alias("user_id"), segment)
    rows = good.withColumn("user_id", F.col("event.user_id")).join(F.broadcast(table), "user_id")
    return rows.select("partition", "key", encoded(F.col("segment")).alias("value"))


def counted(good):
    """A row for each type of event in each window, whenever its count has changed.

    It has the fields of the newest event that it counts.
    """
    header = F.from_json("text", HEADER)
    rows = (
        good.withColumn("at", F.timestamp_millis("created_ms"))
        .withColumn("newest", F.struct("created_ms", header.alias("header")))
        .withWatermark("at", WATERMARK)
        .groupBy(
            F.window("at", WINDOW).alias("window"), F.col("event.event_type").alias("event_type")
        )
        .agg(F.count("*").alias("events"), F.max_by("newest", "created_ms").alias("newest"))
    )
    value = F.to_json(
        F.struct(
            "newest.header.*",
            F.unix_millis("window.start").alias("window_start_ms"),
            "event_type",
            "events",
        )
    )
    return rows.select(F.col("event_type").cast("binary").alias("key"), value.alias("value"))


def encoded(*more):
    """The event parsed, and written as JSON again, with all fields that it came with."""
    header = F.from_json("text", HEADER)
    fields = [F.col(f"event.{field.name}") for field in EVENT]
    fields += [header[field.name].alias(field.name) for field in HEADER]
    return F.to_json(F.struct(*fields, *more))


class Batches(StreamingQueryListener):
    """Writes what Spark reports of each batch."""

    def __init__(self, args):
        super().__init__()
        self.table = self.lines = None
        if args.outdir:
            os.makedirs(args.outdir, exist_ok=True)
            path = os.path.join(args.outdir, "batches.csv")
            # A restarted query continues the file.
            is_new = not os.path.exists(path) or os.path.getsize(path) == 0
            self.file = open(path, "a", newline="", encoding="utf-8")
            self.table = csv.writer(self.file)
            if is_new:
                self.table.writerow(STUDY_COLUMNS + OWN_COLUMNS)
                self.file.flush()
        if args.progress:
            self.lines = open(args.progress, "a", encoding="utf-8")

    def onQueryStarted(self, event):
        self.say({"event": "started", "run_id": str(event.runId)})

    def onQueryIdle(self, event):
        pass

    def onQueryProgress(self, event):
        progress = json.loads(event.progress.json)
        figures = batch_figures(progress)
        self.say({"event": "batch"} | figures)
        if self.table and figures["batch_events"] + figures["malformed"] > 0:
            self.table.writerow([figures[name] for name in STUDY_COLUMNS + OWN_COLUMNS])
            self.file.flush()

    def onQueryTerminated(self, event):
        self.say({"event": "ended"})

    def say(self, line):
        if self.lines:
            self.lines.write(json.dumps(line) + "\n")
            self.lines.flush()


def batch_figures(progress):
    """The figures of one batch, from Spark's report of it."""
    seen = (progress.get("observedMetrics") or {}).get("events") or {}
    durations = progress.get("durationMs") or {}
    batch_ms = durations.get("triggerExecution", 0)
    started_ms = millis(progress["timestamp"])
    completed_ms = started_ms + batch_ms
    created = [seen.get("created_mean_ms"), *(seen.get("created_ms") or [None] * 3)]
    epoch_sec = started_ms // 1000

    def latencies_ms(until_ms):
        return [None if at is None else round(until_ms - at, 1) for at in created]

    kafka = progress["sources"][0]
    ends = {name: offsets(kafka.get(name)) for name in ("startOffset", "endOffset", "latestOffset")}
    good = seen.get("good") or 0
    malformed = seen.get("malformed") or 0
    figures = [
        progress["batchId"], epoch_sec, good, *latencies_ms(epoch_sec * 1000),
        completed_ms, *latencies_ms(completed_ms),
        batch_ms, round(1000 * (good + malformed) / batch_ms, 1) if batch_ms else None, malformed,
        json.dumps(ends["startOffset"]), json.dumps(ends["endOffset"]),
        backlog(ends["endOffset"], ends["latestOffset"]),
        *(durations.get(name) for name in DURATIONS),
    ]
    return dict(zip(STUDY_COLUMNS + OWN_COLUMNS, figures))


def offsets(of):
    """Offsets by partition: {"0": 17}, of the one topic."""
    of = json.loads(of) if isinstance(of, str) else of
    return next(iter(of.values()), {}) if of else {}


def backlog(end, latest):
    return sum(max(0, at - end.get(partition, at)) for partition, at in latest.items())


def millis(timestamp):
    """2026-11-30T10:00:00.123Z in ms since 1970."""
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    seconds = time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z")
    return calendar.timegm(seconds) * 1000 + int((rest + "000")[:3])


def is_running(process):
    return process is None or os.path.exists(f"/proc/{process}")


def main(arguments):
    args = options(arguments)
    spark = SparkSession.builder.appName("kafka-spark").getOrCreate()
    refused = refusal(args, spark)
    if refused:
        spark.stop()
        print(f"error: {refused}", file=sys.stderr)
        return 2
    spark.sparkContext.setLogLevel("WARN")
    if args.work == "aggregate" and not spark.sparkContext.getConf().contains(SHUFFLE):
        # Spark's default of 200 is for tables, and costs seconds per batch.
        spark.conf.set(SHUFFLE, args.partitions)
    spark.streams.addListener(Batches(args))
    # Figures of batches need their events parsed; a query without them need not pay for it.
    is_observed = bool(args.outdir or args.progress)
    events = source(spark, args)
    rows = worked(spark, observed(events) if is_observed else events, args.work)
    writer = rows.writeStream.option("checkpointLocation", args.checkpoint)
    when = trigger(args.trigger)
    needs_updates = args.work == "aggregate" or "realTime" in when
    writer = writer.trigger(**when).outputMode("update" if needs_updates else "append")
    if args.output_topic:
        writer = writer.format("kafka").options(**client_settings(args))
        writer = writer.option("topic", args.output_topic)
    else:
        writer = writer.format("noop")
    query = writer.queryName("events").start()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    while query.isActive and not stopped.is_set() and is_running(args.parent):
        try:
            query.awaitTermination(0.2)
        except StreamingQueryException:
            break
    query.stop()
    failure = query.exception()
    spark.stop()
    if failure and not stopped.is_set():
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
