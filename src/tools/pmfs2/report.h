/* SPDX-License-Identifier: BSD-3-Clause */
/* Named values, as lines for a person or as one JSON object. */
#ifndef TOOLS_PMFS2_REPORT_H
#define TOOLS_PMFS2_REPORT_H

#include <stddef.h>
#include <stdint.h>

struct report {
	int json;
	uint32_t n; /* values so far */
};

void report_begin(struct report *rep, int json);
void report_end(struct report *rep);
/* name: words with '_' between them; shown with blanks to a person. */
void report_u64(struct report *rep, const char *name, uint64_t value);
/* unit: behind the number, for a person only. */
void report_bytes(struct report *rep, const char *name, uint64_t bytes);
void report_hex(struct report *rep, const char *name, uint64_t value);
void report_str(struct report *rep, const char *name, const char *value);
/* A string from media. */
void report_text(struct report *rep, const char *name, const char *value, size_t len);
void report_bool(struct report *rep, const char *name, int value);

#endif
