/* SPDX-License-Identifier: BSD-3-Clause */
/* See shadow.h. */
#include "shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "model: out of memory\n");
	exit(2);
}

struct shadow_file *shadow_get(struct shadow *sh, uint64_t ino)
{
	struct shadow_file **bucket = &sh->buckets[ino % SHADOW_BUCKETS], *f;

	for (f = *bucket; f; f = f->next)
		if (f->ino == ino)
			return f;
	f = must(calloc(1, sizeof(*f)));
	f->ino = ino;
	f->next = *bucket;
	*bucket = f;
	return f;
}

void shadow_resize(struct shadow_file *f, size_t size)
{
	if (size > SHADOW_SIZE_MAX) {
		fprintf(stderr, "model: a file of %zu bytes is beyond the model\n", size);
		exit(2);
	}
	if (size > f->cap) {
		f->cap = size * 2;
		f->data = must(realloc(f->data, f->cap));
	}
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

void shadow_write(struct shadow_file *f, size_t off, const void *data, size_t len)
{
	if (!len)
		return;
	if (off + len > f->size)
		shadow_resize(f, off + len);
	memcpy(f->data + off, data, len);
}

void shadow_zero(struct shadow_file *f, size_t off, size_t len)
{
	if (off >= f->size)
		return;
	if (len > f->size - off)
		len = f->size - off;
	memset(f->data + off, 0, len);
}

void shadow_collapse(struct shadow_file *f, size_t off, size_t len)
{
	memmove(f->data + off, f->data + off + len, f->size - off - len);
	f->size -= len;
}

void shadow_insert(struct shadow_file *f, size_t off, size_t len)
{
	size_t tail = f->size - off;

	shadow_resize(f, f->size + len);
	memmove(f->data + off + len, f->data + off, tail);
	memset(f->data + off, 0, len);
}

static void bucket_sweep(struct shadow_file **link, int all)
{
	while (*link) {
		struct shadow_file *f = *link;

		if (f->seen && !all) {
			f->seen = 0;
			link = &f->next;
			continue;
		}
		*link = f->next;
		free(f->data);
		free(f);
	}
}

void shadow_sweep(struct shadow *sh)
{
	for (size_t i = 0; i < SHADOW_BUCKETS; i++)
		bucket_sweep(&sh->buckets[i], 0);
}

void shadow_free(struct shadow *sh)
{
	for (size_t i = 0; i < SHADOW_BUCKETS; i++)
		bucket_sweep(&sh->buckets[i], 1);
}
