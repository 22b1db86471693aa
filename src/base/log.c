/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines: format, cut, make printable, hand to the sink or write to stderr in one write(2).
 *
 * Messages quote names from media and from clients, so control bytes are replaced: a name cannot forge a second line.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define PREFIX_BYTES 64

static int log_level = LOG_LEVEL_NOTICE;
static log_sink_fn log_sink;
static void *log_sink_ctx;
static const char *log_name;

void log_set_level(int level)
{
	__atomic_store_n(&log_level, level, __ATOMIC_RELAXED);
}

int log_get_level(void)
{
	return __atomic_load_n(&log_level, __ATOMIC_RELAXED);
}

void log_set_sink(log_sink_fn sink, void *ctx)
{
	log_sink = sink;
	log_sink_ctx = ctx;
}

void log_set_name(const char *name)
{
	log_name = name;
}

/* True if stderr is the journal's stream: JOURNAL_STREAM names its device and inode, and is inherited by everybody. */
static int stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2 || fstat(STDERR_FILENO, &st))
		return 0;
	return st.st_dev == dev && st.st_ino == ino;
}

static void log_to_stderr(int level, const char *msg)
{
	/* syslog numbers: error 3, warning 4, notice 5, info 6, debug 7 */
	char line[PREFIX_BYTES + LINE_BYTES + 2];
	size_t done = 0;
	int len;

	if (stderr_is_journal())
		len = snprintf(line, sizeof(line), "<%d>%s\n", level + 3, msg);
	else if (log_name)
		len = snprintf(line, sizeof(line), "%.*s: %s\n", PREFIX_BYTES - 4, log_name, msg);
	else
		len = snprintf(line, sizeof(line), "%s\n", msg);
	while (done < (size_t)len) {
		ssize_t n = write(STDERR_FILENO, line + done, (size_t)len - done);

		if (n < 0 && errno != EINTR)
			return;
		done += n > 0 ? (size_t)n : 0;
	}
}

void log_printf(int level, const char *fmt, ...)
{
	int saved_errno = errno;
	char msg[LINE_BYTES];
	va_list ap;

	if (level > log_get_level())
		return;
	if (level < LOG_LEVEL_ERROR)
		level = LOG_LEVEL_ERROR;
	va_start(ap, fmt);
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		msg[0] = '\0';
	va_end(ap);
	for (unsigned char *p = (unsigned char *)msg; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (log_sink)
		log_sink(log_sink_ctx, level, msg);
	else
		log_to_stderr(level, msg);
	errno = saved_errno;
}
