/* SPDX-License-Identifier: BSD-3-Clause */
/* The -o list of mount.pmfs2, and lines of the mount table. */
#include "tools/mount/mount_options.h"

#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "lib/tap.h"
#include "transport/fuse/fuse_mount.h"

static struct mount_options opts;
static char why[512];

static int parse(const char *list)
{
	why[0] = '\0';
	mount_options_init(&opts, "pmfs2");
	return mount_options_parse(&opts, list, why, sizeof(why));
}

static void mount_options_parse_when_standard_sets_flags(void)
{
	CHECK_EQ(parse("defaults"), 0);
	CHECK_EQ(opts.ms_flags, 0);
	CHECK_EQ(opts.cache, CONTROL_CACHE_AUTO);
	CHECK_EQ(opts.allow_other, -1);
	CHECK_EQ(parse("rw,ro,noatime,nosuid,nodev,noexec"), 0);
	CHECK_EQ(opts.ms_flags, MS_RDONLY | MS_NOATIME | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	CHECK_EQ(mount_options_control_flags(&opts), CONTROL_MOUNT_RDONLY | CONTROL_MOUNT_NOATIME);
	CHECK_EQ(parse("ro,rw,noatime,relatime"), 0);
	CHECK_EQ(opts.ms_flags, MS_RELATIME);
	CHECK_EQ(parse("noatime,strictatime,nodiratime"), 0);
	CHECK_EQ(mount_options_control_flags(&opts), CONTROL_MOUNT_STRICTATIME | CONTROL_MOUNT_NODIRATIME);
}

static void mount_options_parse_when_for_others_passes_over(void)
{
	CHECK_EQ(parse("_netdev,noauto,nofail,x-systemd.automount,X-mount.mkdir,comment=a,,auto,nouser"), 0);
	CHECK_EQ(opts.ms_flags, 0);
	CHECK(!opts.plugin_options[0]);
	CHECK_EQ(parse("rw,relatime,user_id=0,group_id=0,default_permissions,allow_other,max_read=1048576,remount,ro"), 0);
	CHECK(opts.remount);
	CHECK_EQ(opts.ms_flags, MS_RDONLY | MS_RELATIME);
	CHECK(!opts.plugin_options[0]);
	CHECK_EQ(parse("users,exec"), 0);
	CHECK_EQ(opts.ms_flags, MS_NOSUID | MS_NODEV);
}

static void mount_options_parse_when_ours_takes_values(void)
{
	CHECK_EQ(parse("cache=none,channel=dev,max_write=128K,uring,fstype=memfs"), 0);
	CHECK_EQ(opts.cache, CONTROL_CACHE_NONE);
	CHECK_EQ(opts.channel, CONTROL_CHANNEL_DEV);
	CHECK_EQ(opts.max_write, 128 << 10);
	CHECK(opts.enable_uring);
	CHECK(!strcmp(opts.fstype, "memfs"));
	CHECK_EQ(parse("max_write=1M,channel=uring"), 0);
	CHECK_EQ(opts.max_write, 1 << 20);
	CHECK_EQ(opts.channel, CONTROL_CHANNEL_URING);
	CHECK_EQ(parse("max_write=1048576"), 0);
	CHECK_EQ(opts.max_write, 1 << 20);
	CHECK_EQ(opts.wait_s, -1);
	CHECK_EQ(parse("wait=5,size=1G,wait=86400"), 0);
	CHECK_EQ(opts.wait_s, 86400);
	CHECK(!strcmp(opts.plugin_options, "size=1G"));
}

static void mount_options_parse_when_wrong_names_the_option(void)
{
	static const char *const wrong[] = {
		"cache=some",
		"cache",
		"cache=",
		"channel=x",
		"max_write=1",
		"max_write=-4096",
		"max_write=4096x",
		"max_write=99999999999999999999",
		"max_write=65M",
		"max_write=4294967296K",
		"max_write=",
		"wait",
		"wait=",
		"wait=-1",
		"wait=1s",
		"wait=86401",
		"wait=99999999999999999999",
		"fstype=",
		"fstype=../x",
		"fstype=a b",
		"fstype=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK_EQ(parse(wrong[i]), -EINVAL);
		CHECK(strstr(why, wrong[i]));
	}
}

static void mount_options_parse_when_unknown_hands_to_plugin(void)
{
	CHECK_EQ(parse("ro,size=1G,noatme,cache=none,data=atomic"), 0);
	CHECK(!strcmp(opts.plugin_options, "size=1G,noatme,data=atomic"));
}

static void mount_options_parse_when_huge_refuses(void)
{
	char *list = malloc(20000);

	memset(list, 'a', 19999);
	list[19999] = '\0';
	CHECK_EQ(parse(list), -EINVAL);
	for (int i = 100; i < 19999; i += 100)
		list[i] = ',';
	CHECK_EQ(parse(list), -EINVAL);
	free(list);
}

static struct fuse_mount_entry entry;

static void fuse_mount_parse_line_when_valid_takes_it_apart(void)
{
	CHECK_EQ(fuse_mount_parse_line(
			 "36 35 0:53 / /mnt/a\\040b rw,noatime shared:2 master:1 - fuse.pmfs2 /dev/pm\\134em ro,user_id=0\n",
			 &entry),
		 0);
	CHECK(entry.devno == makedev(0, 53));
	CHECK(!strcmp(entry.dir, "/mnt/a b"));
	CHECK(!strcmp(entry.options, "rw,noatime"));
	CHECK(!strcmp(entry.type, "fuse.pmfs2"));
	CHECK(!strcmp(entry.source, "/dev/pm\\em"));
	CHECK(!strcmp(entry.sb_options, "ro,user_id=0"));
	CHECK_EQ(fuse_mount_parse_line("36 35 0:53 / /mnt rw - tmpfs none rw", &entry), 0);
}

static void fuse_mount_parse_line_when_cut_refuses(void)
{
	const char *line = "36 35 0:53 / /mnt/a rw,noatime shared:2 - fuse.pmfs2 /dev/pmem0 ro";
	char cut[128];

	for (size_t len = 0; len < strlen(line) - 15; len++) {
		memcpy(cut, line, len);
		cut[len] = '\0';
		fuse_mount_parse_line(cut, &entry);
	}
	CHECK_EQ(fuse_mount_parse_line("", &entry), -EBADMSG);
	CHECK_EQ(fuse_mount_parse_line("a b c d e f - g h i", &entry), -EBADMSG);
	CHECK_EQ(fuse_mount_parse_line("36 35 0:53 / /mnt rw shared:2", &entry), -EBADMSG);
}

static void fuse_mount_find_when_mounted_finds_root(void)
{
	CHECK_EQ(fuse_mount_find("/proc", &entry), 0);
	CHECK(!strcmp(entry.type, "proc"));
	CHECK_EQ(fuse_mount_find("/no/such/mount", &entry), -ENOENT);
	CHECK(fuse_mount_count(entry.devno) >= 1);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(mount_options_parse_when_standard_sets_flags),
		TAP_CASE(mount_options_parse_when_for_others_passes_over),
		TAP_CASE(mount_options_parse_when_ours_takes_values),
		TAP_CASE(mount_options_parse_when_wrong_names_the_option),
		TAP_CASE(mount_options_parse_when_unknown_hands_to_plugin),
		TAP_CASE(mount_options_parse_when_huge_refuses),
		TAP_CASE(fuse_mount_parse_line_when_valid_takes_it_apart),
		TAP_CASE(fuse_mount_parse_line_when_cut_refuses),
		TAP_CASE(fuse_mount_find_when_mounted_finds_root),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
