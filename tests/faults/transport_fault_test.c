/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE transport and src/vfs above the engine, in one process, without memory, mappings or threads at each call: starting
 * fails cleanly and can be tried again; each request is answered once, with what was done or with ENOMEM and nothing done.
 */
#include <dirent.h>
#include <linux/fs.h>

#include "base/log.h"
#include "base/util.h"
#include "faults/fault.h"
#include "faults/kernel_end.h"
#include "faults/scene.h"
#include "transport/fuse/fuse_transport.h"

#define IMAGE_BYTES (24ull << 20)
#define ROOT ZUS_NODE_ROOT

static uint32_t dir_count(const char *path)
{
	DIR *dir = opendir(path);
	uint32_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* --- starting --------------------------------------------------------------------------------------------------------------- */

static int start(struct kernel_end *ke, struct zus_fs *fs, enum fuse_channel channel, struct fuse_transport **out_ft)
{
	struct fuse_transport_args args = {
		.fs = fs, .fuse_fd = ke->server_fd, .cache = FUSE_CACHE_NONE, .channel = channel, .max_write = 65536
	};

	args.n_threads = channel == FUSE_CHANNEL_DEV ? 1 : 0;
	return fuse_transport_start(&args, out_ft);
}

/* The number of calls that were made to fail; checks what is left behind a start with call number at failing. */
static unsigned int start_with_fault(struct zus_fs *fs, enum fuse_channel channel, uint32_t kinds, uint64_t at)
{
	uint32_t n_fds = dir_count("/proc/self/fd"), n_tasks = dir_count("/proc/self/task");
	int64_t live = fault_live();
	struct fuse_transport *ft;
	static struct kernel_end ke;
	unsigned int failed;
	int err;

	kernel_end_open(&ke);
	kernel_end_say_init(&ke, channel != FUSE_CHANNEL_DEV);
	fault_arm(kinds, at, 0);
	err = start(&ke, fs, channel, &ft);
	failed = fault_disarm();
	if (err) {
		CHECK(failed);
		CHECK(err == -ENOMEM || err == -EAGAIN || err == -EOPNOTSUPP);
		close(ke.server_fd);
		CHECK(!kernel_end_has_more(&ke) || read(ke.fd, ke.out, sizeof(ke.out)) <= 0);
	} else {
		char text[100];

		CHECK_EQ(kernel_end_hear_init(&ke), 0);
		fault_arm(FAULT_MEMORY, 1, 0);
		CHECK_EQ(fuse_transport_stats(ft, text, sizeof(text)), 0);
		failed += fault_disarm() - 1;
		fuse_transport_free(ft);
	}
	kernel_end_close(&ke);
	CHECK_EQ(fault_live(), live);
	CHECK_EQ(dir_count("/proc/self/fd"), n_fds);
	CHECK_EQ(dir_count("/proc/self/task"), n_tasks);
	return failed;
}

static void start_at_each_call(enum fuse_channel channel)
{
	static const uint32_t kinds[] = { FAULT_MEMORY, FAULT_MMAP, FAULT_THREAD };
	struct rig rig = rig_new(16ull << 20, 0);
	unsigned int n = 0;

	log_set_level(-1);
	/* What libraries keep is there before anything is counted. */
	start_with_fault(rig.fs, channel, FAULT_MEMORY, UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		unsigned int failed = 1;

		for (uint64_t at = 1; failed; at++, n += failed)
			failed = start_with_fault(rig.fs, channel, kinds[i], at);
	}
	printf("# %u calls failed\n", n);
	fault_sites_print();
	CHECK(n >= 6);
	rig.fs->ops->unmount(rig.fs);
}

static void start_over_dev_at_each_call(void)
{
	start_at_each_call(FUSE_CHANNEL_DEV);
}

/* Rings that cannot be made are not the end: the classic channel is taken. */
static void start_over_uring_at_each_call(void)
{
	start_at_each_call(FUSE_CHANNEL_AUTO);
}

/* --- requests --------------------------------------------------------------------------------------------------------------- */

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};
struct acl_blob {
	uint32_t version;
	struct acl_entry entries[5];
};
static const struct acl_blob acl = { 2, { { 1, 7, ~0u }, { 2, 6, 1000 }, { 4, 5, ~0u }, { 0x10, 7, ~0u }, { 0x20, 0, ~0u } } };

static void setxattr_put(struct kernel_end *ke, const char *name, const void *value, uint32_t len)
{
	struct fuse_setxattr_in in = { .size = len };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, name);
	kernel_end_put(ke, value, len);
}

