/* SPDX-License-Identifier: BSD-3-Clause */
/* zusd: the server of user-space file systems. Arguments, environment, daemon mode. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "zusd/daemonize.h"
#include "zusd/privileges.h"
#include "zusd/server.h"

#define IDLE_EXIT_DEFAULT_S 3u
#define IDLE_EXIT_MAX_S 86400ul

enum {
	OPT_DAEMON = 256,
	OPT_FOREGROUND,
	OPT_ON_DEMAND,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "daemon", no_argument, NULL, OPT_DAEMON },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "help", no_argument, NULL, 'h' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "on-demand", optional_argument, NULL, OPT_ON_DEMAND },
	{ "socket", required_argument, NULL, 's' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: zusd [options]\n"
		"Serves user-space file systems: pmfs2 and other plug-ins.\n\n"
		"  -s, --socket PATH        control socket (default: $ZUSD_SOCKET, /run/zusd/zusd.sock for root)\n"
		"  -l, --log-level LEVEL    error, warning, notice (default), info, debug, or 0 to 4\n"
		"      --daemon             go to the background when ready\n"
		"      --foreground         stay in the foreground (default)\n"
		"      --on-demand[=SEC]    end when nothing was mounted for SEC seconds (default %u)\n"
		"  -h, --help               this text\n"
		"      --version            version and plug-in interface\n\n"
		"Environment:\n"
		"  ZUFS_LIBFS_LIST          plug-ins to load, comma separated (default: all in the plug-in directory)\n"
		"  ZUFS_PLUGIN_DIR          plug-in directory (default: " PLUGIN_DIR ")\n"
		"  LD_LIBRARY_PATH          where else plug-ins are looked for\n"
		"  ZUSD_SOCKET              control socket\n"
		"  ZUF_ROOT                 where the kernel module's root is mounted (default: /sys/fs/zuf)\n",
		IDLE_EXIT_DEFAULT_S);
}

struct zusd_args {
	struct server_config config;
	int daemon;
};

static int idle_parse(const char *text, unsigned int *out_s)
{
	char *end;
	unsigned long value;

	*out_s = IDLE_EXIT_DEFAULT_S;
	if (!text)
		return 0;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || !text[0] || *end || text[0] == '-' || !value || value > IDLE_EXIT_MAX_S)
		return -EINVAL;
	*out_s = (unsigned int)value;
	return 0;
}

/* 0: go on; 1: done; 2: wrong. */
static int args_parse(int argc, char **argv, struct zusd_args *args)
{
	int opt, level;

	while ((opt = getopt_long(argc, argv, "hl:s:", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			usage(stdout);
			return 1;
		case 'l':
			level = log_level_parse(optarg);
			if (level < 0) {
				fprintf(stderr, "zusd: no log level '%s': error, warning, notice, info, debug\n", optarg);
				return 2;
			}
			log_set_level(level);
			break;
		case 's':
			args->config.socket_path = optarg;
			break;
		case OPT_DAEMON:
			args->daemon = 1;
			break;
		case OPT_FOREGROUND:
			args->daemon = 0;
			break;
		case OPT_ON_DEMAND:
			if (idle_parse(optarg, &args->config.idle_exit_s)) {
				fprintf(stderr, "zusd: --on-demand=%s: not a number of seconds from 1 to %lu\n", optarg,
					IDLE_EXIT_MAX_S);
				return 2;
			}
			break;
		case OPT_VERSION:
			printf("zusd %s, plug-in interface %u\n", PMFS2_VERSION, ZUS_PLUGIN_ABI);
			return 1;
		default:
			fprintf(stderr, "Try 'zusd --help'.\n");
			return 2;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "zusd: unexpected argument '%s'; try 'zusd --help'\n", argv[optind]);
	return 2;
}

/* The server proper. ready_fd: of daemonize(), -1 in the foreground. */
static int serve(const struct server_config *config, int ready_fd)
{
	static struct server srv;
	char names[1024];
	int err;

	privileges_set_limits();
	err = server_init(&srv, config);
	if (err)
		return 1;
	privileges_drop();
	if (ready_fd >= 0)
		daemonize_ready(ready_fd);
	loader_names(&srv.loader, names, sizeof(names));
	log_notice("zusd %s is ready on %s, file systems: %s", PMFS2_VERSION, srv.socket_path, names);
	sd_notify(0, "READY=1\nSTATUS=Ready");
	err = server_run(&srv);
	sd_notify(0, "STOPPING=1");
	/* A mount that could not be ended still has threads: the process ends under them. */
	if (err)
		_exit(1);
	server_fini(&srv);
	return 0;
}

int main(int argc, char **argv)
{
	const char *dir = secure_getenv("ZUFS_PLUGIN_DIR");
	struct zusd_args args = { .config.plugin_list = secure_getenv("ZUFS_LIBFS_LIST"),
				  .config.plugin_dir = dir && dir[0] ? dir : PLUGIN_DIR };
	int rc, ready_fd = -1;

	log_set_name("zusd");
	rc = args_parse(argc, argv, &args);
	if (rc)
		return rc == 1 ? 0 : 1;
	umask(022);
	if (args.daemon) {
		rc = daemonize(&ready_fd);
		if (rc != DAEMONIZE_CHILD)
			return rc;
	}
	return serve(&args.config, ready_fd);
}
