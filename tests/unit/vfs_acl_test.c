/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX ACL blobs: what is refused, what a mode and an ACL make of each other, what a new inode inherits; and the cache of what
 * directories hand down.
 */
#include <endian.h>
#include <sys/stat.h>

#include "base/util.h"
#include "lib/tap.h"
#include "vfs/acl.h"
#include "vfs/dir_cache.h"

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct entry {
	uint16_t tag;
	uint16_t perm;
	uint32_t id;
};

/* Writes a blob, returns its length. */
static size_t blob_make(uint8_t *to, uint32_t version, const struct entry *entries, size_t n)
{
	uint32_t v = htole32(version);

	memcpy(to, &v, 4);
	for (size_t i = 0; i < n; i++) {
		uint16_t tag = htole16(entries[i].tag), perm = htole16(entries[i].perm);
		uint32_t id = htole32(entries[i].id);

		memcpy(to + 4 + i * 8, &tag, 2);
		memcpy(to + 6 + i * 8, &perm, 2);
		memcpy(to + 8 + i * 8, &id, 4);
	}
	return 4 + n * 8;
}

/* Parses entries from memory that ends where the blob ends. */
static int parse(const struct entry *entries, size_t n, struct acl *out_acl)
{
	static uint8_t *exact;
	uint8_t buf[1024];
	size_t len = blob_make(buf, 2, entries, n);

	free(exact);
	exact = malloc(len);
	memcpy(exact, buf, len);
	return acl_parse(exact, len, out_acl);
}
#define PARSE(acl, ...) parse((const struct entry[]){ __VA_ARGS__ }, ARRAY_SIZE(((const struct entry[]){ __VA_ARGS__ })), acl)

static void acl_parse_valid_forms_are_taken(void)
{
	struct acl acl;

	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), 0);
	CHECK_EQ(acl.n_entries, 3);
	CHECK_EQ(acl_mode(&acl), 0754);
	CHECK(acl_is_equivalent(&acl));
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { USER, 4, 1 }, { USER, 6, 2 }, { GROUP_OBJ, 5, 0 }, { GROUP, 1, 9 },
		       { GROUP, 2, 8 }, { MASK, 6, 0 }, { OTHER, 0, 0 }),
		 0);
	CHECK_EQ(acl_mode(&acl), 0760);
	CHECK(!acl_is_equivalent(&acl));
	CHECK_EQ(acl_blob_len(&acl), 4 + 8 * 8);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { MASK, 1, 0 }, { OTHER, 4, 0 }), 0);
	CHECK_EQ(acl_mode(&acl), 0714);
	CHECK(!acl_is_equivalent(&acl));
}

static void acl_parse_empty_is_no_acl(void)
{
	uint8_t header[4];
	struct acl acl;

	CHECK_EQ(acl_parse(NULL, 0, &acl), 0);
	CHECK_EQ(acl.n_entries, 0);
	blob_make(header, 2, NULL, 0);
	CHECK_EQ(acl_parse(header, 4, &acl), 0);
	CHECK_EQ(acl.n_entries, 0);
	CHECK_EQ(acl_blob_len(&acl), 0);
}