static int req_lookup(struct kernel_end *ke, const struct scene *sc)
{
	kernel_end_put_str(ke, "file");
	return kernel_end_call(ke, FUSE_LOOKUP, ROOT);
}
static int req_getattr(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_getattr_in in = { 0 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_GETATTR, sc->node[NODE_FILE]);
}
static int req_statx(struct kernel_end *ke, const struct scene *sc)
{
	struct fusex_statx_in in = { 0 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSEX_STATX, sc->node[NODE_BIG]);
}
/* With an ACL, so that the blob is changed too. */
static int req_chmod(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0640 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_SETATTR, sc->node[NODE_XSMALL]);
}
static int req_chown(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID | FATTR_KILL_SUIDGID, .uid = 5 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_SETATTR, sc->node[NODE_FILE]);
}
static int req_mkdir(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_mkdir_in in = { .mode = 0755 };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "made");
	return kernel_end_call(ke, FUSE_MKDIR, sc->node[NODE_DIR]);
}
static int req_create(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_create_in in = { .mode = S_IFREG | 0644 };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "made");
	return kernel_end_call(ke, FUSE_CREATE, sc->node[NODE_DIR]);
}
static int req_tmpfile(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_create_in in = { .mode = S_IFREG | 0644 };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "");
	return kernel_end_call(ke, FUSE_TMPFILE, sc->node[NODE_DIR]);
}
static int req_symlink(struct kernel_end *ke, const struct scene *sc)
{
	kernel_end_put_str(ke, "made");
	kernel_end_put_str(ke, "/some/where/else");
	return kernel_end_call(ke, FUSE_SYMLINK, ROOT);
}
static int req_link(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_link_in in = { .oldnodeid = sc->node[NODE_FILE] };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "made");
	return kernel_end_call(ke, FUSE_LINK, sc->node[NODE_DIR]);
}
static int req_unlink(struct kernel_end *ke, const struct scene *sc)
{
	kernel_end_put_str(ke, "many");
	return kernel_end_call(ke, FUSE_UNLINK, ROOT);
}
static int req_rmdir(struct kernel_end *ke, const struct scene *sc)
{
	kernel_end_put_str(ke, "empty");
	return kernel_end_call(ke, FUSE_RMDIR, ROOT);
}
static int req_rename(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_rename2_in in = { .newdir = sc->node[NODE_DIR] };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "file");
	kernel_end_put_str(ke, "file");
	return kernel_end_call(ke, FUSE_RENAME2, ROOT);
}
static int req_readlink(struct kernel_end *ke, const struct scene *sc)
{
	return kernel_end_call(ke, FUSE_READLINK, sc->node[NODE_LONG]);
}
static int req_read(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_read_in in = { .offset = 1 << 20, .size = 65536 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_READ, sc->node[NODE_BIG]);
}
/* With a capability, which must not outlive the write. */
static int req_write(struct kernel_end *ke, const struct scene *sc)
{
	static const uint8_t data[30000] = { 7 };
	struct fuse_write_in in = { .offset = 10000, .size = sizeof(data), .write_flags = FUSE_WRITE_KILL_SUIDGID };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put(ke, data, sizeof(data));
	return kernel_end_call(ke, FUSE_WRITE, sc->node[NODE_FILE]);
}
static int req_readdir(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_read_in in = { .size = 4096 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_READDIR, ROOT);
}
static int req_readdirplus(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_read_in in = { .size = 4096 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_READDIRPLUS, ROOT);
}
static int req_setxattr(struct kernel_end *ke, const struct scene *sc)
{
	static const uint8_t value[5000] = { 1 };

	setxattr_put(ke, "user.made", value, sizeof(value));
	return kernel_end_call(ke, FUSE_SETXATTR, sc->node[NODE_FILE]);
}
static int req_set_acl(struct kernel_end *ke, const struct scene *sc)
{
	setxattr_put(ke, "system.posix_acl_access", &acl, sizeof(acl));
	return kernel_end_call(ke, FUSE_SETXATTR, sc->node[NODE_FILE]);
}
static int req_getxattr(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_getxattr_in in = { .size = 8000 };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put_str(ke, "user.big");
	return kernel_end_call(ke, FUSE_GETXATTR, sc->node[NODE_XBIG]);
}
static int req_listxattr(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_getxattr_in in = { .size = 8000 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_LISTXATTR, sc->node[NODE_XBIG]);
}
static int req_removexattr(struct kernel_end *ke, const struct scene *sc)
{
	kernel_end_put_str(ke, "system.posix_acl_default");
	return kernel_end_call(ke, FUSE_REMOVEXATTR, sc->node[NODE_DIR]);
}
static int req_fallocate(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_fallocate_in in = { .offset = 4096, .length = 8192, .mode = 3 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_FALLOCATE, sc->node[NODE_FILE]);
}
static int req_lseek(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_lseek_in in = { .offset = 0, .whence = SEEK_HOLE };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_LSEEK, sc->node[NODE_SPARSE]);
}
static int req_copy(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_copy_file_range_in in = { .nodeid_out = sc->node[NODE_HARD], .len = 12000 };

	kernel_end_put(ke, &in, sizeof(in));
	return kernel_end_call(ke, FUSE_COPY_FILE_RANGE, sc->node[NODE_FILE]);
}
static int req_ioctl(struct kernel_end *ke, const struct scene *sc)
{
	uint32_t flags = ZUS_FL_NODUMP;
	struct fuse_ioctl_in in = { .cmd = FS_IOC_SETFLAGS, .in_size = sizeof(flags) };

	kernel_end_put(ke, &in, sizeof(in));
	kernel_end_put(ke, &flags, sizeof(flags));
	return kernel_end_call(ke, FUSE_IOCTL, sc->node[NODE_FILE]);
}
static int req_statfs(struct kernel_end *ke, const struct scene *sc)
{
	return kernel_end_call(ke, FUSE_STATFS, ROOT);
}
static int req_interrupt(struct kernel_end *ke, const struct scene *sc)
{
	struct fuse_interrupt_in in = { .unique = 4 };

	kernel_end_put(ke, &in, sizeof(in));
	/* Gets no answer; what comes next does. */
	kernel_end_forget(ke, 0);
	return req_statfs(ke, sc);
}

