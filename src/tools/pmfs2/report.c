/* SPDX-License-Identifier: BSD-3-Clause */
/* Named values, as lines for a person or as one JSON object. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "tools/common/text.h"

#define NAME_WIDTH 20

void report_begin(struct report *rep, int json)
{
	rep->json = json;
	rep->n = 0;
	if (json)
		putchar('{');
}

void report_end(struct report *rep)
{
	if (rep->json)
		printf("\n}\n");
}

static void name_print(struct report *rep, const char *name)
{
	if (rep->json) {
		printf("%s\n  \"%s\": ", rep->n ? "," : "", name);
	} else {
		for (const char *c = name; *c; c++)
			putchar(*c == '_' ? ' ' : *c);
		printf("%*s", NAME_WIDTH - (int)strlen(name) > 0 ? NAME_WIDTH - (int)strlen(name) : 1, "");
	}
	rep->n++;
}

static void line_end(const struct report *rep)
{
	if (!rep->json)
		putchar('\n');
}

void report_u64(struct report *rep, const char *name, uint64_t value)
{
	name_print(rep, name);
	printf("%llu", (unsigned long long)value);
	line_end(rep);
}

void report_bytes(struct report *rep, const char *name, uint64_t bytes)
{
	char buf[TEXT_SIZE_LEN];

	name_print(rep, name);
	printf("%llu", (unsigned long long)bytes);
	if (!rep->json)
		printf(" (%s)", text_size(bytes, buf));
	line_end(rep);
}

void report_hex(struct report *rep, const char *name, uint64_t value)
{
	name_print(rep, name);
	printf(rep->json ? "\"0x%016llx\"" : "0x%016llx", (unsigned long long)value);
	line_end(rep);
}

void report_text(struct report *rep, const char *name, const char *value, size_t len)
{
	name_print(rep, name);
	if (rep->json)
		text_print_json(stdout, value, len);
	else
		text_print(stdout, value, len);
	line_end(rep);
}

void report_str(struct report *rep, const char *name, const char *value)
{
	report_text(rep, name, value, strlen(value));
}

void report_bool(struct report *rep, const char *name, int value)
{
	name_print(rep, name);
	printf("%s", rep->json ? (value ? "true" : "false") : (value ? "yes" : "no"));
	line_end(rep);
}
