#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Seeds one bug after the other (tests/crash/bugs/NAME.patch) into a copy of the sources, builds the crash explorer there, and lets it
# look at the workload of that name: it must find something, and must find nothing without the bug.
#
# usage: seeded-bugs.sh [--sample N [SEED] | NAME...]	default: all. Prints a table, or TAP with TAP=1. Fails if a bug is missed.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
bugs=$root/tests/crash/bugs
work=$(mktemp -d "${TMPDIR:-/tmp}/seeded-bugs.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
explore=$work/build/tests/crash/crash-explore
limit_s=${LIMIT_S:-300} # for one workload

names=()
if [ "${1-}" = --sample ]; then
	seed=${3:-1}
	mapfile -t names < <(cd "$bugs" && printf '%s\n' *.patch | sed 's/\.patch$//' | awk -v s="$seed" \
		'{ h = s; for (i = 1; i <= length($0); i++) h = (h * 31 + index("abcdefghijklmnopqrstuvwxyz-", substr($0, i, 1))) % 99991; print h, $0 }' |
		sort -n | head -n "${2:-3}" | cut -d' ' -f2)
elif [ $# -gt 0 ]; then
	names=("$@")
else
	mapfile -t names < <(cd "$bugs" && printf '%s\n' *.patch | sed 's/\.patch$//')
fi

say() { # number ok|short name text
	if [ -n "${TAP-}" ]; then
		[ "$2" = ok ] && echo "ok $1 - $3: $4" || echo "not ok $1 - $3: $4"
	else
		printf '%-24s %-76s %s\n' "$3" "$4" "$2"
	fi
}

# Of the tree only what the explorer is built of, and what meson wants to see.
tar -C "$root" -c --exclude=./.git --exclude='./build*' . | tar -C "$work" -x || exit 1
meson setup "$work/build" "$work" -Dwerror=false >"$work/setup.log" 2>&1 || { cat "$work/setup.log"; exit 1; }
build() { ninja -C "$work/build" tests/crash/crash-explore >"$work/build.log" 2>&1; }
# 0: nothing found, 1: something found; its first words in $found
look() {
	timeout "$limit_s" "$explore" --name "$1" --jobs 1 --first --k 1 --k2 1 >"$work/look.log" 2>&1
	local status=$?
	found=$(grep -m1 -E '^ *(not |fail|FAIL|image|workload)' "$work/look.log" | cut -c1-60)
	return $status
}
build || { echo "the explorer does not build"; tail -20 "$work/build.log"; exit 1; }

failed=0
n=0
[ -n "${TAP-}" ] && echo "1..${#names[@]}" || printf '%-24s %-76s %s\n' "bug class, workload" "seeded bug" caught
for name in "${names[@]}"; do
	n=$((n + 1))
	patch=$bugs/$name.patch
	what=$(head -1 "$patch" 2>/dev/null | cut -c1-76)
	result=ok
	if ! look "$name"; then
		result=short what="fails without the bug: $found"
	elif ! patch -d "$work" -p1 -s -F3 <"$patch" >"$work/patch.log" 2>&1; then
		result=short what="the patch does not apply"
	else
		if ! build; then
			result=short what="does not build with the patch"
		elif look "$name"; then
			result=short what="MISSED: $what"
		fi
		patch -d "$work" -p1 -s -R -F3 <"$patch" >/dev/null 2>&1
		build
	fi
	[ $result = ok ] || failed=1
	say $n $result "$name" "$what"
done
exit $failed
