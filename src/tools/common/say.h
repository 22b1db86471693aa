/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tools say to a person, and what they exit with. */
#ifndef TOOLS_SAY_H
#define TOOLS_SAY_H

#define EXIT_OK 0
#define EXIT_FAIL 1 /* could not be done; nothing was changed unless said */
#define EXIT_USAGE 2 /* wrong arguments */
#define EXIT_DAMAGED 4 /* done as far as possible: a structure on the device is damaged */

/* One line on stderr, "program: ...". */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Why a device or file could not be opened or mapped, and what to do: err as pmem_open returned it. */
const char *say_open_error(int err);

/*
 * From here on, a mapped page that cannot be read or written (media error, backing file cut off, its disk full) ends the program
 * with a message instead of a signal. unlink_path: removed first, NULL: nothing. Both strings are copied; a later call replaces
 * them.
 */
void say_on_sigbus(const char *path, const char *unlink_path);

#endif
