#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# mkfs.sh MKFS PMFS2: mkfs.pmfs2 on files: what it makes, what it refuses, what it leaves behind. No root needed.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

[ $# = 2 ] || { echo "Usage: mkfs.sh MKFS PMFS2" >&2; exit 2; }
MKFS=$(realpath "$1")
PMFS2=$(realpath "$2")
export PATH=$PATH:/usr/sbin:/sbin
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-mkfs.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1

# refuses CODE TEXT COMMAND...: fails with this exit code and says the text.
refuses()
{
	local code=$1 text=$2 rc=0
	shift 2

	"$@" >refused.out 2>&1 || rc=$?
	[ $rc = "$code" ] || { cat refused.out; tap_fail "'$*' returned $rc, not $code"; }
	grep -qe "$text" refused.out || { cat refused.out; tap_fail "'$*' does not say '$text'"; }
}

same_as_before()
{
	[ "$(sha256sum <"$1")" = "$(cat "$1.sum")" ] || tap_fail "$1 was changed"
}

remember()
{
	sha256sum <"$1" >"$1.sum"
}

value()
{
	"$PMFS2" info "$1" | sed -n "s/^$2  *//p"
}

new_file_is_sparse_private_and_as_asked()
{
	local uuid=6bb3a3b1-5a0e-4d61-9a4c-0d4d5a3f7e11

	umask 022
	"$MKFS" --size 1G -L 'häuschen 1' -U $uuid a.img >out
	grep -q "^uuid *$uuid" out
	grep -q '^label *häuschen 1$' out
	grep -q '^notice .*power failure' out
	[ "$(stat -c %s a.img)" = $((1 << 30)) ]
	[ "$(stat -c %a a.img)" = 600 ]
	[ "$(stat -c %b a.img)" -lt 20480 ]
	[ "$(value a.img uuid)" = $uuid ]
	[ "$(value a.img label)" = 'häuschen 1' ]
	[ "$(value a.img state)" = clean ]
}

every_size_formats()
{
	local size

	for size in 4M 5000000 63M 64M 256M 1G 3G 100G 1T; do
		"$MKFS" -q --size $size s.img
		"$PMFS2" info s.img >/dev/null
		"$PMFS2" dump s.img dir 1 >/dev/null
		[ "$(value s.img 'superblock copy')" = ok ]
		rm s.img
	done
}

options_reach_the_media()
{
	"$MKFS" -q --size 64M --rings 3 --ring-size 128K --root-owner 12:34 o.img
	[ "$(value o.img rings)" = 3 ]
	[ "$(value o.img 'ring size')" = '131072 (128.0 KiB)' ]
	"$PMFS2" dump o.img path / | grep -q '^uid *12$'
	"$PMFS2" dump o.img path / | grep -q '^gid *34$'
}

wrong_arguments_are_refused()
{
	refuses 2 'no device' "$MKFS"
	refuses 2 'one device' "$MKFS" a b
	refuses 2 'at least 4M' "$MKFS" --size 1M w.img
	refuses 2 'number of bytes' "$MKFS" --size 1X w.img
	refuses 2 'number of bytes' "$MKFS" --size -1 w.img
	refuses 2 'number of bytes' "$MKFS" --size '16777216 ' w.img
	refuses 2 'at most 4096T' "$MKFS" --size 5000T w.img
	refuses 2 'UUID' "$MKFS" --size 8M -U clear w.img
	refuses 2 'UUID' "$MKFS" --size 8M -U 00000000-0000-0000-0000-000000000000 w.img
	refuses 2 '63 bytes' "$MKFS" --size 8M -L "$(printf '%064d' 0)" w.img
	refuses 2 'control' "$MKFS" --size 8M -L $'a\nb' w.img
	refuses 2 'UTF-8' "$MKFS" --size 8M -L $'\xff' w.img
	refuses 2 '1 to 64' "$MKFS" --size 8M --rings 65 w.img
	refuses 2 '32K to 256M' "$MKFS" --size 8M --ring-size 4K w.img
	refuses 2 'two numbers' "$MKFS" --size 8M --root-owner root w.img
	refuses 1 'give --size' "$MKFS" w.img
	refuses 1 'directory' "$MKFS" .
	refuses 1 'neither a regular file' "$MKFS" /dev/null
	refuses 2 'for files' "$MKFS" --size 8M /dev/null
	refuses 1 'cannot create' "$MKFS" --size 8M none/w.img
	truncate -s 1M small.img
	refuses 1 'too small' "$MKFS" small.img
	[ ! -e w.img ]
}

what_is_there_is_not_overwritten()
{
	local kind

	truncate -s 64M fs-ext4 fs-swap fs-dos
	mkfs.ext4 -q -F -L important fs-ext4
	mkswap fs-swap >/dev/null 2>&1
	printf '\0\0\2\0\203\0\0\0\0\10\0\0\0\100\0\0' | dd of=fs-dos bs=1 seek=446 conv=notrunc status=none
	printf '\125\252' | dd of=fs-dos bs=1 seek=510 conv=notrunc status=none
	"$MKFS" -q --size 64M fs-pmfs2
	for kind in ext4 swap dos pmfs2; do
		remember fs-$kind
		refuses 1 "holds .*$kind.*-f overwrites" "$MKFS" fs-$kind
		same_as_before fs-$kind
	done
	refuses 1 'label important' "$MKFS" fs-ext4
	for kind in ext4 swap dos pmfs2; do
		"$MKFS" -q -f fs-$kind
		[ -z "$(wipefs --noheadings fs-$kind)" ] || tap_fail "$kind is still found: $(wipefs fs-$kind)"
	done
}

copy_of_superblock_alone_protects()
{
	"$MKFS" -q --size 16M copy.img
	dd if=/dev/zero of=copy.img bs=4096 count=1 conv=notrunc status=none
	refuses 1 'only the copy' "$MKFS" copy.img
}

locked_image_is_busy()
{
	"$MKFS" -q --size 16M busy.img
	remember busy.img
	exec 9<busy.img
	flock -s 9
	refuses 1 'in use' "$MKFS" -f busy.img
	exec 9<&-
	same_as_before busy.img
	"$MKFS" -q -f busy.img
}

size_grows_and_shrinks_only_by_force()
{
	truncate -s 8M grow.img
	"$MKFS" -q --size 32M grow.img
	[ "$(stat -c %s grow.img)" = $((32 << 20)) ]
	refuses 1 'shrinks' "$MKFS" --size 16M grow.img
	"$MKFS" -q -f --size 16M grow.img
	[ "$(stat -c %s grow.img)" = $((16 << 20)) ]
	[ "$(value grow.img 'superblock copy')" = ok ]
	: >empty.img
	refuses 1 'size' "$MKFS" empty.img
	"$MKFS" -q --size 16M empty.img
}

failure_leaves_nothing_behind()
{
	refuses 1 'too small for this journal' "$MKFS" --size 8M --rings 64 --ring-size 1M gone.img
	[ ! -e gone.img ]
	"$MKFS" -q --size 16M kept.img
	remember kept.img
	refuses 1 'too small for this journal' "$MKFS" -f --size 8M --rings 64 --ring-size 1M kept.img
	same_as_before kept.img
}

dry_run_changes_nothing()
{
	"$MKFS" -n --size 4T dry.img | grep -q '^size *4.0 TiB'
	[ ! -e dry.img ]
	"$MKFS" -q --size 16M there.img
	remember there.img
	refuses 1 'holds' "$MKFS" -n there.img
	"$MKFS" -n -f --size 32M there.img | grep -q 'nothing was changed'
	same_as_before there.img
}

full_disk_is_a_message()
{
	[ "$(id -u)" = 0 ] || tap_skip "needs root to mount a small tmpfs"
	mkdir tiny
	mount -t tmpfs -o size=64k pmfs2-test tiny || tap_skip "no tmpfs can be mounted here"
	rc=0
	"$MKFS" --size 1G tiny/full.img >out 2>&1 || rc=$?
	left=$(ls tiny)
	umount tiny
	cat out
	[ $rc = 1 ]
	grep -q 'disk under it is full' out
	[ -z "$left" ]
}

used_loop_device_and_its_file_are_refused()
{
	[ "$(id -u)" = 0 ] || tap_skip "needs root to set up a loop device"
	truncate -s 32M loop.img
	mkfs.ext4 -q -F loop.img
	loop=$(losetup -f --show loop.img) || tap_skip "no loop device"
	mkdir -p loop.mnt
	rc=0
	(
		set -e
		refuses 1 'set up on it' "$MKFS" -f loop.img
		mount "$loop" loop.mnt
		refuses 1 'mounted on' "$MKFS" -f "$loop"
		refuses 1 'mounted on.*force-while-mounted' "$PMFS2" info "$loop"
		refuses 1 'no pmfs2 superblock' "$PMFS2" --force-while-mounted info "$loop"
		umount loop.mnt
		"$MKFS" -q -f "$loop"
		"$PMFS2" info "$loop" >/dev/null
	) || rc=$?
	umount loop.mnt 2>/dev/null || true
	losetup -d "$loop"
	[ $rc = 0 ]
}

for case in new_file_is_sparse_private_and_as_asked every_size_formats options_reach_the_media wrong_arguments_are_refused \
	what_is_there_is_not_overwritten copy_of_superblock_alone_protects locked_image_is_busy size_grows_and_shrinks_only_by_force \
	failure_leaves_nothing_behind dry_run_changes_nothing full_disk_is_a_message used_loop_device_and_its_file_are_refused; do
	tap_case "mkfs_$case" 60 "$case"
done
tap_done
