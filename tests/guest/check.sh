#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The kernel module's tests in guests, as TAP for scripts/check.sh:
#
#   check.sh [-j N] [--long] [KERNEL...]       KERNEL: 6.1 (default), 6.12, newest, debug; "all" is the first three
#
# Then a table with each bar and "ok" or "short". $BUILD is a finished build of this tree. --long: all of every suite, 100 kills.
# -j N: N kernels at a time, each shown when it has ended. GUEST_KILLS, GUEST_MODEL_S and others: see in_guest.sh.
#
# "debug" is the kernel that looks for mistakes: some times slower, so it has fewer kills and applications, and cases of its own:
# allocations that fail, one by one; what is left behind rmmod.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export BUILD=${BUILD:-$here/../../build}
BUILD=$(cd "$BUILD" && pwd) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/zuf-check.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
n=0
failed=0
rows=()
limit=2400
jobs=1
if [ "${1:-}" = -j ]; then
	jobs=${2:?"-j: how many?"}
	shift 2
fi
if [ "${1:-}" = --long ]; then
	shift
	export GUEST_LEVEL=long
fi
[ "${GUEST_LEVEL:-}" != long ] || limit=7200

row() # WHAT BAR FOUND OK
{
	rows+=("$(printf '%-60s %-14s %-10s %s' "$1" "$2" "$3" "$([ "$4" = 0 ] && echo ok || echo short)")")
	[ "$4" = 0 ] || failed=1
}

# Cases of the log whose names match: how many failed, or were skipped: all that is needed is in the guest.
failures() # LOG PATTERN
{
	grep -cE "^not ok [0-9]+ - ($2)|^ok [0-9]+ - ($2).*# SKIP" "$1"
}

# The row of cases that match: none may fail, one has to be there.
row_cases() # KERNEL WHAT LOG PATTERN
{
	local bad=$(($(failures "$3" "$4")))

	grep -qE "^(not )?ok [0-9]+ - ($4)" "$3" || bad=missing
	row "$1: $2" "0 fail or skip" "$bad" "$([ "$bad" = 0 ] && echo 0 || echo 1)"
}

# What the log says was run.
apps_of() # LOG
{
	sed -n 's/^ok [0-9]* - app_\([a-z]*\) ran to its end.*/\1/p' "$1" | tr '\n' ' '
}

kills_of() # LOG
{
	sed -n 's/^ok [0-9]* - \([0-9]*\)_kills_.*/\1/p' "$1"
}

# One boot's cases as cases of ours, and how it ended as one more; $rc. A row for all of them: others show some by name.
cases_of_boot() # KERNEL LOG ARGUMENT-OF-BOOT...
{
	local log=$2 bad

	"$here/boot.sh" -k "$1" "${@:3}" >"$log" 2>"$work/err"
	rc=$?
	awk -v n="$n" -v k="$1" '
	/^1\.\.[0-9]/ { next }
	/^(not )?ok [0-9]+ / { done++; sub(/ok [0-9]+ - /, "ok " n + done " - " k ": ") }
	{ print }' "$log"
	n=$((n + $(grep -cE '^(not )?ok [0-9]+ ' "$log")))
	sed 's/^/# /' "$work/err"
	echo "$([ $rc = 0 ] || [ $rc = 1 ] || echo 'not ')ok $((++n)) - $1: the guest ended well and its kernel's log is clean (exit $rc)"
	bad=$(grep -c '^not ok' "$log")
	row "$1: all $(grep -cE '^(not )?ok ' "$log") cases of one boot ($(basename "$log" .log))" "0 fail" "$bad" "$([ "$bad" = 0 ] && [ $rc = 0 ] && echo 0 || echo 1)"
}

# Pages that the hardware has lost, under a mount through FUSE: a boot of its own, which has them no more.
check_poison() # KERNEL
{
	local log=$work/poison.log rc

	cases_of_boot "$1" "$log" -p none -t 1500 -m 1500 "$here/hwpoison.sh"
	row_cases "$1" "hardware poison, through FUSE" "$log" hardware_poison
}

# The same over zuf.
check_media() # KERNEL
{
	local log=$work/media.log rc

	cases_of_boot "$1" "$log" -t 600 -m 1500 -s 512 "$here/media_errors.sh"
	row_cases "$1" "memory that fails" "$log" "memory_that|bad_sectors"
}

# Allocations that fail, then what nobody points to once all is unloaded; a boot of its own, since watching costs every allocation.
check_leaks() # KERNEL
{
	local log=$work/leaks.log rc

	cases_of_boot "$1" "$log" -f -a kmemleak=on -t "$limit" -m 3500 -s 1024 "$here/in_guest.sh" leak watch
	row_cases "$1" "allocations that fail, one by one" "$log" allocations_
	row_cases "$1" "memory that is left behind rmmod" "$log" kmemleak_
	row "$1: kernel log of that boot" "clean" "exit $rc" "$([ $rc -le 1 ] && echo 0 || echo 1)"
}

