/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding by table: for each operation the length of its fixed part and the form of its variable part (see fuse_decode.h).
 *
 * The kernel is trusted more than media are, but a request's contents come from programs and, with exported mounts, from other
 * machines. A request that fails a check is answered with an error; it never reaches the plug-in.
 */
#include "transport/fuse/fuse_decode.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "base/util.h"
#include "vfs/vfs.h"

enum var_form {
	VAR_NONE,
	VAR_NAME, /* one entry's name */
	VAR_NAME_DOTS, /* LOOKUP: "." and ".." too */
	VAR_NAME_ANY, /* a name that nobody uses (TMPFILE) */
	VAR_TWO_NAMES, /* RENAME */
	VAR_NAME_TARGET, /* SYMLINK */
	VAR_XATTR, /* an xattr's name */
	VAR_XATTR_VALUE, /* SETXATTR */
	VAR_WRITE,
	VAR_IOCTL,
	VAR_FORGETS,
	VAR_ANY, /* checked by the operation */
};

struct op_form {
	uint8_t known;
	uint8_t silent;
	uint16_t fixed_len;
	uint16_t var;
};

#define OP(fixed, form) { .known = 1, .fixed_len = (fixed), .var = (form) }
#define OP_SILENT(fixed, form) { .known = 1, .silent = 1, .fixed_len = (fixed), .var = (form) }
#define FUSEX_N_OPS 64u

static const struct op_form op_forms[FUSEX_N_OPS] = {
	[FUSE_LOOKUP] = OP(0, VAR_NAME_DOTS),
	[FUSE_FORGET] = OP_SILENT(sizeof(struct fuse_forget_in), VAR_NONE),
	[FUSE_GETATTR] = OP(sizeof(struct fuse_getattr_in), VAR_NONE),
	[FUSE_SETATTR] = OP(sizeof(struct fuse_setattr_in), VAR_NONE),
	[FUSE_READLINK] = OP(0, VAR_NONE),
	[FUSE_SYMLINK] = OP(0, VAR_NAME_TARGET),
	[FUSE_MKNOD] = OP(sizeof(struct fuse_mknod_in), VAR_NAME),
	[FUSE_MKDIR] = OP(sizeof(struct fuse_mkdir_in), VAR_NAME),
	[FUSE_UNLINK] = OP(0, VAR_NAME),
	[FUSE_RMDIR] = OP(0, VAR_NAME),
	[FUSE_RENAME] = OP(sizeof(struct fuse_rename_in), VAR_TWO_NAMES),
	[FUSE_LINK] = OP(sizeof(struct fuse_link_in), VAR_NAME),
	[FUSE_OPEN] = OP(sizeof(struct fuse_open_in), VAR_NONE),
	[FUSE_READ] = OP(sizeof(struct fuse_read_in), VAR_NONE),
	[FUSE_WRITE] = OP(sizeof(struct fuse_write_in), VAR_WRITE),
	[FUSE_STATFS] = OP(0, VAR_NONE),
	[FUSE_RELEASE] = OP(sizeof(struct fuse_release_in), VAR_NONE),
	[FUSE_FSYNC] = OP(sizeof(struct fuse_fsync_in), VAR_NONE),
	[FUSE_SETXATTR] = OP(sizeof(struct fuse_setxattr_in), VAR_XATTR_VALUE),
	[FUSE_GETXATTR] = OP(sizeof(struct fuse_getxattr_in), VAR_XATTR),
	[FUSE_LISTXATTR] = OP(sizeof(struct fuse_getxattr_in), VAR_NONE),
	[FUSE_REMOVEXATTR] = OP(0, VAR_XATTR),
	[FUSE_FLUSH] = OP(sizeof(struct fuse_flush_in), VAR_NONE),
	[FUSE_INIT] = OP(0, VAR_ANY),
	[FUSE_OPENDIR] = OP(sizeof(struct fuse_open_in), VAR_NONE),
	[FUSE_READDIR] = OP(sizeof(struct fuse_read_in), VAR_NONE),
	[FUSE_RELEASEDIR] = OP(sizeof(struct fuse_release_in), VAR_NONE),
	[FUSE_FSYNCDIR] = OP(sizeof(struct fuse_fsync_in), VAR_NONE),
	[FUSE_CREATE] = OP(sizeof(struct fuse_create_in), VAR_NAME),
	[FUSE_INTERRUPT] = OP_SILENT(sizeof(struct fuse_interrupt_in), VAR_NONE),
	[FUSE_DESTROY] = OP(0, VAR_NONE),
	[FUSE_IOCTL] = OP(sizeof(struct fuse_ioctl_in), VAR_IOCTL),
	[FUSE_BATCH_FORGET] = OP_SILENT(sizeof(struct fuse_batch_forget_in), VAR_FORGETS),
	[FUSE_FALLOCATE] = OP(sizeof(struct fuse_fallocate_in), VAR_NONE),
	[FUSE_READDIRPLUS] = OP(sizeof(struct fuse_read_in), VAR_NONE),
	[FUSE_RENAME2] = OP(sizeof(struct fuse_rename2_in), VAR_TWO_NAMES),
	[FUSE_LSEEK] = OP(sizeof(struct fuse_lseek_in), VAR_NONE),
	[FUSE_COPY_FILE_RANGE] = OP(sizeof(struct fuse_copy_file_range_in), VAR_NONE),
	[FUSE_SYNCFS] = OP(sizeof(struct fuse_syncfs_in), VAR_NONE),
	[FUSE_TMPFILE] = OP(sizeof(struct fuse_create_in), VAR_NAME_ANY),
	[FUSEX_STATX] = OP(sizeof(struct fusex_statx_in), VAR_NONE),
	[FUSEX_COPY_FILE_RANGE_64] = OP(sizeof(struct fuse_copy_file_range_in), VAR_NONE),
};

