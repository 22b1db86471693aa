/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format on media: the tables of doc/format.md agree with the structures field by field, and golden bytes, computed by a
 * program of its own from the document, agree with what the engine's functions build.
 */
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/util.h"
#include "lib/tap.h"
#include "pmem/pmem.h"
#include "pmfs2/dir_bucket.h"
#include "pmfs2/inode.h"
#include "pmfs2/journal.h"
#include "pmfs2/media/entry.h"
#include "pmfs2/media/super.h"
#include "pmfs2/mkfs.h"
#include "pmfs2/siphash.h"

struct field {
	const char *name;
	size_t off, size;
};
struct layout {
	const char *name;
	size_t size;
	const struct field *fields;
	size_t n;
};

#define FIELD(s, m)                                                                                                              \
	{                                                                                                                        \
#m, offsetof(struct s, m), sizeof(((struct s *)0)->m)                                                            \
	}
#define LAYOUT(s, ...)                                                                                                           \
	{                                                                                                                        \
#s, sizeof(struct s),                                                                                            \
			(const struct field[]){ __VA_ARGS__ },                                                                   \
						sizeof((const struct field[]){ __VA_ARGS__ }) / sizeof(struct field)             \
	}

static const struct layout layouts[] = {
	LAYOUT(pmfs2_super, FIELD(pmfs2_super, magic), FIELD(pmfs2_super, crc), FIELD(pmfs2_super, version),
	       FIELD(pmfs2_super, compat), FIELD(pmfs2_super, ro_compat), FIELD(pmfs2_super, incompat), FIELD(pmfs2_super, uuid),
	       FIELD(pmfs2_super, label), FIELD(pmfs2_super, hash_seed), FIELD(pmfs2_super, n_blocks),
	       FIELD(pmfs2_super, journal_block), FIELD(pmfs2_super, intent_block), FIELD(pmfs2_super, data_block),
	       FIELD(pmfs2_super, created), FIELD(pmfs2_super, n_rings), FIELD(pmfs2_super, ring_blocks),
	       FIELD(pmfs2_super, n_intent_blocks), FIELD(pmfs2_super, journal_seed), FIELD(pmfs2_super, n_segments),
	       FIELD(pmfs2_super, n_devices), FIELD(pmfs2_super, zero0), FIELD(pmfs2_super, segments),
	       FIELD(pmfs2_super, devices), FIELD(pmfs2_super, zero1)),
	LAYOUT(pmfs2_segment, FIELD(pmfs2_segment, first_block), FIELD(pmfs2_segment, n_blocks),
	       FIELD(pmfs2_segment, bitmap_block), FIELD(pmfs2_segment, device), FIELD(pmfs2_segment, zero0),
	       FIELD(pmfs2_segment, zero1)),
	LAYOUT(pmfs2_device, FIELD(pmfs2_device, uuid), FIELD(pmfs2_device, first_block), FIELD(pmfs2_device, n_blocks),
	       FIELD(pmfs2_device, zero)),
	LAYOUT(pmfs2_state, FIELD(pmfs2_state, horizon), FIELD(pmfs2_state, itable_root), FIELD(pmfs2_state, itable_chunks),
	       FIELD(pmfs2_state, zero0), FIELD(pmfs2_state, zero1)),
	LAYOUT(pmfs2_horizon, FIELD(pmfs2_horizon, magic), FIELD(pmfs2_horizon, crc), FIELD(pmfs2_horizon, seq),
	       FIELD(pmfs2_horizon, free_blocks), FIELD(pmfs2_horizon, used_inodes), FIELD(pmfs2_horizon, written),
	       FIELD(pmfs2_horizon, clean), FIELD(pmfs2_horizon, zero)),
	LAYOUT(pmfs2_record, FIELD(pmfs2_record, magic), FIELD(pmfs2_record, crc), FIELD(pmfs2_record, seq),
	       FIELD(pmfs2_record, len), FIELD(pmfs2_record, n_words), FIELD(pmfs2_record, d_blocks),
	       FIELD(pmfs2_record, d_inodes)),
	LAYOUT(pmfs2_intent_block, FIELD(pmfs2_intent_block, magic), FIELD(pmfs2_intent_block, crc),
	       FIELD(pmfs2_intent_block, block), FIELD(pmfs2_intent_block, next), FIELD(pmfs2_intent_block, zero),
	       FIELD(pmfs2_intent_block, slots)),
	LAYOUT(pmfs2_intent, FIELD(pmfs2_intent, ino_kind), FIELD(pmfs2_intent, arg)),
	LAYOUT(pmfs2_chunk, FIELD(pmfs2_chunk, magic), FIELD(pmfs2_chunk, crc), FIELD(pmfs2_chunk, index),
	       FIELD(pmfs2_chunk, block), FIELD(pmfs2_chunk, zero0), FIELD(pmfs2_chunk, used), FIELD(pmfs2_chunk, zero1)),
	LAYOUT(pmfs2_inode, FIELD(pmfs2_inode, magic), FIELD(pmfs2_inode, crc), FIELD(pmfs2_inode, ino),
	       FIELD(pmfs2_inode, generation), FIELD(pmfs2_inode, flags), FIELD(pmfs2_inode, mode), FIELD(pmfs2_inode, nlink),
	       FIELD(pmfs2_inode, uid), FIELD(pmfs2_inode, gid), FIELD(pmfs2_inode, size), FIELD(pmfs2_inode, blocks),
	       FIELD(pmfs2_inode, root), FIELD(pmfs2_inode, mtime), FIELD(pmfs2_inode, ctime), FIELD(pmfs2_inode, atime),
	       FIELD(pmfs2_inode, btime), FIELD(pmfs2_inode, parent_or_rdev), FIELD(pmfs2_inode, xattr),
	       FIELD(pmfs2_inode, projid), FIELD(pmfs2_inode, inline_len), FIELD(pmfs2_inode, inline_xattr_len),
	       FIELD(pmfs2_inode, intent), FIELD(pmfs2_inode, zero), FIELD(pmfs2_inode, tail)),
	LAYOUT(pmfs2_bucket, FIELD(pmfs2_bucket, magic), FIELD(pmfs2_bucket, crc), FIELD(pmfs2_bucket, owner),
	       FIELD(pmfs2_bucket, block), FIELD(pmfs2_bucket, prefix), FIELD(pmfs2_bucket, depth), FIELD(pmfs2_bucket, zero0),
	       FIELD(pmfs2_bucket, zero1), FIELD(pmfs2_bucket, dyn), FIELD(pmfs2_bucket, sum)),
	LAYOUT(pmfs2_dirent, FIELD(pmfs2_dirent, ino_type), FIELD(pmfs2_dirent, hash), FIELD(pmfs2_dirent, crc),
	       FIELD(pmfs2_dirent, name)),
	LAYOUT(pmfs2_xattr_block, FIELD(pmfs2_xattr_block, magic), FIELD(pmfs2_xattr_block, crc), FIELD(pmfs2_xattr_block, owner),
	       FIELD(pmfs2_xattr_block, block), FIELD(pmfs2_xattr_block, used), FIELD(pmfs2_xattr_block, n_blocks)),
	LAYOUT(pmfs2_xattr_rec, FIELD(pmfs2_xattr_rec, rec_words), FIELD(pmfs2_xattr_rec, prefix), FIELD(pmfs2_xattr_rec, name_len),
	       FIELD(pmfs2_xattr_rec, value_len)),
};

