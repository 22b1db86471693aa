/* SPDX-License-Identifier: BSD-3-Clause */
/* memfs through the plug-in interface: data against a model, names, cookies, generations, and several threads at once. */
#include <dirent.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/stat.h>

#include "lib/tap.h"
#include "base/util.h"
#include "zus/plugin.h"

#define MODEL_SIZE (1u << 20)
#define BLOCK 4096u

static struct zus_fs *mount_new(const char *options)
{
	struct zus_mount_args args = { .options = options };
	struct zus_fs *fs = NULL;

	CHECK_EQ(zus_plugin.mount(&args, &fs), 0);
	return fs;
}

static struct zus_name name_of(const char *str)
{
	return (struct zus_name){ str, (uint32_t)strlen(str) };
}

static int make_at(struct zus_fs *fs, uint64_t dir, const char *name, uint32_t mode, uint64_t *out_node)
{
	struct zus_new new = { .mode = mode };
	struct zus_attr attr;
	int err = fs->ops->create(fs, dir, name_of(name), &new, &attr);

	if (!err)
		*out_node = attr.node;
	return err;
}

/* Gives back the reference at once: the inode lives by its name. */
static int make_unref(struct zus_fs *fs, uint64_t dir, const char *name, uint32_t mode, uint64_t *out_node)
{
	int err = make_at(fs, dir, name, mode, out_node);

	if (!err)
		fs->ops->forget(fs, *out_node, 1);
	return err;
}

/* Transfers of one file may overlap; which of two overlapping ones wins is not the plug-in's affair, and no race of its own. */
__attribute__((no_sanitize("thread"))) static void copy_racy(void *dst, const void *src, size_t len)
{
	const volatile char *from = src;
	volatile char *to = dst;

	for (size_t i = 0; i < len; i++)
		to[i] = from[i];
}

static int64_t transfer(struct zus_fs *fs, uint64_t node, uint64_t off, void *buf, uint64_t len, uint32_t flags)
{
	struct zus_extent ext[4];
	uint64_t total = 0;

	while (total < len) {
		struct zus_io io = { .node = node, .off = off + total, .len = len - total, .flags = flags };
		int err;

		io.ext = ext;
		io.ext_cap = 4;
		err = fs->ops->io_begin(fs, &io);
		if (err)
			return total ? (int64_t)total : err;
		for (uint32_t i = 0; i < io.n_ext; i++) {
			char *at = (char *)buf + total;

			if (flags & ZUS_IO_WRITE)
				copy_racy((char *)fs->base + ext[i].dev_off, at, ext[i].len);
			else if (ext[i].flags & ZUS_EXT_HOLE)
				memset(at, 0, ext[i].len);
			else
				copy_racy(at, (char *)fs->base + ext[i].dev_off, ext[i].len);
			total += ext[i].len;
		}
		fs->ops->io_end(fs, &io, io.mapped);
		if (!io.mapped)
			break;
	}
	return (int64_t)total;
}

static int set_size(struct zus_fs *fs, uint64_t node, uint64_t size)
{
	struct zus_setattr set = { .valid = ZUS_SET_SIZE, .size = size };
	struct zus_attr attr;

	return fs->ops->setattr(fs, node, &set, &attr);
}

static void mount_options_are_checked(void)
{
	static const char *const bad[] = { "size=1", "size=x", "size=5Q", "size=99T", "inodes=0", "nonsense", "size=101%" };
	struct zus_fs *fs;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct zus_mount_args args = { .options = bad[i] };

		CHECK_EQ(zus_plugin.mount(&args, &fs), -EINVAL);
	}
	fs = mount_new("size=64M,inodes=300");
	CHECK_EQ(fs->size, 64 << 20);
	fs->ops->unmount(fs);
}

struct model {
	struct zus_fs *fs;
	uint64_t node;
	uint64_t size;
	uint64_t rng;
	unsigned char bytes[2 * MODEL_SIZE];
	unsigned char buf[2 * MODEL_SIZE];
};

static void model_write(struct model *m, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		m->buf[i] = (unsigned char)tap_rand(&m->rng);
	CHECK_EQ(transfer(m->fs, m->node, off, m->buf, len, ZUS_IO_WRITE), len);
	memcpy(m->bytes + off, m->buf, len);
	m->size = u64_max(m->size, off + len);
}

static void model_resize(struct model *m, uint64_t size)
{
	CHECK_EQ(set_size(m->fs, m->node, size), 0);
	memset(m->bytes + size, 0, sizeof(m->bytes) - size);
	m->size = size;
}

