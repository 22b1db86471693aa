/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes of an inode. Proves: they are in one place; a block of them is the inode's own and whole; each record is
 * well formed, of a known namespace, with a name that is there once; ACLs have the form of setxattr(2).
 *
 * A set that changes is written to the inode's tail or to new blocks, and reached by one record: if cut, old or new.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "fsck/bits.h"
#include "fsck/inode_view.h"

#define ACL_ENTRY_BYTES 8u
#define HEAD_BYTES ((uint32_t)sizeof(struct pmfs2_xattr_block))
#define VALUE_MAX 65536u
#define NAME_MAX_BYTES 255u

struct xrec {
	const uint8_t *at;
	uint32_t len; /* of the whole record */
	uint32_t name_len;
	uint32_t value_len;
	uint8_t prefix;
};

static int pointer_ok(void *ctx, const struct entry *e)
{
	const struct inode_view *iv = ctx;

	return e->kind == PMFS2_ENTRY_XATTR && !e->unwritten && !e->height && disk_block_ok(&iv->fk->disk, e->block, 1);
}

static uint16_t get16(const uint8_t *at)
{
	le16 v;

	memcpy(&v, at, sizeof(v));
	return le16_get(v);
}

/* setxattr(2)'s form: version 2, entries in rising order of their tags, those that must be there. */
static int acl_ok(const uint8_t *value, uint32_t len)
{
	uint32_t seen = 0;

	if (len < 4 || (len - 4) % ACL_ENTRY_BYTES || get16(value) != 2 || get16(value + 2))
		return 0;
	for (uint32_t at = 4; at < len; at += ACL_ENTRY_BYTES) {
		uint16_t tag = get16(value + at);
		int may_repeat = tag == 2 || tag == 8;

		if (!tag || tag > 0x20 || (tag & (tag - 1)) || get16(value + at + 2) > 7)
			return 0;
		if (seen >= tag && !(may_repeat && seen < 2u * tag))
			return 0;
		seen |= tag;
	}
	return (seen & 0x25) == 0x25 && (!(seen & 0x0a) || seen & 0x10);
}

/* The record at pos of a set. 0: malformed. */
static int rec_read(const uint8_t *set, uint32_t used, uint32_t pos, struct xrec *out)
{
	static const uint32_t prefix_len[] = { 0, 5, 8, 9, 23, 24 };
	struct pmfs2_xattr_rec head;
	int whole;

	if (used - pos < sizeof(head))
		return 0;
	memcpy(&head, set + pos, sizeof(head));
	*out = (struct xrec){ set + pos, le16_get(head.rec_words) * 8u, head.name_len, le32_get(head.value_len), head.prefix };
	if (!out->prefix || out->prefix > PMFS2_XATTR_ACL_DEFAULT || out->value_len > VALUE_MAX || out->len > used - pos ||
	    out->len != round_up_to(sizeof(head) + out->name_len + (uint64_t)out->value_len, 8))
		return 0;
	whole = out->prefix >= PMFS2_XATTR_ACL_ACCESS;
	if (whole ? out->name_len : !out->name_len || prefix_len[out->prefix] + out->name_len > NAME_MAX_BYTES)
		return 0;
	if (memchr(out->at + sizeof(head), 0, out->name_len))
		return 0;
	return pmem_is_zero(out->at + sizeof(head) + out->name_len + out->value_len,
			    out->len - (sizeof(head) + out->name_len + out->value_len));
}

static int same_name(const struct xrec *a, const struct xrec *b)
{
	return a->prefix == b->prefix && a->name_len == b->name_len && !memcmp(a->at + 8, b->at + 8, a->name_len);
}

/* True if an earlier record has the name. seen: 4096 bits that say where looking is worth while. */
static int seen_before(const uint8_t *set, const struct xrec *rec, uint64_t seen[64])
{
	uint32_t hash = ~crc32c(rec->prefix, rec->at + 8, rec->name_len) & 4095;
	uint32_t end = (uint32_t)(rec->at - set);
	struct xrec other;

	if (!(seen[hash / 64] >> (hash % 64) & 1)) {
		seen[hash / 64] |= 1ull << (hash % 64);
		return 0;
	}
	for (uint32_t pos = 0; pos < end; pos += other.len)
		if (!rec_read(set, end, pos, &other) || same_name(rec, &other))
			return pos < end && same_name(rec, &other);
	return 0;
}

/* Takes the record at pos out of a set of used bytes. */
static uint32_t rec_remove(uint8_t *set, uint32_t used, uint32_t pos, uint32_t len)
{
	memmove(set + pos, set + pos + len, used - pos - len);
	return used - len;
}

/* Checks the records of a set, and drops from it what must go. Returns the bytes that are left; *io_change: it is to be stored.
 */
