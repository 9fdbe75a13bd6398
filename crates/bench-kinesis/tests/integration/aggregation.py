"""Reads or writes an aggregate with Amazon's own package. Bytes are written as hexadecimal digits.

read: converts an aggregate to one line per user record (partition key, explicit hash key, data).
write: does the reverse.
"""

import base64
import sys

from aws_kinesis_agg import aggregator, deaggregator


def to_hex(data):
    return data.hex() if data else "empty"


def from_hex(text):
    return b"" if text == "empty" else bytes.fromhex(text)


def read():
    data = base64.b64encode(bytes.fromhex(sys.stdin.read().strip())).decode()
    record = {"kinesis": {"data": data, "partitionKey": "outer", "explicitHashKey": None,
                          "sequenceNumber": "1", "kinesisSchemaVersion": "1.0",
                          "approximateArrivalTimestamp": 0}}
    for user in deaggregator.deaggregate_records(record):
        kinesis = user["kinesis"]
        hash_key = kinesis.get("explicitHashKey")
        print(to_hex(kinesis["partitionKey"].encode()),
              to_hex(hash_key.encode()) if hash_key else "-",
              to_hex(base64.b64decode(kinesis["data"])))


def write():
    packer = aggregator.RecordAggregator()
    for line in sys.stdin:
        key, hash_key, data = line.split()
        hash_key = None if hash_key == "-" else from_hex(hash_key).decode()
        full = packer.add_user_record(from_hex(key).decode(), from_hex(data), hash_key)
        assert full is None, "all records fit into one aggregate"
    print(packer.clear_and_get().get_contents()[2].hex())


{"read": read, "write": write}[sys.argv[1]]()