static void model_fallocate(struct model *m, int mode, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;

	CHECK_EQ(m->fs->ops->fallocate(m->fs, m->node, (uint32_t)mode, off, len), 0);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(m->bytes + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > m->size)
		m->size = end;
}

static void model_shift(struct model *m, uint64_t off, uint64_t len)
{
	off = round_down_to(off, BLOCK);
	len = round_up_to(len % (64 * BLOCK) + 1, BLOCK);
	if (off + len < m->size && tap_rand(&m->rng) & 1) {
		CHECK_EQ(m->fs->ops->fallocate(m->fs, m->node, FALLOC_FL_COLLAPSE_RANGE, off, len), 0);
		memmove(m->bytes + off, m->bytes + off + len, sizeof(m->bytes) - off - len);
		m->size -= len;
	} else if (off < m->size && m->size + len <= MODEL_SIZE) {
		CHECK_EQ(m->fs->ops->fallocate(m->fs, m->node, FALLOC_FL_INSERT_RANGE, off, len), 0);
		memmove(m->bytes + off + len, m->bytes + off, sizeof(m->bytes) - off - len);
		memset(m->bytes + off, 0, len);
		m->size += len;
	} else if (off + len >= m->size) {
		CHECK_EQ(m->fs->ops->fallocate(m->fs, m->node, FALLOC_FL_COLLAPSE_RANGE, off, len), -EINVAL);
	}
}

static void model_compare(struct model *m)
{
	uint64_t data, hole = 0;
	struct zus_attr attr;

	CHECK_EQ(m->fs->ops->getattr(m->fs, m->node, &attr), 0);
	CHECK_EQ(attr.size, m->size);
	memset(m->buf, 0xee, sizeof(m->buf));
	CHECK_EQ(transfer(m->fs, m->node, 0, m->buf, sizeof(m->buf), 0), m->size);
	for (uint64_t i = 0; i < m->size; i++)
		if (m->buf[i] != m->bytes[i])
			CHECK_EQ(i, -1);
	while (!m->fs->ops->seek(m->fs, m->node, hole, ZUS_SEEK_DATA, &data)) {
		for (; hole < data; hole++)
			CHECK_EQ(m->bytes[hole], 0);
		CHECK_EQ(m->fs->ops->seek(m->fs, m->node, data, ZUS_SEEK_HOLE, &hole), 0);
		CHECK(hole > data);
	}
	for (; hole < m->size; hole++)
		CHECK_EQ(m->bytes[hole], 0);
}

static void data_random_operations_match_model(void)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	struct model *m = calloc(1, sizeof(*m));
	struct zus_statfs before, after;

	m->fs = mount_new("size=64M");
	m->rng = tap_seed();
	m->fs->ops->statfs(m->fs, &before);
	CHECK_EQ(make_unref(m->fs, ZUS_NODE_ROOT, "f", S_IFREG | 0644, &m->node), 0);
	for (int i = 0; i < 3000; i++) {
		uint64_t off = tap_rand(&m->rng) % (MODEL_SIZE - 1), len = 1 + tap_rand(&m->rng) % (MODEL_SIZE - off - 1);
		uint64_t kind = tap_rand(&m->rng) % 16;

		if (kind < 6)
			model_write(m, off, 1 + len % (kind < 3 ? 20000 : 200000) % len);
		else if (kind < 9)
			model_resize(m, off);
		else if (kind < 13)
			model_fallocate(m, modes[tap_rand(&m->rng) % ARRAY_SIZE(modes)], off, len);
		else
			model_shift(m, off, len);
		if (i % 16 == 0)
			model_compare(m);
	}
	model_compare(m);
	CHECK_EQ(m->fs->ops->unlink(m->fs, ZUS_NODE_ROOT, name_of("f")), 0);
	m->fs->ops->statfs(m->fs, &after);
	CHECK_EQ(after.bfree, before.bfree);
	CHECK_EQ(after.ffree, before.ffree);
	m->fs->ops->unmount(m->fs);
}

