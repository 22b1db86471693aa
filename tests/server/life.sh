#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Life of mounts and servers: mounting, refusals, remount, unmounting, death and end of the server, servers on demand.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/../lib/mount.sh"
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

ZUSCTL=$BUILD/src/tools/mount/zusctl

work_init server
A=$WORK/a
B=$WORK/b
IMAGE=$WORK/image
MOUNTED=("$A" "$B")
LOOP=
mkdir "$A" "$B"

# Every case has its own server, and leaves nothing behind.
case_begin()
{
	trap case_end EXIT
	server_start "$@"
}

case_end()
{
	set +e
	mount_end "$A"
	mount_end "$B"
	server_stop
}

memfs_mount()
{
	"$MOUNT_PMFS2" none "$1" -o "fstype=memfs${2:+,$2}"
}

image_new()
{
	rm -f "$IMAGE"
	"$MKFS" --size 64M "$IMAGE" >/dev/null
}

fstype_of()
{
	findmnt -n -o FSTYPE,SOURCE --mountpoint "$1" | tr -s ' '
}

# refused EXIT_CODE TEXT COMMAND...: it fails with that code, and says that on stderr.
refused()
{
	local want=$1 text=$2 rc=0 said
	shift 2

	said=$("$@" 2>&1) || rc=$?
	[ "$rc" = "$want" ] || tap_fail "exit code $rc instead of $want: $said"
	[[ $said == *"$text"* ]] || tap_fail "said: $said"
}

case_mount_is_shown()
{
	case_begin
	memfs_mount "$A" ro,noatime,cache=none
	[ "$(fstype_of "$A")" = "fuse.memfs none" ] || tap_fail "shown as: $(fstype_of "$A")"
	[[ $(findmnt -n -o OPTIONS --mountpoint "$A") == ro,noatime,* ]] || tap_fail "options are not shown"
	! touch "$A/x" 2>/dev/null || tap_fail "wrote to a read-only mount"
	memfs_mount "$B"
	echo hello >"$B/x"
	[ "$(cat "$B/x")" = hello ]
	[ "$("$ZUSCTL" list | grep -c ' type memfs ')" = 2 ] || tap_fail "$("$ZUSCTL" list)"
	"$ZUSCTL" -j list | python3 -c 'import json, sys; assert [m["cache"] for m in json.load(sys.stdin)] == ["none", "auto"]'
	"$ZUSCTL" stats "$B" | grep -q create
	"$ZUSCTL" log-level debug | grep -qx debug
	"$UMOUNT_PMFS2" "$A"
	"$UMOUNT_PMFS2" "$B"
	[ -z "$("$ZUSCTL" list)" ] || tap_fail "unmounted, and still listed: $("$ZUSCTL" list)"
}

case_mount_when_wrong_is_refused()
{
	case_begin
	refused 1 "cache=some" memfs_mount "$A" cache=some
	refused 32 "noatme" memfs_mount "$A" noatme
	refused 32 "nosuchtype" "$MOUNT_PMFS2" none "$A" -o fstype=nosuchtype
	refused 32 "$WORK/nothing" "$MOUNT_PMFS2" "$WORK/nothing" "$A"
	refused 32 "not a directory" "$MOUNT_PMFS2" none /dev/null -o fstype=memfs
	truncate -s 64M "$WORK/empty"
	refused 32 "$WORK/empty" "$MOUNT_PMFS2" "$WORK/empty" "$A"
	! mountpoint -q "$A" || tap_fail "a refused mount is there"
	[ -z "$("$ZUSCTL" list)" ]
}

case_remount()
{
	case_begin
	memfs_mount "$A"
	echo x >"$A/x"
	"$MOUNT_PMFS2" none "$A" -o remount,ro
	! touch "$A/y" 2>/dev/null || tap_fail "wrote to a read-only mount"
	"$MOUNT_PMFS2" none "$A" -o remount,rw,noatime
	touch "$A/y"
	[[ $(findmnt -n -o OPTIONS --mountpoint "$A") == rw,noatime,* ]] || tap_fail "options are not shown"
	# With a file open for writing it stays writable, for the kernel and for the plug-in.
	exec 9>"$A/z"
	refused 32 "open for writing" "$MOUNT_PMFS2" none "$A" -o remount,ro
	echo more >&9
	exec 9>&-
	"$ZUSCTL" list | grep -q '(rw,' || tap_fail "$("$ZUSCTL" list)"
}

