#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs the POSIX list on a directory of a mounted file system: run.sh DIR [PROGRAM...]
# The programs are looked for in $POSIX_BIN (default: beside this script). TEST_REQUIRE=1 and TEST_SMALL=1: see posix.h.
# Output is TAP of the programs, one after another, through prove where there is one.
set -eu

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
	echo "usage: $0 DIR [PROGRAM...]" >&2
	exit 2
fi
TEST_DIR=$(cd "$1" && pwd)
export TEST_DIR
shift
bin=${POSIX_BIN:-$(cd "$(dirname "$0")" && pwd)}
[ $# -gt 0 ] || set -- open rw truncate falloc seek_copy mmap names rename readdir attr xattr acl flags locks limits statfs_enospc

for prog; do
	shift
	for path in "$bin/posix_$prog" "$bin/$prog"; do
		[ -x "$path" ] && [ -f "$path" ] && break
		path=
	done
	if [ -z "$path" ]; then
		echo "$0: no program posix_$prog in $bin: build first, or set POSIX_BIN" >&2
		exit 2
	fi
	set -- "$@" "$path"
done

if command -v prove >/dev/null 2>&1 && [ "${POSIX_PLAIN:-0}" != 1 ]; then
	exec prove --exec '' "$@"
fi
status=0
for path; do
	echo "# $path"
	"$path" || status=1
done
exit $status