static const struct {
	const char *name;
	uint64_t value;
} constants[] = {
	{ "PMFS2_MAGIC_SUPER", PMFS2_MAGIC_SUPER },
	{ "PMFS2_MAGIC_HORIZON", PMFS2_MAGIC_HORIZON },
	{ "PMFS2_MAGIC_INODE", PMFS2_MAGIC_INODE },
	{ "PMFS2_MAGIC_CHUNK", PMFS2_MAGIC_CHUNK },
	{ "PMFS2_MAGIC_RECORD", PMFS2_MAGIC_RECORD },
	{ "PMFS2_MAGIC_BUCKET", PMFS2_MAGIC_BUCKET },
	{ "PMFS2_MAGIC_INTENT", PMFS2_MAGIC_INTENT },
	{ "PMFS2_MAGIC_XATTR", PMFS2_MAGIC_XATTR },
	{ "PMFS2_VERSION_MAJOR", PMFS2_VERSION_MAJOR },
	{ "PMFS2_BLOCK_SIZE", PMFS2_BLOCK_SIZE },
	{ "PMFS2_HUGE_BLOCKS", PMFS2_HUGE_BLOCKS },
	{ "PMFS2_GROUP_BLOCKS", PMFS2_GROUP_BLOCKS },
	{ "PMFS2_BLOCKS_MIN", PMFS2_BLOCKS_MIN },
	{ "PMFS2_BLOCKS_MAX", PMFS2_BLOCKS_MAX },
	{ "PMFS2_RINGS_MAX", PMFS2_RINGS_MAX },
	{ "PMFS2_RING_BLOCKS_MIN", PMFS2_RING_BLOCKS_MIN },
	{ "PMFS2_RECORD_MAX", PMFS2_RECORD_MAX },
	{ "PMFS2_HEIGHT_MAX", PMFS2_HEIGHT_MAX },
	{ "PMFS2_FILE_SIZE_MAX", PMFS2_FILE_SIZE_MAX },
	{ "PMFS2_CHUNK_INODES", PMFS2_CHUNK_INODES },
	{ "PMFS2_INTENTS_PER_BLOCK", PMFS2_INTENTS_PER_BLOCK },
	{ "PMFS2_HASH_MIN", PMFS2_HASH_MIN },
	{ "PMFS2_BUCKET_SLOTS_MAX", PMFS2_BUCKET_SLOTS_MAX },
};

