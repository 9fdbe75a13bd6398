#!/usr/bin/env bash
# Builds rdkafka_performance, librdkafka's own benchmark, from the sources in the rdkafka-sys crate of
# this workspace's lock file, so that both sides of the comparison use the same version of the library.
# (librdkafka has the 2-clause BSD licence.) Prints the path of the binary.
#
# Builds each version once, in a cache folder: BENCH_CACHE_DIR, else $XDG_CACHE_HOME/stream-benchmark.
# Needs a C compiler, make and python3.
set -euo pipefail
cd "$(dirname "$0")"

cache="${BENCH_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stream-benchmark}"
manifest="$(cargo metadata --locked --format-version 1 | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
print(next(p["manifest_path"] for p in packages if p["name"] == "rdkafka-sys"))')"
crate="$(dirname "$manifest")"
build="$cache/rdkafka_performance/$(basename "$crate")"
binary="$build/examples/rdkafka_performance"

if [[ ! -x "$binary" ]]; then
    # Built in a temporary folder and moved into place when complete.
    mkdir -p "$(dirname "$build")"
    attempt="$(mktemp -d "$build.XXXXXX")"
    trap 'rm -rf "$attempt"' EXIT
    cp -r "$crate/librdkafka/." "$attempt"
    chmod -R u+w "$attempt"
    log="$attempt/build.log"
    if ! {
        cd "$attempt"
        # Disables features that the comparison does not use, so that little needs to be installed.
        ./configure --disable-gssapi --disable-ssl --disable-curl --disable-zstd --disable-lz4-ext
        make -j"$(nproc)" -C src librdkafka.a
        make -C examples rdkafka_performance
    } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "failed to build rdkafka_performance; install a C compiler, make and python3" >&2
        exit 1
    fi
    rm -rf "$build"
    mv "$attempt" "$build"
    trap - EXIT
fi
echo "$binary"