case_device_twice_is_refused()
{
	case_begin
	image_new
	ln -sf "$IMAGE" "$WORK/link"
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	[ "$(fstype_of "$A")" = "fuse.pmfs2 $IMAGE" ] || tap_fail "shown as: $(fstype_of "$A")"
	refused 32 "already mounted at $A" "$MOUNT_PMFS2" "$IMAGE" "$B"
	refused 32 "already mounted at $A" "$MOUNT_PMFS2" "$WORK/link" "$B"
	# Another server sees that it is in use.
	ZUSD_SOCKET=$WORK/other.sock refused 32 "$IMAGE" "$MOUNT_PMFS2" "$IMAGE" "$B"
	ZUSD_SOCKET=$WORK/other.sock "$ZUSCTL" stop
	! mountpoint -q "$B"
}

# Under its own name and as a loop device it is the same image.
case_image_and_loop_device_is_refused()
{
	case_begin
	image_new
	LOOP=$(losetup -f --show "$IMAGE") || tap_skip "no loop device"
	trap 'case_end; [ -z "$LOOP" ] || losetup -d "$LOOP"' EXIT
	refused 32 "loop device" "$MOUNT_PMFS2" "$IMAGE" "$A"
	"$MOUNT_PMFS2" "$LOOP" "$A"
	refused 32 "in use" "$MOUNT_PMFS2" "$IMAGE" "$B"
	"$UMOUNT_PMFS2" "$A"
	losetup -d "$LOOP"
	LOOP=
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	LOOP=$(losetup -f --show "$IMAGE")
	refused 32 "in use" "$MOUNT_PMFS2" "$LOOP" "$B"
}

case_unmount_then_all_at_once()
{
	local i

	case_begin
	image_new
	for ((i = 0; i < 10; i++)); do
		"$MOUNT_PMFS2" "$IMAGE" "$A"
		echo "$i" >"$A/count"
		"$UMOUNT_PMFS2" "$A"
		# The helper has waited: others can have the image at once.
		flock -n "$IMAGE" true || tap_fail "the image is still locked after umount.pmfs2, round $i"
	done
	for ((i = 0; i < 10; i++)); do
		"$MOUNT_PMFS2" "$IMAGE" "$A"
		[ "$(cat "$A/count")" = 9 ]
		# -i: without the helper
		umount -i "$A"
	done
}

case_unmount_when_busy()
{
	case_begin
	memfs_mount "$A"
	exec 9>"$A/open"
	refused 32 busy "$UMOUNT_PMFS2" "$A"
	"$UMOUNT_PMFS2" -l "$A"
	! mountpoint -q "$A"
	echo "still served" >&9
	exec 9>&-
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$("$ZUSCTL" list)" ] || return 0
		sleep 0.1
	done
	tap_fail "still there after its last file was closed: $("$ZUSCTL" list)"
}

# Another mount of the same file system: nothing to wait for, and it goes on.
case_unmount_of_a_bind_mount()
{
	case_begin
	memfs_mount "$A"
	mount --bind "$A" "$B"
	timeout 5 "$UMOUNT_PMFS2" "$A"
	echo x >"$B/x"
	timeout 5 "$UMOUNT_PMFS2" "$B"
	[ -z "$("$ZUSCTL" list)" ]
}

case_server_killed()
{
	case_begin
	image_new
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	echo kept >"$A/file"
	server_kill9 || true
	! cat "$A/file" 2>/dev/null || tap_fail "a dead server answered"
	server_start
	refused 32 "umount -l" "$MOUNT_PMFS2" "$IMAGE" "$A"
	"$UMOUNT_PMFS2" -l "$A"
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	[ "$(cat "$A/file")" = kept ] || tap_fail "an acknowledged write is lost"
}

