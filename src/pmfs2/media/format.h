/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The on-media format of pmfs2. Structures and constants only; doc/format.md is the byte-exact description.
 *
 * A device is an array of 4 KiB blocks:
 *
 *	block 0			superblock (static; changes only by tools)
 *	block 1			state block: horizon slots, root of the inode table
 *	journal_block ...	n_rings rings of ring_blocks blocks each
 *	intent_block ...	first intent blocks (more are chained)
 *	segment[0].bitmap ...	one bitmap block for each group of 32768 blocks
 *	data_block ...		everything that is allocated (2 MiB aligned)
 *	last block		copy of the superblock
 *
 * Everything below data_block, and the last block, is marked used in the bitmaps.
 */
#ifndef PMFS2_MEDIA_FORMAT_H
#define PMFS2_MEDIA_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/le.h"

#define PMFS2_BLOCK_SHIFT 12u
#define PMFS2_BLOCK_SIZE 4096u
#define PMFS2_BLOCK_WORDS 512u
#define PMFS2_HUGE_BLOCKS 512u /* blocks of a 2 MiB leaf */
#define PMFS2_GROUP_BLOCKS 32768u /* blocks of one bitmap block: 128 MiB */
#define PMFS2_BLOCKS_MAX (1ull << 40) /* 4 PiB */

#define PMFS2_MAGIC_SUPER 0x3132534653464d50ull /* "PMFS2" family, see doc/format.md */
#define PMFS2_MAGIC_HORIZON 0x6e5a4850u /* "PHZn" */
#define PMFS2_MAGIC_INODE 0x6e494d50u /* "PMIn" */
#define PMFS2_MAGIC_CHUNK 0x68434d50u /* "PMCh" */
#define PMFS2_MAGIC_RECORD 0x63524d50u /* "PMRc" */
#define PMFS2_MAGIC_BUCKET 0x6b424d50u /* "PMBk" */
#define PMFS2_MAGIC_INTENT 0x74494d50u /* "PMIt" */
#define PMFS2_MAGIC_XATTR 0x61584d50u /* "PMXa" */

#define PMFS2_VERSION_MAJOR 1u

/* Feature words. Unknown incompat: no mount. Unknown ro_compat: read-only. Unknown compat: fine. */
#define PMFS2_INCOMPAT_KNOWN 0ull
#define PMFS2_RO_COMPAT_KNOWN 0ull
#define PMFS2_COMPAT_KNOWN 0ull

#define PMFS2_SEGMENTS_MAX 16u
#define PMFS2_DEVICES_MAX 16u

/* A range of blocks with its own bitmaps; a device that grew has several. */
struct pmfs2_segment {
	le64 first_block;
	le64 n_blocks;
	le64 bitmap_block; /* first of its bitmap blocks */
	le32 device; /* index in the device table */
	le32 zero0;
	le64 zero1[4];
};
static_assert(sizeof(struct pmfs2_segment) == 64, "media");

struct pmfs2_device {
	uint8_t uuid[16];
	le64 first_block;
	le64 n_blocks;
	le64 zero[4];
};
static_assert(sizeof(struct pmfs2_device) == 64, "media");

struct pmfs2_super {
	le64 magic;
	le32 crc; /* CRC-32C of all 4096 bytes with this field 0 */
	le32 version; /* PMFS2_VERSION_MAJOR */
	le64 compat;
	le64 ro_compat;
	le64 incompat;
	uint8_t uuid[16];
	char label[64]; /* UTF-8, NUL-padded */
	le64 hash_seed[2]; /* SipHash key of directory names */
	le64 n_blocks; /* blocks of the file system */
	le64 journal_block;
	le64 intent_block;
	le64 data_block; /* first allocatable block */
	le64 created; /* time, see pmfs2_time */
	le32 n_rings;
	le32 ring_blocks;
	le32 n_intent_blocks; /* contiguous from intent_block */
	le32 journal_seed; /* start value of the records' CRC */
	le32 n_segments;
	le32 n_devices;
	uint8_t zero0[512 - 200];
	struct pmfs2_segment segments[PMFS2_SEGMENTS_MAX];
	struct pmfs2_device devices[PMFS2_DEVICES_MAX];
	uint8_t zero1[4096 - 2560];
};
static_assert(offsetof(struct pmfs2_super, uuid) == 40, "media");
static_assert(offsetof(struct pmfs2_super, hash_seed) == 120, "media");
static_assert(offsetof(struct pmfs2_super, n_rings) == 176, "media");
static_assert(offsetof(struct pmfs2_super, zero0) == 200, "media");
static_assert(offsetof(struct pmfs2_super, segments) == 512, "media");
static_assert(sizeof(struct pmfs2_super) == 4096, "media");

