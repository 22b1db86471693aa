#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# stress.sh DIR: stress-ng's file stressors, each for some seconds with --verify. STRESS_SECONDS changes the time of each;
# APPS_SMALL: those that do something of their own.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

SECONDS_EACH=${STRESS_SECONDS:-3}

stress()
{
	local name=$1
	shift

	tap_need stress-ng
	stress-ng "--$name" 2 -t "$SECONDS_EACH" --verify --temp-path "$DIR" --metrics-brief "$@" >"$SIDE/out" 2>&1 ||
		{ tail -25 "$SIDE/out"; return 1; }
	if grep -E ' fail: | error: ' "$SIDE/out"; then
		return 1
	fi
	if grep -q 'skipp\|not implemented' "$SIDE/out"; then
		tap_skip "$(grep -m1 'skipp\|not implemented' "$SIDE/out" | cut -c1-100)"
	fi
}

nothing_left()
{
	find "$DIR" -mindepth 1 | head
	[ -z "$(ls -A "$DIR")" ]
}

limit=$((SECONDS_EACH + 40))
tap_case "stress-ng hdd" $limit stress hdd --hdd-bytes 32M --hdd-opts rd-rnd,wr-rnd
tap_case "stress-ng hdd, direct and synchronous" $limit stress hdd --hdd-bytes 16M --hdd-opts direct,sync
tap_case "stress-ng dentry" $limit stress dentry --dentries 512
tap_case "stress-ng xattr" $limit stress xattr
tap_case "stress-ng fallocate" $limit stress fallocate --fallocate-bytes 32M
tap_case "stress-ng seek" $limit stress seek --seek-size 32M
tap_case "stress-ng copy-file" $limit stress copy-file --copy-file-bytes 128M
# Not getdent: it walks the whole system, not the directory that it is given.
names='rename link symlink dir dirdeep chmod chown utime fstat flock lockf fcntl touch filename
	file-ioctl open sync-file readahead aio fpunch dnotify inotify lease mknod'
[ -z "${APPS_SMALL:-}" ] || names='rename link dirdeep lockf touch filename sync-file aio fpunch inotify lease mknod'
for name in $names; do
	tap_case "stress-ng $name" $limit stress "$name"
done
tap_case "nothing is left" 10 nothing_left
tap_done
