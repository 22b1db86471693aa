#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# fio4pmfs2.sh DIR: synchronous direct reads and writes, 70 to 30, for each number of jobs and each block size.
#
#   FIO_RUNTIME=5             seconds of one run           FIO_JOBS="1 2 4"   default: 1, 2, 4 ... up to the number of CPUs
#   FIO_BS="4k 16k 64k 1m"    block sizes                  FIO_SIZE=64M       bytes of one job's file
set -euo pipefail

[ $# = 1 ] && [ -d "$1" ] || { echo "Usage: fio4pmfs2.sh DIR" >&2; exit 2; }
command -v fio >/dev/null || { echo "fio4pmfs2.sh: fio is not installed: run 'sudo make deps'" >&2; exit 1; }
dir=$(mktemp -d "$1/fio.XXXXXX")
log=$(mktemp)
trap 'rm -rf "$dir" "$log"' EXIT

jobs_default()
{
	local n cpus
	cpus=$(nproc)
	for ((n = 1; n < cpus; n *= 2)); do
		echo "$n"
	done
	echo "$cpus"
}

for jobs in ${FIO_JOBS:-$(jobs_default)}; do
	for bs in ${FIO_BS:-4k 16k 64k 1m}; do
		echo "Jobs=$jobs BS=$bs"
		if ! fio --name=pmfs2 --directory="$dir" --numjobs="$jobs" --bs="$bs" --size="${FIO_SIZE:-64M}" \
			--ioengine=psync --direct=1 --sync=1 --rw=readwrite --rwmixread=70 --fallocate=none --norandommap \
			--time_based --runtime="${FIO_RUNTIME:-5}" --group_reporting >"$log" 2>&1; then
			cat "$log" >&2
			exit 1
		fi
		sed -n 's/^ *\(READ\|WRITE\): \(bw=[^,]*, [^,]*\),.*/\1: \2/p' "$log"
		rm -f "$dir"/pmfs2.*
	done
done
