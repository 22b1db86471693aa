/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX ACLs in the form of the system.posix_acl_* xattrs, version 2: a 4-byte header and entries of 8 bytes, little-endian.
 *
 * A struct acl only refers to its blob; every function that changes permissions changes the blob in place. Nothing outside
 * [blob, blob + acl_blob_len) is touched, whatever the blob holds.
 */
#ifndef VFS_ACL_H
#define VFS_ACL_H

#include <stddef.h>
#include <stdint.h>

#define ACL_XATTR_ACCESS "system.posix_acl_access"
#define ACL_XATTR_DEFAULT "system.posix_acl_default"
#define ACL_HEADER_LEN 4u
#define ACL_ENTRY_LEN 8u

struct acl {
	uint8_t *blob;
	uint32_t n_entries; /* 0: no ACL */
};

/*
 * Checks len bytes at blob: version, whole entries, known tags in their order, each of USER_OBJ, GROUP_OBJ and OTHER once, MASK
 * at most once and present if there are named entries, permissions within rwx. A blob of a header alone, or len 0, is "no ACL".
 * -EOPNOTSUPP: another version. -EINVAL: malformed.
 */
int acl_parse(void *blob, size_t len, struct acl *out_acl);
size_t acl_blob_len(const struct acl *acl);

/* The nine permission bits that the ACL stands for. */
uint32_t acl_mode(const struct acl *acl);
/* True (1) if those bits say everything: no named entries, no mask. */
int acl_is_equivalent(const struct acl *acl);
/* chmod: writes the permission bits of mode into owner, mask (or group) and other. */
void acl_chmod(struct acl *acl, uint32_t mode);
/*
 * A new inode under a default ACL: acl is a copy of it and becomes the access ACL. Takes from acl what mode does not ask for;
 * returns mode without the bits that acl does not grant.
 */
uint32_t acl_inherit(struct acl *acl, uint32_t mode);

#endif
