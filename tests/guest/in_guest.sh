#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# All tests of one boot, in the guest, as TAP: in_guest.sh [SUITE...]. Suites: readme session memfs posix model huge tail entries attrs gone
# use apps kill liar; on the debug kernel also: fault, leak (with fault in it), watch.
# GUEST_LEVEL=long: all there is; quick (default): fewer kills, applications, names that come and go.
# GUEST_KILLS, GUEST_MODEL_S, GUEST_APPS, GUEST_POSIX say so one by one. GUEST_SLOW: that many times the time.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/guest/lib.sh
. "$top/tests/guest/lib.sh"
DEV=/dev/pmem0
MKFS=$BUILD/src/tools/mkfs/mkfs.pmfs2
if [ "${GUEST_LEVEL:-quick}" = long ]; then
	KILLS=100 APPS='git tree compile sqlite postgres fio stress' CHURN=10000
else
	KILLS=10 APPS='git sqlite' CHURN=2000
fi
POSIX_LIST='open rw truncate falloc seek_copy mmap names rename readdir attr xattr acl flags locks limits statfs_enospc'

guest_module()
{
	modprobe -C /dev/null -d "$GUEST_MODULES" -S "$GUEST_RELEASE" "$1"
}

bail()
{
	tail -20 /run/guest/zusd.log | sed 's/^/# zusd: /'
	echo "Bail out! $*"
	exit 1
}

# A mounted pmfs2, fresh, with a server.
fresh_mount() # [OPTIONS]
{
	zuf_start || bail "no module, or no server"
	$MKFS -f $DEV >/dev/null && mount -i -t pmfs2 ${1:+-o "$1"} $DEV $MNT && chmod 755 $MNT || bail "mount failed"
}

# An emulated NVDIMM comes up raw.
device_prepare()
{
	[ "$GUEST_PMEM" != nvdimm ] || ndctl create-namespace -f -e namespace0.0 -m fsdax -M mem >/dev/null || bail "ndctl failed"
	[ -b $DEV ] || bail "no $DEV"
}

zuf_start()
{
	[ -e /sys/kernel/zuf ] || zuf_load || return 1
	[ "$(cat /sys/kernel/zuf/state)" = served ] || server_start
}

zuf_stop()
{
	kill $SERVER_PID && wait $SERVER_PID
	umount $ZUF_ROOT && rmmod zuf
}

counter() # NAME: of the pmfs2 mount
{
	cat /sys/kernel/zuf/mounts/*/calls /sys/kernel/zuf/mounts/*/counters | awk -v n="$1" '$1 == n { s += $2 } END { print s + 0 }'
}

# Takes over the cases of a program that prints TAP, and says as one more that it came to its end. START is when it began.
cases_of() # NAME RC LOG
{
	local done failed

	done=$(grep -cE '^(not )?ok ' "$3")
	failed=$(grep -c '^not ok ' "$3")
	awk -v n=$TAP_N -v p="$1" '/^1\.\./ { next } /^(not )?ok [0-9]+ - / { n++; sub(/ok [0-9]+ - /, "ok " n " - " p " ") } { print }' "$3"
	TAP_N=$((TAP_N + done + 1))
	TAP_FAILED=$((TAP_FAILED + failed))
	if [ "$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$3")" = "$done" ] && { [ "$2" = 0 ] || [ "$failed" != 0 ]; }; then
		echo "ok $TAP_N - $1 ran to its end ($((SECONDS - START)) s)"
	else
		echo "not ok $TAP_N - $1 ended early, exit code $2"
		TAP_FAILED=$((TAP_FAILED + 1))
	fi
}

# --- the README's commands, as they stand there -------------------------------------------------------------------------------------------

# The block of commands behind the paragraph that begins with "With the kernel module".
readme_commands()
{
	awk '/^With the kernel module/ { on = 1 } on && /^    / { n++; sub(/ +#.*/, ""); print } n && !/^    / { exit }' "$top/README.md"
}

