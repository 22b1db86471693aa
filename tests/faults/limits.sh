#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The server without descriptors, without threads, and with a place for its socket that is full or read-only: what cannot be done is
# said, mounts that are there go on, and when the want is over all works as before.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

ZUSCTL=$BUILD/src/tools/mount/zusctl
NO_THREADS=$BUILD/tests/faults/no_threads.so

work_init limits
A=$WORK/a
B=$WORK/b
RUN=$WORK/run
MOUNTED=("$A" "$B" "$RUN")
mkdir "$A" "$B" "$RUN"

case_begin()
{
	trap case_end EXIT
	server_start
	"$MKFS" -f --size 64M "$WORK/image" >/dev/null
	"$MOUNT_PMFS2" "$WORK/image" "$A" -o channel=dev
	"$MKFS" -f --size 64M "$WORK/image2" >/dev/null
}

case_end()
{
	set +e
	rm -f "$WORK/no-threads"
	mount_end "$A"
	mount_end "$B"
	mount_end "$RUN"
	server_stop
}

descriptors()
{
	find "/proc/$SERVER_PID/fd" -mindepth 1 | wc -l
}

# The mount that is there goes on.
a_works()
{
	echo "$1" >"$A/file" && [ "$(cat "$A/file")" = "$1" ] || tap_fail "the mount that was there does not work"
}

# The second image is mounted, or its mount was refused with words; 0 and 1.
b_mounts()
{
	local rc=0

	timeout 20 "$MOUNT_PMFS2" "$WORK/image2" "$B" -o channel=dev >"$WORK/said" 2>&1 || rc=$?
	grep -q 'backing file is not persistent' "$WORK/said" && [ $rc = 0 ] || [ -s "$WORK/said" ] || [ $rc = 0 ] ||
		tap_fail "refused with $rc, without a word"
	[ $rc != 124 ] || tap_fail "mounting hangs"
	if [ $rc != 0 ]; then
		! mountpoint -q "$B" || tap_fail "refused, and mounted"
		return 1
	fi
	echo x >"$B/x"
	"$UMOUNT_PMFS2" "$B"
}

case_descriptors_run_out()
{
	local n limit refused=0 soft

	case_begin
	soft=$(prlimit --pid "$SERVER_PID" --nofile --output SOFT --noheadings)
	# One mount and its umount first: what the server keeps open is open.
	b_mounts
	n=$(descriptors)
	for ((limit = n + 1; limit < n + 24; limit++)); do
		prlimit --pid "$SERVER_PID" --nofile="$limit:"
		if b_mounts; then
			break
		fi
		refused=$((refused + 1))
		grep -qiE 'too many open files|cannot|memory' "$WORK/said" || tap_fail "said: $(cat "$WORK/said")"
		a_works "limit $limit"
		kill -0 "$SERVER_PID" || tap_fail "the server died"
	done
	[ $refused -gt 0 ] || tap_fail "nothing was refused"
	# Without a single one: a client waits, and gets in when there are some again.
	prlimit --pid "$SERVER_PID" --nofile="$n:"
	(sleep 1; prlimit --pid "$SERVER_PID" --nofile="$soft:") &
	timeout 10 "$ZUSCTL" status >/dev/null || tap_fail "no answer after the want was over"
	wait $!
	a_works "at the end"
	b_mounts
	[ "$(descriptors)" -le $((n + 1)) ] || tap_fail "descriptors leak: $n at first, $(descriptors) now"
	echo "# mounts refused: $refused"
}

case_threads_cannot_be_made()
{
	export LD_PRELOAD=$NO_THREADS FAULT_THREADS_FILE=$WORK/no-threads
	trap case_end EXIT
	server_start
	unset LD_PRELOAD
	"$MKFS" -f --size 64M "$WORK/image" >/dev/null
	"$MKFS" -f --size 64M "$WORK/image2" >/dev/null
	"$MOUNT_PMFS2" "$WORK/image" "$A" -o channel=dev
	touch "$WORK/no-threads"
	! b_mounts || tap_fail "mounted without threads"
	a_works "no threads"
	grep -q 'the server can make no thread' "$WORK/said" || tap_fail "said: $(cat "$WORK/said")"
	grep -q 'a control connection is refused' "$WORK/zusd.log" || tap_fail "the log does not say why: $(tail -3 "$WORK/zusd.log")"
	kill -0 "$SERVER_PID" || tap_fail "the server died"
	rm "$WORK/no-threads"
	b_mounts
	a_works "threads again"
}

# server_refused TEXT: a server on a socket in RUN ends with an error that says the text.
server_refused()
{
	local rc=0 said

	said=$(timeout 10 "$ZUSD" --foreground --socket "$RUN/zusd/zusd.sock" 2>&1) || rc=$?
	[ "$rc" = 1 ] || tap_fail "ended with $rc: $said"
	[[ $said == *"$RUN/zusd/zusd.sock"* && $said == *"$1"* ]] || tap_fail "said: $said"
	# And who mounts gets to know it.
	rc=0
	said=$(ZUSD_SOCKET=$RUN/zusd/zusd.sock timeout 20 "$MOUNT_PMFS2" none "$B" -o fstype=memfs 2>&1) || rc=$?
	[ "$rc" = 32 ] || tap_fail "mount ended with $rc: $said"
	[[ $said == *"$1"* ]] || tap_fail "mount said: $said"
}

case_socket_dir_is_read_only()
{
	trap case_end EXIT
	mount -t tmpfs -o ro,size=64k faults-run "$RUN"
	server_refused "Read-only file system"
}

case_socket_dir_is_full()
{
	trap case_end EXIT
	# No inode is left for the directory; then for the lock; then for the socket.
	mount -t tmpfs -o size=64k,nr_inodes=1 faults-run "$RUN"
	server_refused "No space left on device"
	mount -o remount,nr_inodes=2 "$RUN"
	server_refused "No space left on device"
	mount -o remount,nr_inodes=3 "$RUN"
	server_refused "No space left on device"
	# With room it starts, whatever was left behind.
	mount -o remount,nr_inodes=20 "$RUN"
	ZUSD_SOCKET=$RUN/zusd/zusd.sock "$MOUNT_PMFS2" none "$B" -o fstype=memfs
	"$UMOUNT_PMFS2" "$B"
	ZUSD_SOCKET=$RUN/zusd/zusd.sock "$ZUSCTL" stop
}

tap_case descriptors_run_out 120 case_descriptors_run_out
tap_case threads_cannot_be_made 60 case_threads_cannot_be_made
tap_case socket_dir_is_read_only 60 case_socket_dir_is_read_only
tap_case socket_dir_is_full 90 case_socket_dir_is_full
tap_done
