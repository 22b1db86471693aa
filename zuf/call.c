// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of the server: a slot, a request, a reply that is copied once and checked; waiting for a server that has died.
 *
 * A server may die before, within or behind the work on a request; whether it was done, nobody knows. Requests are sent again,
 * and say so (call.retried): who asks for something that cannot be done twice has to look at what it finds. See namei.c.
 */
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/sched/clock.h>

#include "zuf.h"

/* A free slot of a server that knows this mount, or the reason why there is none. */
static int call_take_slot(struct zuf_call *call)
{
	struct zuf_sb *zsb = call->zsb;
	unsigned long timeout = (unsigned long)zsb->wait_s * HZ;
	int err;

	for (;;) {
		if (unlikely(zsb->dead))
			return -EIO;
		call->slot = zuf_slot_take();
		if (likely(call->slot))
			return 0;
		/* A mount that is just being made does not wait for a server. */
		if (!zsb->attached_once)
			timeout = 0;
		err = zuf_slot_wait(&timeout, !call->sure);
		if (err)
			return err == -ETIMEDOUT ? -EIO : err;
	}
}

static int call_take(struct zuf_call *call)
{
	int err;

	for (;;) {
		err = call_take_slot(call);
		if (err)
			return err;
		if (likely(call->slot->epoch == READ_ONCE(call->zsb->epoch)) || call->attaching)
			return 0;
		zuf_slot_release(call->slot);
		call->slot = NULL;
		err = zuf_attach(call);
		if (err && err != -ENOTCONN)
			return err;
	}
}

static int call_begin(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node)
{
	int err;

	call->zsb = zsb;
	call->slot = NULL;
	call->retried = false;
	err = call_take(call);
	if (err)
		return err;
	call->in = &call->request;
	call->data_len = 0;
	call->forgets = NULL;
	memset(call->in, 0, sizeof(*call->in));
	call->in->op = op;
	call->in->mount = zsb->id;
	call->in->node = node;
	return 0;
}

int zuf_call_begin(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node)
{
	call->attaching = false;
	call->sure = false;
	return call_begin(call, zsb, op, node);
}

int zuf_call_begin_attach(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node)
{
	call->attaching = true;
	call->sure = false;
	return call_begin(call, zsb, op, node);
}

int zuf_call_begin_sure(struct zuf_call *call, struct zuf_sb *zsb, enum zuf_op op, u64 node)
{
	call->attaching = true;
	call->sure = true;
	return call_begin(call, zsb, op, node);
}

int zuf_call_data(struct zuf_call *call, const void *data, size_t len)
{
	if (len > ZUF_IN_LEN - call->in->name_len - call->in->name2_len)
		return -ENOSPC;
	call->data = data;
	call->data_len = len;
	return 0;
}

void zuf_call_name(struct zuf_call *call, const char *name, u32 len)
{
	call->name = name;
	call->in->name_len = len;
}

void zuf_call_name2(struct zuf_call *call, const char *name, u32 len)
{
	call->name2 = name;
	call->in->name2_len = len;
}

/* Copies the reply and makes it harmless. */
static int call_take_reply(struct zuf_call *call)
{
	struct zuf_reply *out = &call->out;

	memcpy(out, call->slot->buf + ZUF_REPLY_OFF, sizeof(*out));
	barrier_data(out);
	if (unlikely(out->err > 0 || out->err < -MAX_ERRNO || out->out_len > ZUF_OUT_LEN || out->n_ext > ZUF_EXTENTS_MAX))
		return -EIO;
	/* What stands there then is of an earlier reply: nobody's attributes. */
	if (unlikely(!out->has_attr))
		memset(&out->attr, 0, sizeof(out->attr));
	/* What only makes sense inside of the kernel would be taken for something else. */
	if (unlikely(out->err <= -512))
		return -EIO;
	return out->err;
}

/* Into the slot's buffer, which is not read. */
static void call_fill(struct zuf_call *call)
{
	struct zuf_request *in = call->in;
	void *at = call->slot->buf + ZUF_IN_OFF;

	if (unlikely(call->forgets))
		in->len = zuf_inode_refs(call->forgets, call->slot->epoch);
	memcpy(zuf_slot_request(call->slot), in, sizeof(*in));
	if (in->name_len)
		memcpy(at, call->name, in->name_len);
	if (in->name2_len)
		memcpy(at + in->name_len, call->name2, in->name2_len);
	if (call->data_len)
		memcpy(at + in->name_len + in->name2_len, call->data, call->data_len);
}

static int call_hand_over(struct zuf_call *call)
{
	u64 start_ns = local_clock();
	int err;

	call_fill(call);
	err = zuf_slot_send(call->slot);
	zuf_stats_call(call->zsb, call->in->op, local_clock() - start_ns);
	return err;
}

/* To a slot of the next server. */
static int call_move(struct zuf_call *call)
{
	zuf_slot_release(call->slot);
	call->slot = NULL;
	return call_take(call);
}

int zuf_call_send_once(struct zuf_call *call)
{
	int err = call_hand_over(call);

	return err ? err : call_take_reply(call);
}

int zuf_call_send(struct zuf_call *call)
{
	int err;

	while (unlikely((err = call_hand_over(call)) == -ENOTCONN)) {
		call->retried = true;
		err = call_move(call);
		if (err)
			return err;
	}
	return err ? err : call_take_reply(call);
}

void zuf_call_end(struct zuf_call *call)
{
	if (call->slot)
		zuf_slot_release(call->slot);
	call->slot = NULL;
}

int zuf_call_simple(struct zuf_sb *zsb, enum zuf_op op, u64 node, struct zuf_reply *out)
{
	struct zuf_call call;
	int err;

	err = zuf_call_begin(&call, zsb, op, node);
	if (err)
		return err;
	err = zuf_call_send(&call);
	zuf_call_end(&call);
	if (!err && out)
		*out = call.out;
	return err;
}
