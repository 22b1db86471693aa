// SPDX-License-Identifier: GPL-2.0-only
/* Extended attributes and ACLs. ACLs are cached by the VFS; which mode goes with one is the server's to say. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/posix_acl_xattr.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#include "zuf.h"

/* As getxattr(2): size 0 asks for the length. buf may be NULL then. */
static int xattr_get(struct inode *inode, const char *name, void *buf, size_t size)
{
	struct zuf_call call;
	int err;

	if (strlen(name) > ZUF_NAME_BYTES_MAX)
		return -ERANGE;
	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_GETXATTR, zuf_i(inode)->node);
	if (err)
		return err;
	zuf_call_name(&call, name, strlen(name));
	call.in->len = min_t(size_t, size, ZUF_OUT_LEN);
	err = zuf_call_send(&call);
	if (!err && call.out.value > XATTR_SIZE_MAX)
		err = -EIO;
	if (!err)
		err = call.out.value;
	if (err > 0 && size) {
		if (err > size)
			err = -ERANGE;
		else
			memcpy(buf, zuf_call_out(&call), err);
	}
	zuf_call_end(&call);
	return err;
}

/*
 * A change that must not be made twice was refused the second time: by the change itself? The inode is locked, so nobody else
 * has changed it since we began; a change moves its ctime on.
 */
static bool xattr_was_changed(struct inode *inode, const struct timespec64 *since)
{
	struct timespec64 ctime;
	struct zuf_reply out;

	if (zuf_call_simple(zuf_sb_of(inode->i_sb), ZUF_OP_GETATTR, zuf_i(inode)->node, &out) || !out.has_attr)
		return false;
	zuf_attr_apply(inode, &out.attr);
	ctime = inode_get_ctime(inode);
	return timespec64_compare(&ctime, since) >= 0;
}

static int xattr_set(struct inode *inode, const char *name, const void *value, size_t size, u32 flags)
{
	enum zuf_op op = value ? ZUF_OP_SETXATTR : ZUF_OP_REMOVEXATTR;
	struct timespec64 since = zuf_server_time(inode);
	struct zuf_call call;
	int err;

	if (strlen(name) > ZUF_NAME_BYTES_MAX)
		return -ERANGE;
	mutex_lock(&zuf_i(inode)->alloc_lock);
	err = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), op, zuf_i(inode)->node);
	if (err)
		goto unlock;
	zuf_call_name(&call, name, strlen(name));
	call.in->flags = flags;
	if (value) {
		call.in->len = size;
		err = zuf_call_data(&call, value, size);
	}
	if (!err)
		err = zuf_call_send(&call);
	if (!err && call.out.has_attr)
		zuf_attr_apply(inode, &call.out.attr);
	zuf_call_end(&call);
	if (call.retried && ((err == -EEXIST && (flags & XATTR_CREATE)) || (err == -ENODATA && !value)) &&
	    xattr_was_changed(inode, &since))
		err = 0;
unlock:
	mutex_unlock(&zuf_i(inode)->alloc_lock);
	return err;
}

/* Labels of a new file; a file system without xattrs has them in memory only. */
static int xattrs_init(struct inode *inode, const struct xattr *xattrs, void *unused)
{
	const struct xattr *x;
	char name[XATTR_NAME_MAX + 1];
	int err = 0;

	for (x = xattrs; x->name && !err; x++) {
		if (snprintf(name, sizeof(name), XATTR_SECURITY_PREFIX "%s", x->name) >= sizeof(name))
			return -ERANGE;
		err = xattr_set(inode, name, x->value, x->value_len, 0);
	}
	return err == -EOPNOTSUPP ? 0 : err;
}

int zuf_init_security(struct inode *inode, struct inode *dir, const struct qstr *name)
{
	return security_inode_init_security(inode, dir, name, xattrs_init, NULL);
}

ssize_t zuf_listxattr(struct dentry *dentry, char *buf, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct zuf_call call;
	ssize_t res;

	res = zuf_call_begin(&call, zuf_sb_of(inode->i_sb), ZUF_OP_LISTXATTR, zuf_i(inode)->node);
	if (res)
		return res;
	call.in->len = min_t(size_t, size, ZUF_OUT_LEN);
	if (!capable(CAP_SYS_ADMIN))
		call.in->flags = ZUF_XATTR_HIDE_TRUSTED;
	res = zuf_call_send(&call);
	if (!res && call.out.value > XATTR_LIST_MAX)
		res = -EIO;
	if (!res)
		res = call.out.value;
	if (res > 0 && size) {
		if (res > size)
			res = -ERANGE;
		else
			memcpy(buf, zuf_call_out(&call), res);
	}
	zuf_call_end(&call);
	return res;
}

