/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loop devices: a file, and a device that shows it, are the same bytes under two names, which no lock of either tells.
 *
 * Whoever opens the device locks the file under it; whoever opens the file looks for a device over it first.
 */
#ifndef PMEM_LOOP_H
#define PMEM_LOOP_H

#include <stddef.h>
#include <sys/stat.h>

#define LOOP_NAME_LEN 64

/* 1: a loop device shows the file st, its name ("loop0") is in out_name; 0: none that can be seen. */
int loop_over_file(const struct stat *st, char out_name[LOOP_NAME_LEN]);

/*
 * Opens what is under the loop device, or under the partition of one, that fd is open on; oflags: O_RDONLY or O_RDWR. -ENOENT:
 * rdev is none, or its file is not to be found by its path any more. *out_is_part: the device shows a part of it only, and others
 * may show other parts.
 */
int loop_open_backing(int fd, dev_t rdev, int oflags, int *out_is_part, int *out_fd);

#endif
