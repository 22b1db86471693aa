/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer of what the server and the mount tools are told: packets of the control socket, raw and with a header that is right
 * (parser, then the handlers of a session on a table of mounts, with a plug-in of the test's own), and -o lists. What must hold
 * beside "no crash": every request is answered by exactly one message that the parser takes (LIST: any number of items before
 * it), and what was prepared is given up at the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "input.h"
#include "target.h"
#include "tools/mount/mount_options.h"
#include "walk.h"
#include "zusd/control_msg.h"
#include "zusd/requests.h"

#define MESSAGES_MAX 16u
#define HEADER_BYTES 16u

/* The first byte, modulo 4. */
enum way {
	WAY_PARSE, /* one packet, as it is */
	WAY_SESSION, /* messages with a right header, each: type, length (2 bytes), fields */
	WAY_OPTIONS, /* an -o list */
	WAY_OPTIONS_TWO, /* two of them, divided by a NUL */
	WAYS,
};

struct control_bench {
	struct loader loader;
	struct mount_table mounts;
	struct session_set set;
	struct control_msg in, out, answer;
	uint32_t n_open;
};

static struct control_bench *bench_get(void)
{
	static struct control_bench *bench;

	return bench ? bench : (bench = calloc(1, sizeof(*bench)));
}

/* --- a plug-in that opens everything ------------------------------------------------------------------------------------- */

static void plugin_unmount(struct zus_fs *fs)
{
	bench_get()->n_open--;
	free(fs);
}

static int plugin_mount(const struct zus_mount_args *args, struct zus_fs **out_fs)
{
	static const struct zus_ops ops = { .unmount = plugin_unmount };

	args->host->log(args->host->ctx, LOG_LEVEL_WARNING, args->options);
	*out_fs = calloc(1, sizeof(**out_fs));
	if (!*out_fs)
		return -ENOMEM;
	(*out_fs)->ops = &ops;
	(*out_fs)->flags = args->flags;
	bench_get()->n_open++;
	return 0;
}

/* A request may set the log level. */
static void log_nothing(void *ctx, int level, const char *msg)
{
	(void)ctx;
	(void)level;
	(void)msg;
}

static void bench_init(struct control_bench *b)
{
	static const struct zus_plugin plugin = {
		.abi = ZUS_PLUGIN_ABI, .flags = ZUS_PLUGIN_VOLATILE, .name = "test", .version = "1", .mount = plugin_mount
	};
	int wake_fd = eventfd(0, EFD_NONBLOCK);

	if (b->loader.n_plugins)
		return;
	log_set_sink(log_nothing, NULL);
	b->loader.plugins[0].plugin = &plugin;
	b->loader.n_plugins = 1;
	if (wake_fd < 0 || mount_table_init(&b->mounts, wake_fd))
		abort();
	session_set_init(&b->set, &b->mounts, &b->loader, wake_fd);
}

/* --- packets ------------------------------------------------------------------------------------------------------------- */

/* Every field of a parsed message by every way of asking for it. */
static void fields_look(const struct control_msg *msg)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < msg->n_fields; i++) {
		const struct control_field *f = &msg->fields[i];
		const char *str = control_msg_str(msg, (enum control_tag)f->tag);

		WALK_MUST(f->off <= msg->len && f->len <= msg->len - f->off && control_msg_has(msg, (enum control_tag)f->tag));
		WALK_MUST(!str == !!(f->tag & CONTROL_TAG_NUMBER));
		WALK_MUST(!str || strlen(str) + 1 == f->len);
		sum += control_msg_u64(msg, (enum control_tag)f->tag, sum);
	}
}

/* Reads what was answered, without waiting. */
static void answers_look(struct control_bench *b, int sock, int expect_one)
{
	int n_final = 0, fd;

	for (;;) {
		int err = control_msg_recv(sock, &b->answer, &fd);

		if (err) {
			WALK_MUST(err == -EAGAIN || err == -ECONNRESET);
			break;
		}
		WALK_MUST(fd < 0);
		fields_look(&b->answer);
		WALK_MUST(b->answer.type == CONTROL_ITEM || b->answer.type == CONTROL_OK || b->answer.type == CONTROL_ERROR);
		n_final += b->answer.type != CONTROL_ITEM;
	}
	WALK_MUST(n_final == expect_one);
}

/* A message whose header is right, from the input's type, length and fields. */
static void message_take(struct input *in, struct control_msg *msg)
{
	struct {
		uint32_t magic;
		uint16_t version, type;
		uint32_t len, zero;
	} header = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION };
	uint32_t len;

	header.type = input_u8(in);
	len = (uint32_t)u64_min(input_u16(in), in->left);
	len = (uint32_t)u64_min(len, CONTROL_MSG_MAX - HEADER_BYTES);
	header.len = HEADER_BYTES + len;
	_Static_assert(sizeof(header) == HEADER_BYTES, "header has no padding");
	memcpy(msg->buf, &header, sizeof(header));
	input_take(in, msg->buf + HEADER_BYTES, len);
	msg->len = header.len;
}

static void session_try(struct control_bench *b, struct input *in)
{
	struct session s = { .set = &b->set, .in = &b->in, .out = &b->out, .slot = -1 };
	int pair[2], err = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		return;
	s.sock = pair[0];
	for (uint32_t i = 0; i < MESSAGES_MAX && in->left && !err; i++) {
		message_take(in, &b->in);
		err = control_msg_parse(&b->in);
		if (err) {
			request_refuse(&s, err);
		} else {
			fields_look(&b->in);
			err = request_handle(&s, -1);
		}
		answers_look(b, pair[1], 1);
	}
	request_session_end(&s);
	close(pair[0]);
	close(pair[1]);
	WALK_MUST(!b->n_open && !mount_table_count(&b->mounts));
}

static void parse_try(struct control_bench *b, struct input *in)
{
	b->in.len = (uint32_t)u64_min(in->left, CONTROL_MSG_MAX);
	input_take(in, b->in.buf, b->in.len);
	if (!control_msg_parse(&b->in))
		fields_look(&b->in);
}

/* --- options ------------------------------------------------------------------------------------------------------------- */

static void options_look(const struct mount_options *opts)
{
	WALK_MUST(memchr(opts->fstype, 0, sizeof(opts->fstype)) && memchr(opts->plugin_options, 0, sizeof(opts->plugin_options)));
	WALK_MUST(!opts->max_write || (opts->max_write >= 4096 && opts->max_write <= 16u << 20));
	WALK_MUST(!(mount_options_control_flags(opts) & ~15u));
}

static void options_try(struct input *in, int lists)
{
	struct mount_options opts;

	mount_options_init(&opts, "pmfs2");
	for (; lists && in->left; lists--) {
		char why[64] = "";
		size_t len = strnlen((const char *)in->at, in->left);
		char *list = strndup((const char *)in->at, len);

		if (mount_options_parse(&opts, list, why, sizeof(why)))
			WALK_MUST(why[0] && memchr(why, 0, sizeof(why)));
		else
			options_look(&opts);
		free(list);
		in->at += len;
		in->left -= len;
		if (in->left)
			(void)input_u8(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct control_bench *b = bench_get();

	bench_init(b);
	switch (input_u8(&in) % WAYS) {
	case WAY_PARSE:
		parse_try(b, &in);
		break;
	case WAY_SESSION:
		session_try(b, &in);
		break;
	case WAY_OPTIONS:
		options_try(&in, 1);
		break;
	default:
		options_try(&in, 2);
	}
	return 0;
}
