/* SPDX-License-Identifier: BSD-3-Clause */
/* Going to the background: the parent stays until the child is ready or has failed. Names of log levels. */
#ifndef ZUSD_DAEMONIZE_H
#define ZUSD_DAEMONIZE_H

#define DAEMONIZE_CHILD (-1)

/*
 * Forks. In the child: DAEMONIZE_CHILD, with a descriptor for daemonize_ready. In the parent, when the child is ready or gone:
 * its exit code. The child's messages go to stderr until it is ready.
 */
int daemonize(int *out_ready_fd);
/* The parent ends with 0; stdin, stdout and stderr become /dev/null; log lines go to syslog, and so to the journal. */
void daemonize_ready(int ready_fd);

/* "info" or "3"; -1: no such level. */
int log_level_parse(const char *text);
const char *log_level_name(int level);

#endif
