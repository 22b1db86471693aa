/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking requests from an input, with lengths made right where it asks for that. */
#include "request.h"

#include "base/util.h"

/* By asking the decoder: what it splits off of a message that is long enough. */
uint32_t request_fixed_len(uint32_t opcode, const struct fuse_dialect *dialect)
{
	struct {
		struct fuse_in_header header;
		uint8_t body[512];
	} msg = { .header = { .len = sizeof(msg), .opcode = opcode } };
	struct fuse_pieces pieces;

	return fuse_split(&msg, sizeof(msg), dialect, &pieces) ? 0 : pieces.fixed_len;
}

static void put32(struct request *req, size_t off, uint32_t value)
{
	if (off + sizeof(value) <= req->body_len)
		memcpy(req->body + off, &value, sizeof(value));
}

/* Length of the string at off, with its NUL. */
static uint32_t string_len(const struct request *req, uint32_t off)
{
	const uint8_t *nul = off < req->body_len ? memchr(req->body + off, 0, req->body_len - off) : NULL;

	return nul ? (uint32_t)(nul - req->body) - off + 1 : 0;
}

static void announced_fix(struct request *req)
{
	uint32_t var_len = req->body_len > req->fixed_len ? req->body_len - req->fixed_len : 0;

	switch (req->head.opcode) {
	case FUSE_WRITE:
		put32(req, offsetof(struct fuse_write_in, size), var_len);
		break;
	case FUSE_SETXATTR:
		put32(req, offsetof(struct fuse_setxattr_in, size), var_len - string_len(req, req->fixed_len));
		break;
	case FUSE_IOCTL:
		put32(req, offsetof(struct fuse_ioctl_in, in_size), var_len);
		break;
	case FUSE_BATCH_FORGET:
		put32(req, offsetof(struct fuse_batch_forget_in, count), var_len / (uint32_t)sizeof(struct fuse_forget_one));
		break;
	default:
		break;
	}
}

void request_take(struct input *in, const struct fuse_dialect *dialect, struct request *out)
{
	memset(out, 0, offsetof(struct request, body));
	input_take(in, &out->head, sizeof(out->head));
	out->body_len = (uint32_t)u64_min(u64_min(out->head.body_len, REQUEST_BODY_MAX), in->left);
	input_take(in, out->body, out->body_len);
	if (out->head.flags & REQUEST_REPEAT && out->body_len) {
		memset(out->body + out->body_len, out->body[out->body_len - 1], REQUEST_BODY_MAX - out->body_len);
		out->body_len = REQUEST_BODY_MAX;
	}
	out->fixed_len = request_fixed_len(out->head.opcode, dialect);
	out->header = (struct fuse_in_header){
		.opcode = out->head.opcode,
		.unique = 2,
		.uid = out->head.uid,
		.gid = out->head.uid,
		.len = (uint32_t)sizeof(out->header) + (out->head.flags & REQUEST_FIX ? out->body_len : out->head.body_len),
	};
	if (out->head.flags & REQUEST_FIX)
		announced_fix(out);
}
