#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "sudo make try": builds, formats an image of 1 GiB, mounts it, works with it in plain sight, measures, and takes everything away again.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib/mount.sh
. tests/lib/mount.sh

[ "$(id -u)" = 0 ] || { echo "try: mounting needs root: run 'sudo make try'" >&2; exit 1; }

say()
{
	printf '\n== %s\n' "$*"
}

# Shows a command, then runs it.
show()
{
	printf '$ %s\n' "$*"
	bash -c "$*"
}

# Copies a real tree and compares every byte.
copy_tree()
{
	local name

	name=$(basename "$1")
	[ -d "$1" ] || return 0
	show "cp -a $1 $2/"
	show "diff -r --no-dereference $1 $2/$name && echo identical: \$(find $2/$name | wc -l) entries, \$(du -sh $2/$name | cut -f1)"
}

build()
{
	[ -e "$BUILD/build.ninja" ] || meson setup "$BUILD" >"$WORK/build.log" 2>&1 && ninja -C "$BUILD" >>"$WORK/build.log" 2>&1 && return 0
	tail -40 "$WORK/build.log" >&2
	echo "try: the build failed" >&2
	return 1
}

work_init try
say "build"
build
echo "built in $BUILD"
start=$SECONDS
image=$SHM/try.img
dir=$WORK/pmfs2
mkdir "$dir"
MOUNTED+=("$dir")

say "format and mount"
# The fast channel, where the kernel has it; switched back at the end.
if uring_enable 2>/dev/null && [ -n "$URING_WAS" ]; then
	echo "(switched on for this run: $FUSE_URING_PARAM)"
fi
export PATH=$BUILD/src/tools/mkfs:$BUILD/src/tools/mount:$PATH
server_start
show "mkfs.pmfs2 --size 1G $image"
show "mount.pmfs2 $image $dir"
show "mount | grep pmfs2 | grep $dir"

say "hello, world"
show "echo 'hello, world' > $dir/hello"
show "ls $dir/"
show "cat $dir/hello"
show "rm -f $dir/hello"

say "a real tree"
copy_tree /usr/include "$dir"
copy_tree /usr/share/doc "$dir"
show "df -h $dir"
say "the same after another mount"
show "umount $dir"
show "mount.pmfs2 $image $dir"
if [ -d /usr/include ]; then
	show "diff -r --no-dereference /usr/include $dir/include && echo identical"
fi
show "rm -rf $dir/include $dir/doc"

say "fio: synchronous, direct, 70 % reads"
FIO_RUNTIME=2 FIO_BS="4k 64k 1m" bench/fio4pmfs2.sh "$dir"

say "unmount"
show "umount $dir"
server_stop

say "side by side (a quick look; 'sudo make bench' takes its time)"
BENCH_QUICK=1 bench/bench.sh || echo "(see above; short rows of a quick run are not a verdict)"

say "done in $((SECONDS - start)) s; nothing is left mounted"
