#!/bin/sh
# Builds every program of this folder into OUT. The only place that knows the flags.
# usage: build.sh OUT [PROGRAM.c...]      CC: the compiler, riscv64-linux-gnu-gcc unless set; ROUNDS: how often a program does
# what it does, once unless set.
set -eu
here=$(dirname "$0")
[ $# -ge 1 ] || { echo "usage: $0 OUT [PROGRAM.c...]" >&2; exit 2; }
out=$1
shift
mkdir -p "$out"
[ $# -gt 0 ] || set -- "$here"/*.c
for source in "$@"; do
    name=$(basename "$source" .c)
    case $name in bench | native) continue ;; esac
    "${CC:-riscv64-linux-gnu-gcc}" -O2 -march=rv64gc -mabi=lp64d -mcmodel=medany -Wall \
        -ffreestanding -fno-math-errno -ffp-contract=off -fno-tree-loop-distribute-patterns -fno-stack-protector -fno-pic -no-pie -nostdlib -nostartfiles -static \
        -Wl,--build-id=none,--no-relax,--no-warn-rwx-segments,--defsym=ROUNDS=${ROUNDS:-1},-T,"$here/link.ld" \
        "$here/crt.S" "$here/bench.c" "$source" -o "$out/$name"
done