static void io_end_with_nothing_done_leaves_nothing(void)
{
	struct zus_fs *fs = mount_new("size=16M");
	struct zus_extent ext[8];
	struct zus_io io = { .off = 100, .len = 20000, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 8 };
	struct zus_statfs before, after;
	struct zus_attr attr;

	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "f", S_IFREG, &io.node), 0);
	fs->ops->statfs(fs, &before);
	CHECK_EQ(fs->ops->io_begin(fs, &io), 0);
	CHECK_EQ(io.mapped, 20000);
	memset((char *)fs->base + ext[0].dev_off, 0x55, ext[0].len);
	CHECK_EQ(fs->ops->io_end(fs, &io, 0), 0);
	fs->ops->statfs(fs, &after);
	fs->ops->getattr(fs, io.node, &attr);
	CHECK_EQ(after.bfree, before.bfree);
	CHECK_EQ(attr.size, 0);
	CHECK_EQ(attr.blocks, 0);
	fs->ops->unmount(fs);
}

static void io_end_with_half_done_keeps_half(void)
{
	struct zus_fs *fs = mount_new("size=16M");
	struct zus_extent ext[8];
	struct zus_io io = { .len = 20000, .flags = ZUS_IO_WRITE, .ext = ext, .ext_cap = 8 };
	struct zus_attr attr;
	char buf[16384];

	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "f", S_IFREG, &io.node), 0);
	CHECK_EQ(fs->ops->io_begin(fs, &io), 0);
	memset(buf, 0x55, sizeof(buf));
	fs->ops->dev_write(fs, ext[0].dev_off, buf, sizeof(buf));
	CHECK_EQ(fs->ops->io_end(fs, &io, 5000), 0);
	CHECK_EQ(set_size(fs, io.node, sizeof(buf)), 0);
	CHECK_EQ(transfer(fs, io.node, 0, buf, sizeof(buf), 0), sizeof(buf));
	for (int i = 0; i < (int)sizeof(buf); i++)
		CHECK_EQ(buf[i], i < 5000 ? 0x55 : 0);
	fs->ops->getattr(fs, io.node, &attr);
	CHECK_EQ(attr.blocks, 16);
	fs->ops->unmount(fs);
}

static void full_device_says_enospc_and_recovers(void)
{
	struct zus_fs *fs = mount_new("size=1M,inodes=256");
	char *buf = calloc(1, 4 << 20);
	uint64_t node, other;
	struct zus_statfs st;

	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "f", S_IFREG, &node), 0);
	CHECK_EQ(transfer(fs, node, 0, buf, 4 << 20, ZUS_IO_WRITE), 1 << 20);
	CHECK_EQ(transfer(fs, node, 1 << 20, buf, 1, ZUS_IO_WRITE), -ENOSPC);
	CHECK_EQ(fs->ops->fallocate(fs, node, 0, 1 << 20, 1), -ENOSPC);
	CHECK_EQ(fs->ops->unlink(fs, ZUS_NODE_ROOT, name_of("f")), 0);
	fs->ops->statfs(fs, &st);
	CHECK_EQ(st.bfree, 0);
	fs->ops->forget(fs, node, 1);
	fs->ops->statfs(fs, &st);
	CHECK_EQ(st.bfree, st.blocks);
	for (int i = 0; i < 255; i++) {
		snprintf(buf, 16, "%d", i);
		CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, buf, S_IFREG, &other), 0);
	}
	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "more", S_IFREG, &other), -ENOSPC);
	fs->ops->unmount(fs);
}

static void node_of_deleted_file_is_stale(void)
{
	struct zus_fs *fs = mount_new("size=16M");
	struct zus_attr attr;
	uint64_t old, new;

	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "a", S_IFREG, &old), 0);
	CHECK_EQ(fs->ops->unlink(fs, ZUS_NODE_ROOT, name_of("a")), 0);
	CHECK_EQ(fs->ops->getattr(fs, old, &attr), 0);
	CHECK_EQ(attr.nlink, 0);
	fs->ops->forget(fs, old, 5);
	CHECK_EQ(fs->ops->getattr(fs, old, &attr), -ESTALE);
	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "b", S_IFREG, &new), 0);
	CHECK_EQ((uint32_t)new, (uint32_t)old);
	CHECK(new != old);
	CHECK_EQ(fs->ops->getattr(fs, old, &attr), -ESTALE);
	CHECK_EQ(fs->ops->getattr(fs, 0, &attr), -ESTALE);
	CHECK_EQ(fs->ops->getattr(fs, 77777777, &attr), -ESTALE);
	fs->ops->unmount(fs);
}