static uint32_t records_check(struct inode_view *iv, uint8_t *set, uint32_t used, int *io_change)
{
	uint64_t seen[64] = { 0 };
	uint32_t pos = 0;

	while (pos < used) {
		unsigned long long ino = iv->ino;
		int drop = 0;
		struct xrec rec;

		if (!rec_read(set, used, pos, &rec)) {
			*io_change |=
				fsck_found(iv->fk, FSCK_XATTR_RECORD, "inode %llu: malformed xattr record at byte %u", ino, pos);
			return pos;
		}
		if (seen_before(set, &rec, seen))
			drop = 1 + fsck_found(iv->fk, FSCK_XATTR_DUPLICATE, "inode %llu: xattr name at byte %u is there twice",
					      ino, pos);
		else if (rec.prefix >= PMFS2_XATTR_ACL_ACCESS && !acl_ok(rec.at + 8, rec.value_len))
			drop = 1 + fsck_found(iv->fk, FSCK_XATTR_ACL, "inode %llu: malformed ACL at byte %u", ino, pos);
		if (drop == 2)
			used = rec_remove(set, used, pos, rec.len);
		else
			pos += rec.len;
		*io_change |= drop == 2;
	}
	return used;
}

static void inline_drop(struct inode_view *iv)
{
	iv->image.inline_xattr_len = le16_of(0);
	memset(iv->image.tail, 0, sizeof(iv->image.tail));
}

static void inline_check(struct inode_view *iv)
{
	uint32_t used = le16_get(iv->image.inline_xattr_len), left;
	uint8_t set[PMFS2_INODE_TAIL];
	int change = 0;

	if (used > PMFS2_INODE_TAIL) {
		if (inode_view_found(iv, FSCK_XATTR_RECORD, "inode %llu: %u bytes of xattrs in itself, more than fit",
				     (unsigned long long)iv->ino, used))
			inline_drop(iv);
		return;
	}
	memcpy(set, iv->image.tail, used);
	left = records_check(iv, set, used, &change);
	if (!change)
		return;
	inline_drop(iv);
	memcpy(iv->image.tail, set, left);
	iv->image.inline_xattr_len = le16_of((uint16_t)left);
	iv->dirty = 1;
}

/* The set in new blocks, or in the tail if it fits there. It stands in buf behind the room for its header. */
static void set_store(struct inode_view *iv, uint8_t *buf, uint32_t used)
{
	struct fsck *fk = iv->fk;
	struct pmfs2_xattr_block head = { .magic = le32_of(PMFS2_MAGIC_XATTR), .owner = le64_of(iv->ino), .used = le32_of(used) };
	uint32_t n = (HEAD_BYTES + used + PMFS2_BLOCK_SIZE - 1) / PMFS2_BLOCK_SIZE;
	struct entry e = { .kind = PMFS2_ENTRY_XATTR };

	iv->image.xattr = le64_of(0);
	iv->dirty = 1;
	if (used <= PMFS2_INODE_TAIL && !S_ISLNK(le32_get(iv->image.mode))) {
		memset(iv->image.tail, 0, sizeof(iv->image.tail));
		memcpy(iv->image.tail, buf + HEAD_BYTES, used);
		iv->image.inline_xattr_len = le16_of((uint16_t)used);
		return;
	}
	e.block = used ? fix_alloc(fk, n, 1) : 0;
	if (!e.block)
		return;
	head.block = le64_of(e.block);
	head.n_blocks = le32_of(n);
	head.crc = le32_of(~crc32c(crc32c(~0u, &head, sizeof(head)), buf + HEAD_BYTES, used));
	memcpy(buf, &head, sizeof(head));
	pmem_copy(fk->disk.pm, disk_block(&fk->disk, e.block), buf, HEAD_BYTES + used);
	iv->image.xattr = le64_of(entry_pack(&(struct entry_pos){ .owner = iv->ino }, &e));
	iv->blocks += n;
}

/* Copies up to n blocks, as many as there may be. Returns how many. */
static uint32_t blocks_copy(const struct inode_view *iv, uint64_t block, uint32_t n, uint8_t *to)
{
	uint32_t i = 0;

	for (; i < n && disk_block_ok(&iv->fk->disk, block + i, 1); i++)
		memcpy(to + i * PMFS2_BLOCK_SIZE, disk_block(&iv->fk->disk, block + i), PMFS2_BLOCK_SIZE);
	return i;
}