# Stores into a mapping of the file, says so, and keeps it. The file has 4 MiB.
mapping_hold()
{
	exec python3 -c '
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4 << 20)
m = mmap.mmap(fd, 4 << 20)
m[:] = b"m" * (4 << 20)
open(sys.argv[2], "w").close()
time.sleep(60)' "$1" "$2"
}

# Two busy mounts, one of them below the other: what was stored into mappings is on both devices.
case_server_terminated_with_mapped_stores()
{
	local below=$WORK/below.img pid pids=()

	tap_need python3
	case_begin
	rm -f "$WORK"/stored?
	image_new
	"$MKFS" --size 64M "$below" >/dev/null
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	mkdir "$A/below"
	"$MOUNT_PMFS2" "$below" "$A/below"
	mapping_hold "$A/file" "$WORK/stored1" &
	pids+=($!)
	mapping_hold "$A/below/file" "$WORK/stored2" &
	pids+=($!)
	while [ ! -e "$WORK/stored1" ] || [ ! -e "$WORK/stored2" ]; do
		sleep 0.05
	done
	pid=$SERVER_PID
	kill -TERM "$pid"
	wait "$pid" || tap_fail "the server ended with $?"
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" || true
	server_start
	head -c 4M /dev/zero | tr '\0' m >"$WORK/want"
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	cmp "$A/file" "$WORK/want" || tap_fail "stores into a mapping are lost"
	"$MOUNT_PMFS2" "$below" "$B"
	cmp "$B/file" "$WORK/want" || tap_fail "stores into a mapping of the mount below are lost"
}

case_server_terminated_with_open_files()
{
	local pid

	case_begin
	image_new
	"$MOUNT_PMFS2" "$IMAGE" "$A"
	memfs_mount "$B"
	exec 8>"$A/open" 9>"$B/open"
	pid=$SERVER_PID
	kill -TERM "$pid"
	wait "$pid" || tap_fail "the server ended with $?"
	exec 8>&- 9>&-
	! mountpoint -q "$A" || tap_fail "$A is still mounted"
	! mountpoint -q "$B" || tap_fail "$B is still mounted"
	flock -n "$IMAGE" true || tap_fail "the image is still locked"
}

# The busy one is cut off first; the other one is still found.
case_server_terminated_with_a_busy_bind_mount()
{
	case_begin
	memfs_mount "$A"
	mount --bind "$A" "$B"
	exec 9>"$B/open"
	kill -TERM "$SERVER_PID"
	wait "$SERVER_PID" || tap_fail "the server ended with $?"
	exec 9>&-
	! mountpoint -q "$A" || tap_fail "$A is still mounted"
	! mountpoint -q "$B" || tap_fail "$B is still mounted"
}

case_server_twice_on_a_socket_is_refused()
{
	case_begin
	refused 1 "another zusd" timeout 5 "$ZUSD" --foreground --socket "$ZUSD_SOCKET"
	"$ZUSCTL" status | grep -q "process $SERVER_PID"
	# A socket left behind by a dead server is replaced.
	server_kill9 || true
	[ -S "$ZUSD_SOCKET" ]
	"$ZUSD" --foreground --socket "$ZUSD_SOCKET" 2>/dev/null &
	SERVER_PID=$!
	sleep 0.5
	"$ZUSCTL" status | grep -q "process $SERVER_PID"
}

server_count()
{
	pgrep -c -f -- "--on-demand --socket $ZUSD_SOCKET" || true
}

case_server_on_demand()
{
	local i

	trap case_end EXIT
	export ZUSD_SOCKET=$WORK/demand.sock
	memfs_mount "$A" &
	memfs_mount "$B"
	wait $!
	mountpoint -q "$A"
	mountpoint -q "$B"
	[ "$(server_count)" = 1 ] || tap_fail "$(server_count) servers were started"
	"$UMOUNT_PMFS2" "$A"
	"$UMOUNT_PMFS2" "$B"
	# It waits a little for more, and serves if more comes.
	memfs_mount "$A"
	sleep 4
	mountpoint -q "$A" && touch "$A/x"
	"$UMOUNT_PMFS2" "$A"
	for ((i = 0; i < 80; i++)); do
		[ "$(server_count)" = 0 ] && [ ! -e "$ZUSD_SOCKET" ] && return 0
		sleep 0.1
	done
	tap_fail "the server did not end"
}

