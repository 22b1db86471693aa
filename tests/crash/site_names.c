/* SPDX-License-Identifier: BSD-3-Clause */
/* Naming call sites and setting their mutation. */
#include "crash/site_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "pmem/site.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int kind_parse(const char *text, enum pmem_mutation *out)
{
	static const struct {
		const char *name;
		enum pmem_mutation kind;
	} kinds[] = { { "drop", PMEM_MUT_DROP },
		      { "noflush", PMEM_MUT_NOFLUSH },
		      { "unlogged", PMEM_MUT_UNLOGGED },
		      { "early", PMEM_MUT_EARLY } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, text))
			continue;
		*out = kinds[i].kind;
		return 0;
	}
	return -EINVAL;
}

int site_mutate(const char *text, FILE *err)
{
	char file[128] = "", call[64] = "", kind[32] = "";
	enum pmem_mutation mutation;
	unsigned int line = 0, n = 0;

	if (sscanf(text, "%127[^:]:%u:%63[^:]:%31s", file, &line, call, kind) != 4) {
		call[0] = '\0';
		if (sscanf(text, "%127[^:]:%u:%31s", file, &line, kind) != 3) {
			fprintf(err, "'%s' is not FILE:LINE:[CALL:]KIND\n", text);
			return -EINVAL;
		}
	}
	if (kind_parse(kind, &mutation)) {
		fprintf(err, "'%s' is no kind of mutation: drop, noflush, unlogged, early\n", kind);
		return -EINVAL;
	}
	for (struct pmem_site *s = __start_pmem_sites; s < __stop_pmem_sites; s++) {
		if (s->line != line || strcmp(base_name(s->file), base_name(file)) || (call[0] && strcmp(call, s->call)))
			continue;
		__atomic_store_n(&s->mutation, mutation, __ATOMIC_RELAXED);
		n++;
	}
	if (n)
		return 0;
	fprintf(err, "no call site %s:%u%s%s (--sites lists them)\n", file, line, call[0] ? ":" : "", call);
	return -EINVAL;
}

void site_list(FILE *out)
{
	for (const struct pmem_site *s = __start_pmem_sites; s < __stop_pmem_sites; s++)
		fprintf(out, "%s:%u:%s  %s\n", base_name(s->file), s->line, s->call, s->func);
}
