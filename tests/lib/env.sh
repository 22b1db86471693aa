# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034
# Where the product's own commands are in the build tree. The one place that knows; everything else sources this.
# BUILD chooses another build directory; PMFS2_INSTALLED=1 takes what is installed in PATH instead.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$REPO/build}
if [ "${PMFS2_INSTALLED:-0}" = 1 ]; then
	MKFS=mkfs.pmfs2
	MOUNT_PMFS2=mount.pmfs2
	ZUSD=$(command -v zusd || true)
else
	MKFS=$BUILD/src/tools/mkfs/mkfs.pmfs2
	MOUNT_PMFS2=$BUILD/src/tools/mount/mount.pmfs2
	UMOUNT_PMFS2=$BUILD/src/tools/mount/umount.pmfs2
	ZUSD=$BUILD/src/zusd/zusd
	# Literal paths: no library path is needed to find them.
	PLUGINS=$BUILD/src/pmfs2/pmfs2.so,$BUILD/src/memfs/memfs.so,$BUILD/src/nullfs/nullfs.so
	export ZUFS_LIBFS_LIST=${ZUFS_LIBFS_LIST:-$PLUGINS}
	export PATH=$BUILD/src/zusd:$BUILD/src/tools/mkfs:$BUILD/src/tools/mount:$PATH
fi
UMOUNT_PMFS2=${UMOUNT_PMFS2:-umount}
METABENCH=$BUILD/bench/metabench
FUSE3_FLOOR=$BUILD/bench/fuse3_floor
BENCH_FENCES=$BUILD/bench/fences
BENCH_SCALE=$BUILD/bench/scale
ACKLOAD=$BUILD/tests/apps/ackload
MODEL=$BUILD/tests/model/model
FUSE_URING_PARAM=/sys/module/fuse/parameters/enable_uring
