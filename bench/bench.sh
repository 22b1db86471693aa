#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "make bench": all file systems of bars.list mounted side by side, every row measured in turns, a table with the bar and "ok" or
# "short". Exit code 1 if a row is short. A row that cannot be measured is short and says why.
#
#   BENCH_ROUNDS=7 BENCH_MS=60   turns and milliseconds of one run      BENCH_ROWS=REGEX  only groups that match
#   BENCH_QUICK=1                three turns, for a first look: rows are printed, the verdict is as rough as that
set -u
cd "$(dirname "$0")/.." || exit 2
# shellcheck source=tests/lib/mount.sh
. tests/lib/mount.sh

ROUNDS=${BENCH_ROUNDS:-7}
MS=${BENCH_MS:-60}
[ "${BENCH_QUICK:-0}" = 0 ] || { ROUNDS=3 MS=40; }
SIZE=${BENCH_SIZE:-1G}
LIST=bench/bars.list
declare -A MOUNT_ERROR=()
SHORT=0
FLOOR_PID=

bench_try_mount()
{
	local label=$1 message
	shift

	message=$("$@" 2>&1 >/dev/null) && mountpoint -q "$WORK/$label" && return 0
	MOUNT_ERROR[$label]=$(printf '%s' "$message" | tr '\n\t|' '   ' | cut -c1-160)
	[ -n "${MOUNT_ERROR[$label]}" ] || MOUNT_ERROR[$label]="$label could not be mounted"
}

bench_floor()
{
	local i

	mkdir -p "$WORK/floor"
	[ -x "$FUSE3_FLOOR" ] || { echo "no $FUSE3_FLOOR: run 'make' (needs libfuse3-dev)" >&2; return 1; }
	"$FUSE3_FLOOR" -f "$WORK/floor" >"$WORK/floor.log" 2>&1 </dev/null &
	echo $! >"$WORK/floor.pid"
	for ((i = 0; i < 60; i++)); do
		mountpoint -q "$WORK/floor" && return 0
		sleep 0.05
	done
	cat "$WORK/floor.log" >&2
	return 1
}

bench_floor_end()
{
	[ -n "$FLOOR_PID" ] || return 0
	umount "$WORK/floor" 2>/dev/null || kill "$FLOOR_PID" 2>/dev/null
	wait "$FLOOR_PID" 2>/dev/null
}

# Mounts run in a subshell of bench_try_mount for their messages, so that what has to be undone is noted here first.
bench_mounts()
{
	local uring=cache=none,channel=uring label

	work_init bench
	trap 'bench_floor_end; work_fini' EXIT
	for label in tmpfs ext4 auto none memfs nullfs floor; do
		MOUNTED+=("$WORK/$label")
	done
	bench_try_mount tmpfs mount_new tmpfs tmpfs "$SIZE"
	bench_try_mount ext4 mount_new ext4 ext4 "$SIZE"
	bench_try_mount floor bench_floor
	[ ! -s "$WORK/floor.pid" ] || FLOOR_PID=$(cat "$WORK/floor.pid")
	if ! server_start 2>"$WORK/server.err"; then
		for label in auto none memfs nullfs; do
			MOUNT_ERROR[$label]=$(head -1 "$WORK/server.err")
		done
		return
	fi
	if ! uring_enable 2>"$WORK/uring.err"; then
		for label in none memfs nullfs; do
			MOUNT_ERROR[$label]=$(head -1 "$WORK/uring.err")
		done
		bench_try_mount auto mount_new pmfs2 auto "$SIZE" cache=auto
		return
	fi
	bench_try_mount auto mount_new pmfs2 auto "$SIZE" cache=auto
	bench_try_mount none mount_new pmfs2 none "$SIZE" $uring
	bench_try_mount memfs mount_new memfs memfs "$SIZE" $uring
	bench_try_mount nullfs mount_new nullfs nullfs "$SIZE" $uring
}

