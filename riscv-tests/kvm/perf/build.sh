#!/bin/sh
# Builds what `cargo xtask kvm perf` runs beside Debian's perf: OUT/rounds and OUT/libdebuginfod.so.1. The only place that knows the flags.
# usage: build.sh OUT      CC: the compiler, riscv64-linux-gnu-gcc unless set.
set -eu
here=$(dirname "$0")
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
cc=${CC:-riscv64-linux-gnu-gcc}
"$cc" -static -nostdlib "$here/rounds.S" -o "$1/rounds"
echo 'ELFUTILS_0.178 { global: debuginfod_*; };' > "$1/no-debuginfod.map"
"$cc" -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -nostdlib -Wl,-soname,libdebuginfod.so.1 \
    -Wl,--version-script="$1/no-debuginfod.map" "$here/no-debuginfod.c" -o "$1/libdebuginfod.so.1"
