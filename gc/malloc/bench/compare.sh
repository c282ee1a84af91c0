#!/usr/bin/env bash
# Programs of this machine under several allocators, by LD_PRELOAD: user and system time in seconds, the best of five runs, the allocators in turn.
# The others are those of Debian's packages libmimalloc2.0 and libjemalloc2, where they are there.
set -euo pipefail
cd "$(dirname "$0")/../../.."
cargo build --release --quiet -p neap-gc-malloc
target="${CARGO_TARGET_DIR:-target}/release"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cc -O2 -fno-builtin -pthread -o "$work/threads" gc/malloc/tests/c/family.c

names=(glibc neap)
libraries=("" "$target/libneap_malloc.so")
for found in /usr/lib/*/libmimalloc.so.2 /usr/lib/*/libjemalloc.so.2; do
    if [ -e "$found" ]; then
        names+=("$(basename "$found" .so.2)")
        libraries+=("$found")
    fi
done

python='
for r in range(3):
    l = [{str(i): [i] * (i % 40)} for i in range(150000)]
    l = [(str(x) * 3).split("1") for x in range(150000)]
'
sql="create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 400000)
insert into t select x, printf('%d-%d', x % 1000, x * 7919 % 1009) from c; create index i on t(b); select count(distinct b) from t;"

# The name of a program, then its command.
compare() {
    local name="$1" best=() i round seconds
    shift
    command -v "$1" >/dev/null || return 0
    for round in 1 2 3 4 5; do
        for i in "${!names[@]}"; do
            TIMEFORMAT='%U %S'
            seconds="$({ time LD_PRELOAD="${libraries[$i]}" "$@" >/dev/null 2>&1; } 2>&1 | awk '{print $1 + $2}')" || true
            if [ -z "${best[$i]:-}" ] || awk "BEGIN {exit !($seconds < ${best[$i]})}"; then best[$i]="$seconds"; fi
        done
    done
    printf '%-10s' "$name"
    for i in "${!names[@]}"; do printf '  %s %s' "${names[$i]}" "${best[$i]}"; done
    printf '\n'
}

compare python python3 -c "$python"
compare sqlite sqlite3 :memory: "$sql"
compare threads "$work/threads" only
