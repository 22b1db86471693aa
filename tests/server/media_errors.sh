#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Media errors under real mounts. The image is cut short while it is mounted: what lay behind the cut cannot be read any more. Lost
# file data fail the reads of just them; lost metadata fail the operation, and the mount is read-only. The server and its other
# mounts go on, and the mount can be unmounted.
#
#	MEDIA_CHANNELS="dev uring"	which channels (default both; uring is switched on for its cases and put back)
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

ZUSCTL=$BUILD/src/tools/mount/zusctl
PMFS2=$BUILD/src/tools/pmfs2/pmfs2
BLOCK=4096
HALF=128 # blocks of the victim before the cut

work_init media
A=$WORK/a
B=$WORK/b
IMAGE=$SHM/a.img
MOUNTED=("$A" "$B")
mkdir "$A" "$B"

case_begin()
{
	trap case_end EXIT
	if [ "$1" = uring ]; then
		uring_enable || tap_skip "FUSE over io_uring cannot be used here"
	fi
	: >"$WORK/zusd.log"
	server_start
	"$MKFS" --size 64M "$SHM/b.img" >/dev/null
	"$MOUNT_PMFS2" "$SHM/b.img" "$B" -o "channel=$1"
	echo neighbour >"$B/file"
}

case_end()
{
	set +e
	mount_end "$A"
	mount_end "$B"
	server_stop
	uring_restore
	rm -f "$SHM/a.img" "$SHM/b.img"
}

# A file system with the files "good" and, behind it, "victim"; copies of both in $WORK.
image_new()
{
	rm -f "$IMAGE"
	"$MKFS" --size 64M "$IMAGE" >/dev/null
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	head -c 4M /dev/urandom >"$WORK/good"
	head -c 1M /dev/urandom >"$WORK/victim"
	cp "$WORK/good" "$A/good"
	mkdir "$A/dir"
	cp "$WORK/victim" "$A/victim" # last: only its own bytes lie behind the cut
	VICTIM=$(stat -c %i "$A/victim")
	"$UMOUNT_PMFS2" "$A"
}

# Where the block HALF of the victim stands: the highest runs are its last.
victim_cut()
{
	"$PMFS2" dump "$IMAGE" map "$VICTIM" | awk -v want=$HALF '
		/file blocks? [0-9]+\.\.[0-9]+ at blocks/ {
			split($3, f, /\.\./); split($6, d, /\.\./)
			if (want >= f[1] && want <= f[2]) print d[1] + want - f[1]
		}'
}

server_lives()
{
	kill -0 "$SERVER_PID" || tap_fail "the server has died: $(tail -5 "$WORK/zusd.log")"
	[ "$(cat "$B/file")" = neighbour ] || tap_fail "the other mount is hit"
	echo more >"$B/new"
}

# fails_with TEXT COMMAND...
fails_with()
{
	local text=$1 said rc=0
	shift

	said=$("$@" 2>&1 >/dev/null) || rc=$?
	[ "$rc" != 0 ] || tap_fail "did not fail: $*"
	[[ $said == *"$text"* ]] || tap_fail "$* said: $said"
}

unmount_works()
{
	"$UMOUNT_PMFS2" "$A" || tap_fail "cannot be unmounted"
	! mountpoint -q "$A"
	server_lives
}

