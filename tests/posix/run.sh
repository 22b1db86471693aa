#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs the POSIX list on a directory of a mounted file system and prints one stream of TAP: run.sh DIR [PROGRAM...]
# The programs posix_* are taken from $POSIX_BIN, or $BUILD/tests/posix, or the folder build of this tree.
# TEST_REQUIRE=1 and TEST_SMALL=1: see posix.h and statfs_enospc.c. With prove: prove tests/posix/run.sh :: DIR
set -u
here=$(cd "$(dirname "$0")" && pwd)
bin=${POSIX_BIN:-${BUILD:-$here/../../build}/tests/posix}

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
	echo "Usage: $0 DIR [PROGRAM...]" >&2
	exit 2
fi
TEST_DIR=$(cd "$1" && pwd)
export TEST_DIR
shift
[ $# -gt 0 ] || set -- open rw truncate falloc seek_copy mmap names rename readdir attr xattr acl flags locks limits statfs_enospc

out=$(mktemp -d "${TMPDIR:-/tmp}/posix-run.XXXXXX") || exit 2
trap 'rm -rf "$out"' EXIT
n=0
status=0
for prog; do
	rc=127
	if [ -x "$bin/posix_$prog" ]; then
		"$bin/posix_$prog" >"$out/raw" 2>&1
		rc=$?
	else
		echo "# no program $bin/posix_$prog: build first, or set POSIX_BIN" >"$out/raw"
	fi
	[ $rc = 0 ] || status=1
	# Cases are numbered through all programs; a program that ended early is a failed case more.
	awk -v n="$n" -v rc="$rc" -v prog="$prog" '
	/^1\.\.[0-9]/ { plan = substr($1, 4) + 0; if (!plan) print "# " prog ": " $0; next }
	/^ok |^not ok / { done++; if ($1 == "not") failed++; sub(/ok [0-9]+/, "ok " n + done) }
	{ print }
	END { if (plan != done || (rc != 0 && !failed)) print "not ok " n + done + 1 " - " prog " ended early, exit code " rc }
	' "$out/raw" >"$out/tap"
	cat "$out/tap"
	n=$((n + $(grep -cE '^(not )?ok ' "$out/tap")))
done
echo "1..$n"
exit $status
