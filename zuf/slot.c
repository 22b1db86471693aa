// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots: the hand-over of requests to the server's threads, on the same CPU.
 *
 * A slot is a buffer that kernel and server share, and one thread of the server that waits in it. A caller takes a free slot of
 * its CPU, writes the request, wakes the thread, sleeps; the thread's next ioctl says that the reply is there, wakes the caller
 * and sleeps. No queue: with no slot free on any CPU, callers wait for one.
 *
 * Life of the state: NEW -> FREE -> HELD -> SENT -> BUSY -> DONE -> (SENT again, or FREE). Whatever it is, DEAD follows when the
 * server or the channel's file goes. slot->lock guards every step; DEAD slots are never on a list.
 *
 * A caller's sleep cannot be interrupted: what it asked for may be half done, and the locks that it holds guard that. The server
 * is a process that can be killed, and its death wakes the caller, even one that is a thread of it: see server_watch().
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>

#include "zuf.h"

static DEFINE_PER_CPU(struct zuf_cpu, zuf_cpus);
static DECLARE_WAIT_QUEUE_HEAD(zuf_slot_waiters);

int zuf_slots_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct zuf_cpu *c = per_cpu_ptr(&zuf_cpus, cpu);

		spin_lock_init(&c->lock);
		INIT_LIST_HEAD(&c->free);
	}
	return 0;
}

struct zuf_slot *zuf_slot_new(unsigned int cpu, u64 epoch)
{
	struct zuf_slot *slot;

	slot = kzalloc(sizeof(*slot), GFP_KERNEL);
	if (!slot)
		return NULL;
	slot->buf = vmalloc_user(PAGE_ALIGN(ZUF_BUFFER_LEN));
	if (!slot->buf) {
		kfree(slot);
		return NULL;
	}
	INIT_LIST_HEAD(&slot->link);
	slot->cpu = per_cpu_ptr(&zuf_cpus, cpu);
	spin_lock_init(&slot->lock);
	slot->epoch = epoch;
	init_waitqueue_head(&slot->caller_wq);
	kref_init(&slot->ref);
	return slot;
}

static void slot_free(struct kref *ref)
{
	struct zuf_slot *slot = container_of(ref, struct zuf_slot, ref);

	vfree(slot->buf);
	kfree(slot);
}

void zuf_slot_put(struct zuf_slot *slot)
{
	kref_put(&slot->ref, slot_free);
}

void zuf_slot_wake_waiters(void)
{
	wake_up_all(&zuf_slot_waiters);
}

/* slot->lock is held. */
static void slot_make_free(struct zuf_slot *slot)
{
	slot->state = ZUF_SLOT_FREE;
	spin_lock(&slot->cpu->lock);
	list_add(&slot->link, &slot->cpu->free);
	spin_unlock(&slot->cpu->lock);
	if (wq_has_sleeper(&zuf_slot_waiters))
		wake_up(&zuf_slot_waiters);
}

/* The mount may be gone when this returns. */
static void async_put(struct zuf_sb *zsb)
{
	if (atomic_dec_and_test(&zsb->n_async))
		wake_up_var(&zsb->n_async);
}

/* slot->lock is held. */
static void slot_end_async(struct zuf_slot *slot)
{
	struct zuf_sb *zsb = slot->async;

	slot->async = NULL;
	if (zsb)
		async_put(zsb);
}

void zuf_slot_kill(struct zuf_slot *slot)
{
	spin_lock(&slot->lock);
	slot_end_async(slot);
	spin_lock(&slot->cpu->lock);
	list_del_init(&slot->link);
	spin_unlock(&slot->cpu->lock);
	WRITE_ONCE(slot->state, ZUF_SLOT_DEAD);
	if (slot->server)
		wake_up_process(slot->server);
	spin_unlock(&slot->lock);
	wake_up_all(&slot->caller_wq);
}

/* Those of a server that is not ready are passed over; those of one that has ended are on no list. */
static struct zuf_slot *slot_pop(struct zuf_cpu *cpu, u64 epoch)
{
	struct zuf_slot *slot;

	spin_lock(&cpu->lock);
	slot = list_first_entry_or_null(&cpu->free, struct zuf_slot, link);
	if (slot && unlikely(slot->epoch != epoch))
		slot = NULL;
	if (slot) {
		list_del_init(&slot->link);
		kref_get(&slot->ref);
	}
	spin_unlock(&cpu->lock);
	return slot;
}

/* Between the list and here its file may have gone; that shows when it is sent. */
static struct zuf_slot *slot_hold(struct zuf_slot *slot)
{
	spin_lock(&slot->lock);
	if (slot->state == ZUF_SLOT_FREE)
		slot->state = ZUF_SLOT_HELD;
	spin_unlock(&slot->lock);
	return slot;
}

struct zuf_slot *zuf_slot_take(void)
{
	u64 epoch = zuf_server_epoch();
	struct zuf_slot *slot;
	int cpu;

	slot = slot_pop(raw_cpu_ptr(&zuf_cpus), epoch);
	if (likely(slot))
		return slot_hold(slot);
	for_each_online_cpu(cpu) {
		slot = slot_pop(per_cpu_ptr(&zuf_cpus, cpu), epoch);
		if (slot)
			return slot_hold(slot);
	}
	return NULL;
}