# As on a machine that runs this kernel: its headers where packages put them, our programs installed. No sudo: we are root.
readme_machine()
{
	mkdir -p /lib/modules
	ln -sfn "$GUEST_MODULES/lib/modules/$GUEST_RELEASE" "/lib/modules/$GUEST_RELEASE"
	ln -sf "$GUEST_MODULES"/usr/src/* /usr/src/
	meson install -C "$BUILD" --no-rebuild >/run/install.out
	dd if=/dev/zero of=$DEV bs=1M count=8 status=none
	sudo()
	{
		"$@"
	}
}

# build-module.sh has made it, by the same Makefile. GUEST_README_MAKE=1 makes it here, which takes some minutes (and on the newest
# kernel a newer compiler than is here).
readme_make()
{
	if [ -n "${GUEST_README_MAKE:-}" ]; then
		make "$@"
	else
		mkdir -p zuf/build/zuf
		cp "$ZUF_KO" zuf/build/zuf/zuf.ko
	fi
}

readme()
{
	unset ZUF_ROOT ZUFS_LIBFS_LIST LD_LIBRARY_PATH ZUFS_PLUGIN_DIR
	cd "$top"
	readme_machine
	readme_commands >/run/readme.sh
	[ "$(grep -c . /run/readme.sh)" = 3 ]
	sed -i 's/^ *make /readme_make /' /run/readme.sh
	cat /run/readme.sh
	# shellcheck disable=SC1091
	. /run/readme.sh
	[ "$(findmnt -no SOURCE,FSTYPE /mnt)" = "/dev/pmem0 pmfs2" ]
	zusctl list | grep -q '/dev/pmem0 .* pmfs2 .*zuf'
	cp /bin/true /mnt/true
	/mnt/true
	umount /mnt
	zusctl stop
	umount /sys/fs/zuf
	rmmod zuf
}

suite_readme()
{
	tap_case "readme_commands_as_they_stand" 900 readme
}

# --- the seed's session, command by command ------------------------------------------------------------------------------------------

session()
{
	ZUFS_HOME=$BUILD
	export ZUF_ROOT=/sys/fs/zuf ZUFS_HOME ZUFS_LIBFS_LIST=pmfs2
	export LD_LIBRARY_PATH=$ZUFS_HOME/src/zusd:$ZUFS_HOME/src/pmfs2
	insmod "$ZUF_KO"
	mount -v -t zuf nodev $ZUF_ROOT
	"$MKFS" -f $DEV
	"$BUILD/src/zusd/zusd" &
	pid=$!
	for _ in $(seq 200); do
		[ "$(cat /sys/kernel/zuf/state)" = served ] && break
		sleep 0.1
	done
	mkdir -p $MNT
	mount -t pmfs2 $DEV $MNT
	[ "$(mount | grep pmfs2)" = "$DEV on $MNT type pmfs2 (rw,relatime)" ]
	echo "hello, world" >$MNT/hello
	[ "$(ls $MNT/)" = hello ]
	[ "$(cat $MNT/hello)" = "hello, world" ]
	rm -f $MNT/hello
	[ -z "$(ls $MNT/)" ]
	FIO_RUNTIME=1 FIO_JOBS=1 FIO_BS="4k 64k" FIO_SIZE=16M "$top/bench/fio4pmfs2.sh" $MNT/ >/run/fio4pmfs2.out
	grep -q '^READ: bw=' /run/fio4pmfs2.out
	"$BUILD/src/zusd/zusd" --foreground --socket=/run/second.sock >/run/second.log 2>&1 &
	second=$!
	sleep 1
	grep -q 'another server has the zuf root' /run/second.log
	kill $second
	umount $MNT
	kill $pid
	wait $pid
	umount $ZUF_ROOT
	rmmod zuf
}

# One short round of the seed's benchmark, with verification of what fio reads back.
session_fio()
{
	fio --name=s --directory=$MNT --ioengine=psync --direct=1 --sync=1 --rw=randwrite --bs=64k --size=16M --fallocate=none \
		--norandommap --verify=crc32c --do_verify=1 --verify_fatal=1 >/run/fio.out || { cat /run/fio.out; return 1; }
	fio --name=m --directory=$MNT --ioengine=mmap --rw=randwrite --bs=4k --size=8M --verify=crc32c --do_verify=1 >/run/fio.out ||
		{ cat /run/fio.out; return 1; }
	rm -f $MNT/*
}

suite_session()
{
	tap_case "seed_session_command_by_command" 300 session
	fresh_mount
	tap_case "fio_write_and_verify" 300 session_fio
	umount $MNT
}

# --- memfs ------------------------------------------------------------------------------------------------------------------------------

memfs()
{
	mkdir -p /mnt/memfs
	mount -i -t memfs none /mnt/memfs
	[ "$(stat -f -c %T /mnt/memfs)" ]
	cp -r /etc/apt /mnt/memfs/
	diff -r /etc/apt /mnt/memfs/apt
	cp /bin/true /mnt/memfs/true
	/mnt/memfs/true
	head -c 300000 /dev/urandom >/run/random
	cp /run/random /mnt/memfs/random
	cmp /run/random /mnt/memfs/random
	umount /mnt/memfs
}

suite_memfs()
{
	zuf_start || bail "no module, or no server"
	tap_case "memfs_mounts_over_zuf" 300 memfs
}

# --- the POSIX list: every case runs and passes, whatever other file systems do ---------------------------------------------------------

posix_program() # NAME DIR: output in /run/posix.out
{
	TEST_REQUIRE=1 TEST_SMALL=1 TEST_CHURN=$CHURN TEST_DIR=$2 timeout $((400 * TAP_SLOW)) "$BUILD/tests/posix/posix_$1" >/run/posix.out 2>&1
}

# Each case of a program is a case of ours. One that fails: what ext4 says to it in the same kernel is told, and changes nothing.
posix_cases() # NAME
{
	local rc=0 failed=$TAP_FAILED

	START=$SECONDS
	posix_program "$1" $MNT/t || rc=$?
	cases_of "posix_$1" $rc /run/posix.out
	[ $failed = $TAP_FAILED ] || { posix_program "$1" /mnt/ref; grep -B 2 '^not ok' /run/posix.out | sed 's/^/# ext4: /'; }
}

ref_mount()
{
	mkdir -p /mnt/ref
	mountpoint -q /mnt/ref && return 0
	guest_module ext4 && guest_module loop && truncate -s 300M /run/ref.img && mkfs.ext4 -qF -O ea_inode /run/ref.img &&
		mount -o loop /run/ref.img /mnt/ref
}

suite_posix()
{
	local prog

	fresh_mount && mkdir $MNT/t && ref_mount
	for prog in ${GUEST_POSIX:-$POSIX_LIST}; do
		posix_cases "$prog"
	done
	umount $MNT
}

# --- the model --------------------------------------------------------------------------------------------------------------------------

model()
{
	mkdir $MNT/model /mnt/ref/model
	"$BUILD/tests/model/model" -t "${GUEST_MODEL_S:-60}" -j 2 $MNT/model /mnt/ref/model
}

suite_model()
{
	fresh_mount && ref_mount
	tap_case "model_two_threads" 400 model
	umount $MNT
}

# --- applications: what tests/apps does through FUSE --------------------------------------------------------------------------------------

suite_apps()
{
	local app rc

	fresh_mount && ref_mount && mkdir -p /mnt/ref/side
	for app in ${GUEST_APPS:-$APPS}; do
		START=$SECONDS rc=0
		# What is compared is kept on ext4: tmpfs has no xattrs of users before 6.6.
		TMPDIR=/mnt/ref/side TAP_SLOW=$((8 * TAP_SLOW)) APPS_SMALL=1 STRESS_SECONDS=1 "$top/tests/apps/$app.sh" $MNT >/run/app.out 2>&1 </dev/null || rc=$?
		cases_of "app_$app" $rc /run/app.out
	done
	umount $MNT
}

# --- mappings and counters --------------------------------------------------------------------------------------------------------------

huge_faults()
{
	local before after

	truncate -s 64M $MNT/huge
	before=$(($(counter faults) + $(counter huge_faults)))
	python3 - $MNT/huge <<-'END'
	import mmap, sys
	f = open(sys.argv[1], 'r+b')
	m = mmap.mmap(f.fileno(), 64 << 20)
	for at in range(0, 64 << 20, 4096):
	    m[at] = at >> 12 & 255
	m.flush()
	END
	after=$(($(counter faults) + $(counter huge_faults)))
	echo "$((after - before)) faults"
	[ $((after - before)) -le 64 ]
	python3 -c 'import sys; d = open(sys.argv[1], "rb").read(); assert all(d[a] == a >> 12 & 255 for a in range(0, len(d), 4096))' $MNT/huge
}

server_faults()
{
	awk '{ print $10 + $12 }' "/proc/$SERVER_PID/stat"
}

# 16 MiB in small writes, which the server stores through its window: 4096 pages, 8 of them if they are of 2 MiB.
window_is_huge()
{
	local before after

	before=$(server_faults)
	dd if=/dev/zero of=$MNT/small bs=4k count=4096 status=none
	after=$(server_faults)
	echo "$((after - before)) faults"
	[ $((after - before)) -le 200 ]
}

# A warm stat, open, read, overwrite within one tick: no call but for the times.
warm_is_silent()
{
	head -c 65536 /dev/urandom >$MNT/warm
	sleep 0.1 # so that the time of the first read is later than that of the write
	cat $MNT/warm >/dev/null
	stat $MNT/warm >/dev/null
	cat /sys/kernel/zuf/mounts/*/calls >/run/calls
	for _ in $(seq 20); do
		stat $MNT/warm >/dev/null
		cat $MNT/warm >/dev/null
	done
	diff /run/calls <(cat /sys/kernel/zuf/mounts/*/calls)
}

exec_and_link()
{
	cp /bin/true $MNT/true
	$MNT/true
	cp /usr/bin/gcc $MNT/gcc 2>/dev/null || cp /bin/ls $MNT/gcc
	cmp $MNT/gcc "$(readlink -f /usr/bin/gcc 2>/dev/null || echo /bin/ls)"
	rm $MNT/true $MNT/gcc
}

suite_huge()
{
	fresh_mount
	tap_case "mapping_of_64_MiB_at_most_64_faults" 300 huge_faults
	tap_case "window_of_the_server_has_pages_of_2_MiB" 300 window_is_huge
	tap_case "warm_stat_open_read_call_nothing" 300 warm_is_silent
	umount $MNT
}

# --- what a mapping shows behind the end of a file: zeros ---------------------------------------------------------------------------------

TAIL=$top/tests/guest/tail.py

stale_file() # FILE BYTES SIZE: so many bytes, cut to SIZE when nobody knows where they are any more
{
	head -c "$2" /dev/zero | tr '\0' x >"$1"
	sync
	echo 3 >/proc/sys/vm/drop_caches
	truncate -s "$3" "$1"
}

tail_of_fuse()
{
	umount $MNT
	# Built into some kernels.
	grep -qw fuse /proc/filesystems || guest_module fuse
	"$BUILD/src/tools/mount/mount.pmfs2" $DEV $MNT -o cache=none
	[ "$(findmnt -no FSTYPE $MNT)" = fuse.pmfs2 ]
	for size in 1 4095 4097 5000 12287; do
		stale_file $MNT/fuse.$size 12288 $size
	done
	"$BUILD/src/tools/mount/umount.pmfs2" $MNT
	mount -i -t pmfs2 $DEV $MNT
	"$TAIL" check $MNT/fuse.*
}

tail_of_unknown()
{
	stale_file $MNT/unknown 12288 5000
	"$TAIL" check $MNT/unknown
	# Again, the size that it had: what an appending write and a truncation leave.
	head -c 500 /dev/zero | tr '\0' y >>$MNT/unknown
	truncate -s 5000 $MNT/unknown
	"$TAIL" check $MNT/unknown
}

tail_in_a_huge_page()
{
	local before

	stale_file $MNT/big 4194304 4194204
	before=$(counter huge_faults)
	"$TAIL" check $MNT/big
	[ "$(counter huge_faults)" -gt "$before" ]
}

tail_read_only()
{
	local at

	stale_file $MNT/ro 8192 5000
	at=$(filefrag -v $MNT/ro | awk '$1 == "0:" { sub(/\.\./, "", $4); print $4 }')
	umount $MNT
	mount -i -t pmfs2 -o ro $DEV $MNT
	"$TAIL" check $MNT/ro
	# The device is as it was.
	[ "$(dd if=$DEV bs=4096 skip=$((at + 1)) count=1 iflag=direct status=none | tail -c 3192 | tr -d x | wc -c)" = 0 ]
	"$TAIL" remount $MNT/ro $MNT
	"$TAIL" check $MNT/ro
}

suite_tail()
{
	fresh_mount
	tap_case "tail_of_a_file_truncated_over_FUSE_is_zero_in_a_mapping" 120 tail_of_fuse
	tap_case "tail_of_unknown_extents_is_zero_in_a_mapping" 120 tail_of_unknown
	tap_case "tail_in_a_2_MiB_page_is_zero" 120 tail_in_a_huge_page
	tap_case "tail_on_a_read_only_mount_is_zero_and_stays_on_the_device" 120 tail_read_only
	tap_case "tail_that_is_mapped_while_the_file_grows_loses_nothing" 200 "$TAIL" race $MNT/race 20
	umount $MNT
}

# --- what mappings know while the file changes ---------------------------------------------------------------------------------------------

ENTRIES=$top/tests/guest/entries.py

suite_entries()
{
	fresh_mount
	tap_case "entries_that_go_are_flushed_first" 200 "$ENTRIES" flush $MNT
	tap_case "entries_of_2_MiB_go_from_all_mappings" 200 "$ENTRIES" two $MNT
	tap_case "entries_that_are_clean_outlive_writes_beside_them" 200 "$ENTRIES" clean $MNT
	tap_case "entries_of_pages_that_are_held_are_waited_for" 120 "$ENTRIES" pinned $MNT
	tap_case "entries_of_holes_are_stored_and_written_at_once" 200 "$ENTRIES" holes $MNT 15
	umount $MNT
}

suite_attrs()
{
	fresh_mount
	tap_case "attributes_from_several_sides_are_the_devices" 200 "$top/tests/guest/attrs.py" $DEV $MNT ${GUEST_ATTRS_S:-15}
	umount $MNT
}

# --- files and names that go ------------------------------------------------------------------------------------------------------------

UNSURE=$top/tests/guest/unsure.py

dying()
{
	mkdir $MNT/dying && "$top/tests/guest/handles.py" dying $MNT/dying $SERVER_PID
}

# It has sent its request to a server that is stopped.
caller_waits() # PID
{
	local i

	for i in $(seq 300); do
		[ "$(awk '{ print $3 }' "/proc/$1/stat")" != D ] || return 0
		sleep 0.1
	done
	return 1
}

# A server that shall die by itself has.
server_dies()
{
	local i

	for i in $(seq 300); do
		[ "$(cat /sys/kernel/zuf/state)" = served ] || break
		sleep 0.1
	done
	server_kill
	[ "$i" -lt 300 ]
}

# Runs in this shell. A server that dies over the call of unsure.py's "change", and the next one; how the call ended: $RC.
unsure() # WHAT
{
	local dir=$MNT/unsure caller

	rm -rf $dir && mkdir $dir && "$UNSURE" prepare "$1" $dir && server_kill || return 1
	case $1 in
	foreign_*) server_start ;;
	*) LD_PRELOAD=$BUILD/tests/guest/dies_behind.so server_start ;;
	esac
	[ $? = 0 ] && stat -f $MNT && [ "$(ls $dir | wc -l)" -ge 0 ] && sync && echo 2 >/proc/sys/vm/drop_caches || return 1
	case $1 in
	foreign_*) kill -STOP $SERVER_PID ;;
	esac
	"$UNSURE" change "$1" $dir &
	caller=$!
	case $1 in
	foreign_*) caller_waits $caller && server_kill || return 1 ;;
	*) server_dies || return 1 ;;
	esac
	server_start || return 1
	RC=0
	wait $caller || RC=$?
	"$UNSURE" check "$1" $dir
}

unsure_wait()
{
	unsure $UNSURE_OP && [ $RC = 0 ]
}

# A new server may be in time all the same.
unsure_no_wait()
{
	unsure $UNSURE_OP && { [ $RC = 0 ] || [ $RC = 5 ]; }
}

suite_gone()
{
	local how

	fresh_mount
	for how in unlink rename shrink exit; do
		mkdir $MNT/$how
		tap_case "pages_in_a_pipe_outlive_$how" 100 "$top/tests/guest/pinned.py" $how $MNT/$how
		rm -rf ${MNT:?}/$how
	done
	report "handles_do_not_find_what_is_being_removed" dying
	umount $MNT
	fresh_mount wait=60
	for UNSURE_OP in $("$UNSURE" list own) $("$UNSURE" list foreign); do
		report "names_are_sure_with_wait_$UNSURE_OP" unsure_wait
	done
	umount $MNT
	fresh_mount
	for UNSURE_OP in $("$UNSURE" list own); do
		report "names_are_sure_without_wait_$UNSURE_OP" unsure_no_wait
	done
	umount $MNT
}

# --- what others build on it: programs, overlayfs, NFS's handles, the counters --------------------------------------------------------------

overlay_mount()
{
	mount -t overlay -o "redirect_dir=on,lowerdir=/run/lower,upperdir=$MNT/o/up,workdir=$MNT/o/work" overlay /mnt/ovl
}

overlay_state()
{
	[ "$(cd /mnt/ovl && find . -mindepth 1 | LC_ALL=C sort | tr '\n' ' ')" = "./c ./dir ./dir/new ./moved ./moved/kept ./new " ]
	[ "$(cat /mnt/ovl/new)" = made ]
	[ "$(cat /mnt/ovl/moved/kept)" = "lower and more" ]
	[ "$(getfattr --only-values -n user.tag /mnt/ovl/c)" = kept ]
}

# Lines of filefrag as "first-last flag...", blocks of 4 KiB.
layout_of()
{
	filefrag -v "$1" | awk -F ':' '/^ +[0-9]+:/ { gsub(/[. ]+/, "-", $2); sub(/^-/, "", $2); print $2, $NF }' | tr -s ' \n' ' '
}

# Preallocated blocks are listed, and are what a hole is to everybody else.
blocks_listed()
{
	local file=$MNT/prealloc

	fallocate -l 64K $file
	[ "$(layout_of $file)" = "0-15 last,unwritten,eof " ]
	truncate -s 128K $file
	yes | head -c 4096 | dd of=$file bs=4096 seek=4 conv=notrunc status=none
	[ "$(layout_of $file)" = "0-3 unwritten 4-4 5-15 last,unwritten " ]
	[ "$(tr -d '\0' <$file | wc -c)" = 4096 ]
	fallocate -z -o 16K -l 4K $file
	[ "$(tr -d '\0' <$file | wc -c)" = 0 ]
	yes | head -c 131072 | dd of=$file bs=64K conv=notrunc status=none
	! filefrag -v $file | grep unwritten
	[ "$(tr -d 'y\n' <$file | wc -c)" = 0 ]
	fallocate -p -o 64K -l 32K $file
	fallocate -o 64K -l 16K $file
	filefrag -v $file | grep -c unwritten | grep -qx 1
}

overlay_upper()
{
	mkdir -p $MNT/o/up $MNT/o/work /run/lower/dir /run/lower/tree /mnt/ovl
	echo lower >/run/lower/a
	echo -n lower | tee /run/lower/b /run/lower/dir/old >/run/lower/tree/kept
	overlay_mount
	echo made >/mnt/ovl/new
	rm /mnt/ovl/a
	[ "$(stat -c %F,%t,%T $MNT/o/up/a)" = "character special file,0,0" ]
	setfattr -n user.tag -v kept /mnt/ovl/b
	mv /mnt/ovl/b /mnt/ovl/c
	[ "$(stat -c %F,%t,%T $MNT/o/up/b)" = "character special file,0,0" ]
	rm -r /mnt/ovl/dir
	mkdir /mnt/ovl/dir
	echo made >/mnt/ovl/dir/new
	[ "$(getfattr --only-values -n trusted.overlay.opaque $MNT/o/up/dir)" = y ]
	mv /mnt/ovl/tree /mnt/ovl/moved
	echo -n " and more" >>/mnt/ovl/moved/kept
	overlay_state
	umount /mnt/ovl
	# Without the caches: what is on the device says the same.
	umount $MNT
	mount -i -t pmfs2 $DEV $MNT
	overlay_mount
	overlay_state
	umount /mnt/ovl
	dmesg | (! grep 'overlayfs: .*\(not support\|fall\)')
}

# Handles outlive names, caches, the server and the mount; what is gone stays gone.
handles()
{
	local at=$top/tests/guest/handles.py

	mkdir $MNT/h && "$at" make $MNT/h /run/handles && "$at" check $MNT/h /run/handles || return 1
	mv $MNT/h/f1 $MNT/h/a/other && sync && echo 3 >/proc/sys/vm/drop_caches && "$at" check $MNT/h /run/handles || return 1
	server_kill && server_start && "$at" check $MNT/h /run/handles || return 1
	umount $MNT && mount -i -t pmfs2 -o wait=30 $DEV $MNT && "$at" check $MNT/h /run/handles || return 1
	mv $MNT/h/a/other $MNT/h/f1 && "$at" gone $MNT/h /run/handles
}

# zusctl shows the module's numbers, which count what was done.
stats_shown()
{
	local zusctl=$BUILD/src/tools/mount/zusctl op

	mkdir $MNT/stats
	head -c 100000 /dev/zero >$MNT/stats/f
	cat $MNT/stats/f >/dev/null
	"$zusctl" stats $MNT >/run/stats
	cat /run/stats
	for op in create lookup write map bytes_written map_hits; do
		[ "$(awk -v o=$op '$1 == o { n = $2 } END { print n + 0 }' /run/stats)" = "$(counter $op)" ]
	done
	[ "$(awk '$1 == "create" { print $2 }' /run/stats)" -ge 2 ]
	[ "$(awk '$1 == "bytes_written" { print $2 }' /run/stats)" -ge 100000 ]
	grep -qE '^all calls +[0-9]+ +p50 below [0-9.]+ us, p99 below [0-9.]+ us$' /run/stats
	[ "$("$zusctl" stats | head -1)" = "# $DEV on $MNT" ]
}

# Memory that the device must be asked to flush, as virtio-pmem's.
# Takes a device from its driver, and gives it back.
rebind() # DRIVER DEVICE
{
	echo "$2" >"$1/unbind" && echo "$2" >"$1/bind"
}

# The kernel's object of a device that has gone serves the next one, its flags included: so not only at first sight.
flushed_by_device()
{
	local dev i n

	guest_module virtio_pmem && mkdir -p /mnt/flushed || return 1
	for n in $(seq 6); do
		for i in $(seq 50); do
			dev=$(for d in /dev/pmem*; do [ "$d" = $DEV ] || [ ! -b "$d" ] || echo "$d"; done)
			[ -z "$dev" ] || break
			sleep 0.1
		done
		! mount -i -t pmfs2 "$dev" /mnt/flushed || return 1
		[ "$(dmesg | grep -c "$dev: its memory must be flushed by the device")" = "$n" ] || return 1
		[ "$n" != 1 ] || rebind /sys/bus/nd/drivers/nd_pmem "$(basename "$(readlink /sys/block/${DEV#/dev/}/device)")" || return 1
		rebind /sys/bus/virtio/drivers/virtio_pmem "$(basename /sys/bus/virtio/drivers/virtio_pmem/virtio*)" || return 1
	done
}

helper_waits()
{
	local helper=$BUILD/src/tools/mount/mount.pmfs2

	"$helper" $DEV $MNT -o wait=7,noatime
	findmnt -no FSTYPE,OPTIONS $MNT | grep -qE '^pmfs2 +rw,noatime.*wait=7'
	"$helper" $DEV $MNT -o remount,ro,wait=9
	findmnt -no FSTYPE,OPTIONS $MNT | grep -qE '^pmfs2 +ro,.*wait=9'
	"$BUILD/src/tools/mount/umount.pmfs2" $MNT
}

leases_given()
{
	echo x >$MNT/leased
	python3 - $MNT/leased <<-'END'
	import fcntl, os, sys
	fd = os.open(sys.argv[1], os.O_RDONLY)
	fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
	assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK
	END
}

suite_use()
{
	fresh_mount
	tap_case "programs_run_from_it" 300 exec_and_link
	tap_case "upper_layer_of_overlayfs" 300 overlay_upper
	tap_case "fallocated_blocks_are_listed_as_unwritten" 120 blocks_listed
	tap_case "leases_are_given" 60 leases_given
	umount $MNT
	report "memory_that_the_device_must_flush_is_refused" flushed_by_device
	fresh_mount wait=30
	tap_case "zusctl_stats_shows_the_modules_counters" 300 stats_shown
	report "handles_outlive_names_caches_server_and_mount" handles
	umount $MNT
	tap_case "mount_helper_hands_wait_to_the_module" 60 helper_waits
}

# --- server death -----------------------------------------------------------------------------------------------------------------------

# Runs in this shell: it starts servers that others use later.
kill_rounds()
{
	local i load rc=0

	mkdir -p $MNT/kill
	"$BUILD/tests/apps/ackload" run $MNT/kill /run/ack 4711 2 $((GUEST_KILLS * 2)) >/run/load.out 2>&1 &
	load=$!
	for ((i = 0; i < GUEST_KILLS; i++)); do
		sleep "0.$((RANDOM % 80 + 10))"
		server_kill
		server_start || return 1
		kill -0 $load 2>/dev/null || break
	done
	wait $load || rc=$?
	cat /run/load.out
	[ $rc = 0 ] || return $rc
	"$BUILD/tests/apps/ackload" check $MNT/kill /run/ack 2
}

orphan_survives()
{
	exec 7<>$MNT/orphan
	echo kept >&7
	rm $MNT/orphan
	server_kill
	server_start || return 1
	[ "$(cat /proc/self/fd/7)" = kept ] || return 1
	exec 7>&-
}

no_server()
{
	server_kill
	timeout $((20 * TAP_SLOW)) ls $MNT/newname 2>&1 | grep -q 'Input/output error' || return 1
	timeout $((20 * TAP_SLOW)) umount $MNT || return 1
	umount $ZUF_ROOT && rmmod zuf
}

# Calls of all kinds to a server that answers with noise: nothing may come of it but errors. In this shell, and last.
liar()
{
	local seed=${GUEST_LIAR_SEED:-$((RANDOM * 32768 + RANDOM))} server callers=() i n=0 rc=0

	echo "seed $seed"
	"$BUILD/tests/guest/badserver" $ZUF_ROOT 120 $seed &
	server=$!
	for i in $(seq 100); do
		[ "$(cat /sys/kernel/zuf/state)" = served ] && break
		sleep 0.1
	done
	mount -i -t badfs $DEV $MNT || return 1
	for i in 1 2 3; do
		timeout -s KILL $((60 * TAP_SLOW)) python3 "$top/tests/guest/liar_calls.py" $MNT $((seed + i)) 25 &
		callers+=($!)
	done
	for i in "${callers[@]}"; do
		wait "$i" || rc=$?
	done
	for i in $(pgrep -f liar_calls.py); do
		echo "caller $i hangs:"
		cat "/proc/$i/stack"
		rc=1
	done
	# It takes extents back meanwhile. Some mounts fail: it has not seen what was asked.
	for i in $(seq 20); do
		ls -lR $MNT >/dev/null 2>&1
		if mountpoint -q $MNT; then
			umount $MNT || rc=1
		fi
		mount -i -t badfs $DEV $MNT 2>/dev/null && n=$((n + 1))
	done
	echo "$n mounts"
	[ $n -ge 5 ] || rc=1
	kill -9 $server 2>/dev/null
	wait $server
	if mountpoint -q $MNT; then
		umount $MNT || return 1
	fi
	umount $ZUF_ROOT && rmmod zuf && return $rc
}

# --- servers that are honest but for one thing: tests/guest/oddserver.c -------------------------------------------------------------------

odd_start() # MODE
{
	local i

	"$BUILD/tests/guest/oddserver" $ZUF_ROOT "$1" $MNT 7<&- &
	ODD=$!
	for i in $(seq 100); do
		[ "$(cat /sys/kernel/zuf/state)" != served ] || return 0
		sleep 0.1
	done
	return 1
}

odd_kill()
{
	kill -9 $ODD
	wait $ODD 2>/dev/null
	return 0
}

odd_mount() # MODE [OPTIONS]
{
	odd_start "$1" && mount -i -t oddfs ${2:+-o "$2"} $DEV $MNT
}

# Makes two names and more, which come to nothing, while the server stores to their lengths.
odd_store()
{
	odd_mount store || return 1
	timeout 30 python3 - $MNT <<-'END'
	import os, sys, time
	end = time.monotonic() + 8
	while time.monotonic() < end:
	    for call in (lambda: os.symlink('x' * 3000, sys.argv[1] + '/l'), lambda: os.rename(sys.argv[1] + '/f', sys.argv[1] + '/' + 'g' * 200)):
	        try:
	            call()
	        except OSError:
	            pass
	END
	odd_kill
	umount $MNT
}

# Slots of a server that is none any more get no calls.
odd_old()
{
	odd_mount old || return 1
	sleep 2
	timeout -s KILL 20 head -c 65536 $MNT/f | wc -c | grep -qx 65536 || return 1
	timeout 20 umount $MNT || return 1
	odd_kill
}

# A server that waits, where it cannot be killed, for a lock of its own caller dies all the same, and the caller gets an error.
odd_self()
{
	local caller i

	odd_mount self || return 1
	stat $MNT/x >/run/stat.out 2>&1 &
	caller=$!
	sleep 3
	kill -9 $ODD
	for i in $(seq 150); do
		kill -0 $ODD 2>/dev/null || break
		sleep 0.1
	done
	! kill -0 $ODD 2>/dev/null || return 1
	wait $ODD 2>/dev/null
	wait $caller && return 1
	grep -q 'Input/output error' /run/stat.out || return 1
	timeout 20 umount $MNT
}

# The steps of attaching to a new server fail, each twice; every call goes on with them, and the mount comes back.
odd_fails()
{
	local i failed=0

	odd_mount honest || return 1
	exec 7<$MNT/f
	odd_kill
	odd_start fails || return 1
	for i in $(seq 10); do
		timeout -s KILL 20 stat $MNT/n 2>/run/stat.out
		grep -q 'No such file' /run/stat.out && break
		failed=$((failed + 1))
	done
	cat /run/stat.out
	exec 7<&-
	[ $failed = 4 ] && timeout 20 umount $MNT || return 1
	# It has been told of the unmount.
	mount -i -t oddfs $DEV $MNT && umount $MNT || return 1
	odd_kill
}

# What the new server has no more: what is open, mapped, known by name. Nothing of the bytes that were its own is seen.
odd_gone()
{
	odd_mount honest || return 1
	python3 - $MNT/f <<-'END' &
	import errno, mmap, os, sys, time
	fd = os.open(sys.argv[1], os.O_RDONLY)
	os.pread(fd, 4096, 0)
	m = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
	m[0]
	open('/run/ready', 'w').close()
	while not os.path.exists('/run/go'):
	    time.sleep(0.1)
	try:
	    os.pread(fd, 4096, 0)
	    sys.exit('read what is gone')
	except OSError as e:
	    assert e.errno == errno.ESTALE, e
	assert os.fstat(fd).st_nlink == 0
	if os.fork() == 0:
	    m[0]
	    os._exit(0)
	assert os.wait()[1] & 127 == 7, 'no SIGBUS'
	END
	caller=$!
	for _ in $(seq 100); do
		[ -e /run/ready ] && break
		sleep 0.1
	done
	odd_kill
	odd_start gone || return 1
	timeout 20 stat $MNT/n 2>/dev/null
	timeout 20 stat $MNT/f 2>&1 | grep -q 'No such file' || return 1
	touch /run/go
	wait $caller && timeout 20 umount $MNT || return 1
	odd_kill
}

# Attributes that an answer should have had are asked for; those that stand there from before are not taken.
odd_bare()
{
	odd_mount bare || return 1
	echo more >>$MNT/f && [ "$(stat -c %s $MNT/f)" = 65541 ] || return 1
	truncate -s 100000 $MNT/f && [ "$(stat -c %s $MNT/f)" = 100000 ] || return 1
	timeout 20 umount $MNT || return 1
	odd_kill
}

odd_forgets()
{
	odd_start forgets || return 1
	mount -i -t oddfs $DEV $MNT 2>/run/mount.out && return 1
	cat /run/mount.out
	grep -q 'not supported' /run/mount.out || return 1
	dmesg | grep -q 'does not let extents be kept' || return 1
	odd_kill
}

# Mounts that fail and mounts that end, while the server works on them.
odd_ends()
{
	local i done=0

	odd_start ends || return 1
	for i in $(seq 20); do
		mount -i -t oddfs $DEV $MNT 2>/dev/null || continue
		head -c 65536 $MNT/f | wc -c | grep -qx 65536 || return 1
		umount $MNT || return 1
		done=$((done + 1))
	done
	odd_kill
	echo "$done mounts"
	[ $done = 10 ]
}

report() # NAME FUNCTION: in this shell
{
	TAP_N=$((TAP_N + 1))
	if "$2" >/run/case.out 2>&1; then
		echo "ok $TAP_N - $1"
	else
		sed 's/^/# /' /run/case.out | tail -40
		tail -20 /run/guest/zusd.log | sed 's/^/# zusd: /'
		echo "not ok $TAP_N - $1"
		TAP_FAILED=$((TAP_FAILED + 1))
	fi
}

# One that is asked to end unmounts what nobody uses, itself, and leaves what is in use to the next.
server_ends() # COMMAND...
{
	local i

	echo kept >$MNT/kept
	"$@"
	for i in $(seq 100); do
		kill -0 $SERVER_PID 2>/dev/null || break
		sleep 0.1
	done
	if kill -0 $SERVER_PID 2>/dev/null; then
		cat /proc/$SERVER_PID/task/*/stack
		return 1
	fi
	wait $SERVER_PID
	server_start
}

ended_by_signal()
{
	server_ends kill $SERVER_PID && ! mountpoint -q $MNT && mount -i -t pmfs2 -o wait=30 $DEV $MNT && [ "$(cat $MNT/kept)" = kept ]
}

ended_by_zusctl()
{
	server_ends "$BUILD/src/tools/mount/zusctl" stop && ! mountpoint -q $MNT && mount -i -t pmfs2 -o wait=30 $DEV $MNT &&
		[ "$(cat $MNT/kept)" = kept ]
}

ended_in_use()
{
	exec 7<>$MNT/used
	server_ends kill $SERVER_PID && mountpoint -q $MNT && [ "$(cat $MNT/kept)" = kept ] && echo more >&7 || return 1
	exec 7>&-
}

suite_kill()
{
	GUEST_KILLS=${GUEST_KILLS:-$KILLS}
	fresh_mount wait=30
	report "server_that_is_ended_by_a_signal_unmounts" ended_by_signal
	report "server_that_is_ended_by_zusctl_unmounts" ended_by_zusctl
	report "server_that_is_ended_leaves_what_is_in_use" ended_in_use
	report "open_file_without_a_name_survives_the_server" orphan_survives
	report "${GUEST_KILLS}_kills_under_load_lose_nothing" kill_rounds
	umount $MNT
	fresh_mount
	report "without_a_server_EIO_umount_and_rmmod_work" no_server
}

suite_liar()
{
	[ -e /sys/kernel/zuf ] || zuf_load || bail "no module"
	if kill -0 "$SERVER_PID" 2>/dev/null; then
		kill $SERVER_PID
		wait $SERVER_PID
	fi
	report "a_server_that_stores_to_requests_does_no_harm" odd_store
	report "slots_of_an_old_server_beside_a_new_one_get_no_calls" odd_old
	report "a_server_that_waits_for_its_own_caller_can_be_killed" odd_self
	report "attaching_that_fails_is_gone_on_with" odd_fails
	report "inodes_that_a_new_server_has_not_are_dead" odd_gone
	report "attributes_that_an_answer_has_not_are_asked_for" odd_bare
	report "a_device_whose_extents_cannot_be_kept_is_refused" odd_forgets
	report "mounts_end_while_the_server_takes_extents_back" odd_ends
	report "a_server_that_lies_does_no_harm" liar
}

# --- the debug kernel alone -------------------------------------------------------------------------------------------------------------

debugfs_mount()
{
	mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
}

server_end()
{
	kill $SERVER_PID
	wait $SERVER_PID
	umount $ZUF_ROOT
}

# Allocations that fail in calls, mounts, the module's start and end: in this shell, the server's.
fault()
{
	local at=$top/tests/guest/fault_calls.py rc=0

	export ZUF_ABI_VERSION
	ZUF_ABI_VERSION=$(sed -n 's/^#define ZUF_ABI_VERSION //p' "$top/include/uapi/zuf.h")
	debugfs_mount || return 1
	case $1 in
	files) mkdir $MNT/fault && python3 "$at" files $MNT/fault || rc=1 ;;
	mounts) python3 "$at" mounts $DEV pmfs2 $MNT || rc=1 ;;
	module) python3 "$at" module "$ZUF_KO" $ZUF_ROOT || rc=1 ;;
	esac
	return $rc
}