/* The document, from wherever the test is run: PMFS2_SOURCE, beside this file, below the working directory. */
static FILE *document_open(void)
{
	const char *source = getenv("PMFS2_SOURCE"), *end = strstr(__FILE__, "tests/unit/");
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/doc/format.md", source ? source : ".");
	f = fopen(path, "r");
	if (!f && end) {
		snprintf(path, sizeof(path), "%.*sdoc/format.md", (int)(end - __FILE__), __FILE__);
		f = fopen(path, "r");
	}
	if (!f)
		printf("# doc/format.md not found: run from the top of the source, or set PMFS2_SOURCE\n");
	CHECK(f);
	return f;
}

static const struct layout *layout_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (!strcmp(name, layouts[i].name))
			return &layouts[i];
	printf("# doc/format.md has a table of %s, which the test does not know\n", name);
	CHECK(0);
	return NULL;
}

/* All fields were there, and they fill the structure. */
static void layout_end(const struct layout *layout, size_t row)
{
	const struct field *last;

	if (!layout)
		return;
	if (row != layout->n)
		printf("# table of %s: %zu rows for %zu fields\n", layout->name, row, layout->n);
	CHECK_EQ(row, layout->n);
	last = &layout->fields[layout->n - 1];
	CHECK_EQ(last->off + last->size, layout->size);
}

static void row_check(const struct layout *layout, size_t row, const char *line)
{
	size_t off, size, prev = row ? layout->fields[row - 1].off + layout->fields[row - 1].size : 0;
	const struct field *f;
	char name[64];

	if (sscanf(line, "| %zu | %zu | `%63[^`]` |", &off, &size, name) != 3 || row >= layout->n) {
		printf("# table of %s: not a row of it: %s", layout->name, line);
		CHECK(0);
	}
	f = &layout->fields[row];
	if (strcmp(name, f->name) || off != f->off || size != f->size || prev != off)
		printf("# table of %s: %zu %zu %s; the structure has %zu %zu %s, and the field before ends at %zu\n",
		       layout->name, off, size, name, f->off, f->size, f->name, prev);
	CHECK(!strcmp(name, f->name) && off == f->off && size == f->size && prev == off);
}

