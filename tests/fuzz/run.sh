#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds the fuzzers (clang, libFuzzer, ASan, UBSan, debug checks) into $BUILD-fuzz and runs each for some seconds, then flips bits.
# Prints a table with a verdict for each row; exit code 1 if one is short. Findings stay in $BUILD-fuzz/findings, the corpus grows
# from run to run in $BUILD-fuzz/corpus.
#
#	run.sh [--time SECONDS] [--tap] [--flips N|all] [NAME...]	names: image, fuse, control, bitflip (default: all)
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
DIR=$BUILD-fuzz
TIME=600
FLIPS=all
TAP=
NAMES=()
ROW=0
FAILED=0
JOBS=$(nproc)

while [ $# -gt 0 ]; do
	case $1 in
	--time) TIME=$2; shift ;;
	--flips) FLIPS=$2; shift ;;
	--tap) TAP=1 ;;
	image | fuse | control | bitflip) NAMES+=("$1") ;;
	*) sed -n '3,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
[ ${#NAMES[@]} -gt 0 ] || NAMES=(image fuse control bitflip)
case $TIME in '' | *[!0-9]*) echo "run.sh: --time takes seconds, not '$TIME'" >&2; exit 2 ;; esac

build()
{
	local targets=(tests/fuzz/bitflip) name

	for name in image fuse control; do
		targets+=("tests/fuzz/fuzz_$name" "tests/fuzz/fuzz_${name}_replay")
	done
	if [ ! -e "$DIR/build.ninja" ]; then
		CC=clang meson setup "$DIR" -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false -Ddebug_checks=true \
			-Dwerror=true || return 1
	fi
	ninja -C "$DIR" "${targets[@]}"
}

say()
{
	[ -z "$TAP" ] || printf '# '
	printf "$@"
}

# row NAME SECONDS RUNS COVERAGE FINDINGS
row()
{
	local verdict=ok

	ROW=$((ROW + 1))
	[ "$5" = 0 ] || verdict=short
	[ "$3" -gt 0 ] || verdict=short
	[ $verdict = ok ] || FAILED=1
	say '%-10s %8d %10d %9s %9d %5d  %s\n' "$1" "$2" "$3" "$4" "$5" 0 $verdict
	[ -z "$TAP" ] || { [ $verdict = ok ] || printf 'not '; echo "ok $ROW - $1: $3 runs, $5 findings"; }
}

# The last number behind WORD in libFuzzer's log.
last_number()
{
	grep -oE "$1[0-9]+" "$2" | tail -1 | grep -oE '[0-9]+$' || echo 0
}

fuzz()
{
	local name=$1 corpus=$DIR/corpus/$1 findings=$DIR/findings/$1 log=$DIR/fuzz_$1.log start=$SECONDS fork=() n file

	rm -rf "$findings"
	mkdir -p "$corpus" "$findings" "$DIR/seeds/$name"
	"$DIR/tests/fuzz/fuzz_${name}_replay" --write "$DIR/seeds/$name" || return
	# Processes that end with a finding are replaced, so that one finding does not hide others; a short run is one process.
	[ "$TIME" -lt 60 ] || fork=(-fork="$JOBS" -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1)
	# A test says the same of the same code each time.
	[ -z "$TAP" ] || fork+=(-seed=1)
	nice -n 5 "$DIR/tests/fuzz/fuzz_$name" "${fork[@]}" -timeout=10 -rss_limit_mb=2048 \
		-max_len=4096 -max_total_time="$TIME" -artifact_prefix="$findings/" "$corpus" "$DIR/seeds/$name" \
		>"$log" 2>&1 </dev/null
	n=$(find "$findings" -type f | wc -l)
	row "$name" $((SECONDS - start)) "$(last_number '^#' "$log")" "$(last_number 'cov: ' "$log")" "$n"
	for file in $(find "$findings" -type f | head -5); do
		say '  replay: %s %s\n' "$DIR/tests/fuzz/fuzz_${name}_replay" "$file"
	done
}

flip()
{
	local log=$DIR/bitflip.log start=$SECONDS args=(--all) exe=$DIR/tests/fuzz/bitflip n runs

	[ "$FLIPS" = all ] || args=(--sample "$FLIPS")
	# All of them take a build without sanitizers, if there is one.
	[ "$FLIPS" != all ] || [ ! -x "$BUILD/tests/fuzz/bitflip" ] || exe=$BUILD/tests/fuzz/bitflip
	nice -n 5 "$exe" --jobs "$JOBS" "${args[@]}" >"$log" 2>&1 </dev/null
	n=$(grep -c '^not ok' "$log")
	grep -q '^1\.\.' "$log" || n=$((n + 1))
	runs=$(sed -n 's/^# image [a-z]*: \([0-9]*\) flips$/\1/p' "$log" | awk '{ s += $1 } END { print s + 0 }')
	row bitflip $((SECONDS - start)) "$runs" - "$n"
	sed 's/^\(# \)\{0,1\}/  /' "$log" | while IFS= read -r line; do say '%s\n' "$line"; done
}

log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
if ! build >"$log" 2>&1; then
	tail -40 "$log" | sed 's/^/# /'
	echo "run.sh: the fuzzers do not build" >&2
	exit 1
fi
[ -z "$TAP" ] || echo "1..${#NAMES[@]}"
say '%-10s %8s %10s %9s %9s %5s  %s\n' fuzzer seconds runs edges findings bar verdict
for name in "${NAMES[@]}"; do
	if [ "$name" = bitflip ]; then flip; else fuzz "$name"; fi
done
exit $FAILED
