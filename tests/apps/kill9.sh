#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# kill9.sh [KILLS]: the server is killed with -9 under load, again and again; after each new mount every acknowledged change of every
# round is there. The logs of what was acknowledged are on another file system. KILL9_SEED replays the operations (not the instants).
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

KILLS=${1:-5}
THREADS=2
SEED=${KILL9_SEED:-$((RANDOM * 32768 + RANDOM))}
LOAD_PID=
echo "# KILL9_SEED=$SEED"

# Runs in this shell, not in a case's: what is started here must be known to the cleanup.
kill_under_load()
{
	local round=$1

	mkdir -p "$WORK/fs/round$round" || return 1
	"$ACKLOAD" run "$WORK/fs/round$round" "$SHM/log.$round" $((SEED + round)) $THREADS 30 >"$WORK/load.out" 2>&1 </dev/null &
	LOAD_PID=$!
	sleep "0.$((RANDOM % 80 + 10))"
	server_kill9
	wait_load
}

# A load that still hangs ten seconds after its server died is a failure of its own.
wait_load()
{
	local i rc=0

	for ((i = 0; i < 100; i++)); do
		kill -0 "$LOAD_PID" 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 "$LOAD_PID" 2>/dev/null; then
		echo "the load hangs after its server died"
		umount -f "$WORK/fs" 2>/dev/null
		kill -KILL "$LOAD_PID"
		rc=1
	fi
	wait "$LOAD_PID" || rc=$?
	cat "$WORK/load.out"
	return $rc
}

remount()
{
	umount "$WORK/fs" 2>/dev/null || umount -l "$WORK/fs" || return 1
	server_start || return 1
	mount_again fs "$1"
}

# Every round so far, this one included.
check_rounds()
{
	local round rc=0

	for ((round = 1; round <= $1; round++)); do
		"$ACKLOAD" check "$WORK/fs/round$round" "$SHM/log.$round" $THREADS || rc=1
	done
	return $rc
}

# report NAME RC FILE: one case, in this shell.
report()
{
	TAP_N=$((TAP_N + 1))
	if [ "$2" = 0 ]; then
		sed 's/^/# /' "$3"
		echo "ok $TAP_N - $1"
		return 0
	fi
	tail -20 "$3" | sed 's/^/# /'
	[ ! -e "$WORK/zusd.log" ] || tail -10 "$WORK/zusd.log" | sed 's/^/# log: /'
	echo "not ok $TAP_N - $1"
	TAP_FAILED=$((TAP_FAILED + 1))
	return 1
}

run_rounds()
{
	local opts=$1 round rc

	for ((round = 1; round <= KILLS; round++)); do
		rc=0
		kill_under_load "$round" >"$WORK/out" 2>&1 || rc=$?
		report "kill $round ($opts): the load ends, with no error but the server's death" $rc "$WORK/out"
		rc=0
		{ remount "$opts" && check_rounds "$round"; } >"$WORK/out" 2>&1 || rc=$?
		report "kill $round ($opts): everything acknowledged is there" $rc "$WORK/out" || return 1
	done
	rc=0
	{ rm -rf "$WORK"/fs/round* && [ -z "$(ls -A "$WORK/fs")" ]; } >"$WORK/out" 2>&1 || rc=$?
	report "after $KILLS kills ($opts): everything can be removed" $rc "$WORK/out"
}

work_init kill9
for opts in cache=auto cache=none; do
	: >"$WORK/out"
	if ! { server_start && mount_new pmfs2 fs 1G "$opts"; } >"$WORK/out" 2>&1; then
		report "mount ($opts)" 1 "$WORK/out"
		break
	fi
	run_rounds "$opts" || break
	mount_drop fs
	server_stop
	rm -f "$SHM"/*
done
tap_done
