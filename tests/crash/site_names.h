/* SPDX-License-Identifier: BSD-3-Clause */
/* Mutations of call sites (pmem/site.h) by name, for the whole program. */
#ifndef CRASH_SITE_NAMES_H
#define CRASH_SITE_NAMES_H

#include <stdio.h>

/*
 * text: FILE:LINE:KIND, or FILE:LINE:CALL:KIND where several calls stand in one line. KIND: drop, noflush, unlogged, early. 0, or
 * -EINVAL (said on err).
 */
int site_mutate(const char *text, FILE *err);
/* Every call site: FILE:LINE:CALL, function. */
void site_list(FILE *out);

#endif
