#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# kill9.sh [KILLS]: the server is killed with -9 under load, again and again; after each new mount every acknowledged change of every
# round is there. In further rounds it is killed while it mounts (and so recovers), and while it unmounts. The logs of what was
# acknowledged are on another file system.
#
# KILLS are those under load, for each of the settings. Settings are "cache,channel" words in KILL9_SETTINGS.
# KILL9_SEED replays the operations and the pauses (not the instants).
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

KILLS=${1:-5}
SETTINGS=${KILL9_SETTINGS:-cache=auto,channel=auto cache=none,channel=auto}
THREADS=2
SEED=${KILL9_SEED:-$((RANDOM * 32768 + RANDOM))}
FSCK=$BUILD/src/tools/fsck/fsck.pmfs2
# How often all rounds are checked, not the last one alone.
CHECK_ALL_EVERY=10
LOAD_PID=
N_LOAD=0
N_MOUNT=0
N_MOUNT_CUT=0
N_UNMOUNT=0
N_FSCK=0
ACKED=0
echo "# KILL9_SEED=$SEED"
RANDOM=$SEED

# Runs in this shell, not in a case's: what is started here must be known to the cleanup.
load_start()
{
	mkdir -p "$WORK/fs/round$1" || return 1
	"$ACKLOAD" run "$WORK/fs/round$1" "$SHM/log.$1" $((SEED + $1)) $THREADS 30 >"$WORK/load.out" 2>&1 </dev/null &
	LOAD_PID=$!
}

# A few thousandths to some tenths of a second: $1 is the most, in ms.
pause()
{
	local ms=$((RANDOM % $1 + 1))

	sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
}

kill_under_load()
{
	load_start "$1" || return 1
	pause 700
	server_kill9
	N_LOAD=$((N_LOAD + 1))
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

dead_mount_clear()
{
	! mountpoint -q "$WORK/fs" && stat "$WORK/fs" >/dev/null 2>&1 && return 0
	umount "$WORK/fs" 2>/dev/null || umount -l "$WORK/fs"
}

# The image as the kill has left it: nothing but what a recovery puts right.
image_check()
{
	[ -x "$FSCK" ] || return 0
	N_FSCK=$((N_FSCK + 1))
	"$FSCK" -n -f "$SHM/fs.img" >"$WORK/fsck.out" 2>&1 || { echo "fsck.pmfs2 -n says $?:"; cat "$WORK/fsck.out"; return 1; }
}

remount()
{
	dead_mount_clear && image_check && server_start && mount_again fs "$1"
}

# check_rounds FIRST LAST
check_rounds()
{
	local round rc=0

	for ((round = $1; round <= $2; round++)); do
		"$ACKLOAD" check "$WORK/fs/round$round" "$SHM/log.$round" $THREADS || rc=1
	done
	return $rc
}

# The server dies while a mount recovers what the last kill has left (or just before, or just behind it).
kill_in_mount()
{
	local pid

	dead_mount_clear && server_start || return 1
	ZUSD=/bin/false mount_again fs "$1" >"$WORK/mount.out" 2>&1 &
	pid=$!
	pause 30
	server_kill9
	N_MOUNT=$((N_MOUNT + 1))
	wait "$pid" || N_MOUNT_CUT=$((N_MOUNT_CUT + 1))
	return 0
}

# The server dies in the midst of a clean end: unmount, or its own shutdown.
kill_in_unmount()
{
	local pid

	if [ $((RANDOM % 2)) = 0 ]; then
		umount "$WORK/fs" >"$WORK/umount.out" 2>&1 &
	else
		kill -TERM "$SERVER_PID" &
	fi
	pid=$!
	pause 12
	server_kill9 2>/dev/null
	N_UNMOUNT=$((N_UNMOUNT + 1))
	wait "$pid"
	return 0
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

# round NUMBER OPTIONS
run_round()
{
	local round=$1 opts=$2 first=$1 rc=0

	kill_under_load "$round" >"$WORK/out" 2>&1 || rc=$?
	ACKED=$((ACKED + $(awk '/acknowledged$/ { n += $1 } END { print n + 0 }' "$WORK/out")))
	report "kill $round ($opts): the load ends, with no error but the server's death" $rc "$WORK/out"
	if [ $((round % 3)) = 1 ]; then
		rc=0
		{ kill_in_mount "$opts" && { [ $((round % 2)) = 0 ] || kill_in_mount "$opts"; }; } >"$WORK/out" 2>&1 || rc=$?
		[ $rc = 0 ] || report "kill $round ($opts): killed while it mounts" $rc "$WORK/out" || return 1
	fi
	[ $((round % CHECK_ALL_EVERY)) != 0 ] && [ "$round" != "$KILLS" ] || first=1
	rc=0
	{ remount "$opts" && check_rounds "$first" "$round"; } >"$WORK/out" 2>&1 || rc=$?
	report "kill $round ($opts): everything acknowledged is there" $rc "$WORK/out" || return 1
	[ $((round % 3)) = 2 ] || return 0
	rc=0
	{ kill_in_unmount && remount "$opts" && check_rounds "$round" "$round"; } >"$WORK/out" 2>&1 || rc=$?
	report "kill $round ($opts): killed while it unmounts, everything is there" $rc "$WORK/out"
}

run_rounds()
{
	local opts=$1 round rc=0

	for ((round = 1; round <= KILLS; round++)); do
		run_round "$round" "$opts" || return 1
	done
	{ rm -rf "$WORK"/fs/round* && [ -z "$(ls -A "$WORK/fs")" ]; } >"$WORK/out" 2>&1 || rc=$?
	report "after $KILLS kills ($opts): everything can be removed" $rc "$WORK/out"
}

work_init kill9
for opts in $SETTINGS; do
	: >"$WORK/out"
	rc=0
	[[ $opts != *channel=uring* ]] || uring_enable >"$WORK/out" 2>&1 || rc=1
	[ $rc = 0 ] && { server_start && mount_new pmfs2 fs 1G "$opts"; } >"$WORK/out" 2>&1 || rc=1
	[ $rc = 0 ] || { report "mount ($opts)" 1 "$WORK/out"; break; }
	run_rounds "$opts" || break
	mount_drop fs
	server_stop
	rm -f "$SHM"/*
done
echo "# kills: $N_LOAD under load, $N_MOUNT while mounting ($N_MOUNT_CUT before it was done), $N_UNMOUNT while unmounting; $ACKED operations acknowledged; $N_FSCK images checked"
tap_done
