#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds zuf.ko for a kernel of kernel.sh into $BUILD/zuf-KERNEL; prints its path: build-module.sh 6.1|6.12|newest|debug
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${BUILD:-$top/build}
dir=$("$here/kernel.sh" "$1")
out=$build/zuf-$1
mkdir -p "$out"
log=$out/log
command=(make -s -C "$top/zuf" KDIR="$dir/root/usr/src/linux-headers-$(cat "$dir/release")" OUT="$out")

# In the newer Debian's folder, in a mount namespace of its own: nothing stays mounted.
in_chroot()
{
	local root=${dir%/*}/chroot/trixie d

	for d in "$dir" "$top" "$out"; do
		mkdir -p "$root$d"
		mount --bind "$d" "$root$d" || return 1
	done
	mount -t proc proc "$root/proc" && chroot "$root" "$@"
}

build()
{
	if [ "$1" = newest ]; then
		export -f in_chroot
		dir=$dir top=$top out=$out unshare -m bash -c 'in_chroot "$@"' in_chroot "${command[@]}"
	else
		"${command[@]}"
	fi
}
# BTF is not made: which pahole there is does not matter.
if ! build "$1" >"$log" 2>&1 ||
	grep -E 'warning:|WARNING:' "$log" | grep -qv 'pahole version differs'; then
	cat "$log" >&2
	exit 1
fi
echo "$out/zuf/zuf.ko"