static bool slot_is_free(void)
{
	int cpu;

	for_each_online_cpu(cpu)
		if (!list_empty_careful(&per_cpu_ptr(&zuf_cpus, cpu)->free))
			return true;
	return false;
}

int zuf_slot_wait(unsigned long *timeout, bool killable)
{
	long left;

	/* With a server there, for as long as it takes: its threads are at work. */
	if (zuf_server_epoch() && !killable) {
		wait_event(zuf_slot_waiters, slot_is_free() || !zuf_server_epoch());
		return 0;
	}
	if (zuf_server_epoch())
		return wait_event_killable(zuf_slot_waiters, slot_is_free() || !zuf_server_epoch()) ? -EINTR : 0;
	if (!*timeout)
		return -ETIMEDOUT;
	left = wait_event_killable_timeout(zuf_slot_waiters, zuf_server_epoch(), *timeout);
	if (left < 0)
		return -EINTR;
	*timeout = left;
	return left ? 0 : -ETIMEDOUT;
}

void zuf_slot_release(struct zuf_slot *slot)
{
	spin_lock(&slot->lock);
	if (slot->state == ZUF_SLOT_HELD || slot->state == ZUF_SLOT_DONE)
		slot_make_free(slot);
	spin_unlock(&slot->lock);
	zuf_slot_put(slot);
}

/* False: dead. */
static bool slot_set_sent(struct zuf_slot *slot, struct zuf_sb *async)
{
	bool alive;

	spin_lock(&slot->lock);
	alive = slot->state == ZUF_SLOT_HELD || slot->state == ZUF_SLOT_DONE;
	if (alive) {
		slot->async = async;
		/* A caller that looks without the lock (slot_is_answered) sees no older DONE from here on. */
		smp_store_release(&slot->state, ZUF_SLOT_SENT);
		if (likely(slot->server))
			wake_up_process(slot->server);
	}
	spin_unlock(&slot->lock);
	return alive;
}

static bool slot_is_answered(struct zuf_slot *slot)
{
	/* The reply is read after the state: pairs with slot_answer(). */
	return smp_load_acquire(&slot->state) >= ZUF_SLOT_DONE;
}

int zuf_slot_send(struct zuf_slot *slot)
{
	DEFINE_WAIT(wait);

	if (!slot_set_sent(slot, NULL))
		return -ENOTCONN;
	/*
	 * A thread of this CPU, of higher rank than we are, wants to run at once: it is let, without leaving the run queue. In
	 * nearly all cases the reply is there when we are back, for the half of what sleeping and being woken would cost.
	 */
	if (need_resched()) {
		schedule();
		if (slot_is_answered(slot))
			goto answered;
	}
	prepare_to_wait(&slot->caller_wq, &wait, TASK_UNINTERRUPTIBLE);
	while (!slot_is_answered(slot)) {
		schedule();
		if (slot_is_answered(slot))
			break;
		prepare_to_wait(&slot->caller_wq, &wait, TASK_UNINTERRUPTIBLE);
	}
	finish_wait(&slot->caller_wq, &wait);
answered:
	return slot->state == ZUF_SLOT_DONE ? 0 : -ENOTCONN;
}

void zuf_slot_send_async(struct zuf_slot *slot, struct zuf_sb *zsb)
{
	atomic_inc(&zsb->n_async);
	if (!slot_set_sent(slot, zsb))
		async_put(zsb);
	zuf_slot_put(slot);
}

/* What the thread comes with: nothing (the first time, or after a signal), or a reply. slot->lock is held. */
static int slot_answer(struct zuf_slot *slot, bool *wake)
{
	*wake = false;
	switch (slot->state) {
	case ZUF_SLOT_NEW:
		slot_make_free(slot);
		return 0;
	case ZUF_SLOT_BUSY:
		if (slot->async) {
			slot_end_async(slot);
			slot_make_free(slot);
		} else {
			/* The reply is there before the state says so: pairs with slot_is_answered(). */
			smp_store_release(&slot->state, ZUF_SLOT_DONE);
			*wake = true;
		}
		return 0;
	case ZUF_SLOT_DEAD:
		return -ESHUTDOWN;
	default:
		return 0;
	}
}

/* 0 when there is work; -EINTR, -ESHUTDOWN. slot->lock is held, and given up while it waits. */
static int slot_wait_work(struct zuf_slot *slot)
{
	int err = 0;

	slot->server = current;
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (slot->state == ZUF_SLOT_SENT)
			break;
		err = slot->state == ZUF_SLOT_DEAD ? -ESHUTDOWN : signal_pending(current) ? -EINTR : 0;
		if (err)
			break;
		spin_unlock(&slot->lock);
		schedule();
		spin_lock(&slot->lock);
	}
	__set_current_state(TASK_RUNNING);
	slot->server = NULL;
	return err;
}

int zuf_slot_serve(struct zuf_slot *slot)
{
	bool wake;
	int err;

	spin_lock(&slot->lock);
	err = slot_answer(slot, &wake);
	if (wake && wq_has_sleeper(&slot->caller_wq))
		wake_up_sync(&slot->caller_wq);
	/* Two threads in one slot: the server's mistake. */
	if (unlikely(slot->server))
		err = -EBUSY;
	if (!err)
		err = slot_wait_work(slot);
	if (!err)
		slot->state = ZUF_SLOT_BUSY;
	spin_unlock(&slot->lock);
	return err;
}
