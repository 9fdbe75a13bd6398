#!/usr/bin/env python3
"""A typical Kinesis producer in Python: PutRecords through boto3 from several threads.

Retries refused records. Prints its figures as a line of JSON. Started by kinesis.py, which compares it
with kin-producer.
"""

import argparse
import json
import random
import threading
import time

import boto3
from botocore.config import Config


def produce(options, records, counts):
    """Sends this many records, one request at a time."""
    client = boto3.client(
        "kinesis",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        config=Config(retries={"max_attempts": 0}),
    )
    while records > 0:
        batch = [
            {"Data": random.randbytes(options.size), "PartitionKey": f"{random.getrandbits(64):016x}"}
            for _ in range(min(options.batch, records))
        ]
        records -= len(batch)
        while batch:
            answer = client.put_records(StreamName=options.stream, Records=batch)
            refused = [
                record
                for record, result in zip(batch, answer["Records"], strict=True)
                if "ErrorCode" in result
            ]
            counts["acked"] += len(batch) - len(refused)
            counts["retried"] += len(refused)
            if refused:
                time.sleep(0.05)
            batch = refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--endpoint-url", required=True)
    add("--region", default="us-east-1")
    add("--stream", required=True)
    add("--records", type=int, required=True, help="number of records in total")
    add("--size", type=int, required=True, help="bytes per record")
    add("--batch", type=int, default=500, help="records per request")
    add("--threads", type=int, required=True, help="requests in flight")
    options = parser.parse_args()
    counts = [{"acked": 0, "retried": 0} for _ in range(options.threads)]
    shares = [
        options.records // options.threads + (index < options.records % options.threads)
        for index in range(options.threads)
    ]
    threads = [
        threading.Thread(target=produce, args=(options, share, count))
        for share, count in zip(shares, counts, strict=True)
    ]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.monotonic() - begun
    acked = sum(count["acked"] for count in counts)
    retried = sum(count["retried"] for count in counts)
    print(json.dumps({"acked": acked, "retried": retried, "records_per_s": acked / elapsed_s}))


if __name__ == "__main__":
    main()
