#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# "make bench-scale": growth, in the engine (scale) and on a mount (scale_mount.py). Exit code 1 if a row is short.
set -u
cd "$(dirname "$0")/.." || exit 2
# shellcheck source=tests/lib/env.sh
. tests/lib/env.sh
rc=0
"$BENCH_SCALE" || rc=1
channel=channel=dev
[ ! -e "$FUSE_URING_PARAM" ] || channel=channel=uring
tests/lib/on_mount.sh pmfs2 2G "cache=none,$channel" bench/scale_mount.py @ || rc=1
exit $rc