#define REFS_ENTRY 1 /* the answer carries a reference */
#define REFS_PLUS 2 /* many */

static const struct request {
	const char *name;
	int (*run)(struct kernel_end *ke, const struct scene *sc);
	int refs;
	const char *part; /* the file that may be half-way */
} requests[] = {
	{ "lookup", req_lookup, REFS_ENTRY, NULL },
	{ "getattr", req_getattr, 0, NULL },
	{ "statx", req_statx, 0, NULL },
	{ "chmod", req_chmod, 0, NULL },
	{ "chown", req_chown, 0, "/file" },
	{ "mkdir", req_mkdir, REFS_ENTRY, NULL },
	{ "create", req_create, REFS_ENTRY, NULL },
	{ "tmpfile", req_tmpfile, REFS_ENTRY, NULL },
	{ "symlink", req_symlink, REFS_ENTRY, NULL },
	{ "link", req_link, REFS_ENTRY, NULL },
	{ "unlink", req_unlink, 0, NULL },
	{ "rmdir", req_rmdir, 0, NULL },
	{ "rename", req_rename, 0, NULL },
	{ "readlink", req_readlink, 0, NULL },
	{ "read", req_read, 0, NULL },
	{ "write", req_write, 0, "/file" },
	{ "readdir", req_readdir, 0, NULL },
	{ "readdirplus", req_readdirplus, REFS_PLUS, NULL },
	{ "setxattr", req_setxattr, 0, NULL },
	{ "set an ACL", req_set_acl, 0, NULL },
	{ "getxattr", req_getxattr, 0, NULL },
	{ "listxattr", req_listxattr, 0, NULL },
	{ "removexattr", req_removexattr, 0, NULL },
	{ "fallocate", req_fallocate, 0, "/file" },
	{ "lseek", req_lseek, 0, NULL },
	{ "copy_file_range", req_copy, 0, "/hard1" },
	{ "ioctl", req_ioctl, 0, NULL },
	{ "statfs", req_statfs, 0, NULL },
	{ "interrupt", req_interrupt, 0, NULL },
};

/* Beside what the image has: ACLs that are right, a capability, a setuid file. */
static void image_extend(struct image *img)
{
	struct zus_setxattr dflt = { .name = rig_name("system.posix_acl_default"), .value = { &acl, sizeof(acl) } };
	struct zus_setxattr access = { .name = rig_name("system.posix_acl_access"), .value = { &acl, sizeof(acl) } };
	struct zus_setxattr cap = { .name = rig_name("security.capability"), .value = { "123456789012", 12 } };
	struct scene sc;
	const struct zus_ops *ops;

	image_build(img, IMAGE_BYTES);
	scene_open(&sc, img);
	ops = sc.rig.fs->ops;
	CHECK_EQ(ops->setxattr(sc.rig.fs, img->node[NODE_DIR], &dflt), 0);
	CHECK_EQ(ops->setxattr(sc.rig.fs, img->node[NODE_XSMALL], &access), 0);
	CHECK_EQ(ops->setxattr(sc.rig.fs, img->node[NODE_FILE], &cap), 0);
	journal_checkpoint(fs_of(sc.rig.fs));
	memcpy(img->bytes, sc.rig.pm->base, img->size);
	scene_close(&sc);
}

