#!/usr/bin/env bash
# Builds the C libraries and installs them, with the header and a pkg-config file:
#
#     gc/capi/install.sh [--prefix DIR] [--destdir DIR]
#
# DIR/include/neap_gc.h, DIR/lib/libneap_gc.a, DIR/lib/libneap_gc.so, DIR/lib/pkgconfig/neap-gc.pc. The prefix is /usr/local unless something else is said;
# --destdir is put before it while copying, as packagers want it.
set -euo pipefail

prefix=/usr/local
destdir=
while [ $# -gt 0 ]; do
    case "$1" in
    --prefix) prefix=$2 ;;
    --destdir) destdir=$2 ;;
    *)
        echo "usage: $0 [--prefix DIR] [--destdir DIR]" >&2
        exit 2
        ;;
    esac
    shift 2
done
here=$(cd "$(dirname "$0")" && pwd)
case "$prefix" in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
cd "$here"

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' ../../Cargo.toml)
abi=$(sed -n 's/^#define NEAP_ABI_VERSION \([0-9]*\)u$/\1/p' ../include/neap_gc.h)
# One kind of library at a time, and no rlib: then the whole of it is optimised together.
cargo rustc --release --lib --crate-type cdylib
cargo rustc --release --lib --crate-type staticlib
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release

to=$destdir$prefix
install -d "$to/include" "$to/lib/pkgconfig"
install -m 644 ../include/neap_gc.h "$to/include/neap_gc.h"
install -m 644 "$target/libneap_gc_capi.a" "$to/lib/libneap_gc.a"
install -m 755 "$target/libneap_gc_capi.so" "$to/lib/libneap_gc.so.$abi"
ln -sf "libneap_gc.so.$abi" "$to/lib/libneap_gc.so"
cat >"$to/lib/pkgconfig/neap-gc.pc" <<EOF
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: neap-gc
Description: A managed heap for language runtimes, with short pauses
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lneap_gc
Libs.private: -lpthread -ldl -lm
EOF
echo "installed in $to"
