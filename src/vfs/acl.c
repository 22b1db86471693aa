/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX ACL blobs: check, compare with a mode, change (see acl.h). */
#include "vfs/acl.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define ACL_VERSION 2u
#define ACL_N_ENTRIES_MAX ((65536u - ACL_HEADER_LEN) / ACL_ENTRY_LEN)

enum acl_tag {
	ACL_TAG_USER_OBJ = 0x01,
	ACL_TAG_USER = 0x02,
	ACL_TAG_GROUP_OBJ = 0x04,
	ACL_TAG_GROUP = 0x08,
	ACL_TAG_MASK = 0x10,
	ACL_TAG_OTHER = 0x20,
};

static uint16_t acl_get16(const uint8_t *at)
{
	uint16_t raw;

	memcpy(&raw, at, sizeof(raw));
	return le16toh(raw);
}

static uint8_t *acl_entry(const struct acl *acl, uint32_t i)
{
	return acl->blob + ACL_HEADER_LEN + (size_t)i * ACL_ENTRY_LEN;
}

static uint16_t acl_tag(const struct acl *acl, uint32_t i)
{
	return acl_get16(acl_entry(acl, i));
}

static uint16_t acl_perm(const struct acl *acl, uint32_t i)
{
	return acl_get16(acl_entry(acl, i) + 2);
}

static void acl_set_perm(struct acl *acl, uint32_t i, uint32_t perm)
{
	uint16_t raw = htole16((uint16_t)(perm & 7));

	memcpy(acl_entry(acl, i) + 2, &raw, sizeof(raw));
}

size_t acl_blob_len(const struct acl *acl)
{
	return acl->n_entries ? ACL_HEADER_LEN + (size_t)acl->n_entries * ACL_ENTRY_LEN : 0;
}

/* Index of the first entry with the tag, or n_entries. */
static uint32_t acl_find(const struct acl *acl, uint16_t tag)
{
	uint32_t i;

	for (i = 0; i < acl->n_entries; i++)
		if (acl_tag(acl, i) == tag)
			break;
	return i;
}

/* The entry that the group bits of the mode stand for: the mask, or the owning group where there is none. */
static uint32_t acl_find_group_class(const struct acl *acl)
{
	uint32_t mask = acl_find(acl, ACL_TAG_MASK);

	return mask < acl->n_entries ? mask : acl_find(acl, ACL_TAG_GROUP_OBJ);
}

/* The tags' values rise in the order that entries must have; only named users and groups may repeat. */
static int acl_check_entries(const struct acl *acl)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < acl->n_entries; i++) {
		uint16_t tag = acl_tag(acl, i);

		if (!tag || tag > ACL_TAG_OTHER || (tag & (tag - 1)))
			return -EINVAL;
		if (acl_perm(acl, i) & ~7u)
			return -EINVAL;
		if (seen >= tag && !((tag == ACL_TAG_USER || tag == ACL_TAG_GROUP) && seen < 2u * tag))
			return -EINVAL;
		seen |= tag;
	}
	if (!(seen & ACL_TAG_USER_OBJ) || !(seen & ACL_TAG_GROUP_OBJ) || !(seen & ACL_TAG_OTHER))
		return -EINVAL;
	if ((seen & (ACL_TAG_USER | ACL_TAG_GROUP)) && !(seen & ACL_TAG_MASK))
		return -EINVAL;
	return 0;
}

int acl_parse(void *blob, size_t len, struct acl *out_acl)
{
	struct acl acl = { .blob = blob };
	uint32_t version;
	int err;

	if (len) {
		if (len < ACL_HEADER_LEN || (len - ACL_HEADER_LEN) % ACL_ENTRY_LEN)
			return -EINVAL;
		memcpy(&version, blob, sizeof(version));
		if (le32toh(version) != ACL_VERSION)
			return -EOPNOTSUPP;
		if ((len - ACL_HEADER_LEN) / ACL_ENTRY_LEN > ACL_N_ENTRIES_MAX)
			return -EINVAL;
		acl.n_entries = (uint32_t)((len - ACL_HEADER_LEN) / ACL_ENTRY_LEN);
	}
	if (acl.n_entries) {
		err = acl_check_entries(&acl);
		if (err)
			return err;
	}
	*out_acl = acl;
	return 0;
}

uint32_t acl_mode(const struct acl *acl)
{
	return (uint32_t)acl_perm(acl, acl_find(acl, ACL_TAG_USER_OBJ)) << 6 |
	       (uint32_t)acl_perm(acl, acl_find_group_class(acl)) << 3 | acl_perm(acl, acl_find(acl, ACL_TAG_OTHER));
}

int acl_is_equivalent(const struct acl *acl)
{
	return acl->n_entries == 3;
}

void acl_chmod(struct acl *acl, uint32_t mode)
{
	acl_set_perm(acl, acl_find(acl, ACL_TAG_USER_OBJ), mode >> 6);
	acl_set_perm(acl, acl_find_group_class(acl), mode >> 3);
	acl_set_perm(acl, acl_find(acl, ACL_TAG_OTHER), mode);
}

uint32_t acl_inherit(struct acl *acl, uint32_t mode)
{
	uint32_t granted = acl_mode(acl) & mode;

	acl_chmod(acl, granted);
	return (mode & ~0777u) | granted;
}
