/* SPDX-License-Identifier: BSD-3-Clause */
/* The module's counters of one mount, below /sys/kernel/zuf/mounts, as a table for people. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/util.h"
#include "transport/zuf/zuf_transport.h"

#define STATS_DIR "/sys/kernel/zuf/mounts"
#define FILE_BYTES_MAX 4096u /* a sysfs file is at most a page */
#define BUCKETS_MAX 64u

struct printer {
	char *buf;
	size_t cap;
	size_t len;
};

static void __attribute__((format(printf, 2, 3))) print_line(struct printer *p, const char *fmt, ...)
{
	size_t left = p->len < p->cap ? p->cap - p->len : 0;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(left ? p->buf + p->len : NULL, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		p->len += (size_t)n;
}

/* The text of a counter file, or "" if there is none. */
static void file_read(uint64_t devno, const char *name, char text[FILE_BYTES_MAX + 1])
{
	char path[128];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), STATS_DIR "/%u:%u/%s", major((dev_t)devno), minor((dev_t)devno), name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, FILE_BYTES_MAX);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* A head, and of the lines "name number" those whose number is not 0. */
static void numbers_print(struct printer *p, char *text, const char *head, const char *head2)
{
	char *save = NULL, name[32];
	uint64_t value;

	print_line(p, "%-20s %12s\n", head, head2);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%31s %" SCNu64, name, &value) == 2 && value)
			print_line(p, "%-20s %12" PRIu64 "\n", name, value);
}

struct histogram {
	uint64_t below_ns[BUCKETS_MAX];
	uint64_t count[BUCKETS_MAX];
	uint64_t total;
	unsigned int n;
};

static void histogram_read(char *text, struct histogram *h)
{
	char *save = NULL;

	memset(h, 0, sizeof(*h));
	for (char *line = strtok_r(text, "\n", &save); line && h->n < BUCKETS_MAX; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "below_ns %" SCNu64 " %" SCNu64, &h->below_ns[h->n], &h->count[h->n]) != 2)
			continue;
		h->total += h->count[h->n++];
	}
}

/* The end of the bucket in which the per_mille-th part of the calls ends, in us. */
static double percentile_us(const struct histogram *h, uint64_t per_mille)
{
	uint64_t target = h->total - h->total * (1000 - per_mille) / 1000, seen = 0;
	unsigned int i;

	for (i = 0; i + 1 < h->n; i++) {
		seen += h->count[i];
		if (seen >= target)
			break;
	}
	return h->n ? (double)h->below_ns[i] / 1000.0 : 0.0;
}

size_t zuf_transport_stats(uint64_t devno, char *buf, size_t cap)
{
	struct printer p = { .buf = buf, .cap = cap };
	char text[FILE_BYTES_MAX + 1];
	struct histogram h;

	file_read(devno, "calls", text);
	numbers_print(&p, text, "operation", "count");
	file_read(devno, "latency", text);
	histogram_read(text, &h);
	print_line(&p, "%-20s %12" PRIu64 "   p50 below %.2f us, p99 below %.2f us\n", "all calls", h.total,
		   percentile_us(&h, 500), percentile_us(&h, 990));
	file_read(devno, "counters", text);
	numbers_print(&p, text, "in the kernel", "count");
	return p.len;
}
