#!/bin/sh
# Builds vmm as OUT, static, for a riscv64 Linux. The only place that knows the flags.
# usage: build.sh OUT      CC: the compiler, riscv64-linux-gnu-gcc unless set.
set -eu
here=$(dirname "$0")
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
"${CC:-riscv64-linux-gnu-gcc}" -std=gnu11 -O2 -Wall -Wextra -Werror -static -pthread \
    "$here"/*.c "$here"/payload.S -o "$1"
