#!/bin/sh
# Builds the measured programs into OUT. With gcc 12.2 their loadable segments equal those of the ELF files here.
# usage: build.sh OUT      CC: the compiler, riscv64-linux-gnu-gcc unless set.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 OUT" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/src"
cc=${CC:-riscv64-linux-gnu-gcc}
common="-march=rv64gc -mabi=lp64d -mcmodel=medany -O2 -nostdlib -static -fno-pic -no-pie \
    -fno-asynchronous-unwind-tables -msmall-data-limit=0 -DMMIO=0x60000000ul -Wl,--build-id=none \
    -Wl,-z,norelro -T link.ld"
micro="$common -ffreestanding -fno-builtin"
kernel="$common -fno-tree-loop-distribute-patterns -std=gnu99 -w"
$cc $micro crt.S micro.S util.c main_m.c -o "$out/micro_m.elf"
$cc $micro crt.S micro.S hyp.S util.c main_s.c -o "$out/micro_s.elf"
$cc $micro -DHYP crt.S micro.S hyp.S util.c main_s.c -o "$out/micro_h.elf"
name=$(mktemp --suffix=.c)
trap 'rm -f "$name"' EXIT
for kernel_name in matmul crc; do
    echo "const char NAME[]=\"$kernel_name\";" > "$name"
    $cc $kernel rt.c "$name" crt.S util.c "$kernel_name.c" -o "$out/k_$kernel_name.elf"
done