static void rename_below_itself_is_refused(void)
{
	struct zus_fs *fs = mount_new("size=16M");
	uint64_t a, b, c;
	struct zus_attr attr;
	struct zus_rename ren = { .old_dir = ZUS_NODE_ROOT, .old_name = name_of("a"), .new_name = name_of("x") };

	CHECK_EQ(make_unref(fs, ZUS_NODE_ROOT, "a", S_IFDIR, &a), 0);
	CHECK_EQ(make_unref(fs, a, "b", S_IFDIR, &b), 0);
	CHECK_EQ(make_unref(fs, b, "c", S_IFDIR, &c), 0);
	ren.new_dir = c;
	CHECK_EQ(fs->ops->rename(fs, &ren), -EINVAL);
	ren = (struct zus_rename){ b, ZUS_NODE_ROOT, name_of("c"), name_of("a"), ZUS_RENAME_EXCHANGE, 0, 0 };
	CHECK_EQ(fs->ops->rename(fs, &ren), -EINVAL);
	ren = (struct zus_rename){ b, ZUS_NODE_ROOT, name_of("c"), name_of("w"), ZUS_RENAME_WHITEOUT, 1, 2 };
	CHECK_EQ(fs->ops->rename(fs, &ren), 0);
	CHECK_EQ(fs->ops->lookup(fs, b, name_of("c"), &attr), 0);
	CHECK_EQ(attr.mode & S_IFMT, S_IFCHR);
	CHECK_EQ(attr.rdev, 0);
	CHECK_EQ(attr.uid, 1);
	CHECK_EQ(fs->ops->lookup(fs, c, name_of(".."), &attr), 0);
	CHECK_EQ(attr.node, ZUS_NODE_ROOT);
	CHECK_EQ(attr.nlink, 4);
	fs->ops->unmount(fs);
}

struct listing {
	int n;
	int cap;
	uint64_t cookie;
	char names[64][16];
};

static int listing_emit(void *ctx, const struct zus_dirent *entry, const struct zus_attr *attr)
{
	struct listing *list = ctx;

	if (list->n == list->cap)
		return 0;
	CHECK(!attr || attr->node == entry->node);
	snprintf(list->names[list->n++], 16, "%.*s", (int)entry->name.len, entry->name.str);
	list->cookie = entry->next_cookie;
	return 1;
}

static void readdir_cookie_survives_removals(void)
{
	struct zus_fs *fs = mount_new("size=16M");
	struct listing list = { .cap = 10 };
	char name[16];
	uint64_t node;

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK_EQ(make_unref(fs, ZUS_NODE_ROOT, name, S_IFREG, &node), 0);
	}
	CHECK_EQ(fs->ops->readdir(fs, ZUS_NODE_ROOT, 0, 1, listing_emit, &list), 0);
	CHECK_EQ(list.n, 10);
	CHECK(!strcmp(list.names[1], "..") && !strcmp(list.names[9], "7"));
	for (int i = 0; i < 990; i++) {
		snprintf(name, sizeof(name), "%d", i);
		CHECK_EQ(fs->ops->unlink(fs, ZUS_NODE_ROOT, name_of(name)), 0);
	}
	list.n = 0;
	list.cap = 64;
	CHECK_EQ(fs->ops->readdir(fs, ZUS_NODE_ROOT, list.cookie, 0, listing_emit, &list), 0);
	CHECK_EQ(list.n, 10);
	CHECK(!strcmp(list.names[0], "990") && !strcmp(list.names[9], "999"));
	fs->ops->unmount(fs);
}

struct worker {
	struct zus_fs *fs;
	uint64_t rng;
	uint64_t dirs[3];
	uint64_t shared_file;
	pthread_t thread;
};

static void worker_file(struct worker *w, uint64_t node)
{
	static _Thread_local char buf[40000];
	uint64_t off = tap_rand(&w->rng) % 100000;

	transfer(w->fs, node, off, buf, tap_rand(&w->rng) % sizeof(buf), tap_rand(&w->rng) & 1 ? ZUS_IO_WRITE : 0);
	if (tap_rand(&w->rng) % 8 == 0)
		set_size(w->fs, node, tap_rand(&w->rng) % 100000);
	if (tap_rand(&w->rng) % 8 == 0)
		w->fs->ops->fallocate(w->fs, node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, 5000);
}