check_debug()
{
	local GUEST_SLOW=${GUEST_SLOW:-6} GUEST_KILLS=${GUEST_KILLS:-5} GUEST_APPS=${GUEST_APPS:-git}
	local limit=$((limit * 4)) log=$work/debug.log

	export GUEST_SLOW GUEST_KILLS GUEST_APPS
	check_kernel debug -m 3500 -s 1024 "$here/in_guest.sh" readme session memfs posix model huge tail entries attrs gone use \
		apps kill liar watch
	row_cases debug "lockdep watched to the end" "$log" lockdep_
	check_leaks debug
}

check_kernel() # KERNEL ARGUMENT-OF-BOOT...
{
	local log=$work/$1.log rc pmem=nvdimm words=

	[ "$1" = 6.12 ] || [ "$1" = newest ] || pmem=e820
	# Up to Linux 6.9 the BPF security module's empty hook lets anyone set security.* xattrs, on every file system.
	[ "$1" != 6.1 ] || words=lsm=landlock,lockdown,yama,apparmor
	if ! ZUF_KO=$("$here/build-module.sh" "$1"); then
		echo "not ok $((++n)) - $1: zuf.ko builds"
		row "$1: zuf.ko builds" yes no 1
		return
	fi
	export ZUF_KO
	cases_of_boot "$1" "$log" -p "$pmem" -a "$words" -t $limit "${@:2}"
	row_cases "$1" "the seed's session, README, fio" "$log" "seed_session|readme|fio"
	row_cases "$1" "POSIX list" "$log" posix_
	row_cases "$1" "model" "$log" model_
	row_cases "$1" "memfs" "$log" memfs_
	row_cases "$1" "64 MiB mapped: at most 64 faults" "$log" mapping_of
	row_cases "$1" "the server maps the device in pages of 2 MiB" "$log" window_of
	row_cases "$1" "zeros behind the end of file in mappings" "$log" tail_
	row_cases "$1" "mappings of files that change" "$log" entries_
	row_cases "$1" "attributes that change from several sides" "$log" attributes_
	row_cases "$1" "pages in pipes when their file goes" "$log" pages_in_a_pipe
	row_cases "$1" "names that a server died over" "$log" names_are_sure
	row_cases "$1" "warm calls, programs, zusctl stats" "$log" "warm_|programs_|zusctl_"
	row_cases "$1" "overlayfs, file handles, FIEMAP" "$log" "upper_|handles_|fallocated_"
	row_cases "$1" "applications: $(apps_of "$log")" "$log" app_
	row_cases "$1" "server ended, killed with -9 $(kills_of "$log") times" "$log" "server_that_is_ended|open_file_without|[0-9]+_kills|without_a_server"
	row_cases "$1" "a server that lies" "$log" a_server_that
	row "$1: kernel log" "clean" "exit $rc" "$([ $rc -le 1 ] && echo 0 || echo 1)"
}

check_one() # KERNEL
{
	if [ "$1" = debug ]; then
		check_debug
		return
	fi
	check_kernel "$1" -m 2500 -s 1024 "$here/in_guest.sh"
	[ ! -e "${ZUF_KO:-/nonexistent}" ] || check_media "$1"
	[ "$1" != 6.1 ] || check_poison "$1"
}

# Several at a time: each by a run of this script, whose cases and rows become ours. What is fetched and built is so before.
check_beside() # KERNEL...
{
	local kernel tap found

	for kernel in "$@"; do
		"$here/build-module.sh" "$kernel" >/dev/null
	done
	for kernel in "$@"; do
		[ "$(jobs -rp | wc -l)" -lt "$jobs" ] || wait -n
		"$here/check.sh" "$kernel" >"$work/$kernel.tap" 2>&1 &
	done
	wait
	for kernel in "$@"; do
		tap=$work/$kernel.tap
		sed -E '/^1\.\.[0-9]+$/,$d' "$tap" | awk -v n="$n" '/^(not )?ok [0-9]+ / { sub(/ok [0-9]+/, "ok " ++n) } { print }'
		n=$((n + $(grep -cE '^(not )?ok [0-9]+ ' "$tap")))
		mapfile -t found < <(sed -nE "/^1\.\.[0-9]+\$/,\$ s/^# ($kernel: .*)/\1/p" "$tap")
		[ ${#found[@]} -gt 0 ] || found=("$kernel: its run did not come to its end: short")
		rows+=("${found[@]}")
		! printf '%s\n' "${found[@]}" | grep -q ' short *$' || failed=1
	done
}

[ "${1:-}" != all ] || set -- 6.1 6.12 newest
[ $# -gt 0 ] || set -- 6.1
if [ "$jobs" -gt 1 ] && [ $# -gt 1 ]; then
	check_beside "$@"
else
	for kernel in "$@"; do
		check_one "$kernel"
	done
fi
echo "1..$n"
echo "#"
printf '# %-60s %-14s %-10s %s\n' "zuf in the guest" bar found ""
printf '# %s\n' "${rows[@]}"
exit $failed
