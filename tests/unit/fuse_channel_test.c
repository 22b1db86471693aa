/* SPDX-License-Identifier: BSD-3-Clause */
/* The classic channel against a kernel's end that is played here: what is negotiated, and what answers hold. */
#include "faults/kernel_end.h"
#include "lib/rig.h"
#include "transport/fuse/fuse_transport.h"

#define FILE_BYTES 60000u
#define STEP_BYTES 8192u

struct channel {
	struct rig rig;
	struct kernel_end ke;
	struct fuse_transport *ft;
};

long __real_sysconf(int name);
long __wrap_sysconf(int name);

static long kernel_page_bytes;

long __wrap_sysconf(int name)
{
	return name == _SC_PAGESIZE && kernel_page_bytes ? kernel_page_bytes : __real_sysconf(name);
}

static void channel_start(struct channel *ch, uint32_t max_write)
{
	struct fuse_transport_args args = {
		.fs = ch->rig.fs, .cache = FUSE_CACHE_NONE, .channel = FUSE_CHANNEL_DEV, .max_write = max_write, .n_threads = 1
	};

	kernel_end_open(&ch->ke);
	kernel_end_say_init(&ch->ke, 0);
	args.fuse_fd = ch->ke.server_fd;
	CHECK_EQ(fuse_transport_start(&args, &ch->ft), 0);
	CHECK_EQ(kernel_end_hear_init(&ch->ke), 0);
}

static void channel_end(struct channel *ch)
{
	fuse_transport_free(ch->ft);
	kernel_end_close(&ch->ke);
	ch->rig.fs->ops->unmount(ch->rig.fs);
}

static const struct zus_ops *real_ops;

/* As a plug-in that gives out what lies on one page of some index of its own. */
static int begin_in_steps(struct zus_fs *fs, struct zus_io *io)
{
	uint64_t len = io->len, left = STEP_BYTES - io->off % STEP_BYTES;
	int err;

	io->len = len < left ? len : left;
	err = real_ops->io_begin(fs, io);
	io->len = len;
	return err;
}

static void read_check(struct channel *ch, uint64_t node, uint64_t off, uint32_t size, const uint8_t *file)
{
	struct fuse_read_in in = { .offset = off, .size = size };
	uint64_t want = off >= FILE_BYTES ? 0 : size < FILE_BYTES - off ? size : FILE_BYTES - off;

	kernel_end_put(&ch->ke, &in, sizeof(in));
	CHECK_EQ(kernel_end_call(&ch->ke, FUSE_READ, node), 0);
	CHECK_EQ(ch->ke.out_len, want);
	CHECK(!memcmp(ch->ke.out, file + off, want));
}

static void read_of_short_transfers_is_short_at_the_end_only(void)
{
	struct channel ch = { .rig = rig_new(16ull << 20, 0) };
	uint64_t node = rig_mknod(&ch.rig, ZUS_NODE_ROOT, "f", S_IFREG | 0644);
	struct zus_ops ops = *ch.rig.fs->ops;
	static uint8_t file[FILE_BYTES];

	for (uint32_t i = 0; i < FILE_BYTES; i++)
		file[i] = (uint8_t)(i * 7 + i / 256);
	CHECK_EQ(rig_write(&ch.rig, node, 0, file, FILE_BYTES), FILE_BYTES);
	real_ops = ch.rig.fs->ops;
	channel_start(&ch, 65536);
	for (int stepped = 0; stepped < 2; stepped++) {
		read_check(&ch, node, 0, STEP_BYTES, file);
		read_check(&ch, node, 0, 65536, file);
		read_check(&ch, node, 4096, 32768, file);
		read_check(&ch, node, 5000, 10000, file);
		read_check(&ch, node, FILE_BYTES - 100, 4096, file);
		read_check(&ch, node, FILE_BYTES, 4096, file);
		ops.io_begin = begin_in_steps;
		ch.rig.fs->ops = &ops;
	}
	ch.rig.fs->ops = real_ops;
	channel_end(&ch);
}

/* What the kernel may send or ask for at once, in its own pages, is what there is room for. */
static void init_counts_in_pages_of_the_kernel(void)
{
	static const struct {
		long page;
		uint32_t max_write;
		uint32_t n_pages;
	} want[] = {
		{ 4096, 65536, 32 }, { 4096, 1 << 20, 256 }, { 65536, 65536, 2 }, { 65536, 200000, 4 }, { 65536, 1 << 20, 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct channel ch = { .rig = rig_new(16ull << 20, 0) };
		struct fusex_init_out init;

		kernel_page_bytes = want[i].page;
		channel_start(&ch, want[i].max_write);
		kernel_page_bytes = 0;
		CHECK_EQ(ch.ke.out_len, sizeof(init));
		memcpy(&init, ch.ke.out, sizeof(init));
		CHECK_EQ(init.max_write, want[i].max_write);
		CHECK_EQ(init.max_pages, want[i].n_pages);
		channel_end(&ch);
	}
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(init_counts_in_pages_of_the_kernel),
		TAP_CASE(read_of_short_transfers_is_short_at_the_end_only),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