/*
 * State block. Two horizon slots in lines of their own, written alternately; the valid one with the higher seq counts. Every
 * record with a sequence number below seq is applied and durable.
 */
struct pmfs2_horizon {
	le32 magic; /* PMFS2_MAGIC_HORIZON */
	le32 crc; /* of the 64 bytes with this field 0 */
	le64 seq;
	le64 free_blocks; /* without the effects of records at or above seq */
	le64 used_inodes;
	le64 written; /* slots written so far; its lowest bit says which slot this is */
	le64 clean; /* PMFS2_CLEAN_* */
	le64 zero[2];
};
static_assert(sizeof(struct pmfs2_horizon) == 64, "media");

#define PMFS2_CLEAN_NO 0ull /* mounted, or not unmounted */
#define PMFS2_CLEAN_YES 1ull /* unmounted cleanly */
#define PMFS2_CLEAN_DAMAGED 2ull /* a mount or an unfinished fsck has found damage: no mount for writing before fsck */

struct pmfs2_state {
	struct pmfs2_horizon horizon[2];
	le64 itable_root; /* map entry of the inode table's tree, owner PMFS2_INO_ITABLE; index = chunk number */
	le64 itable_chunks; /* chunks in use: 0..itable_chunks-1 */
	le64 zero0[6];
	uint8_t zero1[4096 - 192];
};
static_assert(offsetof(struct pmfs2_state, itable_root) == 128, "media");
static_assert(sizeof(struct pmfs2_state) == 4096, "media");

/* --- map entries: every tree word that points to a block --------------------------------------------------------------------
 *
 *	bits  0..39	block number
 *	bits 40..42	kind
 *	bit  43		unwritten: allocated, reads as zeros (DATA, HUGE)
 *	bits 44..47	height of the tree below (root words), otherwise 0
 *	bits 48..63	check over owner, level, index and bits 0..47, see pmfs2_entry_check
 *
 * 0 is a hole. A node is 512 entries; level 1 nodes hold DATA, a node of level n covers 512^n blocks.
 */
#define PMFS2_ENTRY_BLOCK_MASK ((1ull << 40) - 1)
#define PMFS2_ENTRY_KIND_SHIFT 40u
#define PMFS2_ENTRY_UNWRITTEN (1ull << 43)
#define PMFS2_ENTRY_HEIGHT_SHIFT 44u
#define PMFS2_ENTRY_CHECK_SHIFT 48u

enum pmfs2_entry_kind {
	PMFS2_ENTRY_NODE = 1, /* 512 entries one level down */
	PMFS2_ENTRY_DATA = 2, /* one block of data */
	PMFS2_ENTRY_HUGE = 3, /* 512 blocks, 2 MiB aligned; stands in a level 2 node */
	PMFS2_ENTRY_BUCKET = 4, /* directory bucket */
	PMFS2_ENTRY_CHUNK = 5, /* inode chunk */
	PMFS2_ENTRY_XATTR = 6, /* xattr block */
};

#define PMFS2_HEIGHT_MAX 5u
#define PMFS2_FILE_SIZE_MAX (1ull << 57) /* 512^5 blocks */

/* --- inodes ------------------------------------------------------------------------------------------------------------------ */

#define PMFS2_INO_ITABLE 0ull /* owner number of the inode table's tree */
#define PMFS2_INO_ROOT 1ull
#define PMFS2_INO_BITS 40u
#define PMFS2_INODE_SIZE 256u
#define PMFS2_CHUNK_BLOCKS 16u
#define PMFS2_CHUNK_INODES 256u /* slot 0 is the chunk's header */
#define PMFS2_INODE_TAIL 128u

/* Node id of plug-in interface: low 24 bits of the generation, 40 bits of inode number. Inode number = chunk * 256 + slot. */

/*
 * Inline xattrs: while inline_xattr_len is not 0, the tail holds xattr records (xattr block format without header) in that many
 * bytes. A symlink of up to 128 bytes has its target in the tail instead (inline_len), and its xattrs always in a block.
 */
