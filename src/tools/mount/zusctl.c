/* SPDX-License-Identifier: BSD-3-Clause */
/* zusctl: asks a running zusd what it has mounted and how it does, sets its log level, ends it. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"
#include "zusd/control_client.h"

#define STOP_WAIT_MS 60000

struct zusctl {
	struct control_client *cl;
	const char *arg; /* of the command, or NULL */
	int json;
};

static void usage(FILE *f)
{
	fprintf(f, "Usage: zusctl [-s SOCKET] [-j] COMMAND\n"
		   "Asks a running zusd.\n\n"
		   "  list                the mounts: number, type, device, directory, channel, cache\n"
		   "  stats [MOUNT]       requests of a mount (directory, device or number; default all): count, bytes, times in "
		   "us\n"
		   "  log-level [LEVEL]   show or set: error, warning, notice, info, debug\n"
		   "  status              version, process, plug-ins\n"
		   "  stop                unmount everything and end the server\n\n"
		   "  -s, --socket PATH   control socket (default: $ZUSD_SOCKET, /run/zusd/zusd.sock for root)\n"
		   "  -j, --json          list and status as JSON\n"
		   "  -h, --help   this text      --version   version\n");
}

static void json_string(const char *text)
{
	putchar('"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < 0x20)
			printf("\\u%04x", *p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void json_member(const char *name, const char *value, int last)
{
	printf("\"%s\": ", name);
	json_string(value);
	fputs(last ? "" : ", ", stdout);
}

static int fail(const struct zusctl *ctl, int err)
{
	fprintf(stderr, "zusctl: %s\n", control_client_error(ctl->cl, err));
	return 1;
}

/* Empty where the kernel has no choice of caches (zuf). */
static const char *cache_name(const struct control_msg *msg)
{
	switch (control_msg_u64(msg, CONTROL_TAG_CACHE, UINT64_MAX)) {
	case CONTROL_CACHE_AUTO:
		return "auto";
	case CONTROL_CACHE_NONE:
		return "none";
	default:
		return "";
	}
}

static const char *access_name(const struct control_msg *msg)
{
	return control_msg_u64(msg, CONTROL_TAG_FLAGS, 0) & CONTROL_MOUNT_RDONLY ? "ro" : "rw";
}

static void item_print_json(const struct control_msg *msg, int first)
{
	printf("%s\n  {\"id\": %" PRIu64 ", ", first ? "" : ",", control_msg_u64(msg, CONTROL_TAG_ID, 0));
	json_member("type", control_msg_str_or_empty(msg, CONTROL_TAG_FSTYPE), 0);
	json_member("device", control_msg_str_or_empty(msg, CONTROL_TAG_SOURCE), 0);
	json_member("directory", control_msg_str_or_empty(msg, CONTROL_TAG_DIR), 0);
	json_member("state", control_msg_str_or_empty(msg, CONTROL_TAG_STATE), 0);
	json_member("access", access_name(msg), 0);
	json_member("cache", cache_name(msg), 0);
	json_member("channel", control_msg_str_or_empty(msg, CONTROL_TAG_CHANNEL_NAME), 0);
	json_member("uuid", control_msg_str_or_empty(msg, CONTROL_TAG_UUID), 0);
	json_member("info", control_msg_str_or_empty(msg, CONTROL_TAG_TEXT), 1);
	fputs("}", stdout);
}

static void item_print(const struct control_msg *msg)
{
	const char *info = control_msg_str_or_empty(msg, CONTROL_TAG_TEXT);
	const char *channel = control_msg_str_or_empty(msg, CONTROL_TAG_CHANNEL_NAME), *cache = cache_name(msg);

	printf("%" PRIu64 ": %s on %s type %s (%s%s%s, %s)%s%s\n", control_msg_u64(msg, CONTROL_TAG_ID, 0),
	       control_msg_str_or_empty(msg, CONTROL_TAG_SOURCE), control_msg_str_or_empty(msg, CONTROL_TAG_DIR),
	       control_msg_str_or_empty(msg, CONTROL_TAG_FSTYPE), access_name(msg), cache[0] ? ", cache=" : "", cache,
	       channel[0] ? channel : control_msg_str_or_empty(msg, CONTROL_TAG_STATE), info[0] ? " " : "", info);
}

static int command_list(struct zusctl *ctl)
{
	int err, first = 1;

	control_msg_begin(&ctl->cl->msg, CONTROL_LIST);
	err = control_client_call(ctl->cl, -1);
	if (ctl->json && !err)
		putchar('[');
	while (!err && ctl->cl->msg.type == CONTROL_ITEM) {
		if (ctl->json)
			item_print_json(&ctl->cl->msg, first);
		else
			item_print(&ctl->cl->msg);
		first = 0;
		err = control_client_next(ctl->cl);
	}
	if (ctl->json && !err)
		puts(first ? "]" : "\n]");
	return err ? fail(ctl, err) : 0;
}

static int stats_print(struct zusctl *ctl, const char *name)
{
	struct stat st;
	int err;

	control_msg_begin(&ctl->cl->msg, CONTROL_STATS);
	control_msg_put_str(&ctl->cl->msg, CONTROL_TAG_NAME, name);
	if (name[0] == '/' && !stat(name, &st) && S_ISDIR(st.st_mode))
		control_msg_put_u64(&ctl->cl->msg, CONTROL_TAG_DEVNO, st.st_dev);
	err = control_client_call(ctl->cl, -1);
	if (err)
		return fail(ctl, err);
	fputs(control_msg_str_or_empty(&ctl->cl->msg, CONTROL_TAG_TEXT), stdout);
	return 0;
}

/* Numbers of the mounts that are served now. Returns how many, or -errno. */
static int mounts_collect(struct zusctl *ctl, char (*ids)[24], char (*names)[256], int cap)
{
	int n = 0, err;

	control_msg_begin(&ctl->cl->msg, CONTROL_LIST);
	err = control_client_call(ctl->cl, -1);
	for (; !err && ctl->cl->msg.type == CONTROL_ITEM; err = control_client_next(ctl->cl)) {
		const struct control_msg *msg = &ctl->cl->msg;

		if (n == cap || strcmp(control_msg_str_or_empty(msg, CONTROL_TAG_STATE), "active"))
			continue;
		snprintf(ids[n], sizeof(ids[n]), "%" PRIu64, control_msg_u64(msg, CONTROL_TAG_ID, 0));
		snprintf(names[n], sizeof(names[n]), "%s on %s", control_msg_str_or_empty(msg, CONTROL_TAG_SOURCE),
			 control_msg_str_or_empty(msg, CONTROL_TAG_DIR));
		n++;
	}
	return err ? err : n;
}

static int command_stats(struct zusctl *ctl)
{
	char ids[64][24], names[64][256];
	char *real = ctl->arg ? realpath(ctl->arg, NULL) : NULL;
	int n, rc = 0;

	if (ctl->arg) {
		rc = stats_print(ctl, real ? real : ctl->arg);
		free(real);
		return rc;
	}
	n = mounts_collect(ctl, ids, names, ARRAY_SIZE(ids));
	if (n < 0)
		return fail(ctl, n);
	for (int i = 0; i < n && !rc; i++) {
		printf("# %s\n", names[i]);
		rc = stats_print(ctl, ids[i]);
	}
	return rc;
}

static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };

static int command_log_level(struct zusctl *ctl)
{
	struct control_msg *msg = &ctl->cl->msg;
	uint64_t level = ARRAY_SIZE(levels);
	int err;

	control_msg_begin(msg, CONTROL_LOG_LEVEL);
	if (ctl->arg) {
		for (level = 0; level < ARRAY_SIZE(levels) && strcmp(ctl->arg, levels[level]); level++)
			continue;
		if (level == ARRAY_SIZE(levels)) {
			fprintf(stderr, "zusctl: no log level '%s': error, warning, notice, info, debug\n", ctl->arg);
			return 1;
		}
		control_msg_put_u64(msg, CONTROL_TAG_LEVEL, level);
	}
	err = control_client_call(ctl->cl, -1);
	if (err)
		return fail(ctl, err);
	level = control_msg_u64(msg, CONTROL_TAG_LEVEL, 0);
	puts(level < ARRAY_SIZE(levels) ? levels[level] : "?");
	return 0;
}

static int command_status(struct zusctl *ctl)
{
	if (ctl->json) {
		printf("{\"pid\": %d, ", (int)ctl->cl->pid);
		json_member("version", ctl->cl->version, 0);
		json_member("socket", ctl->cl->path, 0);
		json_member("plugins", ctl->cl->plugins, 1);
		puts("}");
	} else {
		printf("zusd %s, process %d, socket %s, file systems: %s\n", ctl->cl->version, (int)ctl->cl->pid, ctl->cl->path,
		       ctl->cl->plugins);
	}
	return 0;
}

/* The server answers, then unmounts; it has ended when its process has. */
static int command_stop(struct zusctl *ctl)
{
	int pidfd = (int)syscall(SYS_pidfd_open, ctl->cl->pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int err, rc = 0;

	control_msg_begin(&ctl->cl->msg, CONTROL_STOP);
	err = control_client_call(ctl->cl, -1);
	if (err)
		rc = fail(ctl, err);
	else if (pidfd >= 0 && poll(&pfd, 1, STOP_WAIT_MS) == 0)
		rc = fail(ctl, -ETIMEDOUT);
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

static const struct {
	const char *name;
	int max_args;
	int (*run)(struct zusctl *ctl);
} commands[] = {
	{ "list", 0, command_list },	 { "stats", 1, command_stats }, { "log-level", 1, command_log_level },
	{ "status", 0, command_status }, { "stop", 0, command_stop },
};

static int command_run(const char *name, int n_args, struct zusctl *ctl, const char *socket_path)
{
	size_t i = 0;
	int err;

	while (i < ARRAY_SIZE(commands) && strcmp(commands[i].name, name))
		i++;
	if (i == ARRAY_SIZE(commands) || n_args > commands[i].max_args) {
		fprintf(stderr, "zusctl: %s '%s'; try 'zusctl --help'\n",
			i == ARRAY_SIZE(commands) ? "no command" : "too many arguments to", name);
		return 1;
	}
	ctl->cl = control_client_new();
	if (!ctl->cl)
		return 1;
	err = control_client_connect(ctl->cl, socket_path);
	if (err)
		fprintf(stderr, "zusctl: no server on %s: %s\n", ctl->cl->path, strerror(-err));
	err = err ? 1 : commands[i].run(ctl);
	control_client_free(ctl->cl);
	return err;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *socket_path = NULL;
	struct zusctl ctl = { 0 };
	int opt;

	while ((opt = getopt_long(argc, argv, "hjs:V", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			usage(stdout);
			return 0;
		case 'j':
			ctl.json = 1;
			break;
		case 's':
			socket_path = optarg;
			break;
		case 'V':
			printf("zusctl %s\n", PMFS2_VERSION);
			return 0;
		default:
			usage(stderr);
			return 1;
		}
	}
	if (optind >= argc) {
		usage(stderr);
		return 1;
	}
	ctl.arg = argv[optind + 1];
	return command_run(argv[optind], argc - optind - 1, &ctl, socket_path);
}
