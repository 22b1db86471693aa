/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parsing of the -o list.
 *
 * mount(8) gives the helper everything that stands in fstab, and on a remount everything that stands in the mount table: options
 * of others are passed over by name. What is left over is the plug-in's, which refuses what it does not know.
 */
#include "mount_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/util.h"

#define OPTION_MAX 1024u /* bytes of one option */
#define MAX_WRITE_MIN 4096u
#define MAX_WRITE_MAX (16u << 20)
#define WAIT_MAX_S 86400ul /* as the module has it */
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#define MS_ATIME_MASK (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

static const struct {
	const char *name;
	unsigned long clear, set;
} flag_options[] = {
	{ "ro", 0, MS_RDONLY },
	{ "rw", MS_RDONLY, 0 },
	{ "suid", MS_NOSUID, 0 },
	{ "nosuid", 0, MS_NOSUID },
	{ "dev", MS_NODEV, 0 },
	{ "nodev", 0, MS_NODEV },
	{ "exec", MS_NOEXEC, 0 },
	{ "noexec", 0, MS_NOEXEC },
	{ "sync", 0, MS_SYNCHRONOUS },
	{ "async", MS_SYNCHRONOUS, 0 },
	{ "dirsync", 0, MS_DIRSYNC },
	{ "atime", MS_NOATIME, 0 },
	{ "noatime", MS_ATIME_MASK, MS_NOATIME },
	{ "relatime", MS_ATIME_MASK, MS_RELATIME },
	{ "norelatime", MS_RELATIME, 0 },
	{ "strictatime", MS_ATIME_MASK, MS_STRICTATIME },
	{ "nostrictatime", MS_STRICTATIME, 0 },
	{ "diratime", MS_NODIRATIME, 0 },
	{ "nodiratime", 0, MS_NODIRATIME },
	{ "lazytime", 0, MS_LAZYTIME },
	{ "nolazytime", MS_LAZYTIME, 0 },
	{ "silent", 0, MS_SILENT },
	{ "loud", MS_SILENT, 0 },
	{ "symfollow", MS_NOSYMFOLLOW, 0 },
	{ "nosymfollow", 0, MS_NOSYMFOLLOW },
	/* Permission to mount is mount(8)'s; what they imply is ours. */
	{ "user", 0, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "users", 0, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "owner", 0, MS_NOSUID | MS_NODEV },
	{ "group", 0, MS_NOSUID | MS_NODEV },
};

/* For mount(8), systemd, the boot scripts; or what the kernel shows of a FUSE mount. */
static const char *const ignored_options[] = { "defaults", "auto",   "noauto",	"nouser",   "nousers",	  "noowner",
					       "nogroup",  "nofail", "_netdev", "iversion", "noiversion", "nomand" };
static const char *const ignored_prefixes[] = { "x-",	     "X-",	 "comment=",  "user=",	  "helper=",
						"uhelper=",  "fd=",	 "rootmode=", "user_id=", "group_id=",
						"max_read=", "blksize=", "fsname=",   "subtype=" };

void mount_options_init(struct mount_options *opts, const char *fstype)
{
	memset(opts, 0, sizeof(*opts));
	opts->cache = CONTROL_CACHE_AUTO;
	opts->channel = CONTROL_CHANNEL_AUTO;
	opts->allow_other = -1;
	opts->wait_s = -1;
	snprintf(opts->fstype, sizeof(opts->fstype), "%s", fstype);
}

static int option_is_flag(struct mount_options *opts, const char *opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		if (strcmp(opt, flag_options[i].name))
			continue;
		opts->ms_flags = (opts->ms_flags & ~flag_options[i].clear) | flag_options[i].set;
		return 1;
	}
	return 0;
}

static int option_is_ignored(const char *opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignored_options); i++)
		if (!strcmp(opt, ignored_options[i]))
			return 1;
	for (size_t i = 0; i < ARRAY_SIZE(ignored_prefixes); i++)
		if (!strncmp(opt, ignored_prefixes[i], strlen(ignored_prefixes[i])))
			return 1;
	return 0;
}

/* "name=value" gives the value of name, anything else NULL. */
static const char *option_value(const char *opt, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(opt, name, len) && opt[len] == '=' ? opt + len + 1 : NULL;
}

static int parse_cache(struct mount_options *opts, const char *value)
{
	if (!strcmp(value, "auto"))
		opts->cache = CONTROL_CACHE_AUTO;
	else if (!strcmp(value, "none"))
		opts->cache = CONTROL_CACHE_NONE;
	else
		return -EINVAL;
	return 0;
}

static int parse_channel(struct mount_options *opts, const char *value)
{
	if (!strcmp(value, "auto"))
		opts->channel = CONTROL_CHANNEL_AUTO;
	else if (!strcmp(value, "uring"))
		opts->channel = CONTROL_CHANNEL_URING;
	else if (!strcmp(value, "dev"))
		opts->channel = CONTROL_CHANNEL_DEV;
	else
		return -EINVAL;
	return 0;
}

