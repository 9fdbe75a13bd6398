#!/bin/sh
# Kinesis -> Lambda -> table, and back from the table: the original end-to-end runs as a chain of tools
# in plain shell.
#
#   experiments/kinesis-chain.sh [dynamodb|mysql]
#
# Starts the services on this machine and stops them at the end. CHAIN_SERVICES=external uses yours
# instead, from the environment: AWS_REGION or AWS_PROFILE, and MYSQL_URL for mysql. In that case, deploy
# the function and its mapping first (docs/lambda.md); the run costs money (docs/aws.md). The table is
# emptied in either case.
#
#   CHAIN_SERVICES  local (default) or external
#   CHAIN_RUNS      messages x bytes of each run, default "1250x1600 2500x800"
#   CHAIN_RESULTS   folder for the results, default results/kinesis-chain-TIME
#
# Uses the tools on PATH, else those in target/release. Exits with the worst code of a run: 0 good,
# 3 INVALID, 1 failed.
set -eu

table=${1:-dynamodb}
case $table in
    dynamodb) services=kinesis,dynamodb,kin-lambda consumer=kin-db-consumer ;;
    mysql) services=kinesis,mysql,sql-lambda consumer=kin-sql-consumer ;;
    *)
        echo "usage: $0 [dynamodb|mysql]" >&2
        exit 2
        ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/target/release
results=${CHAIN_RESULTS:-results/kinesis-chain-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$results"

say() { printf '\n== %s\n' "$*"; }

stop() {
    say "stopping the services"
    run-suite services down --dir "$results/services"
}

if [ "${CHAIN_SERVICES:-local}" = local ]; then
    say "starting $services"
    trap stop EXIT
    trap 'exit 130' INT TERM
    run-suite services up "$services" --dir "$results/services"
    environment=$(run-suite services env --dir "$results/services")
    eval "$environment"
fi

say "emptying the table"
table-reset "$table" --table benchmark_kinesis --yes

worst=0
note() {
    if [ "$1" -ne 0 ]; then
        echo "$2 exited with $1" >&2
        if [ "$worst" -ne 1 ]; then worst=$1; fi
    fi
}

for run in ${CHAIN_RUNS:-1250x1600 2500x800}; do
    messages=${run%x*}
    size=${run#*x}
    say "sending $messages messages of $size bytes to the stream"
    code=0
    kin-producer --create --shards 1 -n "$messages" -r "$size" -a 1043582 \
        --run-dir "$results/$run" || code=$?
    note "$code" kin-producer
    if [ "$code" -ne 0 ] && [ "$code" -ne 3 ]; then continue; fi
    say "reading them from the table"
    code=0
    "$consumer" --from-run "$results/$run" --run-dir "$results/$run/landed" || code=$?
    note "$code" "$consumer"
done
say "results in $results"
exit "$worst"
