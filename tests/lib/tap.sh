# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# TAP for shell: tap_case NAME SECONDS FUNCTION [ARG...] runs the function in a subshell under "set -e" and a time limit, in a process
# group of its own; what it printed is shown as comments when it fails. tap_done prints the plan and returns 1 if a case failed.
# TAP_SLOW: an emulated machine has so many times the time.

TAP_N=0
TAP_FAILED=0
TAP_LOG=
TAP_DIAG_LINES=${TAP_DIAG_LINES:-40}

# In a case: the rest does not apply here. Says why.
tap_skip()
{
	echo "#SKIP $*"
	exit 77
}

# In a case: programs it needs. They are in the package list, so that a missing one is a failure.
tap_need()
{
	local prog

	for prog in "$@"; do
		command -v "$prog" >/dev/null || { echo "program '$prog' is missing: install it with 'sudo make deps'"; exit 1; }
	done
}

tap_fail()
{
	echo "$*"
	exit 1
}

# Runs the function as a job; its return code, 124 when the time was over.
tap_run_limited()
{
	local limit=$1 pid watch rc=0
	shift

	set -m
	( set -e; "$@" ) >"$TAP_LOG" 2>&1 </dev/null &
	pid=$!
	( sleep "$limit"; echo "time limit of $limit s is over" >>"$TAP_LOG"; kill -TERM -- -"$pid"; sleep 5; kill -KILL -- -"$pid" ) \
		>/dev/null 2>&1 </dev/null &
	watch=$!
	set +m
	wait "$pid" || rc=$?
	kill -TERM -- -"$watch" 2>/dev/null || true
	wait "$watch" 2>/dev/null || true
	return "$rc"
}

tap_case()
{
	local name=$1 limit=$(($2 * ${TAP_SLOW:-1})) rc=0 start=$SECONDS
	shift 2

	TAP_N=$((TAP_N + 1))
	[ -n "$TAP_LOG" ] || TAP_LOG=$(mktemp "${TMPDIR:-/tmp}/pmfs2-tap.XXXXXX")
	# Not "|| rc=$?": that would switch "set -e" off inside the case.
	tap_run_limited "$limit" "$@"
	rc=$?
	if [ $rc = 0 ]; then
		echo "ok $TAP_N - $name ($((SECONDS - start)) s)"
	elif [ $rc = 77 ] && grep -q '^#SKIP ' "$TAP_LOG"; then
		echo "ok $TAP_N - $name # SKIP $(sed -n 's/^#SKIP //p' "$TAP_LOG" | tail -1)"
	else
		tail -n "$TAP_DIAG_LINES" "$TAP_LOG" | sed 's/^/# /'
		echo "not ok $TAP_N - $name (exit $rc)"
		TAP_FAILED=$((TAP_FAILED + 1))
	fi
}

tap_done()
{
	echo "1..$TAP_N"
	[ -z "$TAP_LOG" ] || rm -f "$TAP_LOG"
	[ "$TAP_FAILED" = 0 ]
}
