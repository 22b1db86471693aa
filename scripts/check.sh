#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Builds and runs every test. One line per suite with its time, the failed and skipped cases by name, and as the very last line
# "N passed, N failed, N skipped". Exit code 1 if anything failed. What is missing counts as failed, not as skipped.
#
#   check.sh [WORD...]     only suites whose name contains one of the words (build, style, unit, posix, model, apps, server, fsck, faults, crash, asan, tsan)
#   CHECK_LOGS=DIR         keep the full output of each suite there
set -u
cd "$(dirname "$0")/.." || exit 2
export BUILD=${BUILD:-$PWD/build}
LOGS=${CHECK_LOGS:-$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-check.XXXXXX")}
mkdir -p "$LOGS"
BEHIND_PID=
trap 'leave' EXIT
WANTED=("$@")
PASSED=0
FAILED=0
SKIPPED=0
ON_MOUNT=tests/lib/on_mount.sh

leave()
{
	[ -z "$BEHIND_PID" ] || kill "$BEHIND_PID" 2>/dev/null
	[ -n "${CHECK_LOGS:-}" ] || rm -rf "$LOGS"
}

wanted()
{
	local word

	[ ${#WANTED[@]} -gt 0 ] || return 0
	for word in "${WANTED[@]}"; do
		[[ $1 == *"$word"* ]] && return 0
	done
	return 1
}

# Counts a log of TAP: prints "passed failed skipped". A plan that was not met, a bail-out, or a failed exit without a failed case
# counts as one failure more.
count_tap()
{
	awk -v rc="$2" '
	/^1\.\.[0-9]+/ { split($1, p, "[.][.]"); plan = p[2] + 0; planned = 1 }
	/^ok / { n++; if (toupper($0) ~ /# SKIP/) skipped++; else passed++ }
	/^not ok / { n++; if (toupper($0) ~ /# TODO/) passed++; else failed++ }
	/^Bail out!/ { bailed = 1 }
	END {
		if (bailed || !planned || plan != n || (rc != 0 && !failed)) failed++
		print passed + 0, failed + 0, skipped + 0
	}' "$1"
}

# finish NAME RC LOG SECONDS
finish()
{
	local p f s

	read -r p f s < <(count_tap "$3" "$2")
	PASSED=$((PASSED + p))
	FAILED=$((FAILED + f))
	SKIPPED=$((SKIPPED + s))
	printf '%-34s %5d passed %4d failed %4d skipped %5d s\n' "$1" "$p" "$f" "$s" "$4"
	grep -E '^ok .*# SKIP' "$3" | sed 's/^/    /'
	[ "$f" = 0 ] || failure_text "$3" "$2"
}

# The failed cases with the comments above each; the end of the log where no case failed.
failure_text()
{
	if grep -q '^not ok' "$1"; then
		awk '/^#/ { c = c "    " $0 "\n"; next } /^not ok/ { printf "%s    %s\n", c, $0 } { c = "" }' "$1" | head -200
	else
		echo "    (exit code $2; end of output)"
		tail -25 "$1" | sed 's/^/    /'
	fi
}

# suite NAME SECONDS COMMAND...: the command prints TAP.
suite()
{
	local name=$1 limit=$2 log start=$SECONDS rc=0
	shift 2

	wanted "$name" || return 0
	log=$LOGS/${name//[^a-zA-Z0-9_.-]/_}.log
	timeout -k 20 "$limit" "$@" >"$log" 2>&1 </dev/null || rc=$?
	[ $rc != 124 ] || echo "Bail out! time limit of $limit s is over" >>"$log"
	finish "$name" "$rc" "$log" $((SECONDS - start))
}

# behind NAME SECONDS COMMAND...: as suite, but one that runs beside those that follow; await counts it. One at a time.
behind()
{
	BEHIND_NAME=$1 BEHIND_START=$SECONDS
	wanted "$1" || return 0
	timeout -k 20 "$2" "${@:3}" >"$LOGS/behind.log" 2>&1 </dev/null &
	BEHIND_PID=$!
}

await()
{
	local rc=0

	[ -n "$BEHIND_PID" ] || return 0
	wait "$BEHIND_PID" || rc=$?
	BEHIND_PID=
	[ $rc != 124 ] || echo "Bail out! its time limit is over" >>"$LOGS/behind.log"
	finish "$BEHIND_NAME" "$rc" "$LOGS/behind.log" $((SECONDS - BEHIND_START))
}

# step NAME SECONDS COMMAND...: a command that succeeds or not, counted as one case.
step()
{
	local name=$1 limit=$2 log start=$SECONDS rc=0
	shift 2

	wanted "$name" || return 0
	log=$LOGS/${name//[^a-zA-Z0-9_.-]/_}.log
	timeout -k 20 "$limit" "$@" >"$log" 2>&1 </dev/null || rc=$?
	# What it printed is no TAP: it goes into comments, the end of it once more above a failure.
	sed 's/^/# /' "$log" >"$log.comments"
	{
		echo 1..1
		[ $rc = 0 ] || { tail -40 "$log.comments" && printf 'not '; }
		echo "ok 1 - $name"
	} >"$log"
	rm -f "$log.comments"
	finish "$name" "$rc" "$log" $((SECONDS - start))
	return $rc
}

# as suite, for what needs to mount.
root_suite()
{
	wanted "$1" || return 0
	if [ "$(id -u)" != 0 ]; then
		SKIPPED=$((SKIPPED + 1))
		echo "$1: skipped, it mounts and so needs root: run 'sudo make check'"
		return 0
	fi
	suite "$@"
}

# build_dir DIR COMPILER ARGS...: configures where it is not, then builds.
build_dir()
{
	local dir=$1 cc=$2
	shift 2

	[ -e "$dir/build.ninja" ] || CC=$cc meson setup "$dir" "$@" || return 1
	meson configure "$dir" -Dwerror=true >/dev/null || return 1
	ninja -C "$dir"
}

# Name, protocol and command line of each test that meson knows, a line each.
unit_list()
{
	meson introspect --tests "$1" | python3 -c '
import json, shlex, sys
for t in json.load(sys.stdin):
    print(t["name"].replace("\t", " "), t.get("protocol", "exitcode"), shlex.join(t["cmd"]), sep="\t")'
}

# unit_tests PREFIX BUILD_DIR
unit_tests()
{
	local name protocol command n=0

	while IFS=$'\t' read -r name protocol command; do
		n=$((n + 1))
		if [ "$protocol" = tap ]; then
			suite "$1: $name" 400 bash -c "$command"
		else
			step "$1: $name" 400 bash -c "$command"
		fi
	done < <(unit_list "$2")
	[ $n -gt 0 ] || step "$1: there are tests in $2" 5 false
}

check_builds()
{
	export -f build_dir
	step "build gcc" 600 bash -c 'build_dir "$@"' build_dir "$BUILD" gcc || return 1
	step "build clang" 600 bash -c 'build_dir "$@"' build_dir "$BUILD-clang" clang
	return 0
}

check_posix()
{
	# What our own mounts must have is no reason to skip, and they are small enough to be filled.
	export TEST_REQUIRE=1 TEST_SMALL=1
	root_suite "posix pmfs2 cache=auto" 240 $ON_MOUNT pmfs2 1G cache=auto tests/posix/run.sh @
	root_suite "posix pmfs2 cache=none uring" 240 $ON_MOUNT pmfs2 1G cache=none,channel=uring tests/posix/run.sh @
	root_suite "posix pmfs2 cache=none dev" 240 $ON_MOUNT pmfs2 1G cache=none,channel=dev tests/posix/run.sh @
	root_suite "posix memfs" 240 $ON_MOUNT memfs 1G - tests/posix/run.sh @
}

check_model()
{
	local model=$BUILD/tests/model/model

	root_suite "model pmfs2 cache=auto" 120 $ON_MOUNT pmfs2 2G cache=auto "$model" -t 40 @ /dev/shm
	root_suite "model pmfs2 cache=none" 120 $ON_MOUNT pmfs2 2G cache=none "$model" -t 40 @ /dev/shm
	# What the test once took for a difference and was its own doing.
	suite "model, against itself" 60 "$model" -s 1795880461649505 -j 1 -n 19807 /dev/shm /dev/shm
	root_suite "model memfs" 120 $ON_MOUNT memfs 2G - "$model" -t 20 @ /dev/shm
}

check_apps()
{
	local app

	for app in git tree compile sqlite postgres fio stress; do
		root_suite "apps $app" 600 $ON_MOUNT pmfs2 4G cache=auto "tests/apps/$app.sh" @
	done
	root_suite "apps sqlite cache=none" 200 $ON_MOUNT pmfs2 4G cache=none tests/apps/sqlite.sh @
	root_suite "apps kill9" 200 tests/apps/kill9.sh
}

# A machine that fails (kill -9 is among the apps, memory and space among the unit tests).
check_faults()
{
	root_suite "faults signals" 120 tests/faults/signals.sh
	root_suite "faults limits" 120 tests/faults/limits.sh
}

# Scripts that mount for themselves. (Those of tests/tools need no mount: meson runs them with the unit tests.)
check_server()
{
	local script n=0

	for script in tests/server/*.sh; do
		[ -x "$script" ] || continue
		n=$((n + 1))
		root_suite "server $(basename "$script" .sh)" 240 "$script"
	done
	[ $n -gt 0 ] || step "server: there are tests in tests/server" 5 false
}

# fsck.pmfs2 and mounts. (Its golden images, cut repairs and options are among the unit tests: "check.sh fsck" runs them too.)
check_fsck()
{
	root_suite "fsck on mounts" 120 tests/fsck/mount.sh
	step "fsck of 50,000 files" 60 bench/fsck.sh -n 50000
}

check_asan()
{
	wanted asan || return 0
	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	step "asan build" 900 bash -c 'build_dir "$@"' build_dir "$BUILD-asan" gcc -Db_sanitize=address,undefined -Ddebug_checks=true -Dbuildtype=debugoptimized ||
		return 0
	unit_tests asan "$BUILD-asan"
	unset ASAN_OPTIONS UBSAN_OPTIONS
}

# The server under ThreadSanitizer. setarch -R: its shadow memory wants the addresses unrandomised on newer kernels.
check_tsan()
{
	local model=$BUILD/tests/model/model build=$BUILD

	wanted tsan || return 0
	# No deadlock detector: directories are locked parents first, and a rename turns parents into children. Ranks are checked by debug builds.
	export TSAN_OPTIONS=halt_on_error=0:exitcode=66:detect_deadlocks=0
	step "tsan build" 900 bash -c 'build_dir "$@"' build_dir "$BUILD-tsan" gcc -Db_sanitize=thread -Dbuildtype=debugoptimized || return 0
	export BUILD=$build-tsan
	root_suite "tsan server pmfs2 cache=none" 120 setarch -R $ON_MOUNT pmfs2 1G cache=none "$model" -t 20 @ /dev/shm
	root_suite "tsan server pmfs2 dev" 120 setarch -R $ON_MOUNT pmfs2 1G cache=none,channel=dev "$model" -t 15 @ /dev/shm
	export BUILD=$build
	unset TSAN_OPTIONS
}

summary()
{
	echo "check: $((SECONDS / 60)) min $((SECONDS % 60)) s"
	echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" = 0 ]
}

[ "$(id -u)" = 0 ] || echo "check: not root: suites that mount are skipped; 'sudo make check' runs them too"
if ! check_builds; then
	summary
	exit 1
fi
# It takes one core as long as all others take, which wait more than they work.
behind "guest 6.1" 3600 tests/guest/check.sh 6.1
step "style: layers" 60 scripts/check-layers
step "style: style" 120 scripts/check-style
unit_tests unit "$BUILD"
check_posix
check_model
check_server
check_fsck
check_apps
check_faults
suite "crash: explorer, quick level" 600 "$BUILD/tests/crash/crash-explore" --level quick --tap
suite "crash: two operations, all" 900 "$BUILD/tests/crash/crash-explore" --class ace2 --cap 0 --tap
suite "crash: seeded bugs, a sample" 400 env TAP=1 tests/crash/seeded-bugs.sh --sample 3
step "bench: fences" 300 "$BUILD/bench/fences"
suite "fuzz" 900 tests/fuzz/run.sh --tap --time 20 --flips 600
check_asan
check_tsan
await
summary
