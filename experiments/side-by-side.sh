#!/bin/sh
# Kafka, Kinesis, Delta and Spark side by side: one rate, one size, one guarantee, one page.
#
#   experiments/side-by-side.sh [FOLDER]      default: results/side-by-side-DATE
#
# Takes 15 minutes. Kafka, S3 and Spark are real servers on this machine. Kinesis and DynamoDB have
# none, so stand-ins take their place: the page says so, and their figures are the client's ceiling.
# With CHAIN_SERVICES=external all of them are yours (docs/aws.md).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/target/release
results=${1:-results/side-by-side-$(date -u +%Y%m%d-%H%M%S)}
services=${CHAIN_SERVICES:+--services $CHAIN_SERVICES}

for system in kafka kinesis delta spark; do
    # shellcheck disable=SC2086 # two words, or none
    run-suite run "$root/experiments/side-by-side/$system.toml" --results-dir "$results" $services
done
run-suite report "$results"