struct pmfs2_inode {
	le32 magic;
	le32 crc; /* CRC-32C of the 256 bytes with this field 0 */
	le64 ino;
	le32 generation;
	le32 flags; /* ZUS_FL_* = FS_*_FL */
	le32 mode; /* 0: free */
	le32 nlink;
	le32 uid;
	le32 gid;
	le64 size; /* bytes; directories: number of entries */
	le64 blocks; /* 4 KiB blocks, metadata of this inode included */
	le64 root; /* map entry; directories: NODE or BUCKET */
	le64 mtime;
	le64 ctime;
	le64 atime;
	le64 btime;
	le64 parent_or_rdev; /* directories: inode number of the parent; devices: dev_t */
	le64 xattr; /* map entry of kind XATTR, or 0 */
	le32 projid;
	le16 inline_len; /* symlink target in the tail */
	le16 inline_xattr_len;
	le32 intent; /* number of its intent slot + 1, or 0 */
	le32 zero;
	uint8_t tail[PMFS2_INODE_TAIL];
};
static_assert(offsetof(struct pmfs2_inode, mode) % 8 == 0, "stored as one word with nlink");
static_assert(offsetof(struct pmfs2_inode, size) == 40, "media");
static_assert(offsetof(struct pmfs2_inode, root) == 56, "media");
static_assert(offsetof(struct pmfs2_inode, mtime) == 64, "media");
static_assert(offsetof(struct pmfs2_inode, xattr) == 104, "media");
static_assert(offsetof(struct pmfs2_inode, intent) == 120, "media");
static_assert(offsetof(struct pmfs2_inode, tail) == 128, "media");
static_assert(sizeof(struct pmfs2_inode) == PMFS2_INODE_SIZE, "media");

/* Slot 0 of a chunk. Bit set: inode in use. Bit 0 is always set. */
struct pmfs2_chunk {
	le32 magic;
	le32 crc; /* of the first 64 bytes with this field 0; static */
	le64 index; /* chunk number */
	le64 block; /* own first block */
	le64 zero0[5];
	le64 used[4];
	le64 zero1[20];
};
static_assert(offsetof(struct pmfs2_chunk, used) == 64, "media");
static_assert(sizeof(struct pmfs2_chunk) == PMFS2_INODE_SIZE, "media");

/* --- journal ---------------------------------------------------------------------------------------------------------------- */

#define PMFS2_RECORD_ALIGN 64u
#define PMFS2_RECORD_MAX 8192u /* bytes */
#define PMFS2_RING_BLOCKS_MIN 8u
#define PMFS2_RINGS_MAX 64u

/*
 * A record lies in one ring, 64-byte aligned, padded with zeros. Behind the header: entries of one head word and a body.
 *
 *	head: bits 0..48 byte offset on the device / 8, bits 49..60 count, bits 61..63 op
 */
struct pmfs2_record {
	le32 magic;
	le32 crc; /* CRC-32C, started with super.journal_seed, of all len bytes with this field 0 */
	le64 seq;
	le32 len; /* bytes, a multiple of 64, at most PMFS2_RECORD_MAX */
	le32 n_words; /* of entries behind this header */
	le32 d_blocks; /* signed: change of the number of free blocks */
	le32 d_inodes; /* signed: change of the number of used inodes */
};
static_assert(sizeof(struct pmfs2_record) == 32, "media");

#define PMFS2_REC_OFF_BITS 49u
#define PMFS2_REC_COUNT_BITS 12u
#define PMFS2_REC_COUNT_MAX ((1u << PMFS2_REC_COUNT_BITS) - 1)

enum pmfs2_rec_op {
	PMFS2_REC_WORDS = 1, /* count words follow: stored one behind the other */
	PMFS2_REC_FILL = 2, /* one word follows: stored count times */
	PMFS2_REC_SET = 3, /* one word follows: its bits are set; count 1 */
	PMFS2_REC_CLEAR = 4, /* one word follows: its bits are cleared; count 1 */
};

/* --- intents: work that must be finished after a crash ----------------------------------------------------------------------- */

enum pmfs2_intent_kind {
	PMFS2_INTENT_NONE = 0,
	PMFS2_INTENT_ORPHAN = 1, /* inode without links: free it when nobody holds it */
	PMFS2_INTENT_TRUNCATE = 2, /* free what lies beyond the size */
	PMFS2_INTENT_SHIFT = 3, /* collapse or insert range under way: arg0 = cursor, arg1 = delta, see doc/format.md */
};

struct pmfs2_intent {
	le64 ino_kind; /* inode number | kind << 56; 0: free slot */
	le64 arg[3];
};
static_assert(sizeof(struct pmfs2_intent) == 32, "media");