static void format_document_tables_agree_with_structs(void)
{
	const struct layout *layout = NULL;
	size_t row = 0, n_tables = 0, size;
	FILE *f = document_open();
	char line[1024], name[64];

	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#') {
			layout_end(layout, row);
			layout = NULL;
		}
		if (sscanf(line, "### `struct %63[a-z0-9_]`, %zu bytes", name, &size) == 2) {
			layout = layout_find(name);
			CHECK_EQ(size, layout->size);
			row = 0;
			n_tables++;
		} else if (layout && line[0] == '|' && line[2] >= '0' && line[2] <= '9') {
			row_check(layout, row++, line);
		}
	}
	layout_end(layout, row);
	CHECK_EQ(n_tables, ARRAY_SIZE(layouts));
	fclose(f);
}

static void format_document_constants_agree_with_header(void)
{
	unsigned char seen[ARRAY_SIZE(constants)] = { 0 };
	FILE *f = document_open();
	char line[1024], name[64];
	unsigned long long value;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "| `%63[A-Z0-9_]` | %lli |", name, (long long *)&value) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(constants); i++) {
			if (strcmp(name, constants[i].name))
				continue;
			if (value != constants[i].value)
				printf("# %s is %#llx, doc/format.md says %#llx\n", name, (unsigned long long)constants[i].value,
				       value);
			CHECK(value == constants[i].value);
			seen[i] = 1;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(constants); i++) {
		if (!seen[i])
			printf("# doc/format.md does not have %s\n", constants[i].name);
		CHECK(seen[i]);
	}
	fclose(f);
}

/* Compares bytes with their hexadecimal text; zeros behind the text. */
static void check_bytes(const void *bytes, size_t len, const char *hex)
{
	const uint8_t *p = bytes;
	size_t n = strlen(hex) / 2;

	CHECK(n <= len);
	for (size_t i = 0; i < len; i++) {
		unsigned int want = 0;

		if (i < n)
			CHECK(sscanf(hex + 2 * i, "%2x", &want) == 1);
		if (p[i] != want)
			printf("# byte %zu is %02x, not %02x\n", i, p[i], want);
		CHECK_EQ(p[i], want);
	}
}