static int block_ok(const struct inode_view *iv, uint64_t block, const uint8_t *buf, uint32_t n_copied)
{
	struct pmfs2_xattr_block head;
	uint32_t crc, used, n;

	memcpy(&head, buf, sizeof(head));
	used = le32_get(head.used);
	n = le32_get(head.n_blocks);
	crc = le32_get(head.crc);
	head.crc = le32_of(0);
	return le32_get(head.magic) == PMFS2_MAGIC_XATTR && le64_get(head.owner) == iv->ino && le64_get(head.block) == block &&
	       n && n <= PMFS2_XATTR_BLOCKS_MAX && n <= n_copied && used <= n * PMFS2_BLOCK_SIZE - HEAD_BYTES &&
	       crc == ~crc32c(crc32c(~0u, &head, sizeof(head)), buf + HEAD_BYTES, used);
}

/* One wrong bit: in what the CRC covers, or in the length that says how much that is. */
static int block_guess(const struct inode_view *iv, uint64_t block, uint8_t *buf, uint32_t n)
{
	const uint32_t at = offsetof(struct pmfs2_xattr_block, used);
	struct pmfs2_xattr_block head;

	for (uint32_t bit = 0; bit < 32; bit++) {
		buf[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (block_ok(iv, block, buf, n))
			return 1;
		buf[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	memcpy(&head, buf, sizeof(head));
	if (le32_get(head.used) > n * PMFS2_BLOCK_SIZE - HEAD_BYTES)
		return 0;
	return bits_correct(buf, HEAD_BYTES + le32_get(head.used), offsetof(struct pmfs2_xattr_block, crc)) &&
	       block_ok(iv, block, buf, n);
}

/* Stores the words of buf that differ from media. */
static void words_store(struct inode_view *iv, uint64_t block, const uint8_t *buf, uint32_t len)
{
	struct fix fix;

	fix_begin(&fix, iv->fk);
	for (uint32_t off = 0; off < len; off += 8) {
		const uint8_t *media =
			(const uint8_t *)disk_block(&iv->fk->disk, block + off / PMFS2_BLOCK_SIZE) + off % PMFS2_BLOCK_SIZE;

		if (memcmp(media, buf + off, 8))
			fix_put(&fix, media, buf + off, 1);
	}
	fix_commit(&fix);
}

static int pointer_read(struct inode_view *iv, struct entry *out)
{
	const struct entry_pos pos = { .owner = iv->ino };
	uint64_t word = le64_get(iv->image.xattr), old = word;
	int right;

	if (entry_unpack(&pos, word, out) && pointer_ok(iv, out))
		return 1;
	right = bits_correct_entry(&pos, &word, pointer_ok, iv);
	if (!inode_view_found(iv, FSCK_XATTR_POINTER, "inode %llu: damaged xattr pointer %#llx", (unsigned long long)iv->ino,
			      (unsigned long long)old))
		return 0;
	iv->image.xattr = le64_of(right ? word : 0);
	return right && entry_unpack(&pos, word, out);
}

static void block_check(struct inode_view *iv, uint8_t *buf)
{
	struct pmfs2_xattr_block head;
	uint32_t n, used, left;
	int change = 0, fix;
	struct entry e;

	if (!pointer_read(iv, &e))
		return;
	n = blocks_copy(iv, e.block, 1, buf);
	memcpy(&head, buf, sizeof(head));
	n = blocks_copy(iv, e.block, (uint32_t)u64_min(le32_get(head.n_blocks), PMFS2_XATTR_BLOCKS_MAX), buf);
	if (!n || !block_ok(iv, e.block, buf, n)) {
		int right;

		n = blocks_copy(iv, e.block, PMFS2_XATTR_BLOCKS_MAX, buf);
		right = block_guess(iv, e.block, buf, n);
		fix = fsck_found(iv->fk, FSCK_XATTR_BLOCK, "inode %llu: damaged xattr block %llu", (unsigned long long)iv->ino,
				 (unsigned long long)e.block);
		if (fix && right)
			words_store(iv, e.block, buf, n * PMFS2_BLOCK_SIZE);
		else if (fix)
			set_store(iv, buf, 0);
		if (!right)
			return;
		memcpy(&head, buf, sizeof(head));
	}
	n = le32_get(head.n_blocks);
	used = le32_get(head.used);
	if (claim_meta(iv, e.block, n, "xattr block", &fix)) {
		if (fix)
			set_store(iv, buf, 0);
		return;
	}
	left = records_check(iv, buf + HEAD_BYTES, used, &change);
	if (change)
		set_store(iv, buf, left);
	else
		iv->blocks += n;
}

void xattr_check(struct inode_view *iv, struct inode_scratch *scratch)
{
	if (le64_get(iv->image.xattr) && le16_get(iv->image.inline_xattr_len) &&
	    inode_view_found(iv, FSCK_XATTR_TWICE, "inode %llu: xattrs in itself and in a block", (unsigned long long)iv->ino))
		inline_drop(iv);
	if (le16_get(iv->image.inline_xattr_len))
		inline_check(iv);
	if (le64_get(iv->image.xattr))
		block_check(iv, scratch->xattrs);
}