#define PMFS2_INTENTS_PER_BLOCK 127u
struct pmfs2_intent_block {
	le32 magic;
	le32 crc; /* of the first 16 bytes with this field 0 */
	le64 block; /* own block number */
	le64 next; /* block number of the next one in the chain, 0: last */
	le64 zero;
	struct pmfs2_intent slots[PMFS2_INTENTS_PER_BLOCK];
};
static_assert(offsetof(struct pmfs2_intent_block, slots) == 32, "media");
static_assert(sizeof(struct pmfs2_intent_block) == 4096, "media");

/* --- directories -------------------------------------------------------------------------------------------------------------
 *
 * A trie over the 63-bit hash of the name, 9 bits a level from the top. A node is a block of 512 map entries (level and index of
 * their check are 0). An entry is a hole, a NODE one level down, or a BUCKET. A bucket of depth d (counted from the hash's top)
 * holds all entries whose hash begins with its d-bit prefix; the aligned run of entries of its node that it covers all point to it.
 */
#define PMFS2_HASH_BITS 63u
#define PMFS2_HASH_MIN 16ull /* smaller ones are raised by it: cookies 1 and 2 are "." and ".." */

#define PMFS2_BUCKET_SLOTS_OFF 64u
#define PMFS2_BUCKET_SLOTS_MAX 168u

struct pmfs2_bucket {
	le32 magic;
	le32 crc; /* of the first 48 bytes with this field 0; static */
	le64 owner; /* inode number of the directory */
	le64 block; /* own block number */
	le64 prefix; /* hash with the lower 63 - depth bits 0 */
	le32 depth; /* 0..63 */
	le32 zero0;
	le64 zero1;
	le64 dyn; /* bits 0..15 slots, 16..31 tail (byte offset of the lowest entry), 32..47 live entries, 48..63 dead bytes */
	le64 sum; /* bits 0..31: sum of all slots, modulo 2^32; so that a damaged slot cannot hide an entry */
	/* 32-bit slots follow, two to a word: bits 0..15 offset of the entry / 8, bits 16..31 low bits of its hash; dead: 0 */
};
static_assert(offsetof(struct pmfs2_bucket, dyn) == 48, "media");
static_assert(sizeof(struct pmfs2_bucket) == 64, "media");

/* An entry, 8-byte aligned, padded with zeros. */
struct pmfs2_dirent {
	le64 ino_type; /* bits 0..39 inode number, 40..47 DT_* type, 48..55 name length, 56..63 zero */
	le64 hash;
	le32 crc; /* over owner (le64), ino_type, hash, name */
	char name[4]; /* name_len bytes from here on */
};
static_assert(sizeof(struct pmfs2_dirent) == 24, "media");
#define PMFS2_DIRENT_HEAD 20u

/* --- xattrs ------------------------------------------------------------------------------------------------------------------ */

#define PMFS2_XATTR_BLOCKS_MAX 32u

/* Header of a contiguous run of n_blocks blocks; the xattr word of the inode points to the first. Records follow it. */
struct pmfs2_xattr_block {
	le32 magic;
	le32 crc; /* of the header with this field 0, and the records: 32 + used bytes */
	le64 owner; /* inode number */
	le64 block; /* own first block number */
	le32 used; /* bytes of records behind this header */
	le32 n_blocks; /* 1..PMFS2_XATTR_BLOCKS_MAX */
};
static_assert(sizeof(struct pmfs2_xattr_block) == 32, "media");

/* Records lie one behind the other, 8-byte aligned and zero-padded; name without its prefix, then the value. */
struct pmfs2_xattr_rec {
	le16 rec_words; /* length of the whole record in 8-byte words */
	uint8_t prefix; /* enum pmfs2_xattr_prefix */
	uint8_t name_len;
	le32 value_len; /* bytes, at most 65536 */
	/* name, value */
};
static_assert(sizeof(struct pmfs2_xattr_rec) == 8, "media");

enum pmfs2_xattr_prefix {
	PMFS2_XATTR_USER = 1,
	PMFS2_XATTR_TRUSTED = 2,
	PMFS2_XATTR_SECURITY = 3,
	PMFS2_XATTR_ACL_ACCESS = 4, /* whole name, name_len 0 */
	PMFS2_XATTR_ACL_DEFAULT = 5,
};

/* Times: nanoseconds since 1901-12-13 20:45:52 UTC (-2^31 s), until 2486. */
#define PMFS2_TIME_EPOCH_S (-2147483648ll)

#endif
