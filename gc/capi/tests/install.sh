#!/usr/bin/env bash
# Installs into a folder that goes again, and builds and runs a program against what was installed, as its users do: with the shared library and with the
# static one.
set -euo pipefail
cd "$(dirname "$0")"

place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
../install.sh --prefix "$place" >/dev/null
if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH="$place/lib/pkgconfig"
    cflags=$(pkg-config --cflags neap-gc) shared=$(pkg-config --libs neap-gc) private=$(pkg-config --static --libs neap-gc)
else
    cflags="-I$place/include" shared="-L$place/lib -lneap_gc" private="-lpthread -ldl -lm"
fi
# shellcheck disable=SC2086 # these are lists of options
{
    cc -std=c11 -O2 $cflags c/face.c $shared -o "$place/shared"
    cc -std=c11 -O2 $cflags c/face.c "$place/lib/libneap_gc.a" ${private/-lneap_gc/} -o "$place/static"
}
LD_LIBRARY_PATH="$place/lib" "$place/shared"
"$place/static"
