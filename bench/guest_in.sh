#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# In the guest that counts instructions: measures each file system on the same device. Prints "FILESYSTEM OPERATION INSTRUCTIONS".
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/guest/lib.sh
. "$top/tests/guest/lib.sh"
dev=/dev/pmem0

module()
{
	modprobe -C /dev/null -d "$GUEST_MODULES" -S "$GUEST_RELEASE" "$1"
}

measure() # NAME
{
	mkdir "$MNT/bench"
	"$BUILD/bench/guest_cost" "$MNT/bench" | sed "s/^/$1 /"
	umount "$MNT"
}

mkdir -p "$MNT"
want=${*:-zuf ext4 xfs tmpfs fuse}
for fs in $want; do
	case $fs in
	zuf)
		zuf_load || exit 1
		"$BUILD/src/tools/mkfs/mkfs.pmfs2" -f $dev >/dev/null
		server_start || exit 1
		mount -i -t pmfs2 $dev "$MNT" && measure zuf
		kill $SERVER_PID
		wait $SERVER_PID
		umount $ZUF_ROOT
		rmmod zuf
		;;
	ext4)
		module ext4
		wipefs -qa $dev
		mkfs.ext4 -qF -b 4096 $dev && mount -o dax $dev "$MNT" && measure ext4
		;;
	xfs)
		module xfs
		wipefs -qa $dev
		mkfs.xfs -qf -m reflink=0 $dev && mount -o dax $dev "$MNT" && measure xfs
		;;
	tmpfs)
		mount -t tmpfs tmpfs "$MNT" && measure tmpfs
		;;
	fuse)
		module fuse
		wipefs -qa $dev
		"$BUILD/src/tools/mkfs/mkfs.pmfs2" -f $dev >/dev/null
		ZUF_ROOT=/none "$BUILD/src/zusd/zusd" --foreground --log-level=warning >>/run/guest/zusd.log 2>&1 &
		SERVER_PID=$!
		sleep 1
		GUEST_COST_DIRECT=1 "$BUILD/src/tools/mount/mount.pmfs2" $dev "$MNT" -o cache=none >/dev/null 2>&1 && measure fuse
		kill $SERVER_PID
		wait $SERVER_PID
		;;
	esac
done
