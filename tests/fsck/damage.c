/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * damage IMAGE CODE: writes the golden image into a file (created, 32 MiB) and makes one defect in it. "none": no defect.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "golden.h"

int main(int argc, char **argv)
{
	enum fsck_code code = 0;
	struct golden g;
	struct pmem *pm;
	int fd;

	while (argc == 3 && code < FSCK_N_CODES && strcmp(fsck_problem(code)->name, argv[2]))
		code++;
	if (argc != 3 || (code == FSCK_N_CODES && strcmp(argv[2], "none"))) {
		fprintf(stderr, "Usage: damage IMAGE CODE|none\n");
		return 2;
	}
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, GOLDEN_BYTES) || pmem_open(argv[1], 0, &pm)) {
		perror(argv[1]);
		return 1;
	}
	close(fd);
	golden_make(pm, GOLDEN_MANY, &g);
	if (code == FSCK_MEDIA_ERROR) {
		fprintf(stderr, "a file has no page that cannot be read\n");
		return 1;
	}
	if (code < FSCK_N_CODES)
		golden_recipe_find(code)(&g);
	pmem_close(pm);
	return 0;
}
