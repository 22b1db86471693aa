#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds zuf.ko for a kernel of kernel.sh into $BUILD/zuf-KERNEL; prints its path: build-module.sh 6.1|6.12
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${BUILD:-$top/build}
dir=$("$here/kernel.sh" "$1")
out=$build/zuf-$1
mkdir -p "$out"
log=$out/log
if ! make -s -C "$top/zuf" KDIR="$dir/root/usr/src/linux-headers-$(cat "$dir/release")" OUT="$out" >"$log" 2>&1 ||
	grep -qE 'warning:|WARNING:' "$log"; then
	cat "$log" >&2
	exit 1
fi
echo "$out/zuf/zuf.ko"
