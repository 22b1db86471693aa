#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What calls cost, in instructions, without noise: pmfs2 over zuf, ext4 -o dax, xfs -o dax, tmpfs, pmfs2 over FUSE, in one guest that
# counts instructions as time. Prints a table with ratios to ext4-dax, the bar and ok or short; fails if a row is short.
#   guest_bench.sh [KERNEL]     default 6.1
set -u
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$here/../build}
BUILD=$(cd "$BUILD" && pwd)
kernel=${1:-6.1}
out=${GUEST_BENCH_RAW:-$(mktemp "${TMPDIR:-/tmp}/zuf-bench.XXXXXX")} || exit 2
[ -n "${GUEST_BENCH_RAW:-}" ] || trap 'rm -f "$out"' EXIT

ZUF_KO=$("$here/../tests/guest/build-module.sh" "$kernel") || exit 2
export ZUF_KO
"$here/../tests/guest/boot.sh" -k "$kernel" -i -t 900 -m 1500 -s 512 "$here/guest_in.sh" >"$out" || { cat "$out"; exit 2; }
awk '
BEGIN {
	n = split("pread_4k pread_64k pwrite_4k pwrite_64k append_64 append_4k append_4k_fdatasync pwrite_4k_fdatasync touch_4k " \
		  "touch_2m create stat open rename unlink mkdir rmdir", ops, " ")
	bar["pread_4k"] = bar["pwrite_4k"] = 1.0
	bar["append_4k"] = 0.8
	bar["create"] = bar["rename"] = bar["mkdir"] = 0.35
	bar["unlink"] = bar["rmdir"] = 0.9
	bar["stat"] = bar["open"] = 1.05
}
NF == 3 { cost[$1, $2] = $3 }
END {
	printf "instructions           zuf      ext4       xfs     tmpfs      fuse  zuf/ext4   bar\n"
	for (i = 1; i <= n; i++) {
		o = ops[i]
		r = cost["ext4", o] ? cost["zuf", o] / cost["ext4", o] : 0
		printf "%-20s %7d %9d %9d %9d %9d %9.3f", o, cost["zuf", o], cost["ext4", o], cost["xfs", o], cost["tmpfs", o],
			cost["fuse", o], r
		if (o in bar) {
			good = (r > 0 && r <= bar[o])
			printf "  %.2f %s", bar[o], good ? "ok" : "short"
			bad += !good
		}
		printf "\n"
	}
	f = cost["zuf", "pread_4k"] ? cost["fuse", "pread_4k"] / cost["zuf", "pread_4k"] : 0
	printf "%-66s %9.2f  5.00 %s\n", "pread_4k, fuse/zuf (no page cache): at least", f, (f >= 5 ? "ok" : "short")
	exit (bad || f < 5)
}' "$out"