# Mounts while servers end, told to or by themselves after three seconds: never an error.
case_server_on_demand_when_ending()
{
	local pause

	trap case_end EXIT
	export ZUSD_SOCKET=$WORK/demand2.sock
	for pause in 0 0 0 0 0 2.99 3 3.01 3.02; do
		memfs_mount "$A"
		"$UMOUNT_PMFS2" "$A"
		if [ "$pause" = 0 ]; then
			"$ZUSCTL" stop
		else
			sleep "$pause"
		fi
	done
}

# The threads of the classic channel follow their client from core to core, but never to one that the administrator took away.
case_server_on_chosen_cores_stays_there()
{
	local last=$(($(nproc --all) - 1)) end=$((SECONDS + 3)) client list

	[ "$last" -gt 0 ] || tap_skip "one core only"
	trap case_end EXIT
	server_start
	taskset -a -c -p 0 "$SERVER_PID" >/dev/null
	memfs_mount "$A" channel=dev,cache=none
	taskset -c "$last" dd if=/dev/zero of="$A/x" bs=512 count=10000000 2>/dev/null &
	client=$!
	while [ $SECONDS -lt $end ]; do
		sleep 0.1
		list=$(sort -u "/proc/$SERVER_PID"/task/*/status | sed -n 's/^Cpus_allowed_list:\s*//p' | sort -u)
		[ "$list" = 0 ] || break
	done
	kill "$client"
	wait "$client" || true
	[ "$list" = 0 ] || tap_fail "threads may run on cores: $list"
}

case_plugin_when_missing_is_said()
{
	ZUFS_LIBFS_LIST=nosuchplugin refused 1 "nosuchplugin" timeout 5 "$ZUSD" --socket "$WORK/none.sock"
	ZUSD_SOCKET=$WORK/none.sock ZUFS_LIBFS_LIST=nosuchplugin refused 32 "nosuchplugin" memfs_mount "$A"
}

# The real commands: mount(8), umount(8), an fstab line. In a mount namespace of its own, where /sbin has our helpers.
mount8_inside()
{
	local name sbin=$WORK/sbin

	mkdir -p "$sbin"
	for name in mount.pmfs2 mount.fuse.pmfs2 mount.memfs mount.fuse.memfs; do
		ln -sf "$MOUNT_PMFS2" "$sbin/$name"
	done
	for name in umount.pmfs2 umount.fuse.pmfs2 umount.fuse.memfs; do
		ln -sf "$UMOUNT_PMFS2" "$sbin/$name"
	done
	mount --bind "$sbin" "$(realpath /sbin)"
	image_new
	# An fstab may name what is for the kernel module.
	mount -t pmfs2 "$IMAGE" "$A" -o noatime,cache=none,wait=5
	mount | grep -q "^$IMAGE on $A type fuse.pmfs2 (rw,noatime,"
	echo "hello, world" >"$A/hello"
	mount -o remount,ro "$A"
	! touch "$A/x" 2>/dev/null
	mount -o remount,rw "$A"
	touch "$A/x"
	umount "$A"
	# umount(8) as root does not ask our helper: the image is closed a moment later.
	flock -w 5 "$IMAGE" true
	mount -t fuse.pmfs2 "$IMAGE" "$A"
	[ "$(cat "$A/hello")" = "hello, world" ]
	umount "$A"
	echo "$IMAGE $A pmfs2 defaults,nofail,x-test 0 2" >"$WORK/fstab"
	mount -T "$WORK/fstab" "$A"
	[ "$(cat "$A/hello")" = "hello, world" ]
	umount "$A"
	mount -t memfs none "$A"
	umount "$A"
}

case_mount8()
{
	trap case_end EXIT
	export ZUSD_SOCKET=$WORK/mount8.sock
	export -f mount8_inside image_new
	export A IMAGE WORK MKFS MOUNT_PMFS2 UMOUNT_PMFS2
	unshare -m --propagation private bash -e -u -c mount8_inside
	"$ZUSCTL" stop
}

as_user()
{
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env XDG_RUNTIME_DIR="$WORK/user" "$@"
}

# In a mount namespace of its own, where /dev/fuse is for everybody, as it is where udev runs.
ordinary_user_inside()
{
	local i dir=$WORK/user/dir

	mknod "$WORK/fuse" c 10 229
	chmod 666 "$WORK/fuse"
	mount --bind "$WORK/fuse" /dev/fuse
	as_user "$MOUNT_PMFS2" "$WORK/user/image" "$dir"
	[ "$(findmnt -n -o FSTYPE,OPTIONS --mountpoint "$dir" | tr -s ' ' | cut -d, -f1-3)" = "fuse.pmfs2 rw,nosuid,nodev" ]
	as_user sh -c "echo mine >'$dir/x' && cat '$dir/x'" | grep -qx mine
	as_user "$ZUSCTL" list | grep -q "$dir"
	as_user sh -c "exec <'$dir/x'; ! '$UMOUNT_PMFS2' '$dir' 2>&1" >"$WORK/said"
	[[ $(cat "$WORK/said") == *busy* && $(cat "$WORK/said") != *permitted* ]] || { cat "$WORK/said"; return 1; }
	as_user "$UMOUNT_PMFS2" "$dir"
	! mountpoint -q "$dir"
	as_user "$MOUNT_PMFS2" "$WORK/user/image" "$dir"
	as_user cat "$dir/x" | grep -qx mine
	as_user "$ZUSCTL" stop
	for ((i = 0; i < 30; i++)); do
		mountpoint -q "$dir" || return 0
		sleep 0.1
	done
	echo "still mounted after the server's end"
	return 1
}

# An ordinary user, with a server of his own, through fusermount3.
case_ordinary_user()
{
	tap_need fusermount3 setpriv
	case_begin
	mkdir -p "$WORK/user/dir"
	"$MKFS" --size 64M "$WORK/user/image" >/dev/null
	"$MOUNT_PMFS2" "$WORK/user/image" "$A"
	chown 65534:65534 "$A"
	"$UMOUNT_PMFS2" "$A"
	unset ZUSD_SOCKET
	chown -R 65534:65534 "$WORK/user"
	as_user test -r "$ZUSD" || tap_skip "user 65534 cannot read the build directory"
	export -f ordinary_user_inside as_user
	export WORK ZUSCTL MKFS MOUNT_PMFS2 UMOUNT_PMFS2
	unshare -m --propagation private bash -e -u -c ordinary_user_inside
}

tap_case mount_is_shown 30 case_mount_is_shown
tap_case mount_when_wrong_is_refused 30 case_mount_when_wrong_is_refused
tap_case remount 30 case_remount
tap_case device_twice_is_refused 40 case_device_twice_is_refused
tap_case image_and_loop_device_is_refused 40 case_image_and_loop_device_is_refused
tap_case unmount_then_all_at_once 60 case_unmount_then_all_at_once
tap_case unmount_when_busy 30 case_unmount_when_busy
tap_case unmount_of_a_bind_mount 30 case_unmount_of_a_bind_mount
tap_case server_killed 30 case_server_killed
tap_case server_terminated_with_mapped_stores 60 case_server_terminated_with_mapped_stores
tap_case server_terminated_with_open_files 30 case_server_terminated_with_open_files
tap_case server_terminated_with_a_busy_bind_mount 30 case_server_terminated_with_a_busy_bind_mount
tap_case server_twice_on_a_socket_is_refused 30 case_server_twice_on_a_socket_is_refused
tap_case server_on_demand 40 case_server_on_demand
tap_case server_on_demand_when_ending 60 case_server_on_demand_when_ending
tap_case server_on_chosen_cores_stays_there 30 case_server_on_chosen_cores_stays_there
tap_case plugin_when_missing_is_said 20 case_plugin_when_missing_is_said
tap_case mount8 60 case_mount8
tap_case ordinary_user 30 case_ordinary_user
tap_done
