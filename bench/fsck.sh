#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "make bench-fsck": fsck.pmfs2 on an image of 1,000,000 files, against the bars. Exit code 1 if a row is short.
#   fsck.sh [-n FILES] [-d DIRECTORY for the image, which is about 1 GiB]
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-$PWD/build}
exec "$BUILD/bench/fsck_bench" "$@" "$BUILD/src/tools/fsck/fsck.pmfs2"
