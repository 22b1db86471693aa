#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Memory that fails under a mount over zuf, as the kernel tells it: sectors in the device's list of bad blocks (known before the mount),
# and pages that its memory-failure handling takes away while they are in use (hard_offline_page). As hwpoison.sh does through FUSE.
# In a guest only, in a boot of its own: what was taken stays bad. TAP.
set -u
# shellcheck source=tests/guest/lib.sh
. "$(dirname "$0")/lib.sh"
DEV=/dev/pmem0
BLOCK=4096
MAPPED=$top/tests/guest/media_errors.py
PMFS2=$BUILD/src/tools/pmfs2/pmfs2
LOST=100 # page of a victim

[ -n "${GUEST_KERNEL:-}" ] && [ -e /run/guest/job ] || { echo "Bail out! this takes pages from the machine: only in a guest"; exit 1; }
[ "$GUEST_PMEM" = e820 ] || { echo "Bail out! needs persistent memory of known addresses"; exit 1; }
START=$((0x$(sed -n 's/^ *\([0-9a-f]*\)-.*Persistent Memory.*/\1/p' /proc/iomem | head -1)))

report() # NAME FUNCTION: in this shell, whose server and mount outlive it
{
	local rc

	TAP_N=$((TAP_N + 1))
	: >/run/guest/zusd.log
	dmesg -C
	( set -e; "$2" ) >/run/case.out 2>&1
	rc=$?
	if [ $rc = 0 ] && kill -0 $SERVER_PID; then
		echo "ok $TAP_N - $1"
		return
	fi
	sed 's/^/# /' /run/case.out | tail -20
	tail -5 /run/guest/zusd.log | sed 's/^/# zusd: /'
	dmesg | tail -5 | sed 's/^/# kernel: /'
	echo "not ok $TAP_N - $1"
	TAP_FAILED=$((TAP_FAILED + 1))
	kill -0 $SERVER_PID 2>/dev/null || server_start
}

block_of() # FILE PAGE
{
	filefrag -v "$1" | awk -v want="$2" -F '[ .:]+' '/^ +[0-9]+:/ && want >= $3 && want <= $4 { print $5 + want - $3 }'
}

lose_sectors() # BLOCK
{
	echo "$(($1 * BLOCK / 512)) $((BLOCK / 512))" >/sys/block/pmem0/badblocks
}

lose_memory() # BLOCK
{
	printf '0x%x\n' $((START + $1 * BLOCK)) >/sys/devices/system/memory/hard_offline_page
}

fails_with_eio()
{
	local said rc=0

	said=$(timeout -s KILL 60 "$@" 2>&1 >/dev/null) || rc=$?
	[ "$rc" != 0 ] || tap_fail "did not fail: $*"
	[[ $said == *"Input/output error"* ]] || tap_fail "$* said: $said (exit $rc)"
}

victim() # NAME MIB: $MNT/NAME, and what is in it beside it, in $MNT/NAME.want
{
	head -c "$2M" /dev/urandom >$MNT/"$1".want
	cp $MNT/"$1".want $MNT/"$1"
}

# All but the page LOST.
only_the_page_is_lost() # NAME
{
	fails_with_eio dd if=$MNT/"$1" bs=$BLOCK skip=$LOST count=1
	dd if=$MNT/"$1" bs=$BLOCK count=$LOST status=none | cmp -n $((LOST * BLOCK)) - $MNT/"$1".want
	cmp -i $(((LOST + 1) * BLOCK)) $MNT/"$1" $MNT/"$1".want
	cat $MNT/"$1" >/run/before 2>/dev/null && tap_fail "cat has read it all"
	cmp -n $((LOST * BLOCK)) /run/before $MNT/"$1".want
	"$MAPPED" $MNT/"$1" read $((LOST - 3)) $((LOST + 4)) $LOST
	"$MAPPED" $MNT/"$1" write $((LOST - 3)) $((LOST + 4)) $LOST
	fails_with_eio dd if=/dev/zero of=$MNT/"$1" bs=100 seek=$((LOST * BLOCK + 17)) oflag=seek_bytes count=1 conv=notrunc
	cmp -i $(((LOST + 1) * BLOCK)) $MNT/"$1" $MNT/"$1".want
	# All of it is written anew: the driver makes it good again (this kind of device always can).
	dd if=$MNT/"$1".want of=$MNT/"$1" bs=$BLOCK skip=$LOST seek=$LOST count=1 conv=notrunc status=none
	cmp $MNT/"$1" $MNT/"$1".want
}

