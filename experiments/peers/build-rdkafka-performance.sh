#!/usr/bin/env bash
# Builds rdkafka_performance, librdkafka's own benchmark, from the sources inside the rdkafka-sys
# crate that this workspace is locked to, so that both sides of the comparison are the same version
# of the library. (librdkafka is under the 2-clause BSD licence.) Prints the path of the binary.
#
# Built once for each version, in a cache folder: BENCH_CACHE_DIR, else $XDG_CACHE_HOME/stream-benchmark.
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
    # Made beside its place and moved there when it is whole.
    mkdir -p "$(dirname "$build")"
    attempt="$(mktemp -d "$build.XXXXXX")"
    trap 'rm -rf "$attempt"' EXIT
    cp -r "$crate/librdkafka/." "$attempt"
    chmod -R u+w "$attempt"
    log="$attempt/build.log"
    if ! {
        cd "$attempt"
        # What the comparison does not use is left out, so that little need be installed.
        ./configure --disable-gssapi --disable-ssl --disable-curl --disable-zstd --disable-lz4-ext
        make -j"$(nproc)" -C src librdkafka.a
        make -C examples rdkafka_performance
    } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "failed to build rdkafka_performance; a C compiler, make and python3 must be installed" >&2
        exit 1
    fi
    rm -rf "$build"
    mv "$attempt" "$build"
    trap - EXIT
fi
echo "$binary"
