#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Damage, mounts and fsck.pmfs2 together: what must be repaired first is not mounted, and the message says the command; a mount that
# meets damage leaves a mark; behind the repair everything is there.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

FSCK=$BUILD/src/tools/fsck/fsck.pmfs2
DAMAGE=$BUILD/tests/fsck/damage

work_init fsck
A=$WORK/a
IMAGE=$SHM/a.img
MOUNTED=("$A")
mkdir "$A"

case_end()
{
	mount_end "$A"
	server_stop
}

case_begin()
{
	trap case_end EXIT
	: >"$WORK/zusd.log"
	server_start
}

# What mount prints and the server logs name the command.
mount_is_refused()
{
	local out

	out=$("$MOUNT_PMFS2" "$IMAGE" "$A" 2>&1) && tap_fail "mounted all the same"
	grep -q "run fsck.pmfs2 $IMAGE" <(echo "$out"; cat "$WORK/zusd.log") || tap_fail "no command in: $out; log: $(cat "$WORK/zusd.log")"
}

case_refused_until_repaired()
{
	case_begin
	"$DAMAGE" "$IMAGE" "$1"
	mount_is_refused
	"$FSCK" -y "$IMAGE" || [ $? = 1 ]
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	[ "$(find "$A" -xdev | wc -l)" -gt 300 ]
	umount "$A"
	"$FSCK" -fn "$IMAGE"
}

# A directory's bucket is damaged: found when it is read, read-only from then on, and the mark stays.
case_mark()
{
	case_begin
	"$DAMAGE" "$IMAGE" DIR_BUCKET
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	ls "$A/one" && tap_fail "the damage is not met"
	touch "$A/new" && tap_fail "still writable"
	umount "$A"
	mount_is_refused
	"$MOUNT_PMFS2" -o ro "$IMAGE" "$A"
	[ -f "$A/file" ]
	umount "$A"
	mount_is_refused
	"$FSCK" -n "$IMAGE" >"$WORK/out" && tap_fail "nothing found"
	grep -q DAMAGE_MARK "$WORK/out"
	"$FSCK" -y "$IMAGE" || [ $? = 1 ]
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	ls "$A/one/x1"
	umount "$A"
}

case_mounted_is_refused()
{
	local rc=0

	case_begin
	"$DAMAGE" "$IMAGE" none
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	"$FSCK" -n "$IMAGE" 2>"$WORK/out" || rc=$?
	[ $rc = 8 ] || tap_fail "exit code $rc"
	grep -q "in use: mounted on $A" "$WORK/out" || tap_fail "$(cat "$WORK/out")"
	umount "$A"
	"$FSCK" -fn "$IMAGE"
}

# A server that dies under load leaves nothing that a check finds.
case_killed_server()
{
	case_begin
	"$DAMAGE" "$IMAGE" none
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	(for i in $(seq 400); do echo "$i" >"$A/load-$i" && mkdir "$A/dir-$i" && mv "$A/load-$i" "$A/dir-$i/x"; done) 2>/dev/null &
	sleep 0.3
	server_kill9
	wait $! || true
	umount -l "$A" || true
	"$FSCK" -n "$IMAGE"
	"$FSCK" -p "$IMAGE"
	"$FSCK" -fn "$IMAGE"
}

tap_case "damaged_intents_are_not_mounted_before_repair" 60 case_refused_until_repaired INTENT_BLOCK
tap_case "damaged_journal_is_not_mounted_before_repair" 60 case_refused_until_repaired JOURNAL_RECORD
tap_case "lost_horizon_is_not_mounted_before_repair" 60 case_refused_until_repaired HORIZON_NONE
tap_case "met_damage_leaves_a_mark_until_repair" 60 case_mark
tap_case "mounted_device_is_refused" 60 case_mounted_is_refused
tap_case "killed_server_leaves_nothing_to_find" 60 case_killed_server
tap_done
