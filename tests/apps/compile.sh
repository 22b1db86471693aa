#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# compile.sh DIR: this repository's own sources, copied there, configured and built; what comes out is byte for byte what a build with the
# same paths gives again, and runs. APPS_SMALL: zusctl and what it needs.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

ZUSCTL=src/tools/mount/zusctl
TARGETS=${APPS_SMALL:+$ZUSCTL}

configure()
{
	tap_need meson ninja gcc
	mkdir "$DIR/src"
	tar -C "$REPO" --exclude=./.git --exclude='./build*' --exclude=./.cache -cf - . | tar -C "$DIR/src" -xf -
	meson setup "$DIR/build" "$DIR/src"
}

sum_objects()
{
	find "$DIR/build" -type f -name '*.o' -exec sha256sum {} + | LC_ALL=C sort -k2
}

# shellcheck disable=SC2086
build()
{
	ninja -C "$DIR/build" $TARGETS
	sum_objects >"$SIDE/first"
	[ -s "$SIDE/first" ]
}

# shellcheck disable=SC2086
build_again()
{
	ninja -C "$DIR/build" $TARGETS | grep -q 'no work to do'
	ninja -C "$DIR/build" -t clean
	ninja -C "$DIR/build" $TARGETS >/dev/null
	sum_objects >"$SIDE/second"
	cmp "$SIDE/first" "$SIDE/second"
}

run_result()
{
	"$DIR/build/$ZUSCTL" --version | grep zusctl
	[ -z "${APPS_SMALL:-}" ] || return 0
	"$DIR/build/src/tools/mkfs/mkfs.pmfs2" --size 64M "$DIR/image"
	[ "$(stat -c %s "$DIR/image")" = $((64 << 20)) ]
}

tap_case "meson configures on the mount" 60 configure
tap_case "ninja builds on the mount" 200 build
tap_case "nothing to do, and a second build gives the same objects" 200 build_again
tap_case "a program built there runs there" 20 run_result
tap_done