# bench_group GROUP ROUNDS RAW: times the group's cases whose mount is there; the others get an error line.
bench_group()
{
	local group=$1 rounds=$2 raw=$3 case label cases=() dirs=() seen=' '

	for case in $(awk -F'|' -v g="$group" '!/^#/ { gsub(/ /, "", $1); if ($1 == g) print $5, $6 }' "$LIST"); do
		[[ $seen == *" $case "* ]] && continue
		seen+="$case "
		label=${case#*@}
		if [ -n "${MOUNT_ERROR[$label]:-}" ]; then
			printf '%s\terror\t%s\n' "$case" "${MOUNT_ERROR[$label]}" >>"$raw"
		else
			cases+=("$case")
			dirs+=("$label=$WORK/$label")
		fi
	done
	[ ${#cases[@]} -gt 0 ] || return 0
	mapfile -t dirs < <(printf '%s\n' "${dirs[@]}" | sort -u)
	timeout -k 5 $((60 + ${#cases[@]} * rounds * MS * 10 / 1000)) "$METABENCH" -R -r "$rounds" -t "$MS" "${dirs[@]}" "${cases[@]}" \
		>>"$raw" 2>"$WORK/metabench.err" && return 0
	[ -s "$WORK/metabench.err" ] && printf '%s\terror\t%s\n' "${cases[0]}" "$(head -1 "$WORK/metabench.err")" >>"$raw"
	return 0
}

# bench_row RAW SENSE BAR A B: prints "value verdict [reason]".
bench_row()
{
	awk -F'\t' -v sense="$2" -v bar="$3" -v a="$4" -v b="$5" '
	function median(v, n,    i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
		return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
	}
	$2 == "error" { if ($1 == a || $1 == b) why = $1 ": " $3; next }
	$1 == a { ra[na++] = $3 }
	$1 == b { rb[nb++] = $3 }
	END {
		if (why == "" && (!na || na != nb)) why = "no result"
		if (why != "") { print "- short " why; exit }
		for (i = 0; i < na; i++) v[i + 1] = ra[i] / rb[i]
		m = median(v, na)
		print sprintf("%.2f", m), (sense == "min" ? m >= bar : m <= bar) ? "ok" : "short"
	}' "$1"
}

bench_bars_of()
{
	local group=$1 raw=$2 again=$3 g row sense bar a b value verdict why

	while IFS='|' read -r g row sense bar a b; do
		g=${g// /} sense=${sense// /} bar=${bar// /} a=${a// /} b=${b// /}
		[ "$g" = "$group" ] || continue
		read -r value verdict why < <(bench_row "$raw" "$sense" "$bar" "$a" "$b")
		if [ "$verdict" = short ] && [ "$again" = 1 ] && [ -z "$why" ]; then
			return 1
		fi
		printf '%-46s %8s  %s %5s  %s%s\n' "${row# }" "$value" "$([ "$sense" = min ] && echo '>=' || echo '<=')" "$bar" \
			"$verdict" "${why:+ ($why)}" >>"$WORK/rows"
		[ "$verdict" = ok ] || SHORT=$((SHORT + 1))
	done < <(grep -v '^#' "$LIST")
	return 0
}

# A row that is short is measured again, with twice the turns, and judged by all turns together.
bench_bars()
{
	local group

	echo
	printf '%-46s %8s  %8s  %s\n' "row" "value" "bar" "verdict"
	for group in $(awk -F'|' '!/^#/ && $3 !~ /side/ { gsub(/ /, "", $1); print $1 }' "$LIST" | uniq | grep -E "${BENCH_ROWS:-.}"); do
		: >"$WORK/raw"
		: >"$WORK/rows"
		bench_group "$group" "$ROUNDS" "$WORK/raw"
		if ! bench_bars_of "$group" "$WORK/raw" 1; then
			: >"$WORK/rows"
			bench_group "$group" $((ROUNDS * 2)) "$WORK/raw"
			bench_bars_of "$group" "$WORK/raw" 0
		fi
		cat "$WORK/rows"
	done
}

bench_side()
{
	local g row sense bar a b case

	echo
	printf '%-14s' "op/s (/ tmpfs)"
	printf '%20s' tmpfs "ext4 on loop" "pmfs2 cache=auto" "pmfs2 cache=none" "memfs cache=none"
	echo
	while IFS='|' read -r g row sense bar a b; do
		[[ $sense == *side* ]] && [[ $g =~ ${BENCH_ROWS:-.} ]] || continue
		: >"$WORK/raw"
		bench_group "${g// /}" $((ROUNDS < 5 ? ROUNDS : 5)) "$WORK/raw"
		printf '%-14s' "${row# }"
		for case in $a $b; do
			bench_side_cell "$WORK/raw" "$case" "${a// /}"
		done
		echo
	done < <(grep -v '^#' "$LIST")
}

bench_side_cell()
{
	awk -F'\t' -v c="$2" '$1 == c && $2 != "error" { print $3 }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }' \
		>"$WORK/cell"
	printf '%12s' "$(awk '{ if ($1 == "-") print "-"; else printf "%.0f", $1 }' "$WORK/cell")"
	printf '%8s' "$(bench_row "$1" min 0 "$2" "$3" | awk '{ print $1 == "-" ? "" : "(" $1 ")" }')"
}

[ "$(id -u)" = 0 ] || { echo "bench: needs root to mount: run 'sudo make bench'" >&2; exit 1; }
[ -x "$METABENCH" ] || { echo "bench: no $METABENCH: run 'make' first" >&2; exit 1; }
bench_mounts
echo "bench: $(uname -r), $(nproc) CPUs; medians over $ROUNDS turns of $MS ms, file systems in turns; images on /dev/shm"
bench_bars
[ "${BENCH_SIDE:-1}" = 0 ] || bench_side
echo
if [ "$SHORT" = 0 ]; then
	echo "bench: every row is ok"
else
	echo "bench: $SHORT rows are short"
	exit 1
fi
