"""Reads and writes Delta tables with the Python package deltalake, for the tests in this folder.

Usage: lake.py rows TABLE             all rows, by producer and sequence
       lake.py commits TABLE          all rows in commit order
       lake.py write TABLE TYPE       a new table with columns key and value of an Arrow type
       lake.py append TABLE TYPE      appends some rows
       lake.py set TABLE NAME VALUE   sets a property
       lake.py checkpoint TABLE       writes a checkpoint and removes older log entries

The first line of `rows` and `commits` is the table's version; for `rows` also the row count from its log. Then
one line per row: keys and values in hexadecimal digits, and a dash for a missing key. `write` and `append`
print the rows that they wrote.
"""

import json
import pathlib
import sys
import time

import arro3.io
from arro3.core import Array, DataType, Table
from deltalake import DeltaTable, QueryBuilder, WriterProperties, write_deltalake

# Small, so that a file has several groups.
GROUP_ROWS = 64

# Every commit has a different row count and format.
COMMITS = [
    (1, WriterProperties(compression="UNCOMPRESSED")),
    (1000, WriterProperties(compression="SNAPPY", max_row_group_size=GROUP_ROWS)),
    (GROUP_ROWS, WriterProperties(compression="ZSTD", max_row_group_size=GROUP_ROWS)),
    (GROUP_ROWS + 1, WriterProperties(compression="LZ4_RAW", data_page_row_count_limit=10)),
    (500, WriterProperties(compression="GZIP")),
]


def rows(path):
    table = DeltaTable(path)
    print(table.version(), table.count())
    query = "select producer, sequence, key, value from lake order by producer, sequence"
    show(QueryBuilder().register("lake", table).execute(query))


def commits(path):
    table = DeltaTable(path)
    last = table.version()
    print(last)
    for version in range(last + 1):
        # The package lists a version's files in no order; the log has the order.
        entry = pathlib.Path(path, "_delta_log", f"{version:020}.json").read_text()
        added = [action["add"]["path"] for action in map(json.loads, entry.splitlines()) if "add" in action]
        for file in added:
            show(arro3.io.read_parquet(pathlib.Path(path, file)))


def show(batches):
    columns = ("producer", "sequence", "key", "value")
    for batch in batches:
        for row in zip(*(batch.column(name) for name in columns), strict=True):
            print(*(text(cell.as_py()) for cell in row))


def text(cell):
    if cell is None:
        return "-"
    # A placeholder for no bytes, so that every line has all parts.
    return (cell.hex() or "empty") if isinstance(cell, bytes) else cell


def write(path, kind):
    made = 0
    for count, properties in COMMITS:
        add(path, kind, range(made, made + count), properties)
        made += count


def append(path, kind):
    version = DeltaTable(path).version()
    add(path, kind, range(version * 10_000, version * 10_000 + 100), None)


def add(path, kind, numbers, properties):
    keys, values = zip(*(message(number) for number in numbers), strict=True)
    if "string" not in kind:
        keys, values = ([encoded(cell) for cell in column] for column in (keys, values))
    arrow = getattr(DataType, kind)()
    # A column in between that the follower does not know.
    table = Table.from_pydict({
        "key": Array(list(keys), arrow),
        "made": Array(list(numbers), DataType.int64()),
        "value": Array(list(values), arrow),
    })  # fmt: skip
    write_deltalake(path, table, mode="append", writer_properties=properties)
    for key, value in zip(keys, values, strict=True):
        print(text(encoded(key)), text(encoded(value)))


def encoded(cell):
    return cell.encode() if isinstance(cell, str) else cell


def message(number):
    """A key, sometimes missing or empty, and a value of varying size."""
    key = (None, "", f"clé {number % 7}")[number % 3]
    return key, f"{number} " * (number % 40)


def set_property(path, name, value):
    DeltaTable(path).alter.set_table_properties({name: value})


def checkpoint(path):
    set_property(path, "delta.logRetentionDuration", "interval 0 seconds")
    # In the past: entries of this very instant would be kept.
    time.sleep(1)
    table = DeltaTable(path)
    table.create_checkpoint()
    table.cleanup_metadata()


ACTIONS = {
    "rows": rows,
    "commits": commits,
    "write": write,
    "append": append,
    "set": set_property,
    "checkpoint": checkpoint,
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
