#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fsck.pmfs2 as a program: options, exit codes, what it refuses. cli.sh FSCK DAMAGE (programs of a build)
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"
FSCK=$1
DAMAGE=$2
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-fsck.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
IMG=$WORK/image

# fsck ARG...: its exit code in RC, what it printed in OUT.
fsck()
{
	RC=0
	OUT=$("$FSCK" "$@" 2>&1 </dev/null) || RC=$?
}

want_rc()
{
	[ "$RC" = "$1" ] || tap_fail "exit code $RC, not $1: $OUT"
}

want_text()
{
	[[ $OUT == *"$1"* ]] || tap_fail "no '$1' in: $OUT"
}

case_clean()
{
	"$DAMAGE" "$IMG" none
	fsck -n "$IMG"; want_rc 0; want_text clean
	fsck -p "$IMG"; want_rc 0; want_text finished
	fsck -p "$IMG"; want_rc 0
	fsck -fy -v "$IMG"; want_rc 0; want_text directories
}

case_check_stores_nothing()
{
	"$DAMAGE" "$IMG" LINK_COUNT
	cp "$IMG" "$WORK/before"
	fsck -n "$IMG"; want_rc 4; want_text LINK_COUNT; want_text "NOT CLEAN"
	cmp "$IMG" "$WORK/before"
}

case_safe()
{
	"$DAMAGE" "$IMG" LINK_COUNT
	fsck -p "$IMG"; want_rc 1; want_text "repaired: set"
	fsck -fn "$IMG"; want_rc 0
}

case_unsafe()
{
	"$DAMAGE" "$IMG" MAP_ROOT
	fsck -p "$IMG"; want_rc 4; want_text "not safe"
	fsck -p "$IMG"; want_rc 4; want_text DAMAGE_MARK
	fsck -y "$IMG"; want_rc 1
	fsck -fn "$IMG"; want_rc 0
	fsck -p "$IMG"; want_rc 0
}

# Many problems of many kinds in a row, threads, and what -C prints.
case_threads_and_progress()
{
	"$DAMAGE" "$IMG" DIR_NODE
	fsck -n -j 8 "$IMG"; want_rc 4; want_text DIR_NODE
	"$FSCK" -y -j 3 -C 5 "$IMG" 5>"$WORK/progress" >/dev/null || [ $? = 1 ]
	grep -q "^4 .* $IMG$" "$WORK/progress"
	fsck -fn --progress "$IMG"; want_rc 0
}

case_usage()
{
	fsck; want_rc 16
	fsck -n -y "$IMG"; want_rc 16; want_text "only one"
	fsck --nonsense "$IMG"; want_rc 16
	fsck -j 0 "$IMG"; want_rc 16
	fsck -C x "$IMG"; want_rc 16
	fsck a b; want_rc 16
	fsck --help; want_rc 0; want_text Usage
	fsck -V; want_rc 0; want_text fsck.pmfs2
	fsck "$WORK/nothing"; want_rc 8
	fsck -n "$WORK/nothing"; want_rc 8; want_text "does not exist"
	truncate -s 8M "$WORK/zeros"
	fsck -y "$WORK/zeros"; want_rc 8; want_text "no pmfs2 superblock"
}

case_terminal()
{
	"$DAMAGE" "$IMG" LINK_COUNT
	fsck "$IMG"; want_rc 8; want_text "nobody is there"
	tap_need script
	OUT=$(printf 'n\n' | script -qec "$FSCK $IMG" /dev/null) && tap_fail "no exit code after 'n'"
	want_text "Do it (y, n, a: yes to all)?"
	RC=0
	OUT=$(printf 'y\n' | script -qec "$FSCK $IMG" /dev/null) || RC=$?
	want_rc 1
	fsck -fn "$IMG"; want_rc 0
}

case_busy()
{
	"$DAMAGE" "$IMG" none
	exec 9<"$IMG"
	flock -x 9
	fsck -n "$IMG"; want_rc 8; want_text "in use"
	fsck -y "$IMG"; want_rc 8; want_text "in use"
	exec 9<&-
}

# umount(8) returns before the server has closed the image.
case_leaving()
{
	"$DAMAGE" "$IMG" none
	flock -x "$IMG" sleep 0.7 &
	sleep 0.2
	fsck -n "$IMG"; want_rc 0
	wait
}

case_backend()
{
	tap_need fsck
	"$DAMAGE" "$IMG" LINK_COUNT
	RC=0
	OUT=$(PATH=$(dirname "$FSCK"):$PATH command fsck -t pmfs2 -p "$IMG" 2>&1) || RC=$?
	want_rc 1; want_text LINK_COUNT
}

# A repair that is killed leaves what the next one repairs.
case_killed()
{
	local i

	for i in 1 2 3 4 5 6 7 8; do
		"$DAMAGE" "$IMG" DIR_NODE
		timeout -s KILL "0.00$i" "$FSCK" -y "$IMG" >/dev/null 2>&1 || true
		flock "$IMG" true
		fsck -y "$IMG"
		[ $((RC & ~1)) = 0 ] || tap_fail "exit code $RC: $OUT"
		fsck -fn "$IMG"; want_rc 0
	done
}

case_document()
{
	diff <("$ROOT/tests/fsck/table.sh" "$FSCK") <(grep '^| `' "$ROOT/doc/fsck.md")
}

tap_case "clean_file_system_has_exit_code_0" 30 case_clean
tap_case "n_says_and_stores_nothing" 30 case_check_stores_nothing
tap_case "p_repairs_what_is_safe" 30 case_safe
tap_case "p_leaves_the_rest_and_y_repairs_it" 30 case_unsafe
tap_case "threads_and_progress_lines" 30 case_threads_and_progress
tap_case "usage_errors_and_no_file_system" 30 case_usage
tap_case "asks_on_a_terminal_only" 30 case_terminal
tap_case "device_in_use_is_refused" 30 case_busy
tap_case "device_that_is_just_let_go_is_waited_for" 30 case_leaving
tap_case "works_behind_fsck" 30 case_backend
tap_case "killed_repair_is_repaired_by_the_next" 60 case_killed
tap_case "document_has_the_table_of_problems" 30 case_document
tap_done