static void format_map_entries_are_golden(void)
{
	static const struct {
		struct entry_pos pos;
		struct entry e;
		uint64_t word;
	} golden[] = {
		{ { 0, 0, 0 }, { 512, PMFS2_ENTRY_CHUNK, 0, 0 }, 0xec78050000000200 },
		{ { 2, 1, 511 }, { 0x1234, PMFS2_ENTRY_DATA, 0, 0 }, 0xb5bd020000001234 },
		{ { 2, 1, 511 }, { 0x1234, PMFS2_ENTRY_DATA, 1, 0 }, 0xb3290a0000001234 },
		{ { 0xfffffffffe, 2, 1024 }, { 0xffffffe00, PMFS2_ENTRY_HUGE, 1, 0 }, 0xe9f90b0ffffffe00 },
		{ { 7, 3, 0 }, { 999, PMFS2_ENTRY_NODE, 0, 3 }, 0x1a323100000003e7 },
		{ { 1, 0, 0 }, { 529, PMFS2_ENTRY_BUCKET, 0, 0 }, 0x1a5f040000000211 },
		{ { 5, 0, 0 }, { 1318, PMFS2_ENTRY_XATTR, 0, 0 }, 0xb56a060000000526 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		struct entry_pos other = golden[i].pos;
		struct entry e;

		CHECK(entry_pack(&golden[i].pos, &golden[i].e) == golden[i].word);
		CHECK(entry_unpack(&golden[i].pos, golden[i].word, &e));
		CHECK_EQ(e.block, golden[i].e.block);
		CHECK_EQ(e.kind, golden[i].e.kind);
		CHECK_EQ(e.unwritten, golden[i].e.unwritten);
		CHECK_EQ(e.height, golden[i].e.height);
		other.owner++;
		CHECK(!entry_unpack(&other, golden[i].word, &e));
		CHECK(!entry_unpack(&golden[i].pos, golden[i].word ^ 1, &e));
	}
}

static void format_name_hashes_are_golden(void)
{
	const uint64_t key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint8_t count[63];

	for (size_t i = 0; i < sizeof(count); i++)
		count[i] = (uint8_t)i;
	CHECK(siphash13(key, "", 0) == 0xabac0158050fc4dc);
	CHECK(siphash13(key, "a", 1) == 0x1c2697ab786a6237);
	CHECK(siphash13(key, "hello", 5) == 0xb6be2b8cd61385b7);
	CHECK(siphash13(key, "12345678", 8) == 0x11a8ebb5cd0da9ce);
	CHECK(siphash13(key, count, sizeof(count)) == 0x9d199062b7bbb3a8);
}

static void format_directory_bytes_are_golden(void)
{
	const struct zus_name hello = { "hello", 5 };
	const uint64_t hash = 0x5b5f15c66b09c2db;
	struct pmfs2_bucket bucket;
	le64 words[BUCKET_DIRENT_MAX / 8];
	uint32_t len = dirent_build(words, 7, hash, hello, dirent_ino_type(42, 8, 5));

	CHECK_EQ(len, 32);
	check_bytes(words, len, "2a00000000080500dbc2096bc6155f5b674db27068656c6c6f00000000000000");
	bucket_header_build(&bucket, 7, 529, 1ull << 62, 1);
	check_bytes(
		&bucket, sizeof(bucket),
		"504d426be9d79402070000000000000011020000000000000000000000000040010000000000000000000000000000000000001000000000");
}

static void format_journal_bytes_are_golden(void)
{
	static const char golden[] =
		"504d5263f6bfbef709000000000000008000000005000000ffffffff0100000001010400000004201111000000000000"
		"2222000000000000000c0100000002602000000000000000";
	struct {
		struct pmfs2_record head;
		uint64_t words[12];
	} rec = {
		.head = { .magic = le32_of(PMFS2_MAGIC_RECORD),
			  .seq = le64_of(9),
			  .len = le32_of(128),
			  .n_words = le32_of(5),
			  .d_blocks = le32_of((uint32_t)-1),
			  .d_inodes = le32_of(1) },
		.words = { htole64(0x2004000000040101), htole64(0x1111), htole64(0x2222), 0, htole64(32) },
	};
	struct rec_entry e;
	uint32_t pos = 0;

	rec.words[3] = htole64(134 * 4096 / 8 | 1ull << PMFS2_REC_OFF_BITS | (uint64_t)PMFS2_REC_SET << 61);
	rec.head.crc = le32_of(~crc32c(0x12345678, &rec, sizeof(rec)));
	check_bytes(&rec, sizeof(rec), golden);
	CHECK_EQ(rec_next(rec.words, 5, &pos, &e), 1);
	CHECK(e.off == 0x200808 && e.count == 2 && e.op == PMFS2_REC_WORDS && e.body_words == 2);
	CHECK_EQ(rec_next(rec.words, 5, &pos, &e), 1);
	CHECK(e.off == 134 * 4096 && e.count == 1 && e.op == PMFS2_REC_SET && le64toh(e.body[0]) == 32);
	CHECK_EQ(rec_next(rec.words, 5, &pos, &e), 0);
}

static void format_sealed_heads_are_golden(void)
{
	struct pmfs2_horizon horizon = {
		.magic = le32_of(PMFS2_MAGIC_HORIZON),
		.seq = le64_of(5),
		.free_blocks = le64_of(1000),
		.used_inodes = le64_of(3),
		.written = le64_of(4),
		.clean = le64_of(1),
	};
	struct pmfs2_chunk chunk = { .magic = le32_of(PMFS2_MAGIC_CHUNK), .index = le64_of(3), .block = le64_of(528) };
	struct pmfs2_intent_block intents = { .magic = le32_of(PMFS2_MAGIC_INTENT), .block = le64_of(130) };
	struct pmfs2_inode inode = {
		.magic = le32_of(PMFS2_MAGIC_INODE),
		.ino = le64_of(2),
		.generation = le32_of(1),
		.mode = le32_of(0100644),
		.nlink = le32_of(1),
	};

	horizon.crc = le32_of(crc32c_of(&horizon, sizeof(horizon)));
	check_bytes(&horizon, sizeof(horizon),
		    "50485a6e82d700160500000000000000e80300000000000003000000000000000400000000000000010000000000000000");
	CHECK_EQ(crc32c_of(&chunk, 64), 0x25464287);
	CHECK_EQ(crc32c_of(&intents, 16), 0x8bddac29);
	inode_image_seal(&inode);
	CHECK_EQ(le32_get(inode.crc), 0x99809247);
}

static void format_of_mkfs_is_as_documented(void)
{
	static const uint8_t magic[8] = "PMFSFS21";
	const struct mkfs_params params = { .label = "golden", .uuid = { 1, 2, 3 }, .root_uid = 7, .root_gid = 8 };
	const uint64_t n_blocks = 16384, data = 512;
	const struct pmfs2_state *state;
	const uint64_t *bitmap;
	const char *why = "";
	struct pmfs2_super sb;
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(n_blocks << PMFS2_BLOCK_SHIFT, &pm), 0);
	CHECK_EQ(mkfs_format(pm, &params, &sb), 0);
	CHECK(!memcmp(pm->base, magic, 8));
	CHECK(!memcmp(pm->base + 56, "golden", 7));
	CHECK(!memcmp(pm->base, pm->base + ((n_blocks - 1) << PMFS2_BLOCK_SHIFT), PMFS2_BLOCK_SIZE));
	CHECK_EQ(super_verify(&sb, n_blocks, &why), 0);
	CHECK_EQ(le64_get(sb.data_block), data);
	state = pmem_at(pm, PMFS2_BLOCK_SIZE);
	CHECK(le64_get(state->itable_root) == 0xec78050000000200);
	CHECK_EQ(le64_get(state->horizon[0].free_blocks), n_blocks - 1 - data - PMFS2_CHUNK_BLOCKS);
	bitmap = pmem_at(pm, le64_get(sb.segments[0].bitmap_block) << PMFS2_BLOCK_SHIFT);
	for (uint64_t b = 0; b < n_blocks; b++)
		CHECK_EQ(le64toh(bitmap[b / 64]) >> (b % 64) & 1, b < data + PMFS2_CHUNK_BLOCKS || b == n_blocks - 1);
	pmem_close(pm);
}

/* Every single damaged byte of a superblock is found. */
static void format_super_with_any_damaged_byte_is_refused(void)
{
	const struct mkfs_params params = { 0 };
	struct pmfs2_super sb, bad;
	const char *why = "";
	struct pmem *pm;

	CHECK_EQ(pmem_open_anon(64ull << 20, &pm), 0);
	CHECK_EQ(mkfs_format(pm, &params, &sb), 0);
	for (size_t i = 0; i < sizeof(sb); i++) {
		memcpy(&bad, &sb, sizeof(bad));
		((uint8_t *)&bad)[i] ^= 0x10;
		CHECK(super_verify(&bad, 16384, &why) < 0);
	}
	pmem_close(pm);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(format_document_tables_agree_with_structs),
		TAP_CASE(format_document_constants_agree_with_header),
		TAP_CASE(format_map_entries_are_golden),
		TAP_CASE(format_name_hashes_are_golden),
		TAP_CASE(format_directory_bytes_are_golden),
		TAP_CASE(format_journal_bytes_are_golden),
		TAP_CASE(format_sealed_heads_are_golden),
		TAP_CASE(format_of_mkfs_is_as_documented),
		TAP_CASE(format_super_with_any_damaged_byte_is_refused),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