case_lost_data()
{
	local cut

	case_begin "$1"
	image_new
	cut=$(victim_cut)
	[ -n "$cut" ] || tap_fail "no block found for the cut"
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o "channel=$1,cache=$2"
	truncate -s $((cut * BLOCK)) "$IMAGE"
	fails_with "Input/output error" cat "$A/victim"
	fails_with "Input/output error" dd if="$A/victim" bs=$BLOCK skip=$HALF count=1
	fails_with "Input/output error" dd if="$A/victim" bs=$BLOCK skip=$((HALF + 100)) count=1
	# Small: the server copies it, on every channel.
	fails_with "Input/output error" dd if="$A/victim" bs=512 skip=$(((HALF + 120) * 8)) count=1
	server_lives
	# What lies before the cut is there, and the file is as long as before.
	dd if="$A/victim" bs=$BLOCK count=$HALF status=none | cmp -n $((HALF * BLOCK)) - "$WORK/victim"
	[ "$(stat -c %s "$A/victim")" = 1048576 ] || tap_fail "the size is $(stat -c %s "$A/victim")"
	cmp "$A/good" "$WORK/good"
	# Not read-only: other files can be changed.
	dd if=/dev/zero of="$A/good" bs=$BLOCK count=1 conv=notrunc status=none
	chmod 600 "$A/good"
	fails_with "Input/output error" dd if=/dev/zero of="$A/victim" bs=$BLOCK seek=$HALF count=1 conv=notrunc
	grep -q "media error: byte .* of inode $VICTIM at or behind its byte $((HALF * BLOCK)) " "$WORK/zusd.log" ||
		tap_fail "log: $(cat "$WORK/zusd.log")"
	! grep -q "read-only" "$WORK/zusd.log" || tap_fail "log: $(cat "$WORK/zusd.log")"
	"$ZUSCTL" list | grep -q "MEDIA ERRORS" || tap_fail "$("$ZUSCTL" list)"
	unmount_works
}

case_lost_metadata()
{
	local data

	case_begin "$1"
	image_new
	data=$("$PMFS2" info "$IMAGE" | awk '/^data block / { print $3 }')
	[ -n "$data" ] || tap_fail "no data block found"
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o "channel=$1,cache=$2"
	truncate -s $((data * BLOCK)) "$IMAGE"
	fails_with "Input/output error" stat "$A/victim"
	fails_with "Input/output error" ls "$A"
	server_lives
	! touch "$A/new" 2>/dev/null || tap_fail "created a file"
	grep -q "media error: byte .*read-only from now on: unmount, then run fsck.pmfs2" "$WORK/zusd.log" ||
		tap_fail "log: $(cat "$WORK/zusd.log")"
	[ "$(grep -c "read-only from now on" "$WORK/zusd.log")" = 1 ] || tap_fail "log: $(cat "$WORK/zusd.log")"
	"$ZUSCTL" list | grep -q "DAMAGED" || tap_fail "$("$ZUSCTL" list)"
	unmount_works
}

# Readers and writers of both mounts while the data go.
case_lost_data_under_load()
{
	local cut pids=() pid

	case_begin "$1"
	image_new
	cut=$(victim_cut)
	"$MOUNT_PMFS2" "$IMAGE" "$A" -o "channel=$1,cache=none"
	for ((i = 0; i < 2; i++)); do
		( for ((k = 0; k < 40; k++)); do cmp -s "$A/good" "$WORK/good" || exit 1; done ) &
		pids+=($!)
		( for ((k = 0; k < 100; k++)); do echo "$k" >"$B/load$i" && [ "$(cat "$B/load$i")" = "$k" ] || exit 1; done ) &
		pids+=($!)
	done
	truncate -s $((cut * BLOCK)) "$IMAGE"
	for ((k = 0; k < 20; k++)); do
		fails_with "Input/output error" dd if="$A/victim" bs=$BLOCK skip=$((HALF + k)) count=1
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || tap_fail "another file was hit"
	done
	unmount_works
}

for channel in ${MEDIA_CHANNELS:-dev uring}; do
	tap_case "lost data, $channel" 60 case_lost_data "$channel" auto
	tap_case "lost data, $channel, cache=none" 60 case_lost_data "$channel" none
	tap_case "lost metadata, $channel" 60 case_lost_metadata "$channel" auto
	tap_case "lost metadata, $channel, cache=none" 60 case_lost_metadata "$channel" none
	tap_case "lost data under load, $channel" 60 case_lost_data_under_load "$channel"
done
tap_done