fault_files()
{
	fault files
}

fault_mounts()
{
	fault mounts
}

fault_module()
{
	fault module
}

suite_fault()
{
	fresh_mount
	report "allocations_that_fail_in_calls_do_no_harm" fault_files
	umount $MNT
	report "allocations_that_fail_in_mounts_do_no_harm" fault_mounts
	server_end
	rmmod zuf
}

# Something of everything, from insmod to rmmod.
leak_round()
{
	fresh_mount wait=30
	cp -r "$top/tests" $MNT/tree
	cp -rs "$top/zuf" $MNT/links
	find $MNT -exec stat {} + >/dev/null
	cat $(find $MNT/links -type l) >/dev/null
	setfattr -n user.a -v b $MNT/tree
	setfacl -m u:1:r $MNT/tree
	getfacl -R $MNT/tree >/dev/null
	session_fio
	server_kill
	server_start
	find $MNT -exec stat {} + >/dev/null
	echo 2 >/proc/sys/vm/drop_caches
	find $MNT -exec stat {} + >/dev/null
	(! mount -i -t pmfs2 -o bad=option /dev/loop7 /mnt/ref)
	rm -r $MNT/tree
	umount $MNT
	mount -i -t memfs none $MNT
	cp -r "$top/zuf" $MNT/
	umount $MNT
	server_end
	rmmod zuf
}

