#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# signals.sh [MILLISECONDS [KILLS]]: system calls under signals and kills (sigload.c), on each channel and cache mode; afterwards the
# server is well, no request waits, no reference is left, and the unmount is clean. FAULTS_CHANNELS chooses channels (default: dev
# uring), FAULTS_SEED replays the kills' delays.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

MS=${1:-50}
KILLS=${2:-5}
SEED=${FAULTS_SEED:-$((RANDOM * 32768 + RANDOM + 1))}
ZUSCTL=$BUILD/src/tools/mount/zusctl
FSCK=$BUILD/src/tools/fsck/fsck.pmfs2
SIGLOAD=$BUILD/tests/faults/sigload
echo "# FAULTS_SEED=$SEED"

in_use()
{
	stat -f -c '%b %f %c %d' "$1" | awk '{ print $1 - $2, $3 - $4 }'
}

# Requests that the kernel still waits for (0 where its control files are not mounted).
waiting()
{
	local dev

	dev=$(stat -c %Ld "$1")
	cat "/sys/fs/fuse/connections/$dev/waiting" 2>/dev/null || echo 0
}

calls_under_signals()
{
	"$SIGLOAD" "$WORK/fs/load" "$MS" "$KILLS" "$SEED" >"$WORK/sigload.out" 2>&1 || { cat "$WORK/sigload.out"; return 1; }
	grep -c '^ok' "$WORK/sigload.out"
}

# NOW BEFORE, each "BLOCKS INODES": the same, but for chunks of inodes (16 blocks), which stay once there were so many at a time. fsck
# looks for what is lost.
as_before()
{
	local now before more
	read -ra now <<<"$1"
	read -ra before <<<"$2"
	more=$((now[0] - before[0]))
	[ "${now[1]}" = "${before[1]}" ] && [ "$more" -ge 0 ] && [ "$more" -le 64 ] && [ $((more % 16)) = 0 ]
}

well_afterwards()
{
	local before=$1 i

	kill -0 "$SERVER_PID" || tap_fail "the server died"
	rm -rf "$WORK/fs/load"
	for ((i = 0; i < 50; i++)); do
		as_before "$(in_use "$WORK/fs")" "$before" && break
		sleep 0.1
	done
	as_before "$(in_use "$WORK/fs")" "$before" || tap_fail "blocks and inodes in use: $(in_use "$WORK/fs"), at first $before"
	[ "$(waiting "$WORK/fs")" = 0 ] || tap_fail "$(waiting "$WORK/fs") requests wait"
	"$ZUSCTL" stats "$WORK/fs" | grep -E '^(interrupt|forget)'
	echo again >"$WORK/fs/file"
	[ "$(cat "$WORK/fs/file")" = again ]
	rm "$WORK/fs/file"
	"$UMOUNT_PMFS2" "$WORK/fs"
	[ -z "$("$ZUSCTL" list)" ] || tap_fail "still there: $("$ZUSCTL" list)"
	! grep -iE 'error|sanitizer' "$WORK/zusd.log" || tap_fail "the server's log has errors"
	[ ! -x "$FSCK" ] || "$FSCK" -n -f "$SHM/fs.img"
}

work_init signals
for channel in ${FAULTS_CHANNELS:-dev uring}; do
	[ "$channel" != uring ] || uring_enable || exit 1
	for cache in none auto; do
		opts=cache=$cache,channel=$channel
		rm -f "$SHM"/*.img "$WORK/zusd.log"
		server_start && mount_new pmfs2 fs 256M "$opts" || exit 1
		# Tables grow once; what is in use is counted behind that.
		mkdir "$WORK/fs/load" && (cd "$WORK/fs/load" && seq 1 300 | xargs touch) && rm -r "$WORK/fs/load" && mkdir "$WORK/fs/load"
		rmdir "$WORK/fs/load"
		before=$(in_use "$WORK/fs")
		mkdir "$WORK/fs/load"
		tap_case "calls under signals and kills ($opts)" 300 calls_under_signals
		sed -n 's/^/# /p' "$WORK/sigload.out"
		tap_case "well afterwards ($opts)" 60 well_afterwards "$before"
		mount_end "$WORK/fs"
		server_stop
	done
done
tap_done