/* Bytes, or with K or M behind them; a multiple of a page. */
static int parse_max_write(struct mount_options *opts, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end == value || value[0] == '-' || n > MAX_WRITE_MAX)
		return -EINVAL;
	if ((*end == 'k' || *end == 'K') && n <= MAX_WRITE_MAX >> 10) {
		n <<= 10;
		end++;
	} else if ((*end == 'm' || *end == 'M') && n <= MAX_WRITE_MAX >> 20) {
		n <<= 20;
		end++;
	}
	if (*end || n < MAX_WRITE_MIN || n > MAX_WRITE_MAX || n % MAX_WRITE_MIN)
		return -EINVAL;
	opts->max_write = (uint32_t)n;
	return 0;
}

static int parse_wait(struct mount_options *opts, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end == value || *end || strspn(value, "0123456789") != strlen(value) || n > WAIT_MAX_S)
		return -EINVAL;
	opts->wait_s = (int)n;
	return 0;
}

static int parse_fstype(struct mount_options *opts, const char *value)
{
	size_t len = strlen(value);

	if (!len || len >= sizeof(opts->fstype) ||
	    strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != len)
		return -EINVAL;
	memcpy(opts->fstype, value, len + 1);
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct mount_options *opts, const char *value);
	const char *allowed;
} value_options[] = {
	{ "cache", parse_cache, "auto or none" },
	{ "channel", parse_channel, "auto, uring or dev" },
	{ "max_write", parse_max_write, "bytes, a multiple of 4096 up to 16M, as 1048576, 1024K or 1M" },
	{ "wait", parse_wait, "seconds, at most 86400" },
	{ "fstype", parse_fstype, "the name of a plug-in, as pmfs2 or memfs" },
};

/* 1: it was one of ours; 0: not; -EINVAL. */
static int option_has_value(struct mount_options *opts, const char *opt, char *why, size_t why_cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(value_options); i++) {
		const char *value = option_value(opt, value_options[i].name);

		if (!value && strcmp(opt, value_options[i].name))
			continue;
		if (value && !value_options[i].parse(opts, value))
			return 1;
		snprintf(why, why_cap, "option '%s': give %s=VALUE, where VALUE is %s", opt, value_options[i].name,
			 value_options[i].allowed);
		return -EINVAL;
	}
	return 0;
}

static int option_is_switch(struct mount_options *opts, const char *opt)
{
	if (!strcmp(opt, "remount"))
		opts->remount = 1;
	else if (!strcmp(opt, "uring"))
		opts->enable_uring = 1;
	else if (!strcmp(opt, "allow_other"))
		opts->allow_other = 1;
	else if (!strcmp(opt, "default_permissions"))
		opts->default_permissions = 1;
	else
		return 0;
	return 1;
}

static int plugin_option_add(struct mount_options *opts, const char *opt, char *why, size_t why_cap)
{
	size_t used = strlen(opts->plugin_options);

	if (strlen(opt) + 2 > sizeof(opts->plugin_options) - used) {
		snprintf(why, why_cap, "option '%.40s...': too many options", opt);
		return -EINVAL;
	}
	snprintf(opts->plugin_options + used, sizeof(opts->plugin_options) - used, "%s%s", used ? "," : "", opt);
	return 0;
}

static int option_parse(struct mount_options *opts, const char *opt, char *why, size_t why_cap)
{
	int rc;

	if (!opt[0] || option_is_flag(opts, opt) || option_is_switch(opts, opt) || option_is_ignored(opt))
		return 0;
	rc = option_has_value(opts, opt, why, why_cap);
	if (rc)
		return rc < 0 ? rc : 0;
	return plugin_option_add(opts, opt, why, why_cap);
}

int mount_options_parse(struct mount_options *opts, const char *list, char *why, size_t why_cap)
{
	char opt[OPTION_MAX];
	size_t len;
	int err;

	for (const char *pos = list; *pos; pos += len + (pos[len] == ',')) {
		len = strcspn(pos, ",");
		if (len >= sizeof(opt)) {
			snprintf(why, why_cap, "option '%.40s...': too long", pos);
			return -EINVAL;
		}
		memcpy(opt, pos, len);
		opt[len] = '\0';
		err = option_parse(opts, opt, why, why_cap);
		if (err)
			return err;
	}
	return 0;
}

uint32_t mount_options_control_flags(const struct mount_options *opts)
{
	uint32_t flags = 0;

	flags |= opts->ms_flags & MS_RDONLY ? CONTROL_MOUNT_RDONLY : 0;
	flags |= opts->ms_flags & MS_NOATIME ? CONTROL_MOUNT_NOATIME : 0;
	flags |= opts->ms_flags & MS_STRICTATIME ? CONTROL_MOUNT_STRICTATIME : 0;
	flags |= opts->ms_flags & MS_NODIRATIME ? CONTROL_MOUNT_NODIRATIME : 0;
	return flags;
}