static const struct op_form *op_form(uint32_t opcode)
{
	return opcode < FUSEX_N_OPS && op_forms[opcode].known ? &op_forms[opcode] : NULL;
}

static uint32_t op_fixed_len(uint32_t opcode, const struct op_form *form, const struct fuse_dialect *dialect)
{
	if (opcode == FUSE_SETXATTR && !dialect->setxattr_ext)
		return FUSE_COMPAT_SETXATTR_IN_SIZE;
	return form->fixed_len;
}

int fuse_op_is_silent(uint32_t opcode)
{
	const struct op_form *form = op_form(opcode);

	return form && form->silent;
}

int fuse_split(const void *msg, size_t len, const struct fuse_dialect *dialect, struct fuse_pieces *out_pieces)
{
	const struct fuse_in_header *header = msg;
	const struct op_form *form;
	uint32_t body, fixed;

	if (len < sizeof(*header) || header->len != len)
		return -EPROTO;
	form = op_form(header->opcode);
	body = (uint32_t)(len - sizeof(*header));
	fixed = form ? op_fixed_len(header->opcode, form, dialect) : 0;
	if (fixed > body)
		fixed = body;
	out_pieces->header = header;
	out_pieces->fixed = header + 1;
	out_pieces->fixed_len = fixed;
	out_pieces->var = (const uint8_t *)(header + 1) + fixed;
	out_pieces->var_len = body - fixed;
	return 0;
}

/* What is left of the variable part. */
struct cursor {
	const char *at;
	uint32_t left;
};

/* Takes a string and its NUL. */
static int take_string(struct cursor *cur, struct zus_name *out_str)
{
	const char *nul = cur->left ? memchr(cur->at, '\0', cur->left) : NULL;

	if (!nul)
		return -EINVAL;
	out_str->str = cur->at;
	out_str->len = (uint32_t)(nul - cur->at);
	cur->left -= out_str->len + 1;
	cur->at = nul + 1;
	return 0;
}

static int is_dots(struct zus_name name)
{
	return name.str[0] == '.' && (name.len == 1 || (name.len == 2 && name.str[1] == '.'));
}

static int take_name(struct cursor *cur, int dots_ok, struct zus_name *out_name)
{
	int err = take_string(cur, out_name);

	if (err)
		return err;
	if (!out_name->len)
		return -ENOENT;
	if (out_name->len > ZUS_NAME_MAX)
		return -ENAMETOOLONG;
	if (dots_ok && is_dots(*out_name))
		return 0;
	return vfs_name_ok(*out_name) ? 0 : -EINVAL;
}

static int take_xattr_name(struct cursor *cur, struct zus_name *out_name)
{
	int err = take_string(cur, out_name);

	if (err)
		return err;
	return out_name->len && out_name->len <= ZUS_NAME_MAX ? 0 : -ERANGE;
}