known_before()
{
	victim known 1
	lose_sectors "$(block_of $MNT/known $LOST)"
	umount $MNT
	mount -i -t pmfs2 $DEV $MNT
	only_the_page_is_lost known
	dmesg | grep -q 'zuf: .*inode .* cannot be read' || tap_fail "the kernel said nothing"
	echo more >$MNT/new1
	[ "$(cat $MNT/new1)" = more ]
}

# In a page of 2 MiB, mapped as one while it fails.
in_a_huge_page()
{
	local block

	victim huge 4
	block=$(block_of $MNT/huge $LOST)
	"$MAPPED" $MNT/huge write 0 4 -1
	lose_memory "$block"
	only_the_page_is_lost huge
	dmesg | grep -q 'zuf: .*at byte .* has failed' || tap_fail "the kernel said nothing"
}

# Who has it mapped meanwhile gets the signal when he touches it, and others go on.
while_it_is_mapped()
{
	victim mapped 1
	python3 - $MNT/mapped /run/go <<-'END' &
	import mmap, os, signal, sys, time
	def gone(*_):
	    os._exit(42)
	signal.signal(signal.SIGBUS, signal.SIG_DFL)
	f = open(sys.argv[1], "r+b")
	m = mmap.mmap(f.fileno(), 0)
	for at in range(0, len(m), 4096):
	    m[at]
	open(sys.argv[2], "w").close()
	while os.path.exists(sys.argv[2]):
	    time.sleep(0.05)
	m[99 * 4096], m[101 * 4096]
	m[100 * 4096]
	END
	pid=$!
	until [ -e /run/go ]; do sleep 0.1; done
	lose_memory "$(block_of $MNT/mapped $LOST)"
	rm /run/go
	rc=0
	wait $pid || rc=$?
	[ $rc = 135 ] || tap_fail "exit $rc, not by SIGBUS"
	only_the_page_is_lost mapped
}

# The server meets it in its own window.
server_meets_data()
{
	local inode

	victim copied 1
	inode=$(stat -c %i $MNT/copied)
	lose_memory "$(block_of $MNT/copied $LOST)"
	! python3 - $MNT/copied $MNT/copy <<-'END' || tap_fail "copied all of it"
	import os, sys
	a, b = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_CREAT | os.O_RDWR)
	sys.exit(0 if os.copy_file_range(a, b, 1 << 20) == 1 << 20 else 1)
	END
	grep -q "media error: byte .* of inode $inode" /run/guest/zusd.log || tap_fail "the server said nothing"
	! grep -q read-only /run/guest/zusd.log || tap_fail "read-only"
	# Who knows no extents asks the server, which knows that page: the others are there.
	sync
	echo 3 >/proc/sys/vm/drop_caches
	dd if=$MNT/copied bs=64k skip=8 status=none | cmp -i 0:$((512 << 10)) - $MNT/copied.want
	fails_with_eio dd if=$MNT/copied bs=$BLOCK skip=$LOST count=1
	dd if=$MNT/copied bs=64k status=none 2>/dev/null | cmp -n $((LOST * BLOCK)) - $MNT/copied.want
	# Another block in its place.
	fallocate -p -o $((LOST * BLOCK)) -l $BLOCK $MNT/copied
	dd if=$MNT/copied.want of=$MNT/copied bs=$BLOCK skip=$LOST seek=$LOST count=1 conv=notrunc status=none
	cmp $MNT/copied $MNT/copied.want
}

