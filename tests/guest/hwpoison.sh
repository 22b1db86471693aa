#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Pages that the hardware has lost, as the kernel's memory-failure handling sees them (MADV_HWPOISON): under file data, under
# metadata, and met by the checker. As tests/server/media_errors.sh, which cuts images instead. In a guest only, since a page of the
# machine is lost for good; the file system is mounted through FUSE, its image is a file in memory. TAP.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

PMFS2=$BUILD/src/tools/pmfs2/pmfs2
FSCK=$BUILD/src/tools/fsck/fsck.pmfs2
BLOCK=4096
LOST=100 # block of the victim

[ -n "${GUEST_KERNEL:-}" ] && [ -e /run/guest/job ] || { echo "Bail out! this takes pages from the machine: only in a guest"; exit 1; }
modprobe -C /dev/null -d "$GUEST_MODULES" -S "$GUEST_RELEASE" fuse || { echo "Bail out! no fuse"; exit 1; }
work_init hwpoison
A=$WORK/a
IMAGE=$SHM/a.img
MOUNTED=("$A")
mkdir "$A"

# poison BLOCK of the image: the page is lost for everybody
poison()
{
	python3 - "$IMAGE" "$1" <<-'END'
	import mmap, sys
	with open(sys.argv[1], "r+b") as f:
	    m = mmap.mmap(f.fileno(), 0)
	    at = int(sys.argv[2]) * 4096
	    m[at]
	    m.madvise(mmap.MADV_HWPOISON, at, 4096)
	END
}

block_of_victim()
{
	"$PMFS2" dump "$IMAGE" map "$VICTIM" | awk -v want="$1" '
		/file blocks? [0-9]+\.\.[0-9]+ at blocks/ {
			split($3, f, /\.\./); split($6, d, /\.\./)
			if (want >= f[1] && want <= f[2]) print d[1] + want - f[1]
		}'
}

case_end()
{
	set +e
	mount_end "$A"
	server_stop
	rm -f "$IMAGE"
}

case_begin()
{
	trap case_end EXIT
	: >"$WORK/zusd.log"
	server_start
	"$MKFS" --size 64M "$IMAGE" >/dev/null
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o cache=none
	head -c 4M /dev/urandom >"$WORK/good"
	head -c 1M /dev/urandom >"$WORK/victim"
	cp "$WORK/good" "$A/good"
	cp "$WORK/victim" "$A/victim"
	VICTIM=$(stat -c %i "$A/victim")
	"$UMOUNT_PMFS2" "$A"
	DATA=$(block_of_victim $LOST)
	[ -n "$DATA" ] || tap_fail "no block found"
}

fails_with_eio()
{
	local said rc=0

	said=$("$@" 2>&1 >/dev/null) || rc=$?
	[ "$rc" != 0 ] || tap_fail "did not fail: $*"
	[[ $said == *"Input/output error"* ]] || tap_fail "$* said: $said"
}

case_data()
{
	case_begin
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o cache=none
	poison "$DATA"
	fails_with_eio dd if="$A/victim" bs=$BLOCK skip=$LOST count=1
	fails_with_eio cat "$A/victim"
	kill -0 "$SERVER_PID" || tap_fail "the server has died: $(tail -5 "$WORK/zusd.log")"
	cmp "$A/good" "$WORK/good"
	dd if="$A/victim" bs=$BLOCK count=$LOST status=none | cmp -n $((LOST * BLOCK)) - "$WORK/victim"
	cmp -i $(((LOST + 1) * BLOCK)) "$A/victim" "$WORK/victim"
	echo more >"$A/new"
	grep -q "media error: byte .* of inode $VICTIM" "$WORK/zusd.log" || tap_fail "log: $(cat "$WORK/zusd.log")"
	! grep -q read-only "$WORK/zusd.log" || tap_fail "log: $(cat "$WORK/zusd.log")"
	"$UMOUNT_PMFS2" "$A"
}

# The page with the victim's inode: it stands in the first chunk of inodes, 16 to a block, behind the root's.
case_metadata()
{
	local chunk

	case_begin
	chunk=$("$PMFS2" info "$IMAGE" | awk '/^data block / { print $3 }')
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o cache=none
	for ((i = 0; i < 16; i++)); do
		poison $(((chunk + 15) / 16 * 16 + i))
	done
	fails_with_eio stat "$A/victim"
	kill -0 "$SERVER_PID" || tap_fail "the server has died: $(tail -5 "$WORK/zusd.log")"
	! touch "$A/new" 2>/dev/null || tap_fail "created a file"
	grep -q "read-only from now on: unmount, then run fsck.pmfs2" "$WORK/zusd.log" || tap_fail "log: $(cat "$WORK/zusd.log")"
	"$UMOUNT_PMFS2" "$A"
}

case_fsck()
{
	local rc=0

	case_begin
	poison "$DATA"
	"$FSCK" -n -c "$IMAGE" >"$WORK/fsck.out" 2>&1 || rc=$?
	[ $rc = 4 ] || tap_fail "exit code $rc: $(cat "$WORK/fsck.out")"
	grep -q "MEDIA_ERROR: .*blocks $DATA to $DATA" "$WORK/fsck.out" || tap_fail "block $DATA: $(cat "$WORK/fsck.out")"
}

tap_case hardware_poison_under_file_data_costs_that_block_alone 400 case_data
tap_case hardware_poison_under_metadata_makes_the_mount_read_only 400 case_metadata
tap_case hardware_poison_is_reported_by_fsck 400 case_fsck
tap_done
