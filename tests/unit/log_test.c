/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines: levels, the sink, the cut, control bytes, what goes to stderr. */
#include "base/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "lib/tap.h"

struct seen {
	int n;
	int level;
	char msg[2048];
};

static void sink_keep(void *ctx, int level, const char *msg)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->level = level;
	snprintf(seen->msg, sizeof(seen->msg), "%s", msg);
	errno = EIO;
}

static void log_above_the_level_is_dropped(void)
{
	struct seen seen = { 0 };

	log_set_sink(sink_keep, &seen);
	CHECK_EQ(log_get_level(), LOG_LEVEL_NOTICE);
	log_info("no");
	CHECK_EQ(seen.n, 0);
	log_notice("yes %d", 5);
	CHECK_EQ(seen.n, 1);
	CHECK_EQ(seen.level, LOG_LEVEL_NOTICE);
	CHECK(!strcmp(seen.msg, "yes 5"));
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("now");
	CHECK_EQ(seen.n, 2);
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("no");
	CHECK_EQ(seen.n, 2);
	log_error("always");
	CHECK_EQ(seen.n, 3);
}

static void log_of_a_long_line_is_cut_at_1023_bytes(void)
{
	struct seen seen = { 0 };
	char text[3000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_set_sink(sink_keep, &seen);
	log_error("%s", text);
	CHECK_EQ(strlen(seen.msg), 1023);
}

static void log_of_control_bytes_replaces_them(void)
{
	struct seen seen = { 0 };

	log_set_sink(sink_keep, &seen);
	log_error("name %s", "a\nb\033[2J\177\xc3\xa9");
	CHECK(!strcmp(seen.msg, "name a?b?[2J?\xc3\xa9"));
}

static void log_keeps_errno(void)
{
	struct seen seen = { 0 };

	log_set_sink(sink_keep, &seen);
	errno = ENOTTY;
	log_error("x");
	CHECK_EQ(errno, ENOTTY);
}

/* What reaches stderr, with JOURNAL_STREAM naming it or not. */
static void stderr_of_one_line(int journal, char *out_text, size_t cap)
{
	char path[] = "/tmp/log-test-XXXXXX", id[64];
	int fd = mkstemp(path), saved = dup(2);
	struct stat st;
	ssize_t n;

	CHECK(fd >= 0 && !fstat(fd, &st));
	unlink(path);
	snprintf(id, sizeof(id), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", id, 1);
	dup2(fd, 2);
	log_warning("line");
	dup2(saved, 2);
	n = pread(fd, out_text, cap - 1, 0);
	CHECK(n >= 0);
	out_text[n] = '\0';
	close(fd);
	close(saved);
}

static void log_to_stderr_has_the_name_or_the_journals_prefix(void)
{
	char text[256];

	log_set_name("zusd");
	stderr_of_one_line(0, text, sizeof(text));
	CHECK(!strcmp(text, "zusd: line\n"));
	stderr_of_one_line(1, text, sizeof(text));
	CHECK(!strcmp(text, "<4>line\n"));
}

int main(int argc, char **argv)
{
	static const struct tap_case cases[] = {
		TAP_CASE(log_above_the_level_is_dropped),
		TAP_CASE(log_of_a_long_line_is_cut_at_1023_bytes),
		TAP_CASE(log_of_control_bytes_replaces_them),
		TAP_CASE(log_keeps_errno),
		TAP_CASE(log_to_stderr_has_the_name_or_the_journals_prefix),
	};

	return tap_main(argc, argv, cases, ARRAY_SIZE(cases));
}