# Blocks that nobody has: what is written to one fails, and it is not used again.
new_blocks() # SIZE-OF-WRITES
{
	local i

	head -c 2M /dev/zero | dd of=$MNT/free bs="$1" iflag=fullblock status=none
	for i in 3 40 41 200; do
		block_of $MNT/free $i
	done >/run/blocks
	rm $MNT/free
	stat -f $MNT >/dev/null
	while read -r i; do
		lose_memory "$i"
	done </run/blocks
	for i in 1 2 3 4 5 6; do
		timeout -s KILL 60 dd if=$MNT/huge.want of=$MNT/again bs="$1" count=2M iflag=fullblock,count_bytes 2>/run/said && break
		grep -q 'Input/output error' /run/said || tap_fail "$(cat /run/said)"
		rm $MNT/again
	done
	cmp -n 2M $MNT/again $MNT/huge.want
	[ "$(stat -c %s $MNT/again)" = 2097152 ]
	rm $MNT/again
}

new_blocks_large()
{
	new_blocks 1M
}

new_blocks_small()
{
	new_blocks 4k
}

# A store to a hole that gets a bad block.
new_blocks_mapped()
{
	victim hole 1
	lose_memory "$(block_of $MNT/hole 5)"
	fallocate -p -o $((5 * BLOCK)) -l $BLOCK $MNT/hole
	"$MAPPED" $MNT/hole write 3 8 -1 || "$MAPPED" $MNT/hole write 3 8 -1
	cmp $MNT/hole $MNT/hole.want
}

metadata()
{
	local chunk i

	victim good 1
	cp $MNT/good.want /run/good
	touch $MNT/last
	sync
	chunk=$("$PMFS2" info --force-while-mounted $DEV | awk '/^data block / { print $3 }')
	# Open files go on: what they need is in memory.
	exec 7<$MNT/good
	cat $MNT/good >/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	for ((i = 0; i < 16; i++)); do
		lose_memory $(((chunk + 15) / 16 * 16 + i))
	done
	fails_with_eio stat $MNT/last
	grep -q 'read-only from now on: unmount, then run fsck.pmfs2' /run/guest/zusd.log || tap_fail "the server said nothing"
	cmp /run/good - <&7
	! touch $MNT/new 2>/dev/null || tap_fail "created a file"
	exec 7<&-
	timeout 60 umount $MNT
	# With those pages known as bad it is not mounted, or read-only; the server lives.
	timeout 60 mount -i -t pmfs2 $DEV $MNT && timeout 60 umount $MNT
	timeout 60 mount -i -t memfs none $MNT
	echo alive >$MNT/alive
	umount $MNT
}

mkdir -p $MNT
zuf_load && server_start || { echo "Bail out! no module, or no server"; exit 1; }
"$BUILD/src/tools/mkfs/mkfs.pmfs2" -f $DEV >/dev/null && mount -i -t pmfs2 $DEV $MNT || { echo "Bail out! mount failed"; exit 1; }
report bad_sectors_known_before_the_mount_cost_that_page_alone known_before
report memory_that_fails_in_a_2_MiB_page_costs_that_page_alone in_a_huge_page
report memory_that_fails_under_a_mapping_is_SIGBUS_there_alone while_it_is_mapped
report memory_that_fails_under_data_is_met_by_the_server_as_EIO server_meets_data
report memory_that_fails_in_free_blocks_is_found_by_large_writes new_blocks_large
report memory_that_fails_in_free_blocks_is_found_by_small_writes new_blocks_small
report memory_that_fails_in_free_blocks_is_found_by_mappings new_blocks_mapped
report memory_that_fails_under_metadata_makes_the_mount_read_only metadata
! mountpoint -q $MNT || umount $MNT
kill $SERVER_PID && wait $SERVER_PID
umount $ZUF_ROOT && rmmod zuf || { echo "Bail out! the module does not go"; exit 1; }
tap_done
