/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plug-in loader: order of places, literal paths, refusals. TEST_PLUGIN_DIR holds zusd_test_good.so (type "good"),
 * zusd_test_old.so (another ABI), zusd_test_nomount.so, zusd_test_nosymbol.so, zusd_test_badname.so.
 */
#include "zusd/loader.h"

#include <sys/stat.h>

#include "base/log.h"
#include "lib/tap.h"

static char last_error[1024];

static void sink_keep(void *ctx, int level, const char *msg)
{
	(void)ctx;
	if (level == LOG_LEVEL_ERROR)
		snprintf(last_error, sizeof(last_error), "%s", msg);
}

static struct loader ld;

static int load(const char *list, const char *dir)
{
	log_set_sink(sink_keep, NULL);
	last_error[0] = '\0';
	return loader_load(&ld, list, dir);
}

/* A directory with one link, to be removed by the caller. */
static void make_dir(char dir[64], const char *link_name, const char *target)
{
	char from[512], to[512];

	strcpy(dir, "/tmp/zusd-loader-XXXXXX");
	CHECK(mkdtemp(dir));
	snprintf(to, sizeof(to), "%s/%s", dir, link_name);
	snprintf(from, sizeof(from), "%s/%s", TEST_PLUGIN_DIR, target);
	CHECK(!symlink(from, to));
}

static void remove_dir(const char *dir, const char *link_name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, link_name);
	unlink(path);
	rmdir(dir);
}

static void loader_load_when_literal_path_loads_it(void)
{
	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_good.so", "/nonexistent"), 0);
	CHECK_EQ(ld.n_plugins, 1);
	CHECK(loader_find(&ld, "good"));
	CHECK(!loader_find(&ld, "goo"));
	loader_fini(&ld);
	CHECK_EQ(ld.n_plugins, 0);
}

static void loader_load_when_name_takes_installed_directory(void)
{
	char dir[64];

	CHECK_EQ(load("zusd_test_good", TEST_PLUGIN_DIR), 0);
	loader_fini(&ld);
	make_dir(dir, "libsome.so", "zusd_test_good.so");
	CHECK_EQ(load(" some ,", dir), 0);
	CHECK(strstr(ld.plugins[0].path, dir));
	loader_fini(&ld);
	remove_dir(dir, "libsome.so");
}

/* The library path is read when a program starts: the test runs itself again. */
static void loader_load_when_in_library_path_loads_it(void)
{
	char dir[64], self[512];
	ssize_t len;
	int rc;

	if (getenv("LOADER_TEST_NAME")) {
		CHECK_EQ(load(getenv("LOADER_TEST_NAME"), "/nonexistent"), 0);
		CHECK(loader_find(&ld, "good"));
		return;
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	CHECK(len > 0);
	self[len] = '\0';
	make_dir(dir, "libvialdpath.so", "zusd_test_good.so");
	setenv("LD_LIBRARY_PATH", dir, 1);
	setenv("LOADER_TEST_NAME", "vialdpath", 1);
	char cmd[1200];
	snprintf(cmd, sizeof(cmd), "'%s' %s >/dev/null", self, __func__);
	rc = system(cmd);
	remove_dir(dir, "libvialdpath.so");
	CHECK_EQ(rc, 0);
}

static void loader_load_when_other_abi_refuses_with_both_numbers(void)
{
	char want[64];

	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_old.so", "/"), -ENOEXEC);
	snprintf(want, sizeof(want), "version 99, this server speaks %u", ZUS_PLUGIN_ABI);
	CHECK(strstr(last_error, want));
	CHECK_EQ(ld.n_plugins, 0);
}

static void loader_load_when_not_a_plugin_refuses(void)
{
	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_nosymbol.so", "/"), -ELIBBAD);
	CHECK(strstr(last_error, "exports no zus_plugin"));
	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_nomount.so", "/"), -ELIBBAD);
	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_badname.so", "/"), -ELIBBAD);
	CHECK_EQ(load("/proc/self/exe", "/"), -ELIBBAD);
	CHECK_EQ(load("/dev/null", "/"), -ELIBBAD);
	CHECK_EQ(load("/", "/"), -ELIBBAD);
}

static void loader_load_when_missing_names_what_it_tried(void)
{
	CHECK_EQ(load("nosuchplugin", "/some/where"), -ENOENT);
	CHECK(strstr(last_error, "nosuchplugin"));
	CHECK(strstr(last_error, "/some/where"));
	CHECK_EQ(load(",, ,", "/some/where"), -ENOENT);
	CHECK(load(NULL, "/some/where") < 0);
}

/* What lies where the server happens to be started is not for root to run. */
static void loader_load_when_in_current_directory_only_refuses(void)
{
	char dir[64];

	make_dir(dir, "here", "zusd_test_good.so");
	CHECK(!chdir(dir));
	CHECK_EQ(load("here", "/nonexistent"), -ENOENT);
	CHECK_EQ(load("./here", "/nonexistent"), 0);
	loader_fini(&ld);
	CHECK(!chdir("/"));
	remove_dir(dir, "here");
}

static void loader_load_when_type_twice_refuses(void)
{
	CHECK_EQ(load(TEST_PLUGIN_DIR "/zusd_test_good.so," TEST_PLUGIN_DIR "/zusd_test_good.so", "/"), -EEXIST);
	CHECK_EQ(ld.n_plugins, 0);
}

static void loader_load_when_no_list_takes_what_is_usable(void)
{
	char names[128];

	CHECK_EQ(load(NULL, TEST_PLUGIN_DIR), 0);
	CHECK_EQ(ld.n_plugins, 1);
	loader_names(&ld, names, sizeof(names));
	CHECK(!strcmp(names, "good"));
	loader_fini(&ld);
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(loader_load_when_literal_path_loads_it),
		TAP_CASE(loader_load_when_name_takes_installed_directory),
		TAP_CASE(loader_load_when_in_library_path_loads_it),
		TAP_CASE(loader_load_when_other_abi_refuses_with_both_numbers),
		TAP_CASE(loader_load_when_not_a_plugin_refuses),
		TAP_CASE(loader_load_when_missing_names_what_it_tried),
		TAP_CASE(loader_load_when_in_current_directory_only_refuses),
		TAP_CASE(loader_load_when_type_twice_refuses),
		TAP_CASE(loader_load_when_no_list_takes_what_is_usable),
	};

	return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