static void worker_names(struct worker *w)
{
	char name[8], other[8];
	uint64_t dir = w->dirs[tap_rand(&w->rng) % 3], to = w->dirs[tap_rand(&w->rng) % 3], node;
	struct zus_rename ren = { dir, to, { name, 1 }, { other, 1 }, (uint32_t)(tap_rand(&w->rng) % 3), 0, 0 };
	struct listing list = { .cap = 64 };
	struct zus_attr attr;

	snprintf(name, sizeof(name), "%c", (char)('a' + tap_rand(&w->rng) % 6));
	snprintf(other, sizeof(other), "%c", (char)('a' + tap_rand(&w->rng) % 6));
	switch (tap_rand(&w->rng) % 8) {
	case 0:
		if (!make_at(w->fs, dir, name, S_IFREG, &node)) {
			worker_file(w, node);
			w->fs->ops->forget(w->fs, node, 1);
		}
		break;
	case 1:
		make_unref(w->fs, dir, name, S_IFDIR, &node);
		break;
	case 2:
		w->fs->ops->unlink(w->fs, dir, name_of(name));
		break;
	case 3:
		w->fs->ops->rmdir(w->fs, dir, name_of(name));
		break;
	case 4:
	case 5:
		w->fs->ops->rename(w->fs, &ren);
		break;
	case 6:
		w->fs->ops->readdir(w->fs, dir, 0, 0, listing_emit, &list);
		break;
	default:
		if (!w->fs->ops->lookup(w->fs, dir, name_of(name), &attr)) {
			if (S_ISREG(attr.mode) && !w->fs->ops->link(w->fs, attr.node, to, name_of(other), &attr))
				w->fs->ops->forget(w->fs, attr.node, 1);
			worker_file(w, attr.node);
			w->fs->ops->forget(w->fs, attr.node, 1);
		}
	}
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < 20000; i++) {
		worker_names(w);
		if (i % 4 == 0)
			worker_file(w, w->shared_file);
	}
	return NULL;
}

/* Everything below dir goes; depth is bounded by what the workers can build. */
static void remove_tree(struct zus_fs *fs, uint64_t dir, int depth)
{
	struct zus_attr attr;

	CHECK(depth < 1000);
	for (char c = 'a'; c <= 'z'; c++) {
		struct zus_name name = { &c, 1 };

		if (fs->ops->lookup(fs, dir, name, &attr))
			continue;
		if (S_ISDIR(attr.mode))
			remove_tree(fs, attr.node, depth + 1);
		CHECK_EQ((S_ISDIR(attr.mode) ? fs->ops->rmdir : fs->ops->unlink)(fs, dir, name), 0);
		fs->ops->forget(fs, attr.node, 1);
	}
}

static void threads_on_one_tree_leak_nothing(void)
{
	struct zus_fs *fs = mount_new("size=64M");
	struct worker w[4];
	struct zus_statfs before, after;
	struct zus_attr attr;

	fs->ops->statfs(fs, &before);
	memset(w, 0, sizeof(w));
	w[0].dirs[0] = ZUS_NODE_ROOT;
	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "y", S_IFDIR, &w[0].dirs[1]), 0);
	CHECK_EQ(make_at(fs, w[0].dirs[1], "z", S_IFDIR, &w[0].dirs[2]), 0);
	CHECK_EQ(make_at(fs, ZUS_NODE_ROOT, "x", S_IFREG, &w[0].shared_file), 0);
	for (int i = 3; i >= 0; i--) {
		w[i] = w[0];
		w[i].fs = fs;
		w[i].rng = tap_seed() + (uint64_t)i * 77 + 1;
		CHECK_EQ(pthread_create(&w[i].thread, NULL, worker_run, &w[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(w[i].thread, NULL);
	remove_tree(fs, ZUS_NODE_ROOT, 0);
	fs->ops->forget(fs, w[0].dirs[1], 1);
	fs->ops->forget(fs, w[0].dirs[2], 1);
	fs->ops->forget(fs, w[0].shared_file, 1);
	fs->ops->statfs(fs, &after);
	CHECK_EQ(after.bfree, before.bfree);
	CHECK_EQ(after.ffree, before.ffree);
	CHECK_EQ(fs->ops->getattr(fs, ZUS_NODE_ROOT, &attr), 0);
	CHECK_EQ(attr.nlink, 2);
	fs->ops->unmount(fs);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(mount_options_are_checked),
		TAP_CASE(data_random_operations_match_model),
		TAP_CASE(io_end_with_nothing_done_leaves_nothing),
		TAP_CASE(io_end_with_half_done_keeps_half),
		TAP_CASE(full_device_says_enospc_and_recovers),
		TAP_CASE(node_of_deleted_file_is_stale),
		TAP_CASE(rename_below_itself_is_refused),
		TAP_CASE(readdir_cookie_survives_removals),
		TAP_CASE(threads_on_one_tree_leak_nothing),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
