/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far a check is. The bar comes only where a check takes longer than a blink. The lines are those of e2fsck -C: "pass done
 * total device".
 */
#include "progress.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define BAR_WIDTH 40u
#define BAR_AFTER_MS 500u
#define PERMILLE_NONE 2000u

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int progress_init(struct progress *pr, const char *path, int fd)
{
	*pr = (struct progress){ .path = path, .permille = PERMILLE_NONE, .start_ms = now_ms() };
	if (fd < 0)
		return 0;
	if (!fd) {
		pr->bar = isatty(STDOUT_FILENO);
		pr->out = pr->bar ? stdout : NULL;
		return 0;
	}
	fd = dup(fd);
	pr->out = fd < 0 ? NULL : fdopen(fd, "w");
	return pr->out ? 0 : -errno;
}

void progress_fini(struct progress *pr)
{
	progress_hide(pr);
	if (pr->out && !pr->bar)
		fclose(pr->out);
	pr->out = NULL;
}

static const char *pass_name(enum fsck_pass pass)
{
	static const char *const names[FSCK_N_PASSES] = {
		[FSCK_PASS_SUPER] = "superblock", [FSCK_PASS_JOURNAL] = "journal",  [FSCK_PASS_ITABLE] = "inode table",
		[FSCK_PASS_INODES] = "inodes",	  [FSCK_PASS_DIRS] = "directories", [FSCK_PASS_LINKS] = "links",
		[FSCK_PASS_BITMAPS] = "bitmaps",  [FSCK_PASS_MEDIA] = "contents",
	};

	return (unsigned int)pass < ARRAY_SIZE(names) ? names[pass] : "?";
}

void progress_hide(struct progress *pr)
{
	if (pr->shown)
		fprintf(pr->out, "\r%*s\r", (int)(BAR_WIDTH + 24), "");
	if (pr->shown)
		fflush(pr->out);
	pr->shown = 0;
	pr->permille = PERMILLE_NONE;
}

static void bar_draw(struct progress *pr)
{
	char bar[BAR_WIDTH + 1];
	uint32_t n = (uint32_t)(pr->permille * BAR_WIDTH / 1000);

	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '=', n);
	bar[BAR_WIDTH] = '\0';
	fprintf(pr->out, "\r%-12s|%s|%3u.%u %%", pass_name(pr->pass), bar, (uint32_t)(pr->permille / 10),
		(uint32_t)(pr->permille % 10));
	fflush(pr->out);
	pr->shown = 1;
}

void progress_show(struct progress *pr, enum fsck_pass pass, uint64_t done, uint64_t total)
{
	uint64_t permille = total ? done * 1000 / total : 1000;

	if (!pr->out || (permille == pr->permille && pass == pr->pass))
		return;
	if (pr->bar && now_ms() - pr->start_ms < BAR_AFTER_MS)
		return;
	pr->pass = pass;
	pr->permille = permille;
	if (pr->bar) {
		bar_draw(pr);
		return;
	}
	fprintf(pr->out, "%u %llu %llu %s\n", (uint32_t)pass + 1, (unsigned long long)done, (unsigned long long)total, pr->path);
	fflush(pr->out);
}
