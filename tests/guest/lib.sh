#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Sourced by what runs in the guest: TAP, the module, the server, mounts. BUILD and ZUF_KO come from the environment.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$top/tests/lib/tap.sh"
export ZUF_ROOT=/sys/fs/zuf ZUFS_LIBFS_LIST=pmfs2,memfs LD_LIBRARY_PATH=$BUILD/src/pmfs2:$BUILD/src/memfs ZUFS_PLUGIN_DIR=/nonexistent
export TAP_SLOW=${GUEST_SLOW:-1}
MNT=/mnt/pmfs2
SERVER_PID=

zuf_load()
{
	insmod "$ZUF_KO" && mount -t zuf nodev $ZUF_ROOT
}

# Starts a server and waits until it has taken the root.
server_start()
{
	local i

	"$BUILD/src/zusd/zusd" --foreground --log-level="${ZUSD_LOG:-info}" >>/run/guest/zusd.log 2>&1 &
	SERVER_PID=$!
	for i in $(seq 600); do
		[ "$(cat /sys/kernel/zuf/state)" != served ] || return 0
		kill -0 $SERVER_PID 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

server_kill()
{
	kill -9 $SERVER_PID
	wait $SERVER_PID 2>/dev/null
	return 0
}
