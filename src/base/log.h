/* SPDX-License-Identifier: BSD-3-Clause */
/* Log lines with levels, to stderr or to a sink that the program sets (the journal, a plug-in's host). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARNING = 1,
	LOG_LEVEL_NOTICE = 2,
	LOG_LEVEL_INFO = 3,
	LOG_LEVEL_DEBUG = 4,
};

typedef void (*log_sink_fn)(void *ctx, int level, const char *msg);

/* Lines above this level are dropped. Default LOG_LEVEL_NOTICE. */
void log_set_level(int level);
int log_get_level(void);
/* Where lines go; NULL: stderr, with sd-daemon's "<N>" prefix when JOURNAL_STREAM is set. Set before threads start. */
void log_set_sink(log_sink_fn sink, void *ctx);
/* Prefix of stderr lines ("zusd"); the string must stay. */
void log_set_name(const char *name);

/* One line, no newline at its end. Cut at 1023 bytes. Keeps errno. */
void log_printf(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_printf(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_printf(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_printf(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_printf(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_printf(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