static int handler_get(const struct xattr_handler *handler, struct dentry *unused, struct inode *inode, const char *name,
		       void *buf, size_t size)
{
	return xattr_get(inode, xattr_full_name(handler, name), buf, size);
}

static int handler_set(const struct xattr_handler *handler, struct mnt_idmap *idmap, struct dentry *unused, struct inode *inode,
		       const char *name, const void *value, size_t size, int flags)
{
	return xattr_set(inode, xattr_full_name(handler, name), value, size, flags);
}

#define ZUF_XATTR_SPACE(space)                                                                                                   \
	static const struct xattr_handler space##_handler = {                                                                    \
		.prefix = #space ".",                                                                                            \
		.get = handler_get,                                                                                              \
		.set = handler_set,                                                                                              \
	}
ZUF_XATTR_SPACE(user);
ZUF_XATTR_SPACE(trusted);
ZUF_XATTR_SPACE(security);

const struct xattr_handler *zuf_xattr_handlers[] = {
#if ZUF_BEFORE(6, 2)
	&posix_acl_access_xattr_handler,
	&posix_acl_default_xattr_handler,
#endif
	&user_handler,
	&trusted_handler,
	&security_handler,
	NULL,
};

/* --- ACLs ------------------------------------------------------------------------------------- */

static const char *acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS : XATTR_NAME_POSIX_ACL_DEFAULT;
}

struct posix_acl *zuf_get_acl(struct inode *inode, int type, bool rcu)
{
	struct posix_acl *acl = NULL;
	void *buf = NULL;
	int len;

	if (rcu)
		return ERR_PTR(-ECHILD);
	if (!(zuf_sb_of(inode->i_sb)->info.flags & ZUF_INFO_XATTR))
		return NULL;
	len = xattr_get(inode, acl_name(type), NULL, 0);
	if (len > 0) {
		buf = kvmalloc(len, GFP_KERNEL);
		len = buf ? xattr_get(inode, acl_name(type), buf, len) : -ENOMEM;
	}
	if (len > 0)
		acl = posix_acl_from_xattr(&init_user_ns, buf, len);
	else if (len != 0 && len != -ENODATA && len != -EOPNOTSUPP)
		acl = ERR_PTR(len);
	kvfree(buf);
	return acl;
}

#if ZUF_BEFORE(7, 0)
static void *acl_to_blob(const struct posix_acl *acl, size_t *len)
{
	void *buf;

	*len = posix_acl_xattr_size(acl->a_count);
	buf = kmalloc(*len, GFP_KERNEL);
	if (buf && posix_acl_to_xattr(&init_user_ns, acl, buf, *len) < 0) {
		kfree(buf);
		buf = NULL;
	}
	return buf;
}
#else
static void *acl_to_blob(const struct posix_acl *acl, size_t *len)
{
	return posix_acl_to_xattr(&init_user_ns, acl, len, GFP_KERNEL);
}
#endif

static int acl_set(struct inode *inode, struct posix_acl *acl, int type)
{
	u32 flags = 0;
	void *buf = NULL;
	size_t len = 0;
	int err;

	if (type == ACL_TYPE_DEFAULT && !S_ISDIR(inode->i_mode))
		return acl ? -EACCES : 0;
	if (acl) {
		buf = acl_to_blob(acl, &len);
		if (!buf)
			return -ENOMEM;
		if (!in_group_p(inode->i_gid) && !capable_wrt_inode_uidgid(zuf_nop_idmap, inode, CAP_FSETID))
			flags = ZUF_XATTR_KILL_SGID;
	}
	err = xattr_set(inode, acl_name(type), buf, len, flags);
	kfree(buf);
	if (err == -ENODATA && !acl)
		err = 0;
	/* One that says no more than a mode is kept as one: asked for again rather than guessed, as is what an error has left. */
	if (err || type == ACL_TYPE_ACCESS || !acl)
		forget_cached_acl(inode, type);
	else
		set_cached_acl(inode, type, acl);
	return err;
}

#if ZUF_BEFORE(6, 2)
int zuf_set_acl(struct user_namespace *ns, struct inode *inode, struct posix_acl *acl, int type)
{
	return acl_set(inode, acl, type);
}
#else
int zuf_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	return acl_set(d_inode(dentry), acl, type);
}
#endif
