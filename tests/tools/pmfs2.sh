#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# pmfs2.sh MKFS PMFS2 FILL_IMAGE: pmfs2 info, dump and label on sound, crashed and damaged images. No root needed.
set -u
# shellcheck source=tests/lib/tap.sh
. "$(dirname "$0")/../lib/tap.sh"

[ $# = 3 ] || { echo "Usage: pmfs2.sh MKFS PMFS2 FILL_IMAGE" >&2; exit 2; }
MKFS=$(realpath "$1")
PMFS2=$(realpath "$2")
FILL=$(realpath "$3")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-tool.XXXXXX")
SEED=${TAP_SEED:-$RANDOM}
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
echo "# TAP_SEED=$SEED"

refuses()
{
	local code=$1 text=$2 rc=0
	shift 2

	"$@" >refused.out 2>&1 || rc=$?
	[ $rc = "$code" ] || { cat refused.out; tap_fail "'$*' returned $rc, not $code"; }
	grep -qe "$text" refused.out || { cat refused.out; tap_fail "'$*' does not say '$text'"; }
}

shows()
{
	local text=$1
	shift

	"$@" >shown.out 2>&1 || { cat shown.out; tap_fail "'$*' failed"; }
	grep -qe "$text" shown.out || { cat shown.out; tap_fail "'$*' does not show '$text'"; }
}

value()
{
	"$PMFS2" info "$1" | sed -n "s/^$2   *//p"
}

ino_of()
{
	"$PMFS2" dump "$1" path "$2" | sed -n 's/^inode  *//p'
}

# zero IMAGE OFFSET COUNT
zero()
{
	dd if=/dev/zero of="$1" bs=1 seek="$2" count="$3" conv=notrunc status=none
}

info_of_clean_image()
{
	cp --sparse=always clean.img a.img
	[ "$(value a.img state)" = clean ]
	[ "$(value a.img 'used inodes')" = 310 ]
	[ "$(value a.img 'records to replay')" = 0 ]
	"$PMFS2" --json info a.img | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["label"] == "tëst \"1\"" and d["blocks"] == 16384 and d["state"] == "clean", d'
}

dumps_show_what_was_made()
{
	shows '5:1' "$PMFS2" dump clean.img path /dev
	shows 'symlink to target/of' "$PMFS2" dump clean.img path /link
	shows 'xattr user.small (20 bytes)' "$PMFS2" dump clean.img path /attr
	shows 'xattr user.large (3000 bytes)' "$PMFS2" dump clean.img path /attrs
	shows 'xattr block [0-9]* (of 3)' "$PMFS2" dump clean.img path /attrs3
	shows '^0 blocks of data' "$PMFS2" dump clean.img map "$(ino_of clean.img /attrs3)"
	shows 'file blocks 0..15 at .*, unwritten' "$PMFS2" dump clean.img map "$(ino_of clean.img /prealloc)"
	shows '^768 blocks of data' "$PMFS2" dump clean.img map "$(ino_of clean.img /file)"
	shows '^300 entries in' "$PMFS2" dump clean.img dir "$(ino_of clean.img /dir)"
	shows 'many-299$' "$PMFS2" dump clean.img dir "$(ino_of clean.img /dir)"
	shows 'orphan, inode' "$PMFS2" dump crash.img intents
	shows 'journal seed' "$PMFS2" dump clean.img super
	shows '(in force)' "$PMFS2" dump clean.img journal
	shows '^inode  *1$' "$PMFS2" dump clean.img path /dir/./..
	refuses 1 'no nothing in directory' "$PMFS2" dump clean.img path /nothing
	refuses 1 'no inode 256' "$PMFS2" dump clean.img inode 256
	refuses 1 'no directory' "$PMFS2" dump clean.img dir "$(ino_of clean.img /file)"
}

crashed_image_tells_of_its_journal()
{
	[ "$(value crash.img 'records to replay')" -gt 0 ]
	# The orphan goes with a clean unmount.
	[ "$(value crash.img 'used inodes')" = $(($(value clean.img 'used inodes') + 1)) ]
	[ "$(value crash.img 'free blocks')" = "$(value clean.img 'free blocks')" ]
	shows 'journal not empty' "$PMFS2" info crash.img
	shows 'next mount replays' "$PMFS2" dump crash.img path /
	shows 'record [0-9]* at byte' "$PMFS2" dump crash.img journal
}

label_is_shown_and_set_in_both_copies()
{
	cp --sparse=always clean.img l.img
	[ "$("$PMFS2" label l.img)" = 'tëst "1"' ]
	"$PMFS2" label l.img 'new one'
	[ "$("$PMFS2" label l.img)" = 'new one' ]
	[ "$(value l.img 'superblock copy')" = ok ]
	zero l.img 0 4096
	[ "$("$PMFS2" label l.img 2>/dev/null)" = 'new one' ]
	refuses 2 '63 bytes' "$PMFS2" label l.img "$(printf '%064d' 0)"
	refuses 2 'control' "$PMFS2" label l.img $'\033[31m'
	"$PMFS2" label l.img '' 2>/dev/null
	[ -z "$("$PMFS2" label l.img)" ]
	[ "$(value l.img superblock)" = ok ]
}

superblock_damage_is_said_and_the_copy_used()
{
	cp --sparse=always clean.img d.img
	zero d.img 120 8
	refuses 4 'superblock  *superblock damaged (checksum)' "$PMFS2" info d.img
	refuses 4 'copy in the last block is used' "$PMFS2" info d.img
	shows 'target/of' "$PMFS2" dump d.img path /link
	cp --sparse=always clean.img c.img
	zero c.img $(((16384 - 1) * 4096 + 120)) 8
	refuses 4 'superblock copy  *superblock damaged (checksum)' "$PMFS2" info c.img
	zero d.img $(((16384 - 1) * 4096 + 120)) 8
	refuses 1 'damaged' "$PMFS2" info d.img
	truncate -s 8M foreign.img
	refuses 1 'no pmfs2 superblock' "$PMFS2" info foreign.img
	cp --sparse=always clean.img cut.img
	truncate -s 32M cut.img
	refuses 1 'smaller than the file system' "$PMFS2" info cut.img
	refuses 1 'does not exist' "$PMFS2" info none.img
}

structure_damage_is_said()
{
	local off ino

	cp --sparse=always clean.img e.img
	ino=$(ino_of e.img /file)
	off=$("$PMFS2" dump e.img inode "$ino" | sed -n 's/^at byte  *//p')
	zero e.img $((off + 40)) 4
	refuses 4 "DAMAGED: inode $ino" "$PMFS2" dump e.img inode "$ino"
	refuses 4 "DAMAGED: inode $ino" "$PMFS2" dump e.img map "$ino"
	zero e.img $((4096 + 128)) 4
	refuses 4 'DAMAGED: inode table' "$PMFS2" dump e.img inode 1
	zero e.img 4096 128
	refuses 4 'no valid horizon' "$PMFS2" info e.img
	refuses 4 'no valid horizon' "$PMFS2" dump e.img journal
}

mounted_image_needs_force()
{
	exec 9<clean.img
	flock -x 9
	refuses 1 'force-while-mounted' "$PMFS2" info clean.img
	refuses 1 'in use' "$PMFS2" label clean.img x
	shows 'uuid' "$PMFS2" --force-while-mounted info clean.img
	shows 'target/of' "$PMFS2" --force-while-mounted dump clean.img path /link
	exec 9<&-
}

# All dumps of an image end soon, by an exit code and not by a signal.
survives()
{
	local what rc

	for what in "info" "dump super" "dump journal" "dump intents" "dump inode 1" "dump dir 1" "dump dir 10" "dump map 2" "dump map 7" \
		"dump inode 5" "dump path /dir/many-9"; do
		read -ra words <<<"$what"
		rc=0
		timeout 20 "$PMFS2" "${words[0]}" "$1" "${words[@]:1}" >survive.out 2>&1 || rc=$?
		[ $rc -le 4 ] || { tail -5 survive.out; tap_fail "'$what' ended with $rc (seed $SEED)"; }
	done
}

random_damage_is_survived()
{
	local round

	for round in $(seq 1 12); do
		cp --sparse=always crash.img r.img
		python3 - "$SEED" "$round" <<'END'
import random, sys
rnd = random.Random(int(sys.argv[1]) * 1000 + int(sys.argv[2]))
with open("r.img", "r+b") as f:
    data = f.read()
    used = [b for b in range(1, len(data) // 4096 - 1) if any(data[b * 4096:b * 4096 + 4096:8])]
    for _ in range(rnd.choice((1, 20, 400))):
        off = rnd.choice(used) * 4096 + rnd.randrange(4096)
        f.seek(off)
        f.write(bytes(rnd.choice((0, 0xff, rnd.randrange(256))) for _ in range(rnd.choice((1, 2, 8)))))
END
		survives r.img
	done
}

# Trees with right check bits that bite their own tail: made by hand, since random damage fails the checks.
loops_are_found()
{
	cp --sparse=always clean.img loop.img
	python3 - <<'END'
import struct
POLY = 0x82f63b78
def crc(c, data):
    for byte in data:
        c ^= byte
        for _ in range(8):
            c = c >> 1 ^ (POLY if c & 1 else 0)
    return c
def entry(owner, level, index, block, kind, height=0):
    low = block | kind << 40 | height << 44
    c = crc(crc(crc(0xffffffff, struct.pack("<Q", owner | level << 56)), struct.pack("<Q", index)), struct.pack("<Q", low))
    return low | ((c ^ c >> 16) & 0xffff) << 48
with open("loop.img", "r+b") as f:
    def inode_set_root(ino, word):
        f.seek(512 * 4096 + ino * 256)
        off, image = f.tell(), bytearray(f.read(256))
        image[4:8] = bytes(4)
        image[56:64] = struct.pack("<Q", word)
        image[4:8] = struct.pack("<I", crc(0xffffffff, image) ^ 0xffffffff)
        f.seek(off)
        f.write(image)
    # a directory whose node points to itself in every entry
    node = 9000
    f.seek(node * 4096)
    f.write(struct.pack("<Q", entry(1, 0, 0, node, 1)) * 512)
    inode_set_root(1, entry(1, 0, 0, node, 1))
    # a file of height 5 whose nodes of each level point to the same one below
    for level in range(1, 6):
        f.seek((node + level) * 4096)
        f.write(b"".join(struct.pack("<Q", entry(2, level, i * 512 ** (level - 1), node + level - 1, 1 if level > 1 else 2))
                         for i in range(512)))
    inode_set_root(2, entry(2, 5, 0, node + 5, 1, 5))
END
	refuses 4 'reached a second time' timeout 20 "$PMFS2" dump loop.img dir 1
	refuses 4 'reached a second time' timeout 20 "$PMFS2" dump loop.img map 2
}

wrong_arguments_are_refused()
{
	refuses 2 'no command' "$PMFS2"
	refuses 2 'unknown command' "$PMFS2" fsck clean.img
	refuses 2 'give a device' "$PMFS2" dump clean.img
	refuses 2 'give a device' "$PMFS2" dump clean.img nonsense
	refuses 2 'inode number' "$PMFS2" dump clean.img inode
	refuses 2 'inode number' "$PMFS2" dump clean.img inode x
	refuses 2 'inode number' "$PMFS2" dump clean.img inode 99999999999999999999
	refuses 2 'too many' "$PMFS2" dump clean.img super 1
	shows 'Usage' "$PMFS2" --help
	shows '^pmfs2 [0-9]' "$PMFS2" --version
}

if ! { "$MKFS" -q --size 64M -L 'tëst "1"' clean.img && cp --sparse=always clean.img crash.img && "$FILL" clean.img clean &&
	"$FILL" crash.img crash; }; then
	echo "Bail out! the images cannot be made"
	exit 1
fi
for case in info_of_clean_image dumps_show_what_was_made crashed_image_tells_of_its_journal label_is_shown_and_set_in_both_copies \
	superblock_damage_is_said_and_the_copy_used structure_damage_is_said mounted_image_needs_force random_damage_is_survived \
	loops_are_found wrong_arguments_are_refused; do
	tap_case "pmfs2_$case" 100 "$case"
done
tap_done