static void acl_parse_malformed_is_refused(void)
{
	const struct entry good[] = { { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 } };
	uint8_t buf[64];
	struct acl acl;
	size_t len = blob_make(buf, 2, good, 3);

	for (size_t cut = 1; cut < len; cut++)
		CHECK(cut == 4 || acl_parse(buf, cut, &acl) == -EINVAL);
	blob_make(buf, 1, good, 3);
	CHECK_EQ(acl_parse(buf, len, &acl), -EOPNOTSUPP);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { GROUP_OBJ, 5, 0 }, { USER_OBJ, 7, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 8, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { USER, 4, 1 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { USER, 4, 1 }, { MASK, 7, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { MASK, 7, 0 }, { MASK, 7, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { 3, 7, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { 64, 7, 0 }, { OTHER, 4, 0 }), -EINVAL);
	CHECK_EQ(PARSE(&acl, { 0, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), -EINVAL);
}

static void acl_parse_random_bytes_stay_inside(void)
{
	uint64_t rng = tap_seed();
	struct acl acl;

	for (int i = 0; i < 200000; i++) {
		size_t len = tap_rand(&rng) % 80;
		uint8_t *blob = malloc(len + 1);

		for (size_t b = 0; b < len; b++)
			blob[b] = (uint8_t)(tap_rand(&rng) & 0x27);
		if (len >= 4)
			memcpy(blob, "\2\0\0\0", 4);
		if (acl_parse(blob, len, &acl) == 0 && acl.n_entries) {
			acl_chmod(&acl, 0640);
			CHECK_EQ(acl_mode(&acl), 0640);
		}
		free(blob);
	}
}

static void acl_chmod_changes_the_mask(void)
{
	struct acl acl;

	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { USER, 7, 1 }, { GROUP_OBJ, 5, 0 }, { MASK, 7, 0 }, { OTHER, 4, 0 }), 0);
	acl_chmod(&acl, 0621);
	CHECK_EQ(acl_mode(&acl), 0621);
	CHECK_EQ(acl.blob[4 + 8 + 2], 7); /* the named user stays */
	CHECK_EQ(acl.blob[4 + 16 + 2], 5); /* the owning group stays */
	CHECK_EQ(acl.blob[4 + 24 + 2], 2);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 4, 0 }), 0);
	acl_chmod(&acl, 0621);
	CHECK_EQ(acl.blob[4 + 8 + 2], 2); /* without a mask it is the owning group */
}

static void acl_inherit_takes_the_smaller_rights(void)
{
	struct acl acl;

	CHECK_EQ(PARSE(&acl, { USER_OBJ, 7, 0 }, { USER, 7, 1 }, { GROUP_OBJ, 5, 0 }, { MASK, 7, 0 }, { OTHER, 0, 0 }), 0);
	CHECK_EQ(acl_inherit(&acl, S_IFREG | 0666), S_IFREG | 0660);
	CHECK_EQ(acl_mode(&acl), 0660);
	CHECK_EQ(acl.blob[4 + 16 + 2], 5);
	CHECK_EQ(PARSE(&acl, { USER_OBJ, 6, 0 }, { GROUP_OBJ, 5, 0 }, { OTHER, 5, 0 }), 0);
	CHECK_EQ(acl_inherit(&acl, S_IFDIR | S_ISGID | 0777), S_IFDIR | S_ISGID | 0655);
	CHECK(acl_is_equivalent(&acl));
}

static struct dir_cache cache;

static void dir_cache_store_find_invalidate(void)
{
	struct dir_info info = { .gid = 7, .projid = 0xdeadbeef, .flags = 0x20000000, .bits = DIR_SGID }, got;
	uint64_t ticket, later;

	CHECK(!dir_cache_find(&cache, 42, &got, &ticket));
	dir_cache_store(&cache, 42, &info, ticket);
	CHECK(dir_cache_find(&cache, 42, &got, &later));
	CHECK(!memcmp(&got, &info, sizeof(info)));
	dir_cache_invalidate(&cache, 42);
	CHECK(!dir_cache_find(&cache, 42, &got, &later));
}

static void dir_cache_store_after_invalidate_is_dropped(void)
{
	struct dir_info info = { .gid = 7 }, got;
	uint64_t ticket, later;

	CHECK(!dir_cache_find(&cache, 42, &got, &ticket));
	dir_cache_invalidate(&cache, 42);
	dir_cache_store(&cache, 42, &info, ticket);
	CHECK(!dir_cache_find(&cache, 42, &got, &later));
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(acl_parse_valid_forms_are_taken),
		TAP_CASE(acl_parse_empty_is_no_acl),
		TAP_CASE(acl_parse_malformed_is_refused),
		TAP_CASE(acl_parse_random_bytes_stay_inside),
		TAP_CASE(acl_chmod_changes_the_mask),
		TAP_CASE(acl_inherit_takes_the_smaller_rights),
		TAP_CASE(dir_cache_store_find_invalidate),
		TAP_CASE(dir_cache_store_after_invalidate_is_dropped),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