/* References that the answer carried are given back, as the kernel would. */
static void answer_forget(struct kernel_end *ke, const struct request *rq)
{
	static uint8_t plus[KERNEL_END_BODY_MAX];
	uint32_t len = ke->out_len, at = 0;

	memcpy(plus, ke->out, len);
	if (rq->refs == REFS_ENTRY && ((const struct fuse_entry_out *)(const void *)plus)->nodeid)
		kernel_end_forget(ke, ((const struct fuse_entry_out *)(const void *)plus)->nodeid);
	while (rq->refs == REFS_PLUS && len - at >= FUSE_NAME_OFFSET_DIRENTPLUS) {
		const struct fuse_direntplus *entry = (const void *)(plus + at);

		if (entry->entry_out.nodeid)
			kernel_end_forget(ke, entry->entry_out.nodeid);
		at += (uint32_t)FUSE_DIRENTPLUS_SIZE(entry);
	}
}

struct learnt {
	struct tree before, after;
};

/* A capability that is still there on bytes that are new, or under another owner. */
static int capability_outlives(const struct request *rq, const struct learnt *want, const struct tree *found)
{
	const char *line = strstr(found->text, "\n/file "), *old = strstr(want->before.text, "\n/file ");
	size_t n = line ? strcspn(line + 1, "\n") : 0, n_old = old ? strcspn(old + 1, "\n") : 0;

	if (!line || !old || (n == n_old && !strncmp(line, old, n)))
		return 0;
	return rq->part && !strcmp(rq->part, "/file") && strcmp(rq->name, "fallocate") && memmem(line, n, "security.", 9);
}

/* One request with call number at failing (0: none). The number of failed calls. */
static unsigned int request_run(const struct image *img, const struct request *rq, uint64_t at, struct learnt *want)
{
	int64_t live = fault_live();
	static struct kernel_end ke;
	struct fuse_transport *ft;
	struct tree found = { 0 };
	char why[WHY_LEN] = "";
	unsigned int failed;
	struct scene sc;
	int err, bad;

	scene_open(&sc, img);
	if (!want->before.text)
		CHECK_EQ(tree_take(&sc.rig, &want->before, why), 0);
	live += at ? 0 : 1;
	kernel_end_open(&ke);
	kernel_end_say_init(&ke, 0);
	CHECK_EQ(start(&ke, sc.rig.fs, FUSE_CHANNEL_DEV, &ft), 0);
	CHECK_EQ(kernel_end_hear_init(&ke), 0);
	fault_arm(FAULT_MEMORY, at ? at : UINT64_MAX, 0);
	err = rq->run(&ke, &sc);
	failed = fault_disarm();
	if (!err)
		answer_forget(&ke, rq);
	CHECK_EQ(req_statfs(&ke, &sc), 0); /* behind the forgets */
	bad = (err && (err != -ENOMEM || !failed)) || kernel_end_has_more(&ke) || tree_take(&sc.rig, &found, why);
	if (!bad && at)
		bad = tree_differs(err ? &want->before : &want->after, &found, failed ? rq->part : NULL, why) ||
		      capability_outlives(rq, want, &found);
	if (!bad)
		bad = space_differs(&sc.rig, &found, why);
	if (bad)
		printf("# %s, call %llu fails, answer %d: %s\n", rq->name, (unsigned long long)at, err, why);
	CHECK(!bad);
	fuse_transport_free(ft);
	kernel_end_close(&ke);
	scene_close(&sc);
	if (at)
		tree_free(&found);
	else
		want->after = found;
	CHECK_EQ(fault_live(), live + (at ? 0 : 1));
	return failed;
}

static void requests_at_each_call(void)
{
	struct image img;
	unsigned int n = 0;

	log_set_level(-1);
	image_extend(&img);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct learnt want = { 0 };
		unsigned int failed = 1;

		request_run(&img, &requests[i], 0, &want);
		for (uint64_t at = 1; failed; at++, n += failed)
			failed = request_run(&img, &requests[i], at, &want);
		tree_free(&want.before);
		tree_free(&want.after);
	}
	image_free(&img);
	printf("# %zu requests, %u failed calls\n", ARRAY_SIZE(requests), n);
	fault_sites_print();
	CHECK(n > 50);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(start_over_dev_at_each_call),
		TAP_CASE(start_over_uring_at_each_call),
		TAP_CASE(requests_at_each_call),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
