#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fio.sh DIR: writes and verifies by crc32c, through every way a program has to do I/O.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

SIZE=${APPS_SMALL:+8M}
SIZE=${SIZE:-32M}

verify()
{
	tap_need fio
	cd "$DIR" || exit
	fio --name=v --directory="$DIR" --verify=crc32c --verify_fatal=1 --verify_dump=0 --randrepeat=1 --size="$SIZE" --minimal "$@" \
		>"$SIDE/out" 2>&1 || { tail -20 "$SIDE/out"; return 1; }
	rm -f "$DIR"/v.*
}

no_leftovers()
{
	rm -f "$DIR"/*
	[ -z "$(ls -A "$DIR")" ]
}

tap_case "psync, random 4k" 40 verify --ioengine=psync --rw=randwrite --bs=4k
tap_case "psync, O_DIRECT, random 4k to 64k" 40 verify --ioengine=psync --direct=1 --rw=randwrite --bsrange=4k-64k
tap_case "psync, unaligned sizes" 40 verify --ioengine=psync --rw=randwrite --bsrange=512-20k --bs_unaligned
tap_case "psync, sequential 1m, two jobs" 40 verify --ioengine=psync --rw=write --bs=1m --numjobs=2
tap_case "mmap, random 4k" 40 verify --ioengine=mmap --rw=randwrite --bs=4k
tap_case "vectors, O_SYNC" 40 verify --ioengine=pvsync --sync=1 --rw=randwrite --bs=16k
tap_case "io_uring, depth 16" 40 verify --ioengine=io_uring --iodepth=16 --rw=randwrite --bs=4k
tap_case "libaio, O_DIRECT, depth 16" 40 verify --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=8k
tap_case "preallocated, random 4k" 40 verify --ioengine=psync --fallocate=posix --rw=randwrite --bs=4k
tap_case "mixed reads and writes, file per job" 40 verify --ioengine=psync --rw=randrw --bs=4k --numjobs=4 --size=8M
tap_case "nothing is left" 10 no_leftovers
tap_done
