# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# A work directory, a server of our own and mounts, all taken away again when the script ends, however it ends.
#
#	. tests/lib/mount.sh
#	work_init NAME                        WORK (on disk, mode 755) and SHM (on /dev/shm)
#	server_start                          a zusd on a socket in WORK; SERVER_PID
#	mount_new pmfs2 LABEL SIZE OPTIONS    formats and mounts $SHM/LABEL.img on $WORK/LABEL; also memfs, nullfs, tmpfs, ext4
#	mount_again LABEL OPTIONS             the same image once more
#	mount_drop LABEL                      unmounts
#
# Only what this script started is ended: mounts by their path, the server by its process id.

# shellcheck source=tests/lib/env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

WORK=
SHM=
SERVER_PID=
MOUNTED=()
URING_WAS=

work_init()
{
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-$1.XXXXXX")
	SHM=$(mktemp -d "/dev/shm/pmfs2-$1.XXXXXX")
	chmod 755 "$WORK" "$SHM"
	export ZUSD_SOCKET=$WORK/zusd.sock
	export ZUSD
	trap work_fini EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

work_fini()
{
	local rc=$? i

	trap - EXIT
	set +e # everything is tried
	for ((i = ${#MOUNTED[@]} - 1; i >= 0; i--)); do
		mount_end "${MOUNTED[i]}"
	done
	server_stop
	uring_restore
	[ -z "$WORK" ] || rm -rf --one-file-system "$WORK"
	[ -z "$SHM" ] || rm -rf --one-file-system "$SHM"
	exit "$rc"
}

mount_end()
{
	mountpoint -q "$1" || ! stat "$1" >/dev/null 2>&1 || return 0
	umount "$1" 2>/dev/null || { sleep 0.5; umount "$1" 2>/dev/null; } || umount -l "$1" 2>/dev/null || true
}

# The kernel's FUSE over io_uring is a module parameter, off by default; it is put back at the end.
uring_enable()
{
	[ -e "$FUSE_URING_PARAM" ] || { echo "this kernel has no FUSE over io_uring (6.14 or newer needed)" >&2; return 1; }
	[ "$(cat "$FUSE_URING_PARAM")" = Y ] && return 0
	[ -w "$FUSE_URING_PARAM" ] || { echo "$FUSE_URING_PARAM is N and only root may change it" >&2; return 1; }
	echo Y >"$FUSE_URING_PARAM"
	URING_WAS=N
}

uring_restore()
{
	[ -z "$URING_WAS" ] || echo "$URING_WAS" >"$FUSE_URING_PARAM"
	URING_WAS=
}

server_start()
{
	local i

	[ -x "$ZUSD" ] || { echo "no server at '$ZUSD': run 'make' first" >&2; return 1; }
	rm -f "$ZUSD_SOCKET"
	"$ZUSD" --foreground --socket "$ZUSD_SOCKET" >>"$WORK/zusd.log" 2>&1 </dev/null &
	SERVER_PID=$!
	for ((i = 0; i < 100; i++)); do
		[ -S "$ZUSD_SOCKET" ] && return 0
		kill -0 "$SERVER_PID" 2>/dev/null || break
		sleep 0.05
	done
	echo "the server did not start; its log:" >&2
	tail -20 "$WORK/zusd.log" >&2
	return 1
}

server_stop()
{
	local i

	[ -n "$SERVER_PID" ] || return 0
	kill -TERM "$SERVER_PID" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		kill -0 "$SERVER_PID" 2>/dev/null || break
		sleep 0.05
	done
	kill -KILL "$SERVER_PID" 2>/dev/null || true
	wait "$SERVER_PID" 2>/dev/null || true
	SERVER_PID=
	return 0
}

server_kill9()
{
	kill -KILL "$SERVER_PID"
	wait "$SERVER_PID" 2>/dev/null || true
	SERVER_PID=
	return 0
}

# mount_pmfs2_type FSTYPE LABEL IMAGE OPTIONS
mount_pmfs2_type()
{
	local opts=$4

	[ "$1" = pmfs2 ] || opts=${opts:+$opts,}fstype=$1
	[ -x "$MOUNT_PMFS2" ] || command -v "$MOUNT_PMFS2" >/dev/null || { echo "no '$MOUNT_PMFS2': run 'make' first" >&2; return 1; }
	[ -n "$SERVER_PID" ] || server_start || return 1
	"$MOUNT_PMFS2" "$3" "$WORK/$2" -o "${opts:-rw}" || return 1
	mountpoint -q "$WORK/$2" || { echo "mount.pmfs2 returned 0 but $WORK/$2 is not a mount" >&2; return 1; }
}

mount_new()
{
	local kind=$1 label=$2 size=$3 opts=${4:-} dir=$WORK/$2 image=$SHM/$2.img

	mkdir -p "$dir"
	MOUNTED+=("$dir")
	case $kind in
	tmpfs) mount -t tmpfs -o "size=$size${opts:+,$opts}" "pmfs2-$label" "$dir" ;;
	ext4)
		truncate -s "$size" "$image" && mkfs.ext4 -q -F "$image" && mount -o "loop${opts:+,$opts}" "$image" "$dir" ;;
	pmfs2)
		"$MKFS" --size "$size" "$image" >"$WORK/mkfs.log" 2>&1 || { cat "$WORK/mkfs.log" >&2; return 1; }
		mount_pmfs2_type pmfs2 "$label" "$image" "$opts" ;;
	memfs) mount_pmfs2_type "$kind" "$label" none "size=$size${opts:+,$opts}" ;;
	nullfs) mount_pmfs2_type "$kind" "$label" none "$opts" ;;
	*) echo "unknown kind of file system '$kind'" >&2; return 1 ;;
	esac
}

mount_again()
{
	mount_pmfs2_type pmfs2 "$1" "$SHM/$1.img" "${2:-}"
}

# Unmounts by the plain command. Another program (an indexer) can hold a mount for a moment: tries for a second.
mount_drop()
{
	local i

	for ((i = 0; i < 10; i++)); do
		umount "$WORK/$1" 2>/dev/null && return 0
		sleep 0.1
	done
	umount "$WORK/$1"
}
