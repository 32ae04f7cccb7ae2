#!/bin/sh
# Builds every program of this folder into OUT, as OUT/<folder>-<name>. The only place that knows the flags.
# usage: build.sh OUT [FILE.S...]      CC: the compiler, riscv64-linux-gnu-gcc unless set.
set -eu
here=$(dirname "$0")
[ $# -ge 1 ] || { echo "usage: $0 OUT [FILE.S...]" >&2; exit 2; }
out=$1
shift
mkdir -p "$out"
[ $# -gt 0 ] || set -- "$here"/[umsh]/*.S
for source in "$@"; do
    folder=$(basename "$(dirname "$source")")
    "${CC:-riscv64-linux-gnu-gcc}" \
        -Wa,-march=rv64gch_zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_zicbom_zicboz_zicbop_zawrs_zihintpause_zfh_svinval \
        -mabi=lp64d -nostdlib -nostartfiles -static -no-pie -fno-pic \
        -Wl,--build-id=none,--no-relax,--no-warn-rwx-segments,-T,"$here/link.ld" \
        -I"$here/include" "$source" -o "$out/$folder-$(basename "$source" .S)"
done