static int take_target(struct cursor *cur, struct zus_name *out_target)
{
	int err = take_string(cur, out_target);

	if (err)
		return err;
	if (!out_target->len)
		return -ENOENT;
	return out_target->len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Takes the rest as data; announced: what the fixed part says there is. */
static int take_data(struct cursor *cur, uint64_t announced, struct fuse_request *req)
{
	if (announced != cur->left)
		return -EINVAL;
	req->data = cur->at;
	req->data_len = cur->left;
	cur->left = 0;
	return 0;
}

static int take_forgets(struct cursor *cur, struct fuse_request *req)
{
	const struct fuse_batch_forget_in *in = req->arg;

	req->count = in->count;
	return take_data(cur, (uint64_t)in->count * sizeof(struct fuse_forget_one), req);
}

static int decode_var(enum var_form form, struct cursor *cur, struct fuse_request *req)
{
	int err;

	switch (form) {
	case VAR_NONE:
		return 0;
	case VAR_NAME:
	case VAR_NAME_DOTS:
		return take_name(cur, form == VAR_NAME_DOTS, &req->name);
	case VAR_NAME_ANY:
		cur->left = 0;
		return 0;
	case VAR_TWO_NAMES:
		err = take_name(cur, 0, &req->name);
		return err ? err : take_name(cur, 0, &req->name2);
	case VAR_NAME_TARGET:
		err = take_name(cur, 0, &req->name);
		return err ? err : take_target(cur, &req->name2);
	case VAR_XATTR:
		return take_xattr_name(cur, &req->name);
	case VAR_XATTR_VALUE:
		err = take_xattr_name(cur, &req->name);
		return err ? err : take_data(cur, ((const struct fuse_setxattr_in *)req->arg)->size, req);
	case VAR_WRITE:
		return take_data(cur, ((const struct fuse_write_in *)req->arg)->size, req);
	case VAR_IOCTL:
		return take_data(cur, ((const struct fuse_ioctl_in *)req->arg)->in_size, req);
	case VAR_FORGETS:
		return take_forgets(cur, req);
	case VAR_ANY:
		return take_data(cur, cur->left, req);
	}
	return -EINVAL;
}

/* [off, off + len) lies below 2^63. */
static int range_check(uint64_t off, uint64_t len)
{
	return off <= INT64_MAX && len <= INT64_MAX - off ? 0 : -EINVAL;
}

/* Offsets and sizes in fixed parts. */
static int decode_ranges(const struct fuse_request *req)
{
	const struct fuse_copy_file_range_in *copy;
	const struct fuse_fallocate_in *falloc;
	const struct fuse_setattr_in *setattr;
	const struct fuse_write_in *write;
	const struct fuse_read_in *read;
	int err;

	switch (req->opcode) {
	case FUSE_READ:
		read = req->arg;
		return range_check(read->offset, read->size);
	case FUSE_WRITE:
		write = req->arg;
		return range_check(write->offset, write->size);
	case FUSE_FALLOCATE:
		falloc = req->arg;
		return falloc->length ? range_check(falloc->offset, falloc->length) : -EINVAL;
	case FUSE_SETATTR:
		setattr = req->arg;
		return (setattr->valid & FATTR_SIZE) && setattr->size > INT64_MAX ? -EFBIG : 0;
	case FUSE_COPY_FILE_RANGE:
	case FUSEX_COPY_FILE_RANGE_64:
		copy = req->arg;
		err = range_check(copy->off_in, copy->len);
		return err ? err : range_check(copy->off_out, copy->len);
	default:
		return 0;
	}
}

int fuse_decode(const struct fuse_pieces *pieces, const struct fuse_dialect *dialect, struct fuse_request *out_req)
{
	const struct fuse_in_header *header = pieces->header;
	struct cursor cur = { .at = pieces->var, .left = pieces->var_len };
	const struct op_form *form = op_form(header->opcode);
	int err;

	*out_req = (struct fuse_request){
		.opcode = header->opcode,
		.uid = header->uid,
		.gid = header->gid,
		.pid = header->pid,
		.unique = header->unique,
		.node = header->nodeid,
		.arg = pieces->fixed,
	};
	if (!form)
		return -ENOSYS;
	if (pieces->fixed_len != op_fixed_len(header->opcode, form, dialect))
		return -EINVAL;
	err = decode_var(form->var, &cur, out_req);
	return err ? err : decode_ranges(out_req);
}
