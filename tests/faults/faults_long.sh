#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# faults_long.sh: the whole of the tests of a failing machine, and a table with a bar and a verdict for each row. Exit code 1 if one is
# short. FAULTS_CHANNELS chooses the channels of the mounts (default: dev uring), FAULTS_KILLS the kills for each setting.
#
# What each row says comes from the tests' own output, kept in FAULTS_LOGS (default: taken away).
set -u
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/lib/env.sh
. tests/lib/env.sh

LOGS=${FAULTS_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-faults.XXXXXX")}
mkdir -p "$LOGS"
[ -n "${FAULTS_LOGS:-}" ] || trap 'rm -rf "$LOGS"' EXIT
CHANNELS=${FAULTS_CHANNELS:-dev uring}
KILLS=${FAULTS_KILLS:-55}
SHORT=0
export FAULTS_LONG=1 FAULTS_CHANNELS=$CHANNELS

# run NAME COMMAND...: its output goes to a log.
run()
{
	local name=$1 start=$SECONDS
	shift

	"$@" >"$LOGS/$name.log" 2>&1 </dev/null
	printf '# %s: %d s\n' "$name" $((SECONDS - start))
}

# row WHAT FIGURE BAR: the figure must be at least the bar; for a bar "= N" it must be N.
row()
{
	local verdict=ok

	if [[ $3 == "= "* ]]; then
		[ "$2" = "${3#= }" ] || verdict=short
	else
		[ "$2" -ge "$3" ] || verdict=short
	fi
	[ $verdict = ok ] || SHORT=1
	printf '%-64s %10s %10s  %s\n' "$1" "$2" "$3" $verdict
}

# sum LOG REGEX: the first number of all lines that match, added up.
sum()
{
	grep -hoE "$2" "$LOGS/$1.log" | grep -oE '[0-9]+' | awk '{ n += $1 } END { print n + 0 }'
}

# Cases that failed, and logs without a plan (which died).
failures()
{
	local log n=0

	for log in "$LOGS"/*.log; do
		n=$((n + $(grep -c '^not ok' "$log")))
		grep -q '^1\.\.' "$log" || n=$((n + 1))
	done
	echo $n
}

# Where memory, mappings and threads are asked for, "file:line". Not those that no injection in a test's process can reach: the
# simulated device (tests only), the loader of plug-ins and the last steps at the server's end, the tools.
sites_wanted()
{
	grep -nE '\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|mmap|pthread_create)\(' src/pmem/*.c src/pmfs2/*.c src/vfs/*.c \
		src/transport/fuse/*.c src/zusd/*.c |
		grep -vE '^src/(pmem/sim|zusd/loader|zusd/control_client|transport/fuse/fuse_mountinfo)\.c:|mount_life\.c.*fuse_mount_entry' |
		grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)' | cut -d: -f1,2
}

sites_hit()
{
	local test

	for test in alloc_fault enospc transport_fault server_fault; do
		sed -n 's/^# site //p' "$LOGS/$test.log" | sort -u | addr2line -e "$BUILD/tests/faults/${test}_test"
	done | grep -oE 'src/[a-z0-9_/]+\.c:[0-9]+' | sort -u
}

settings()
{
	local channel

	for channel in $CHANNELS; do
		echo "cache=auto,channel=$channel cache=none,channel=$channel"
	done
}

for name in alloc_fault enospc transport_fault server_fault; do
	run $name "$BUILD/tests/faults/${name}_test"
done
if [ "$(id -u)" = 0 ]; then
	run signals tests/faults/signals.sh 1000 100
	run limits tests/faults/limits.sh
	KILL9_SETTINGS="$(settings | tr '\n' ' ')" run kill9 tests/apps/kill9.sh "$KILLS"
else
	echo "# not root: what mounts is left out, and its rows are short"
	for name in signals limits kill9; do : >"$LOGS/$name.log"; done
fi

sites_wanted | sort -u >"$LOGS/sites.wanted"
sites_hit >"$LOGS/sites.hit"
comm -23 "$LOGS/sites.wanted" "$LOGS/sites.hit" >"$LOGS/sites.missed"
sed 's/^/# not reached: /' "$LOGS/sites.missed"

printf '\n%-64s %10s %10s\n' "faults of the machine" figure bar
row "cases that failed" "$(failures)" "= 0"
row "calls for memory, mappings, threads in the sources: not reached" "$(wc -l <"$LOGS/sites.missed")" "= 0"
row "  of so many" "$(wc -l <"$LOGS/sites.wanted")" 50
row "operations without memory or with a failing commit: failed calls" "$(sum alloc_fault '[0-9]+ failed calls')" 500
row "mounts and recoveries without memory or mappings: refused" "$(sum alloc_fault 'refused [0-9]+ times')" 20
row "operations without blocks, inodes, intents: failed calls" "$(sum enospc '[0-9]+ failed calls')" 120
row "operations on a full device" "$(sum enospc '[0-9]+ operations on a full')" 60
row "truncations and shifts left half-way, finished by the next user" "$(sum enospc '[0-9]+ times half-way')" 400
row "FUSE requests and transport starts: failed calls" "$(sum transport_fault '[0-9]+ (failed calls|calls failed)')" 150
row "control requests: failed calls" "$(sum server_fault '[0-9]+ failed calls')" 20
row "signals during system calls" "$(sum signals '[0-9]+ signals')" 100000
row "kills of the caller in the midst of a system call" "$(sum signals '[0-9]+ kills\)')" 5000
row "kill -9 of the server under load" "$(sum kill9 '[0-9]+ under load')" 200
row "  while it mounts" "$(sum kill9 '[0-9]+ while mounting')" 50
row "  while it unmounts" "$(sum kill9 '[0-9]+ while unmounting')" 30
row "  images looked at by fsck.pmfs2 -n" "$(sum kill9 '[0-9]+ images checked')" 200
row "  operations acknowledged" "$(sum kill9 '[0-9]+ operations acknowledged; ')" 100000
if [ $SHORT != 0 ]; then
	grep -hE -B5 '^not ok' "$LOGS"/*.log | head -60
fi
exit $SHORT