# Memory that nobody points to any more and that was allocated since "clear". Young memory is passed over, so it looks twice.
leaks()
{
	local list=/sys/kernel/debug/kmemleak

	for _ in 1 2; do
		sleep 10
		echo scan >$list
	done
	tee /run/guest/kmemleak <$list
	[ ! -s /run/guest/kmemleak ]
}

suite_leak()
{
	local list=/sys/kernel/debug/kmemleak

	debugfs_mount && echo scan=off >$list || bail "no kmemleak: boot with kmemleak=on"
	report "a_round_from_insmod_to_rmmod" leak_round
	echo clear >$list
	suite_fault
	report "another_round_from_insmod_to_rmmod" leak_round
	report "kmemleak_finds_nothing_behind_rmmod" leaks
	# Last: what creates slab caches loses their names then, which is not ours (sysfs_slab_add() in 6.1).
	report "allocations_that_fail_in_the_modules_start_do_no_harm" fault_module
	[ ! -e /sys/kernel/zuf ] || rmmod zuf
}

# One complaint of lockdep's, or a table that is full, and it looks no more.
suite_watch()
{
	report "lockdep_has_watched_to_the_end" grep_locks
}

grep_locks()
{
	cat /proc/lockdep_stats
	grep -qE 'debug_locks: +1' /proc/lockdep_stats
}

mkdir -p $MNT
device_prepare
for suite in ${*:-readme session memfs posix model huge tail entries attrs gone use apps kill liar}; do
	"suite_$suite"
done
if [ -e /sys/kernel/zuf ]; then
	kill -0 "$SERVER_PID" 2>/dev/null && zuf_stop
fi
tap_done
