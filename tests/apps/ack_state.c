/* SPDX-License-Identifier: BSD-3-Clause */
/* See ack_state.h: choosing operations and what they make of the state. */
#include "ack_state.h"

#include <string.h>

static const char *const op_names[ACK_N_OPS] = {
	"create", "write", "truncate", "unlink", "rename", "mkdir", "rmdir", "symlink", "link", "chmod", "setxattr",
};

const char *ack_op_name(uint32_t kind)
{
	return kind < ACK_N_OPS ? op_names[kind] : "?";
}

void ack_fill(uint8_t *buf, uint32_t len, uint32_t stamp, uint32_t off)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((stamp * 2654435761u >> 8) + (off + i) * 31 + ((off + i) >> 8) * 7 + 1);
}

void ack_state_init(struct ack_state *s)
{
	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < ACK_SLOTS; i++)
		s->slots[i] = -1;
}

static const struct ack_inode *inode_at(const struct ack_state *s, uint32_t slot)
{
	return s->slots[slot] < 0 ? NULL : &s->inodes[s->slots[slot]];
}

static enum ack_kind kind_at(const struct ack_state *s, uint32_t slot)
{
	const struct ack_inode *in = inode_at(s, slot);

	return in ? in->kind : ACK_NONE;
}

static uint64_t mix(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * 0x2545f4914f6cdd1dull >> 16;
}

/* A write or another change of the file that stands under slot a. */
static void pick_on_file(struct ack_op *op, const struct ack_inode *in, uint64_t *rand)
{
	static const uint32_t lens[] = { 1, 100, 4096, 4096, 5000, 16384 };

	switch (mix(rand) % 8) {
	case 0: op->kind = ACK_OP_TRUNCATE; op->len = (uint32_t)(mix(rand) % ACK_FILE_MAX); return;
	case 1: op->kind = ACK_OP_CHMOD; return;
	case 2: op->kind = ACK_OP_SETXATTR; return;
	case 3: op->kind = ACK_OP_UNLINK; return;
	default: break;
	}
	op->kind = ACK_OP_WRITE;
	op->len = lens[mix(rand) % 6];
	op->off = mix(rand) % 2 ? in->size : (uint32_t)(mix(rand) % ACK_FILE_MAX);
	if (mix(rand) % 3 == 0)
		op->off &= ~4095u;
	if (op->off >= ACK_FILE_MAX)
		op->off = 0;
	if (op->len > ACK_FILE_MAX - op->off)
		op->len = ACK_FILE_MAX - op->off;
}

static void pick_on_none(struct ack_op *op, uint64_t *rand)
{
	static const uint32_t kinds[] = { ACK_OP_CREATE, ACK_OP_CREATE, ACK_OP_CREATE, ACK_OP_MKDIR, ACK_OP_SYMLINK };

	op->kind = kinds[mix(rand) % 5];
}

/* Of two names: rename where it may succeed, link where the second is free. */
static int pick_on_two(struct ack_op *op, const struct ack_state *s, uint64_t *rand)
{
	enum ack_kind a = kind_at(s, op->a), b = kind_at(s, op->b);

	if (op->a == op->b || a == ACK_NONE)
		return 0;
	if (a != ACK_DIR && b == ACK_NONE && mix(rand) % 3 == 0) {
		op->kind = ACK_OP_LINK;
		return 1;
	}
	/* Two names of one inode: rename does nothing, which POSIX wants; it is among the cases. */
	if (b == ACK_NONE || (a == ACK_DIR) == (b == ACK_DIR)) {
		op->kind = ACK_OP_RENAME;
		return 1;
	}
	return 0;
}

struct ack_op ack_op_pick(const struct ack_state *s, uint64_t seed, uint32_t seq)
{
	uint64_t rand = seed | 1;
	struct ack_op op = { .seq = seq, .a = (uint32_t)(mix(&rand) % ACK_SLOTS), .b = (uint32_t)(mix(&rand) % ACK_SLOTS) };

	op.stamp = (uint32_t)(mix(&rand) % 0x7fffffff) + 1;
	if (mix(&rand) % 4 == 0 && pick_on_two(&op, s, &rand))
		return op;
	switch (kind_at(s, op.a)) {
	case ACK_NONE: pick_on_none(&op, &rand); break;
	case ACK_FILE: pick_on_file(&op, inode_at(s, op.a), &rand); break;
	case ACK_DIR: op.kind = mix(&rand) % 2 ? ACK_OP_CHMOD : ACK_OP_RMDIR; break;
	case ACK_SYMLINK: op.kind = ACK_OP_UNLINK; break;
	}
	return op;
}

static void drop_name(struct ack_state *s, uint32_t slot)
{
	if (s->slots[slot] < 0)
		return;
	if (!--s->inodes[s->slots[slot]].nlink)
		s->inodes[s->slots[slot]].kind = ACK_NONE;
	s->slots[slot] = -1;
}

static void new_inode(struct ack_state *s, uint32_t slot, enum ack_kind kind, const struct ack_op *op)
{
	int i = 0;

	/* As many inodes as names: one is free. */
	while (s->inodes[i].kind != ACK_NONE)
		i++;
	memset(&s->inodes[i], 0, sizeof(s->inodes[i]));
	s->inodes[i].kind = kind;
	s->inodes[i].nlink = 1;
	s->inodes[i].mode = kind == ACK_DIR ? 0755 : 0644;
	s->inodes[i].target = op->stamp;
	s->slots[slot] = i;
}

static void apply_rename(struct ack_state *s, const struct ack_op *op)
{
	if (s->slots[op->a] == s->slots[op->b])
		return;
	drop_name(s, op->b);
	s->slots[op->b] = s->slots[op->a];
	s->slots[op->a] = -1;
}

static void apply_size(struct ack_inode *in, uint32_t size)
{
	if (size > in->size)
		memset(in->data + in->size, 0, size - in->size);
	in->size = size;
}

void ack_state_apply(struct ack_state *s, const struct ack_op *op)
{
	struct ack_inode *in = s->slots[op->a] < 0 ? NULL : &s->inodes[s->slots[op->a]];

	switch (op->kind) {
	case ACK_OP_CREATE: new_inode(s, op->a, ACK_FILE, op); break;
	case ACK_OP_MKDIR: new_inode(s, op->a, ACK_DIR, op); break;
	case ACK_OP_SYMLINK: new_inode(s, op->a, ACK_SYMLINK, op); break;
	case ACK_OP_UNLINK:
	case ACK_OP_RMDIR: drop_name(s, op->a); break;
	case ACK_OP_RENAME: apply_rename(s, op); break;
	case ACK_OP_LINK: s->slots[op->b] = s->slots[op->a]; in->nlink++; break;
	case ACK_OP_TRUNCATE: apply_size(in, op->len); break;
	case ACK_OP_CHMOD: in->mode = 0400 | (op->stamp & 0377); break;
	case ACK_OP_SETXATTR: in->xattr = op->stamp; break;
	case ACK_OP_WRITE:
		if (op->off + op->len > in->size)
			apply_size(in, op->off + op->len);
		ack_fill(in->data + op->off, op->len, op->stamp, op->off);
		break;
	default: break;
	}
}
