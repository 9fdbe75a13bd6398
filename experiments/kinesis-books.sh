#!/bin/sh
# The books study as a chain of tools in plain shell: merges two CSV files with different headings into
# one file of JSON lines, writes every book to a stream, reads them back with a consumer, and computes
# statistics of the prices. Missing and non-numeric prices are skipped and counted.
#
#   experiments/kinesis-books.sh [BOOKS [SHARDS]]      default: 212 books, 1 shard
#
# The books are generated, the same ones for the same number. By default all services run on this
# machine; CHAIN_SERVICES=external uses yours (docs/aws.md). The study wrote one book at a time, as
# `--put record --in-flight 1` does; remove both options for PutRecords.
set -eu

books=${1:-212}
shards=${2:-1}
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/target/release
results=${CHAIN_RESULTS:-results/kinesis-books-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$results"

if [ "${CHAIN_SERVICES:-local}" = local ]; then
    trap 'run-suite services down --dir "$results/services"' EXIT
    trap 'exit 130' INT TERM
    run-suite services up kinesis --dir "$results/services"
    environment=$(run-suite services env --dir "$results/services")
    eval "$environment"
fi

half=$((books / 2))
kin-producer books generate -n "$half" --seed 1 --style a "$results/a.csv"
kin-producer books generate -n "$((books - half))" --seed 2 --style b "$results/b.csv"
kin-producer books merge --output "$results/books.jsonl" "$results/a.csv" "$results/b.csv"

kin-producer --create --shards "$shards" --input "$results/books.jsonl" -n "$books" \
    --partition-key-field Title --put record --in-flight 1 --run-dir "$results/upload"

kin-consumer --query Price --stats count,sum,mean,min,max --expected "$books"
