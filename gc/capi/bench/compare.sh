#!/usr/bin/env bash
# What the same programs take on the raw face (raw.rs) and on the C face (face.c): instructions, by callgrind; and with the argument `timed` user time
# besides, the medians of alternating runs.
set -euo pipefail
cd "$(dirname "$0")/../../.."

cargo build --quiet --release -p neap-gc-capi --example raw
cargo rustc --quiet --release -p neap-gc-capi --lib --crate-type staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
cc -std=c11 -O2 -Wall -Wextra -I gc/include gc/capi/bench/face.c "$target/release/libneap_gc_capi.a" -lpthread -ldl -lm -o "$place/face"

instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$place/out" "$@" 2>&1 >"$place/result" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
for program in lists trees cache; do
    raw=$(instructions "$target/release/examples/raw" "$program")
    expected=$(cat "$place/result")
    face=$(instructions "$place/face" "$program")
    [ "$(cat "$place/result")" = "$expected" ] || { echo "$program: the results differ" >&2; exit 1; }
    echo "$program raw $raw face $face ratio $(awk "BEGIN { printf \"%.3f\", $face / $raw }")"
    [ "${1:-}" = timed ] || continue
    for _ in $(seq 15); do
        for face in "$target/release/examples/raw" "$place/face"; do
            TIMEFORMAT="%U $(basename "$face")"
            { time "$face" "$program" timed >/dev/null; } 2>>"$place/times-$program"
        done
    done
    median() { grep " $1\$" "$place/times-$program" | sort -n | sed -n 8p | cut -d' ' -f1; }
    echo "$program seconds raw $(median raw) face $(median face)"
done
